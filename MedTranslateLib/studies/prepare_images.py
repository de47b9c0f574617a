"""An image and the study's grid and rule in, grey levels on that grid out: the same way for real and synthetic ones.

Interpolation, blur, window, noise of a grey level and the number of levels are those of all images, and where the grid
lies in space is told to nobody: what is left to tell real from synthetic is the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import affine_transform, binary_fill_holes, gaussian_filter, label

from MedTranslateLib.core.errors import StudyError
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.geometry import (
    Plane,
    foreground_centre_ijk,
    foreground_threshold,
    source_axes,
)
from MedTranslateLib.studies.design_grid import GridAxes, Intensity, Scaling, StudyGrid
from MedTranslateLib.studies.study import Point, Region

BRIGHTEST = 255
ITEM_AXES = np.diag([-1.0, -1.0, 1.0])
"""Columns: RAS directions of the columns, rows and slices of every item: right to left, front to back, feet to head."""
NOISE_LEVELS = 1.0
"""Largest noise added to each voxel, in grey levels: it fills the gaps that few stored values leave."""
BODY_SHARE = 0.5
"""Share of the way from the darkest value to Otsu's threshold from which on tissue counts as body."""


@dataclass(frozen=True)
class Placement:
    """Where the study's grid lies in an image.

    Args:
        centre_ras: The grid's middle, in RAS mm of the image.
        axes_ras: 3x3; columns are the unit vectors of the grid's i, j, k in RAS of the image.
    """

    centre_ras: npt.NDArray[np.float64]
    axes_ras: npt.NDArray[np.float64]

    def grid(self, grid: StudyGrid) -> Geometry:
        """The study's grid in the space of the image.

        Args:
            grid: Size and spacing.
        """
        return _around(self.centre_ras, self.axes_ras, grid)

    def to_item(self, region: Region) -> Region:
        """A region of the image, in RAS mm of the item.

        Args:
            region: In RAS mm of the image.
        """
        away = np.array(region.centre_ras) - self.centre_ras
        x, y, z = ITEM_AXES @ self.axes_ras.T @ away
        return Region((float(x), float(y), float(z)), region.radius_mm, region.name)


def item_geometry(grid: StudyGrid) -> Geometry:
    """The geometry that is written into every item: its middle is the origin.

    Args:
        grid: Size and spacing.
    """
    return _around(np.zeros(3), ITEM_AXES, grid)


def place_grid(image: Volume, grid: StudyGrid, centre_ras: Point | None) -> Placement:
    """Lays the study's grid into an image.

    Args:
        image: The image.
        grid: Its axes say along what it lies.
        centre_ras: Its middle in RAS mm; None takes the middle of the foreground.

    Raises:
        InvalidVolumeError: If the middle is not given and the image is constant.
    """
    if centre_ras is None:
        middle = image.geometry.ras_from_ijk(foreground_centre_ijk(image, foreground_threshold(image)))
    else:
        middle = np.array(centre_ras, dtype=np.float64)
    if grid.axes is GridAxes.PATIENT:
        return Placement(middle, ITEM_AXES)
    axes, signs = source_axes(image.geometry, Plane.ACQUIRED)
    own = image.geometry.direction_ras[:, axes] * np.array(signs)
    if np.linalg.det(own) < 0:
        own = own * np.array([1.0, 1.0, -1.0])  # else left and right would change places
    return Placement(middle, own)


def grey_levels(
    image: Volume, placement: Placement, grid: StudyGrid, rule: Intensity, chance: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Resamples an image to the study's grid and gives it grey levels.

    Args:
        image: Any image, real or synthetic.
        placement: Where the grid lies in it.
        grid: The grid.
        rule: How intensities become levels.
        chance: Of the noise of one level that hides how finely the image was stored.

    Returns:
        Levels 0 to 255, (slices, rows, columns).

    Raises:
        StudyError: If there is nothing to see where the grid lies.
    """
    values = _resampled(image, placement.grid(grid), rule.blur_mm)
    body = _body(values)
    if not body.any():
        msg = (
            f"{image.name}: there is nothing to see where the study's grid lies (around "
            f"{placement.centre_ras.round(1).tolist()} mm RAS); correct centre_ras or the grid."
        )
        raise StudyError(msg)
    low, high = rule.low, rule.high
    if rule.scaling is Scaling.PERCENTILES:
        low, high = (float(value) for value in np.percentile(values[body], (rule.low, rule.high)))
    levels = (values - low) * (BRIGHTEST / max(high - low, 1e-12))
    levels += NOISE_LEVELS * chance.triangular(-1.0, 0.0, 1.0, levels.shape)
    if rule.cut_background:
        levels[~body] = 0
    return np.clip(np.rint(levels), 0, BRIGHTEST).astype(np.uint8)


def _around(centre: npt.NDArray[np.float64], axes: npt.NDArray[np.float64], grid: StudyGrid) -> Geometry:
    matrix = np.eye(4)
    matrix[:3, :3] = axes * np.array(grid.spacing_mm)
    matrix[:3, 3] = centre - matrix[:3, :3] @ ((np.array(grid.size_ijk) - 1) / 2)
    return Geometry(grid.size_ijk, matrix)


def _resampled(image: Volume, target: Geometry, blur_mm: float) -> npt.NDArray[np.float64]:
    """Linear interpolation after a blur that also takes away what is finer than the target."""
    between = image.geometry.ras_to_ijk @ target.ijk_to_ras
    steps = np.abs(between[:3, :3]).max(axis=1)  # voxels of the image that one of the target is wide, along i, j, k
    sigma = np.sqrt(np.maximum(steps**2 - 1, 0) / 12 + (blur_mm / image.geometry.spacing_mm) ** 2)
    thick = np.array(image.geometry.size_ijk) > 1
    blurred = gaussian_filter(image.array_kji.astype(np.float64), (sigma * thick)[::-1], mode="nearest")
    matrix, offset = between[2::-1, 2::-1], between[2::-1, 3]
    darkest = float(image.array_kji.min())
    return np.asarray(
        affine_transform(blurred, matrix, offset, target.shape_kji, order=1, mode="constant", cval=darkest)
    )


def _body(values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """The largest thing that is brighter than the background, holes within each slice filled."""
    if np.ptp(values) == 0:
        return np.zeros(values.shape, dtype=bool)
    image = Volume(values.astype(np.float32), Geometry((values.shape[2], values.shape[1], values.shape[0]), np.eye(4)))
    darkest = float(values.min())
    parts, count = label(values > darkest + BODY_SHARE * (foreground_threshold(image) - darkest))
    if count == 0:
        return np.zeros(values.shape, dtype=bool)
    largest = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    return np.asarray([binary_fill_holes(piece) for piece in largest], dtype=bool)
