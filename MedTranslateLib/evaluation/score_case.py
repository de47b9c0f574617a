"""The translation of one case and its pair in, every figure of its slices and of the whole case out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from MedTranslateLib.core.correspondence import Correspondence, Origin
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.evaluation.pairs import Pair
from MedTranslateLib.evaluation.tissues import TissueClassifier
from MedTranslateLib.imaging.fields import field_from_index_displacement
from MedTranslateLib.metrics.averages import average
from MedTranslateLib.metrics.clusters import IntensityClusters, cluster_dice
from MedTranslateLib.metrics.intensity import mae_hu
from MedTranslateLib.metrics.slice_metrics import slice_metrics
from MedTranslateLib.metrics.tracing import score_tracing
from MedTranslateLib.training.cases import Slices

PairDistance = Callable[[Slices, Slices], npt.NDArray[np.float64]]
"""Distance of each pair of slices, (N, H, W) in 0..1 both, to (N,)."""


@dataclass(frozen=True)
class Judge:
    """What figures need beside the images.

    Args:
        clusters: By their number, fitted on training images of the target.
        distance: LPIPS-type distance; None where there is no network for it.
        hounsfield: Range of the target's scale where it is in HU, else None.
        tissues: Tells the true tissues by intensity; None where there are no label maps.
    """

    clusters: Mapping[int, IntensityClusters]
    distance: PairDistance | None = None
    hounsfield: tuple[float, float] | None = None
    tissues: TissueClassifier | None = None


@dataclass(frozen=True)
class CaseFigures:
    """Figures of one case.

    Args:
        slices: One table of figures a slice.
        whole: Figures of the case: the mean over its slices, and those that only a case has.
    """

    slices: tuple[Mapping[str, float], ...]
    whole: Mapping[str, float]


def score_case(output: Slices, pair: Pair, judge: Judge, displacements: Slices | None = None) -> CaseFigures:
    """Scores a translation.

    Args:
        output: The translation, (N, H, W) in 0..1.
        pair: What it was made from and what it should be.
        judge: See `Judge`.
        displacements: Forward and inverse, (2, N, 2, H, W) in pixels; None where every pixel stays in its place.
    """
    images = zip(output, pair.target, pair.source, pair.bodies, strict=True)
    slices = [slice_metrics(*four) for four in images]
    if judge.distance is not None:
        for figures, value in zip(slices, judge.distance(output, pair.target), strict=True):
            figures["lpips"] = float(value)
    if judge.hounsfield is not None:
        for figures in slices:
            figures["mae_hu"] = mae_hu(figures["mae"], judge.hounsfield)
    whole = {name: average(figures[name] for figures in slices) for name in slices[0]}
    for count, clusters in judge.clusters.items():
        found, truth = clusters.segment(output), clusters.segment(pair.target)
        whole[f"dice_kmeans_{count}"] = cluster_dice(found, truth, count)
    if judge.tissues is not None and pair.tissues is not None:
        whole["dice_tissue"] = judge.tissues.dice(output, pair.tissues)
    if displacements is not None:
        whole |= trace_slices(displacements)
    return CaseFigures(tuple(slices), whole)


def trace_slices(displacements: Slices) -> dict[str, float]:
    """Whether the fields of slices can be trusted, in pixels: the mean over the slices, the worst determinant.

    Args:
        displacements: Forward and inverse, (2, N, 2, H, W) in pixels (rows, columns).
    """
    scores = [_traced(displacements[:, n]) for n in range(displacements.shape[1])]
    means = {name: average(score[name] for score in scores) for name in ("round_trip_px", "folded", "smoothness")}
    return {**means, "det_j_min": min(score["det_j_min"] for score in scores)}


def _traced(moves: Slices) -> dict[str, float]:
    height, width = moves.shape[-2:]
    pixels = Geometry((width, height, 1), np.eye(4))
    forward, inverse = (field_from_index_displacement(np.moveaxis(move, 0, -1)[None], pixels) for move in moves)
    score = score_tracing(Correspondence(forward, inverse, Origin.MODEL))
    return {
        "round_trip_px": score.round_trip_voxels.mean,
        "folded": score.folded_share,
        "smoothness": score.roughness,
        "det_j_min": score.det_j_min,
    }


def middle(indices: Sequence[int]) -> int:
    """Place of the slice that stands for a case in pictures."""
    return len(indices) // 2
