"""A bundle and its training patients in, the thresholds of its ledger out, as its card keeps them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from MedTranslateLib.bundles.ledger_statistics import LedgerCalibration, LedgerStatistics
from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.inference.weights import LoadedBundle
from MedTranslateLib.methods.contract import Direction
from MedTranslateLib.training.cases import TrainingCase
from MedTranslateLib.training.config import TrainingConfig
from MedTranslateLib.training.ledger_cases import LedgerCase, ledger_cases, translated_images
from MedTranslateLib.trust.ledger_calibration import LookedAt, calibrate
from MedTranslateLib.trust.ledger_evidence import evidence_of
from MedTranslateLib.trust.ledger_grid import coarse_images, joined_mask
from MedTranslateLib.trust.ledger_rule import SCALES_MM

DIGITS = 4
SLICES_AN_ENTRY = 15
"""Training patients have one false entry in so many slices: two in a brain of 30."""


@dataclass(frozen=True)
class LedgerPatients:
    """Which training patients are looked at.

    Args:
        lesions: Where their lesion masks are, written as the sides are in the training file; empty where there are
            none, and every entry counts as false.
        every: Each so many-th patient is looked at.
    """

    lesions: str = ""
    every: int = 3


def measure_ledger(
    bundle: LoadedBundle,
    config: TrainingConfig,
    data_root: Path,
    which: LedgerPatients,
    on_patient: Callable[[int], None],
) -> LedgerStatistics:
    """Thresholds of every direction that the training patients have images for.

    Args:
        bundle: The network.
        config: Its training file.
        data_root: What the data folders are relative to.
        which: Which patients.
        on_patient: Told how many patients are done.

    Raises:
        ConfigError: If no patient can be translated.
    """
    ways = (Direction.FORWARD, Direction.REVERSE) if bundle.manifest.reversible else (Direction.FORWARD,)
    looked: dict[Direction, list[LookedAt]] = {way: [] for way in ways}
    for done, one in enumerate(_patients(config, data_root, which), start=1):
        for way in ways:
            if _has(one.case, way):
                looked[way].append(_look(bundle, one, way))
        on_patient(done)
    found = tuple(_calibration(bundle, way, patients, which) for way, patients in looked.items() if patients)
    if not found:
        msg = f"No training patient of {config.name} has images that {bundle.manifest.name} can translate."
        raise ConfigError(msg)
    return LedgerStatistics(found)


def _patients(config: TrainingConfig, data_root: Path, which: LedgerPatients) -> Iterator[LedgerCase]:
    everyone = (one for entry in config.data for one in ledger_cases(entry, which.lesions, config.layout, data_root))
    return (one for number, one in enumerate(everyone) if number % which.every == 0)


def _has(case: TrainingCase, way: Direction) -> bool:
    return (case.source if way is Direction.FORWARD else case.target) is not None


def _look(bundle: LoadedBundle, one: LedgerCase, way: Direction) -> LookedAt:
    images = translated_images(bundle, one.case, way)
    lesions = None if one.lesions is None else joined_mask(one.lesions, images.geometry)
    return LookedAt(evidence_of(coarse_images(images), SCALES_MM), lesions)


def _calibration(
    bundle: LoadedBundle, way: Direction, patients: list[LookedAt], which: LedgerPatients
) -> LedgerCalibration:
    made = calibrate(patients, SCALES_MM, 1 / SLICES_AN_ENTRY)
    source, output = (
        tuple(round(v, DIGITS) for v in side) for side in (made.thresholds.source, made.thresholds.output)
    )
    left_out = "entries in lesions left out" if which.lesions else "with all entries, right ones included"
    return LedgerCalibration(
        direction="forward" if way is Direction.FORWARD else "reverse",
        reconstruction=bundle.manifest.reversible,
        patients=len(patients),
        slices=sum(patient.slices for patient in patients),
        data=left_out,
        entries_a_slice=round(made.entries_a_slice, DIGITS),
        scales_mm=SCALES_MM,
        source=source,
        output=output,
    )
