"""Two masks of one structure in, how well they agree out: accuracy, Dice, IoU and the distance of their boundaries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_erosion, distance_transform_edt

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class OverlapScore:
    """Agreement of a mask with its reference.

    Args:
        accuracy: Share of the pixels on which both agree.
        dice: Dice coefficient of the structure; NaN where both masks are empty, because nothing is defined then.
        miou: Mean intersection over union of structure and background; NaN where both are empty.
    """

    accuracy: float
    dice: float
    miou: float


def score_overlap(mask: Mask, reference: Mask) -> OverlapScore:
    """Compares two masks of any one shape, for example all slices of a patient."""
    first, second = np.asarray(mask, bool), np.asarray(reference, bool)
    both, either = int((first & second).sum()), int((first | second).sum())
    accuracy = float((first == second).mean())
    if not either:
        return OverlapScore(accuracy, float("nan"), float("nan"))
    outside = int((~first & ~second).sum())
    background = outside / (first.size - both) if first.size > both else 1.0
    return OverlapScore(accuracy, 2 * both / (both + either), (both / either + background) / 2)


def boundary_distance_px(mask: Mask, reference: Mask) -> float:
    """Mean distance between the boundaries of two masks, both ways, in pixels of one 2-D slice.

    Returns:
        The mean over the boundary pixels of both masks of the distance to the other's boundary (average symmetric
        surface distance); NaN where one mask is empty.
    """
    first, second = boundary(mask), boundary(reference)
    if not first.any() or not second.any():
        return float("nan")
    to_second = distance_transform_edt(~second)[first]
    to_first = distance_transform_edt(~first)[second]
    return float(np.concatenate([to_second, to_first]).mean())


def boundary(mask: Mask) -> Mask:
    """The pixels of a mask that touch its outside by a side; the border of the picture counts as outside."""
    inside = np.asarray(mask, bool)
    return np.asarray(inside & ~binary_erosion(inside))
