"""A bundle that moves pixels and its cases in, whether the fields can be trusted and describe the pictures out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from MedTranslateLib.core.correspondence import Correspondence, Origin
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.imaging.fields import field_from_index_displacement
from MedTranslateLib.inference.correspond import displacements_of
from MedTranslateLib.inference.similarity import mutual_information_of
from MedTranslateLib.inference.slicewise import SliceRun, translate_slices
from MedTranslateLib.inference.weights import LoadedBundle
from MedTranslateLib.methods.contract import Direction
from MedTranslateLib.metrics.tracing import score_tracing
from MedTranslateLib.training.cases import Slices, TrainingCase


@dataclass(frozen=True)
class FieldTrust:
    """Fields of all slices of all cases.

    Args:
        slices: Number of slices.
        round_trip_mean_px, round_trip_p999_px: Mean, and the greatest 99.9th percentile of a slice.
        det_j_min: Smallest determinant of either field at any pixel.
        displacement_mean_px, displacement_max_px: Length of the forward displacements.
        nmi_output_moved: Normalised mutual information of output and source carried along phi, mean over the slices.
        nmi_output_still: The same with the source left where it was.
        nmi_target_moved, nmi_target_still: The same with the true target in place of the output, for paired cases;
            else NaN.
    """

    slices: int
    round_trip_mean_px: float
    round_trip_p999_px: float
    det_j_min: float
    displacement_mean_px: float
    displacement_max_px: float
    nmi_output_moved: float
    nmi_output_still: float
    nmi_target_moved: float
    nmi_target_still: float


def score_fields(bundle: LoadedBundle, cases: Sequence[TrainingCase], seed: int = 0) -> FieldTrust:
    """Translates every source slice and measures its fields, in pixels of the bundle's grid.

    Raises:
        ValueError: If the bundle moves nothing or no case has a source.
    """
    run = SliceRun(Direction.FORWARD, bundle.method.default_steps, 1, seed)
    rows = []
    for case in cases:
        if case.source is None:
            continue
        made = translate_slices(case.source, bundle, run, lambda _done, _total: None)
        if made.velocity is None:
            msg = f"Bundle {bundle.manifest.name} moves no pixels; there is no field to measure."
            raise ValueError(msg)
        target = case.target if case.paired else None
        rows += [
            _score(moves, source, output, None if target is None else target[n])
            for n, (moves, source, output) in enumerate(
                zip(displacements_of(made.velocity).swapaxes(0, 1), case.source, made.mean, strict=True)
            )
        ]
    if not rows:
        msg = "No case has source slices."
        raise ValueError(msg)
    table = np.array(rows)
    worst = {1: table[:, 1].max(), 2: table[:, 2].min(), 4: table[:, 4].max()}
    means = [float(worst.get(column, table[:, column].mean())) for column in range(table.shape[1])]
    return FieldTrust(len(rows), *means)


def _score(moves: Slices, source: Slices, output: Slices, target: Slices | None) -> tuple[float, ...]:
    height, width = source.shape
    grid = Geometry((width, height, 1), np.eye(4))
    forward, inverse = (field_from_index_displacement(np.moveaxis(move, 0, -1)[None], grid) for move in moves)
    there = score_tracing(Correspondence(forward, inverse, Origin.MODEL))
    back = score_tracing(Correspondence(inverse, forward, Origin.MODEL))
    moved = mutual_information_of(output, source, moves[0])
    still = mutual_information_of(output, source)
    true = (float("nan"), float("nan"))
    if target is not None:
        true = (mutual_information_of(target, source, moves[0]), mutual_information_of(target, source))
    return (
        max(there.round_trip_voxels.mean, back.round_trip_voxels.mean),
        max(there.round_trip_voxels.p999, back.round_trip_voxels.p999),
        min(there.det_j_min, back.det_j_min),
        there.displacement_mean_mm,
        there.displacement_max_mm,
        moved,
        still,
        *true,
    )
