"""Between our geometry (RAS) and SimpleITK's (LPS), and from a source grid to the slice grid a network wants."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import permutations

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from MedTranslateLib.core.errors import InvalidVolumeError
from MedTranslateLib.core.volume import Geometry, Volume

LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0])


class Plane(str, Enum):
    """The plane in which a network sees slices: an anatomical one in radiological display order, or as acquired.

    `acquired` takes the slices as they were scanned, in any orientation, with rows and columns as they are stored: for
    planes that follow an organ, such as the short axis of the heart.
    """

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"
    ACQUIRED = "acquired"


# Columns of each matrix: RAS direction of display columns (i), display rows (j) and slices (k).
DISPLAY_AXES_RAS: dict[Plane, npt.NDArray[np.float64]] = {
    Plane.AXIAL: np.array([[-1.0, 0, 0], [0, -1.0, 0], [0, 0, 1.0]]),
    Plane.CORONAL: np.array([[-1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]]),
    Plane.SAGITTAL: np.array([[0, 0, 1.0], [-1.0, 0, 0], [0, -1.0, 0]]),
}
DISPLAY_AXES_RAS[Plane.ACQUIRED] = DISPLAY_AXES_RAS[Plane.AXIAL]  # for pictures, which do not say how they lay
ANATOMICAL = (Plane.AXIAL, Plane.CORONAL, Plane.SAGITTAL)
"""The planes that lie the same way in every patient."""
CLEARLY_COARSER = 1.05
"""Ratio of spacings from which an axis other than the stored third one counts as the one across the slices."""


class Centre(str, Enum):
    """What lies in the middle of a bundle's slices: the foreground's extent, or the middle of the image itself.

    The image's own middle suits an organ that scans are planned around and that is only part of what they show.
    """

    FOREGROUND = "foreground"
    IMAGE = "image"


@dataclass(frozen=True)
class SliceGrid:
    """The in-plane grid a bundle works on.

    Args:
        plane: Plane of the slices.
        spacing_mm: Pixel spacing.
        size_hw: Rows and columns.
        centre: What lies in the middle.
    """

    plane: Plane
    spacing_mm: float
    size_hw: tuple[int, int]
    centre: Centre = Centre.FOREGROUND


def geometry_of(image: sitk.Image) -> Geometry:
    """Geometry of a 3-D SimpleITK image.

    Raises:
        InvalidVolumeError: If the image is not 3-D or its header is unusable.
    """
    if image.GetDimension() != 3:
        msg = f"Expected a 3-D image, got {image.GetDimension()}-D."
        raise InvalidVolumeError(msg)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    matrix = np.eye(4)
    matrix[:3, :3] = LPS_FROM_RAS @ direction @ np.diag(image.GetSpacing())
    matrix[:3, 3] = LPS_FROM_RAS @ np.array(image.GetOrigin())
    return Geometry(image.GetSize(), matrix)


def set_geometry(image: sitk.Image, geometry: Geometry) -> sitk.Image:
    """Writes origin, spacing and direction (LPS) of `geometry` into `image` and returns it."""
    image.SetSpacing(geometry.spacing_mm.tolist())
    image.SetOrigin((LPS_FROM_RAS @ geometry.origin_ras).tolist())
    image.SetDirection((LPS_FROM_RAS @ geometry.direction_ras).ravel().tolist())
    return image


def image_from_volume(volume: Volume) -> sitk.Image:
    """A float32 SimpleITK image (a copy) with the volume's geometry."""
    return set_geometry(sitk.GetImageFromArray(volume.array_kji), volume.geometry)


def source_axes(geometry: Geometry, plane: Plane) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Which source axis, and in which sense, lies closest to each display axis of `plane`.

    Returns:
        Source axis numbers and signs for display columns, rows and slices. The grid turns with the patient's
        acquisition, so an oblique scan is never resampled across its own slices.
    """
    if plane is Plane.ACQUIRED:
        return _acquired_axes(geometry)
    cosines = geometry.direction_ras.T @ DISPLAY_AXES_RAS[plane]
    axes = max(permutations(range(3)), key=lambda p: sum(abs(cosines[a, d]) for d, a in enumerate(p)))
    signs = [1 if cosines[a, d] >= 0 else -1 for d, a in enumerate(axes)]
    return (axes[0], axes[1], axes[2]), (signs[0], signs[1], signs[2])


def _acquired_axes(geometry: Geometry) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Slices along the stored third axis, or along the coarsest where that is clearly another one."""
    spacing = geometry.spacing_mm
    across = int(np.argmax(spacing)) if spacing.max() > CLEARLY_COARSER * spacing[2] else 2
    columns, rows = (axis for axis in range(3) if axis != across)
    return (columns, rows, across), (1, 1, 1)


def network_geometry(source: Geometry, grid: SliceGrid, centre_ijk: npt.ArrayLike) -> Geometry:
    """The grid of the slices a network sees: in-plane from the bundle, across slices from the source.

    Args:
        source: Grid of the image to translate.
        grid: Plane, spacing and size the bundle was trained on.
        centre_ijk: Source voxel that shall be the middle of each slice; the through-plane part is not used.
    """
    axes, signs = source_axes(source, grid.plane)
    height, width = grid.size_hw
    across = source.size_ijk[axes[2]]
    size = (width, height, across)
    spacing = (grid.spacing_mm, grid.spacing_mm, source.spacing_mm[axes[2]])
    columns = [source.direction_ras[:, a] * s * d for a, s, d in zip(axes, signs, spacing, strict=True)]
    middle = np.array(centre_ijk, dtype=np.float64)
    middle[axes[2]] = (across - 1) / 2
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack(columns, axis=1)
    matrix[:3, 3] = source.ras_from_ijk(middle) - matrix[:3, :3] @ ((np.array(size) - 1) / 2)
    return Geometry(size, matrix)


def foreground_threshold(volume: Volume) -> float:
    """Otsu threshold of the volume: what lies above counts as foreground (Otsu 1979, 128 bins).

    Raises:
        InvalidVolumeError: If the image is constant.
    """
    if float(np.ptp(volume.array_kji)) == 0.0:
        value = float(volume.array_kji.flat[0])
        msg = f"{volume.name}: the image is constant ({value:g} everywhere); expected an image with contrast."
        raise InvalidVolumeError(msg)
    otsu = sitk.OtsuThresholdImageFilter()
    otsu.Execute(sitk.GetImageFromArray(volume.array_kji))
    return float(otsu.GetThreshold())


def foreground_bounds_ijk(volume: Volume, threshold: float) -> npt.NDArray[np.float64]:
    """First and last foreground voxel along i, j, k; the outermost 1 % of the foreground at each end is ignored.

    Returns:
        Shape (2, 3): row 0 the first, row 1 the last indices.
    """
    above = volume.array_kji > threshold
    bounds = []
    for axis in (2, 1, 0):
        share = np.cumsum(above.sum(axis=tuple(a for a in range(3) if a != axis)) / above.sum())
        bounds.append([np.searchsorted(share, 0.01), np.searchsorted(share, 0.99)])
    return np.array(bounds, dtype=np.float64).T


def grid_centre_ijk(volume: Volume, grid: SliceGrid, threshold: float) -> npt.NDArray[np.float64]:
    """The voxel that shall be the middle of each slice of `grid`, see `Centre`."""
    if grid.centre is Centre.IMAGE:
        return (np.array(volume.geometry.size_ijk, dtype=np.float64) - 1) / 2
    return foreground_centre_ijk(volume, threshold)


def foreground_centre_ijk(volume: Volume, threshold: float) -> npt.NDArray[np.float64]:
    """Middle of the foreground's extent along i, j, k."""
    return foreground_bounds_ijk(volume, threshold).mean(axis=0)
