"""Two masks of one structure in, how well they agree out: accuracy, Dice, IoU and the distance of their boundaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_erosion, distance_transform_edt

from MedTranslateLib.core.errors import ConfigError

Mask = npt.NDArray[np.bool_]
Distances = npt.NDArray[np.float64]


@dataclass(frozen=True)
class OverlapScore:
    """Agreement of a mask with its reference.

    Args:
        accuracy: Share of the pixels on which both agree.
        dice: Dice coefficient of the structure; NaN where both masks are empty, because nothing is defined then.
        miou: Mean intersection over union of structure and background; NaN where both masks are empty. A background
            that neither has counts as 1.
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
    distances = _boundary_distances(mask, reference, [1.0] * np.ndim(mask))
    return float("nan") if distances is None else float(np.concatenate(distances).mean())


def hd95_mm(mask: Mask, reference: Mask, spacing_mm: Sequence[float]) -> float:
    """95th percentile of the Hausdorff distance of two masks, the greater of both directions.

    Huttenlocher et al. 1993, Section IV (the ranked distance), as MONAI and the segmentation challenges have it: the
    distances from the boundary pixels of one mask to the other's boundary, their 95th percentile (linear between
    ranks), and of both directions the greater.

    Args:
        mask: Of any dimension, for example a slice (H, W) or a volume (slices, rows, columns).
        reference: The same shape.
        spacing_mm: Distance of neighbours along each axis of the array, in its order.

    Returns:
        In mm; NaN where one mask is empty, because there is no distance to nothing.

    Raises:
        ConfigError: If there is not one positive spacing an axis.
    """
    if len(spacing_mm) != np.ndim(mask) or min(spacing_mm) <= 0:
        msg = f"A mask of {np.ndim(mask)} axes needs as many spacings above 0 mm, got {list(spacing_mm)}."
        raise ConfigError(msg)
    distances = _boundary_distances(mask, reference, spacing_mm)
    return float("nan") if distances is None else float(max(np.percentile(one_way, 95) for one_way in distances))


def boundary(mask: Mask) -> Mask:
    """The pixels of a mask that touch its outside by a side; the border of the picture counts as outside."""
    inside = np.asarray(mask, bool)
    return np.asarray(inside & ~binary_erosion(inside))


def _boundary_distances(mask: Mask, reference: Mask, spacing: Sequence[float]) -> tuple[Distances, Distances] | None:
    """Of each boundary pixel to the other mask's boundary, both ways; None where there is no boundary."""
    first, second = boundary(mask), boundary(reference)
    if not first.any() or not second.any():
        return None
    to_second = distance_transform_edt(~second, sampling=spacing)[first]
    return to_second, distance_transform_edt(~first, sampling=spacing)[second]
