"""A volume in, a few slices from its middle out: enough for the gate to look at, in a fraction of a second."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from MedTranslateLib.bundles.manifest import Manifest, Side
from MedTranslateLib.core.errors import InvalidVolumeError
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.geometry import (
    Centre,
    Plane,
    SliceGrid,
    foreground_bounds_ijk,
    foreground_threshold,
    source_axes,
)
from MedTranslateLib.imaging.scale import IntensityScale, ScaleKind
from MedTranslateLib.imaging.slices import slice_volume

MOST_SLICES = 7
FIRST_SHARE, LAST_SHARE = 0.3, 0.7
"""The part of the foreground's extent along the stack that the slices are taken from."""
COARSE = 80
"""Voxels an axis, about, of the coarse copy on which extents are measured."""


@dataclass(frozen=True)
class Pictures:
    """Slices as a network would see them.

    Args:
        slices: float32 (slices, rows, columns) in 0..1, in display order, square or not.
        spacing_mm: Pixel spacing.
    """

    slices: npt.NDArray[np.float32]
    spacing_mm: float


@dataclass(frozen=True)
class Foreground:
    """Where the content of an image lies, to a voxel of its coarse copy.

    Args:
        first_ijk, last_ijk: Bounds in voxels of the image along i, j, k; the last one is just beyond.
    """

    first_ijk: npt.NDArray[np.float64]
    last_ijk: npt.NDArray[np.float64]


def foreground_of(volume: Volume) -> Foreground:
    """Where the content lies, measured on about `COARSE` voxels an axis.

    Args:
        volume: The image.

    Raises:
        InvalidVolumeError: If the image is constant.
    """
    steps = [max(1, size // COARSE) for size in volume.geometry.size_ijk]
    array = np.ascontiguousarray(volume.array_kji[:: steps[2], :: steps[1], :: steps[0]])
    coarse = Volume(array, _geometry(volume.geometry, array.shape, [0, 0, 0], steps), volume.name)
    if float(np.ptp(array)) == 0.0:  # all of the content lies between the voxels of the copy
        coarse, steps = volume, [1, 1, 1]
    first, last = foreground_bounds_ijk(coarse, foreground_threshold(coarse))
    return Foreground(first * steps, (last + 1) * steps)


def middle_part(volume: Volume, plane: Plane, foreground: Foreground) -> Volume:
    """Up to `MOST_SLICES` evenly spaced slices from the middle of the foreground, every voxel of each.

    Args:
        volume: The image.
        plane: Plane of the slices.
        foreground: Where its content lies.
    """
    across = source_axes(volume.geometry, plane)[0][2]
    start, end = foreground.first_ijk[across], foreground.last_ijk[across] - 1
    last_slice = volume.geometry.size_ijk[across] - 1
    first, last = (min(int(np.rint(start + share * (end - start))), last_slice) for share in (FIRST_SHARE, LAST_SHARE))
    step = max(1, (last - first) // (MOST_SLICES - 1))
    count = min(MOST_SLICES, (last - first) // step + 1)
    taken = [slice(None)] * 3
    taken[2 - across] = slice(first, first + step * (count - 1) + 1, step)
    array = np.ascontiguousarray(volume.array_kji[tuple(taken)])
    origin, steps = [0, 0, 0], [1, 1, 1]
    origin[across], steps[across] = first, step
    return Volume(array, _geometry(volume.geometry, array.shape, origin, steps), volume.name, volume.modality)


def pictures_of(part: Volume, grid: SliceGrid, scale: IntensityScale) -> Pictures | None:
    """Brings the slices of `middle_part` to a bundle's grid and scale; None where none of them shows anything.

    Args:
        part: Some slices of an image.
        grid: The bundle's slice grid.
        scale: The bundle's scale of the side that the image is given as.
    """
    try:
        slices = (slice_volume(part, grid, scale).stack.slices + 1) / 2
    except InvalidVolumeError:
        return None
    shown = slices[slices.std(axis=(1, 2)) > 1e-3]
    return Pictures(shown, grid.spacing_mm) if len(shown) else None


def slice_grid_of(manifest: Manifest) -> SliceGrid:
    """The slice grid that a card states.

    Args:
        manifest: The card.
    """
    height, width = manifest.size_hw
    return SliceGrid(Plane(manifest.plane), manifest.spacing_mm, (height, width), Centre(manifest.centre))


def scale_of(side: Side) -> IntensityScale:
    """The intensity scale that a card states for one side.

    Args:
        side: The side.
    """
    return IntensityScale(ScaleKind(side.scale.kind), side.scale.low, side.scale.high, side.scale.high_value)


def _geometry(whole: Geometry, shape_kji: tuple[int, ...], start_ijk: list[int], steps_ijk: list[int]) -> Geometry:
    matrix = whole.ijk_to_ras.copy()
    matrix[:3, 3] = whole.ras_from_ijk(start_ijk)
    matrix[:3, :3] = matrix[:3, :3] * np.array(steps_ijk)
    return Geometry((shape_kji[2], shape_kji[1], shape_kji[0]), matrix)
