"""Some slices of an image in, what its bare numbers give away out: a mask, a label map, clipping, Hounsfield units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from MedTranslateLib.bundles.manifest import Side
from MedTranslateLib.bundles.parts import ANY_MODALITY

FEW_VALUES, MANY_GAPS = 12, 0.5
"""A label map has few distinct values in a slice, or leaves out more than half of the whole numbers between them."""
FLAT_SHARE = 0.7
"""Share of neighbours within the foreground that are equal: label maps have edges between regions only."""
SATURATED_SHARE = 0.25
"""Share of the foreground at the very highest value."""
AIR_HU, AIR_SHARE, TISSUE_HU = (-1100.0, -900.0), 0.05, 20.0
"""A CT in Hounsfield units has so much air there, and something above water."""


@dataclass(frozen=True)
class Values:
    """What was found.

    Args:
        distinct: Number of distinct values in the middle slice.
        used: Share of the whole numbers between the 10th and 90th percentile of its foreground that occur.
        flat: Share of equal neighbours among those that are not both background.
        saturated: Share of the foreground at the highest value.
        whole: Whether all values are whole numbers.
        hounsfield: Whether they read like Hounsfield units.
    """

    distinct: int
    used: float
    flat: float
    saturated: float
    whole: bool
    hounsfield: bool


def values_of(array_kji: npt.NDArray[np.float32]) -> Values:
    """Looks at the numbers of some slices.

    Args:
        array_kji: Intensities as they are stored, neighbouring voxels in the last two axes.
    """
    lowest, highest = float(array_kji.min()), float(array_kji.max())
    first, second = array_kji[..., 1:], array_kji[..., :-1]
    shown = (first > lowest) | (second > lowest)
    foreground = int((array_kji > lowest).sum())
    air = float(((array_kji >= AIR_HU[0]) & (array_kji <= AIR_HU[1])).mean())
    middle = array_kji[len(array_kji) // 2]
    return Values(
        distinct=len(np.unique(middle)),
        used=_used(middle[middle > lowest]),
        flat=float((first == second)[shown].mean()) if shown.any() else 1.0,
        saturated=float((array_kji == highest).sum() / max(foreground, 1)),
        whole=bool((array_kji == np.rint(array_kji)).all()),
        hounsfield=lowest < AIR_HU[1] and air >= AIR_SHARE and highest > TISSUE_HU,
    )


def value_refusals(values: Values) -> list[str]:
    """Numbers that are no image.

    Args:
        values: What was found.
    """
    if values.distinct <= 2:
        return ["Its middle slice holds two values only: it is a mask, not an image. Choose the image it was drawn on."]
    labels = values.distinct <= FEW_VALUES or values.used < MANY_GAPS
    if values.whole and labels and values.flat >= FLAT_SHARE:
        flat = f"It holds {values.distinct} whole numbers in flat regions"
        return [f"{flat}: it is a label map, not an image. Choose the image it was drawn on."]
    return []


def value_doubts(values: Values, side: Side) -> list[str]:
    """Numbers of another kind than the side that the image is given as.

    Args:
        values: What was found.
        side: The side of the bundle that the image is given as.
    """
    doubts = []
    if values.saturated >= SATURATED_SHARE:
        doubts.append(f"{100 * values.saturated:.0f} % of its content has the same highest value: it was clipped.")
    if values.hounsfield and side.modality not in ("CT", ANY_MODALITY):
        doubts.append(f"Its values read like Hounsfield units, so it is a CT; the bundle translates from {side.name}.")
    if side.scale.kind == "hounsfield" and not values.hounsfield:
        doubts.append("Its values do not read like Hounsfield units, in which the bundle expects them.")
    return doubts


def _used(foreground: npt.NDArray[np.float32]) -> float:
    """An 8-bit image of few grey values uses all of them in a row, a list of labels does not."""
    if not foreground.size:
        return 1.0
    low, high = np.percentile(foreground, [10, 90])
    between = foreground[(foreground >= low) & (foreground <= high)]
    return float(len(np.unique(between)) / (high - low + 1))
