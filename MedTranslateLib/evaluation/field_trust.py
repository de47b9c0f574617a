"""A bundle that moves pixels and its cases in, whether the fields can be trusted and describe the pictures out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from MedTranslateLib.core.correspondence import Correspondence, Origin
from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.imaging.fields import field_from_index_displacement, jacobian_determinant
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
        det_j_min: Smallest determinant of either field at any pixel, in 3-D where the slices are of one volume.
        displacement_mean_px, displacement_max_px: Length of the forward displacements.
        nmi_output_moved: Normalised mutual information of output and source carried along phi, mean over the slices.
        nmi_output_still: The same with the source left where it was.
        nmi_output_undone: The same with the source carried the wrong way, along the inverse: a control, because any
            interpolation changes the likeness.
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
    nmi_output_undone: float
    nmi_target_moved: float
    nmi_target_still: float


def score_fields(bundle: LoadedBundle, cases: Sequence[TrainingCase]) -> FieldTrust:
    """Translates every source slice and measures its fields, in pixels of the bundle's grid.

    Raises:
        ConfigError: If the bundle moves nothing or no case has a source.
    """
    rows: list[tuple[float, ...]] = []
    for seed, case in enumerate(cases):
        if case.source is not None:
            rows += _score_case(bundle, case, case.source, seed)
    if not rows:
        msg = f"[[fields]] of {bundle.manifest.name}: no case has source slices."
        raise ConfigError(msg)
    table = np.array(rows)
    worst = {1: table[:, 1].max(), 2: table[:, 2].min(), 4: table[:, 4].max()}
    means = [float(worst.get(column, table[:, column].mean())) for column in range(table.shape[1])]
    return FieldTrust(len(rows), *means)


def _score_case(bundle: LoadedBundle, case: TrainingCase, source: Slices, seed: int) -> list[tuple[float, ...]]:
    run = SliceRun(Direction.FORWARD, bundle.method.default_steps, 1, seed, case.slice_spacing_mm)
    made = translate_slices(source, bundle, run, lambda _done, _total: None)
    if made.velocity is None:
        msg = f"[[fields]] of {bundle.manifest.name}: it leaves every pixel in its place, there is no field to measure."
        raise ConfigError(msg)
    moves = displacements_of(made.velocity)
    targets = case.target if case.paired and case.target is not None else [None] * len(source)
    in_volume = _least_det_j(moves, case.slice_spacing_mm, bundle.manifest.spacing_mm)
    return [_score(moves[:, n], (source[n], made.mean[n], targets[n]), in_volume) for n in range(len(source))]


def _least_det_j(moves: Slices, slice_spacing_mm: float | None, pixel_mm: float) -> float:
    """Smallest determinant of the fields of a whole volume; infinite where the slices are not of one."""
    if slice_spacing_mm is None:
        return float("inf")
    count, height, width = moves.shape[1], *moves.shape[3:]
    grid = Geometry((width, height, count), np.diag([pixel_mm, pixel_mm, slice_spacing_mm, 1.0]))
    fields = [field_from_index_displacement(np.moveaxis(move, 1, -1), grid) for move in moves]
    return min(float(jacobian_determinant(field).min()) for field in fields)


def _score(moves: Slices, images: tuple[Slices, Slices, Slices | None], det_j: float) -> tuple[float, ...]:
    source, output, target = images
    height, width = source.shape
    grid = Geometry((width, height, 1), np.eye(4))
    forward, inverse = (field_from_index_displacement(np.moveaxis(move, 0, -1)[None], grid) for move in moves)
    there = score_tracing(Correspondence(forward, inverse, Origin.MODEL))
    back = score_tracing(Correspondence(inverse, forward, Origin.MODEL))
    true = (float("nan"), float("nan"))
    if target is not None:
        true = (mutual_information_of(target, source, moves[0]), mutual_information_of(target, source))
    return (
        max(there.round_trip_voxels.mean, back.round_trip_voxels.mean),
        max(there.round_trip_voxels.p999, back.round_trip_voxels.p999),
        min(there.det_j_min, back.det_j_min, det_j),
        there.displacement_mean_mm,
        there.displacement_max_mm,
        mutual_information_of(output, source, moves[0]),
        mutual_information_of(output, source),
        mutual_information_of(output, source, moves[1]),
        *true,
    )
