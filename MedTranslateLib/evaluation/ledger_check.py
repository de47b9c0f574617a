"""A `[[ledger]]` table and its bundle in, rows of figures out: lesions by strength, each lesion, balls put in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.core.ledger import LedgerSide
from MedTranslateLib.evaluation.ledger_config import LedgerCheck
from MedTranslateLib.evaluation.ledger_insertion import Ball, BallPatient, count_balls
from MedTranslateLib.evaluation.ledger_lesions import LesionPatient, count_lesions, look_at_lesion, separate_lesions
from MedTranslateLib.imaging.fields import is_identity
from MedTranslateLib.inference.weights import LoadedBundle
from MedTranslateLib.methods.contract import Direction
from MedTranslateLib.training.config import CaseLayout
from MedTranslateLib.training.ledger_cases import LedgerCase, ledger_cases, translated_images
from MedTranslateLib.trust.ledger_evidence import evidence_of
from MedTranslateLib.trust.ledger_grid import LedgerImages, coarse_images, joined_mask, joined_means
from MedTranslateLib.trust.ledger_regions import regions_of
from MedTranslateLib.trust.ledger_rule import LedgerThresholds, ledger_thresholds


@dataclass(frozen=True)
class LedgerRow:
    """Figures of one row of one table.

    Args:
        direction: Which way was translated.
        table: `strength`, `lesion` or `ball`.
        name: What the row is about.
        figures: By the names of `evaluation.metric_names`.
    """

    direction: Direction
    table: str
    name: str
    figures: dict[str, float]


def score_ledger(plan: LedgerCheck, bundle: LoadedBundle, layout: CaseLayout, data_root: Path) -> Iterator[LedgerRow]:
    """Measures every direction that the bundle and the patients have.

    Args:
        plan: The table.
        bundle: The network; one that leaves every pixel in its place, as the masks would have to move as well.
        layout: Grid and scales of the cases.
        data_root: What the data folders are relative to.

    Raises:
        ConfigError: If the bundle moves pixels, or no case has lesions.
    """
    cases = [one for entry in plan.cases for one in ledger_cases(entry, plan.lesions, layout, data_root)]
    ways = (Direction.FORWARD, Direction.REVERSE) if bundle.manifest.reversible else (Direction.FORWARD,)
    for way in ways:
        images = [translated_images(bundle, one.case, way) for one in cases]
        if not all(is_identity(one.correspondence.forward) for one in images):
            msg = f"[[ledger]] needs a bundle that leaves every pixel in its place; {bundle.manifest.name} moves them."
            raise ConfigError(msg)
        thresholds = ledger_thresholds(bundle.manifest, way.value, reconstruction=bundle.manifest.reversible)
        yield from _of_lesions(plan, cases, images, (way, thresholds))
        yield from _of_balls(plan, cases, images, (way, thresholds))


def _of_lesions(
    plan: LedgerCheck,
    cases: list[LedgerCase],
    images: list[LedgerImages],
    run: tuple[Direction, LedgerThresholds],
) -> Iterator[LedgerRow]:
    way, thresholds = run
    patients = [_patient(plan, *each, run) for each in zip(cases, images, strict=True)]
    if not any(patient.lesions for patient in patients):
        msg = f"[[ledger]]: no case has a lesion of {plan.least_lesion_mm3:g} mm3 in {plan.lesions!r}."
        raise ConfigError(msg)
    for strength in plan.strengths:
        rng = np.random.default_rng(plan.seed)
        counts = count_lesions(patients, thresholds.times(strength), plan.draws, rng)
        yield LedgerRow(way, "strength", f"strength {strength:g} or more", asdict(counts))
    for patient in patients:
        for number, lesion in enumerate(patient.lesions, start=1):
            seen = look_at_lesion(patient, lesion, thresholds)
            yield LedgerRow(way, "lesion", f"{patient.name}, lesion {number}", asdict(seen))


def _of_balls(
    plan: LedgerCheck,
    cases: list[LedgerCase],
    images: list[LedgerImages],
    run: tuple[Direction, LedgerThresholds],
) -> Iterator[LedgerRow]:
    way, thresholds = run
    patients = [_ball_patient(one, each, thresholds) for one, each in zip(cases, images, strict=True)]
    kinds = [
        Ball(side, diameter, contrast)
        for side in LedgerSide
        for diameter in plan.diameters_mm
        for contrast in plan.contrasts
    ]
    for ball in kinds:
        rng = np.random.default_rng(plan.seed)
        yield LedgerRow(way, "ball", ball.title, asdict(count_balls(patients, ball, thresholds, rng)))


def _ball_patient(one: LedgerCase, images: LedgerImages, thresholds: LedgerThresholds) -> BallPatient:
    evidence = evidence_of(coarse_images(images), thresholds.scales_mm)
    return BallPatient(images, one.lesions, len(regions_of(evidence, thresholds)))


def _patient(
    plan: LedgerCheck, one: LedgerCase, images: LedgerImages, run: tuple[Direction, LedgerThresholds]
) -> LesionPatient:
    way, thresholds = run
    geometry = images.geometry
    mask = one.lesions if one.lesions is not None else np.zeros(geometry.shape_kji, dtype=bool)
    evidence = evidence_of(coarse_images(images), thresholds.scales_mm)
    voxel_mm3 = float(np.prod(evidence.geometry.spacing_mm))
    lesions = separate_lesions(joined_mask(mask, geometry), voxel_mm3, plan.least_lesion_mm3)
    target = one.case.target if way is Direction.FORWARD else one.case.source
    true = None if target is None or not one.case.paired else joined_means(target, geometry)
    return LesionPatient(one.case.name, evidence, lesions, true)
