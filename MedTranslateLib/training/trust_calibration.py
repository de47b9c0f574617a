"""A bundle and its training patients in, the calibration of its trust map out, as its card keeps it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from MedTranslateLib.bundles.trust_statistics import TrustCalibration, TrustInput, TrustStatistics
from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.inference.weights import LoadedBundle
from MedTranslateLib.methods.contract import Direction
from MedTranslateLib.training.cases import (
    CaseFiles,
    RawCase,
    TrainingCase,
    intensities_of,
    list_cases,
    prepare_case,
    read_case,
)
from MedTranslateLib.training.config import CaseLayout, DataEntry, TrainingConfig
from MedTranslateLib.training.input_statistics import own_plane
from MedTranslateLib.training.trust_cases import Drawing, JudgedSlices, at_equal_distances, judged_slices
from MedTranslateLib.trust.combine import calibrated_error
from MedTranslateLib.trust.fitting import KnownPlaces, fit_expected_error
from MedTranslateLib.trust.inputs import Slices, inputs_of

Values = npt.NDArray[np.floating[Any]]
Range = tuple[float, float]
PLACES = 100_000
"""Places that a calibration is fitted on, all patients together."""
OUTSIDE = 0.05
"""How much a place outside of the body counts: enough to tell air far away from air where something may be missing."""
QUANTILES = 51
EXTREME = 1e-4
"""Share of the voxels at either end of the intensities that is left out of the range of a training image."""


@dataclass(frozen=True)
class TrustPatients:
    """Which training patients are translated, and how.

    Args:
        patients: How many, at equal distances in the order of their names; all where there are fewer.
        slices: Slices of each, at equal distances.
        steps: Steps of the method; None takes the bundle's own number.
        samples: Samples of the second calibration of methods that draw.
    """

    patients: int = 40
    slices: int = 3
    steps: int | None = None
    samples: int = 4


@dataclass(frozen=True)
class _Patient:
    """Slices of one patient, and the range of intensities that each side of it has as stored."""

    case: TrainingCase
    source: Range
    target: Range


@dataclass(frozen=True)
class _Drawn:
    """Places of one patient."""

    inputs: Mapping[TrustInput, Slices]
    error: Values
    inside: npt.NDArray[np.bool_]


def measure_trust(
    bundle: LoadedBundle,
    config: TrainingConfig,
    layout: CaseLayout,
    where: tuple[Path, TrustPatients],
    on_patient: Callable[[], object],
) -> TrustStatistics:
    """Fits a calibration for every direction, and with samples where the method draws.

    Args:
        bundle: The network.
        config: Its training file: only training patients are looked at.
        layout: Slice grid and scales of the bundle's card.
        where: What the data folders are relative to, and which patients.
        on_patient: Called after each translation of a patient.

    Raises:
        ConfigError: If there are no pairs of the bundle's modalities.
    """
    data_root, which = where
    entries = pairs_of(config)
    patients = [
        _Patient(
            prepare_case(raw, entry, layout),
            _range_of(raw, entry, layout, "source"),
            _range_of(raw, entry, layout, "target"),
        )
        for raw, entry in _chosen(entries, layout, data_root, which)
    ]
    steps = which.steps or bundle.method.default_steps
    ways = (Direction.FORWARD, Direction.REVERSE) if bundle.manifest.reversible else (Direction.FORWARD,)
    numbers = (1, which.samples) if bundle.method.stochastic else (1,)
    drawings = [Drawing(way, steps, number, slices=which.slices) for number in numbers for way in ways]
    found = []
    for drawing in drawings:
        drawn = []
        for number, patient in enumerate(patients):
            judged = judged_slices(bundle, patient.case, replace(drawing, seed=1000 * number))
            drawn += [] if judged is None else [_draw(judged, number, len(patients))]
            on_patient()
        if not drawn:
            msg = f"No training patient of {config.name} has slices of both modalities that show something."
            raise ConfigError(msg)
        pairs, seen = _told(entries, drawing.direction), _widest(patients, drawing.direction)
        found.append(_calibrated(drawn, drawing, pairs, seen))
    return TrustStatistics(tuple(found))


def pairs_of(config: TrainingConfig) -> list[DataEntry]:
    """The training images of the bundle's plane with both sides.

    Where training used the target alone, the source is taken from the same folder, as the validation images name it.

    Args:
        config: A training file.

    Raises:
        ConfigError: If there is no such source either, or the images are not paired.
    """
    borrowed = next((entry for entry in config.validation if entry.source and entry.target), None)
    pairs = []
    for entry in own_plane(config.data, "target"):
        if entry.source and entry.paired:
            pairs.append(entry)
        elif not entry.source and borrowed is not None and borrowed.kind == entry.kind:
            pairs.append(replace(entry, source=borrowed.source, stored_sides=borrowed.stored_sides))
    if not pairs:
        msg = (
            f"The training file of {config.name} names no pairs of both modalities, so nothing says how large errors "
            "are. The trust map of this bundle stays without a calibration."
        )
        raise ConfigError(msg)
    return pairs


def _chosen(
    entries: Sequence[DataEntry], layout: CaseLayout, data_root: Path, which: TrustPatients
) -> Iterator[tuple[RawCase, DataEntry]]:
    everyone: list[tuple[CaseFiles, DataEntry]] = []
    for entry in entries:
        everyone += [(files, entry) for files in list_cases(entry, data_root) if _has_both(files, entry)]
    for n in at_equal_distances(len(everyone), which.patients):
        files, entry = everyone[n]
        yield read_case(files, entry, layout.grid), entry


def _has_both(files: CaseFiles, entry: DataEntry) -> bool:
    return entry.kind == "generated" or (files.source is not None and files.target is not None)


def _range_of(raw: RawCase, entry: DataEntry, layout: CaseLayout, side: str) -> Range:
    """Smallest and largest intensity of one side, as a share of the range of its scale."""
    volume: Volume = getattr(raw, side)
    scaled = intensities_of(volume, entry, getattr(layout, side), side)
    low, high = np.quantile(volume.array_kji, (EXTREME, 1 - EXTREME))
    width = scaled.high - scaled.low
    return float((low - scaled.low) / width), float((high - scaled.low) / width)


def _widest(patients: Sequence[_Patient], way: Direction) -> Range:
    ranges = [one.source if way is Direction.FORWARD else one.target for one in patients]
    return round(min(low for low, _ in ranges), 4), round(max(high for _, high in ranges), 4)


def _draw(judged: JudgedSlices, seed: int, patients: int) -> _Drawn:
    """Places of a patient, those outside of the body rarely; every patient gives about as many."""
    chance = np.random.default_rng(seed)
    weights = np.where(judged.bodies, 1.0, OUTSIDE).ravel()
    kept = np.flatnonzero(chance.random(weights.size) < weights * PLACES / patients / weights.sum())
    inputs = {name: np.ascontiguousarray(array).ravel()[kept] for name, array in inputs_of(judged.places).items()}
    return _Drawn(inputs, judged.error.ravel()[kept], judged.bodies.ravel()[kept])


def _calibrated(drawn: Sequence[_Drawn], drawing: Drawing, pairs: str, seen: Range) -> TrustCalibration:
    inputs = {name: np.concatenate([one.inputs[name] for one in drawn]) for name in drawn[0].inputs}
    error, inside = np.concatenate([one.error for one in drawn]), np.concatenate([one.inside for one in drawn])
    fitted = fit_expected_error(KnownPlaces(inputs, error))
    calibration = TrustCalibration(
        direction="forward" if drawing.direction is Direction.FORWARD else "reverse",
        samples=drawing.samples,
        steps=drawing.steps,
        patients=len(drawn),
        places=int(inside.sum()),
        pairs=pairs,
        level=fitted.level,
        tables=fitted.tables,
        curves=fitted.curves,
        quantiles=(0.0, 1.0),
        source_range=seen,
    )
    expected = calibrated_error(inputs, calibration)[inside]
    return replace(calibration, quantiles=rising(np.quantile(expected, np.linspace(0, 1, QUANTILES))))


def rising(values: Iterable[float]) -> tuple[float, ...]:
    """Five significant digits of rising numbers; equal ones are moved apart by one unit of the last digit."""
    kept: list[float] = []
    for value in values:
        number = float(f"{value:.5g}")
        if kept and number <= kept[-1]:
            number = float(f"{kept[-1] * (1 + 2e-5):.6g}")
        kept.append(number)
    return tuple(kept)


def _told(entries: Sequence[DataEntry], way: Direction) -> str:
    named = []
    for entry in entries:
        sides = (entry.source, entry.target) if way is Direction.FORWARD else (entry.target, entry.source)
        named.append(f"{entry.folder}: {' to '.join(sides)}")
    return "; ".join(named)
