"""A volume and a grid with the same axes in, its values at the points of that grid out: one axis after the other.

Points that lie beyond others are worked out apart, slab by slab where that is asked for, so that the memory for what is
in between does not grow with the number of slices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.interpolate import make_interp_spline
from scipy.ndimage import gaussian_filter1d

from MedTranslateLib.core.volume import Geometry, Volume

SAME_PLACE = 1e-6
"""Indices closer than this are the same voxel; half a nanometre on a millimetre grid."""
MARGIN = 3
"""Points over which a spline forgets what lies beyond."""


@dataclass(frozen=True)
class AxisMap:
    """Where the points of one target axis lie on the source axis they run along.

    Args:
        source_axis: 0, 1 or 2 for i, j, k.
        index: Continuous source index of each target index.
    """

    source_axis: int
    index: npt.NDArray[np.float64]


def axis_maps(source: Geometry, target: Geometry) -> tuple[AxisMap, AxisMap, AxisMap]:
    """The maps of target axes i, j, k; both grids must share their axes, up to order, sense and spacing."""
    matrix = source.ras_to_ijk @ target.ijk_to_ras
    maps = []
    for axis, size in enumerate(target.size_ijk):
        along = int(np.argmax(np.abs(matrix[:3, axis])))
        maps.append(AxisMap(along, matrix[along, axis] * np.arange(size) + matrix[along, 3]))
    return maps[0], maps[1], maps[2]


def thin_out(volume: Volume, target: Geometry, outside: float, slab: int | None = None) -> npt.NDArray[np.float32]:
    """Resamples an image to the slices of a network.

    Args:
        volume: Image on any grid.
        target: Grid with the same axes, as `network_geometry` plans it.
        outside: Value where there is no image.
        slab: Slices of the target that are worked out at once; None for all.

    Returns:
        float32 array (slices, rows, columns) of the target: a cubic spline along each axis, blurred first along an
        axis whose spacing grows, so that detail finer than the target does not fold over. The edge is repeated for
        `MARGIN` points, so that the way back interpolates between values of the image, not image and background.
    """
    maps = axis_maps(volume.geometry, target)
    margins = [0.5 + MARGIN * _step(axis_map.index) for axis_map in maps]
    sigmas = [_blur(axis_map.index) for axis_map in maps]
    axes = [_Axis(*parts) for parts in zip(maps, margins, sigmas, strict=True)]
    return _resample(volume, axes, outside, slab)


def put_back(volume: Volume, target: Geometry, outside: float, slab: int | None = None) -> npt.NDArray[np.float32]:
    """Resamples network slices to the grid of their source.

    Args:
        volume: Slices on a network's grid.
        target: The source's grid.
        outside: Value beyond the outermost voxel centres of the slices.
        slab: Slices of the target that are worked out at once; None for all.

    Returns:
        float32 array (slices, rows, columns) of the target: a cubic spline along each axis, without blur.
    """
    axes = [_Axis(axis_map, SAME_PLACE, 0.0) for axis_map in axis_maps(volume.geometry, target)]
    return _resample(volume, axes, outside, slab)


class _Axis(NamedTuple):
    """One axis of the target.

    Args:
        map: Where its points lie.
        margin: Points further beyond the source's end, in its voxels, are outside.
        sigma: Blur in source voxels.
    """

    map: AxisMap
    margin: float
    sigma: float


def _resample(volume: Volume, axes_ijk: Sequence[_Axis], outside: float, slab: int | None) -> npt.NDArray[np.float32]:
    """Slab after slab, and within one axis after axis."""
    axes = tuple(reversed(axes_ijk))
    array = np.transpose(volume.array_kji, [2 - axis.map.source_axis for axis in axes])
    darkest, brightest = volume.array_kji.min(), volume.array_kji.max()
    count = len(axes[0].map.index)
    result = np.empty(tuple(len(axis.map.index) for axis in axes), dtype=np.float32)
    for first in range(0, count, slab or count):
        some = slice(first, first + (slab or count))
        across = axes[0]._replace(map=replace(axes[0].map, index=axes[0].map.index[some]))
        # a spline overshoots at edges; nothing may be brighter or darker than the image itself
        np.clip(_slab(array, (across, *axes[1:])), darkest, brightest, out=result[some])
    for position, axis in enumerate(axes):
        last = array.shape[position] - 1
        gone = (axis.map.index < -axis.margin) | (axis.map.index > last + axis.margin)
        result[(slice(None),) * position + (gone,)] = outside
    return result


def _slab(array: npt.NDArray[np.float32], axes: Sequence[_Axis]) -> npt.NDArray[np.float32]:
    """Axis after axis; points on voxels are taken as they are, so slices are never mixed across."""
    for position, axis in enumerate(axes):
        array = _along(array, position, np.clip(axis.map.index, 0, array.shape[position] - 1), axis.sigma)
    return array


def _step(index: npt.NDArray[np.float64]) -> float:
    return float(np.abs(np.diff(index)).mean()) if len(index) > 1 else 1.0


def _blur(index: npt.NDArray[np.float64]) -> float:
    """Standard deviation in source voxels: the spread of a box of the new width, less that of the old."""
    return float(np.sqrt(max(_step(index) ** 2 - 1, 0.0) / 12))


def _along(
    array: npt.NDArray[np.float32], axis: int, index: npt.NDArray[np.float64], sigma: float
) -> npt.NDArray[np.float32]:
    nearest = np.rint(index).astype(np.intp)
    if not sigma and np.abs(index - nearest).max() <= SAME_PLACE:
        return np.take(array, nearest, axis=axis)
    weights = _weights(array.shape[axis], index, sigma)
    return np.moveaxis(np.tensordot(weights, array, axes=(1, axis)), 0, axis)


def _weights(size: int, index: npt.NDArray[np.float64], sigma: float) -> npt.NDArray[np.float32]:
    """Matrix (targets, size): the values at `index` of a cubic spline through `size` blurred values."""
    values = np.eye(size)
    if sigma:
        values = gaussian_filter1d(values, sigma, axis=0, mode="nearest")
    spline = make_interp_spline(np.arange(size), values, k=min(3, size - 1))
    return np.asarray(spline(index), dtype=np.float32)
