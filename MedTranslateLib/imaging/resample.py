"""A volume and a grid with the same axes in, its values at the points of that grid out: one axis after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


def thin_out(volume: Volume, target: Geometry, outside: float) -> npt.NDArray[np.float32]:
    """Resamples an image to the slices of a network.

    Args:
        volume: Image on any grid.
        target: Grid with the same axes, as `network_geometry` plans it.
        outside: Value where there is no image.

    Returns:
        float32 array (slices, rows, columns) of the target: a cubic spline along each axis, blurred first along an
        axis whose spacing grows, so that detail finer than the target does not fold over. The edge is repeated for
        `MARGIN` points, so that the way back interpolates between values of the image, not image and background.
    """
    maps = axis_maps(volume.geometry, target)
    margins = [0.5 + MARGIN * _step(axis_map.index) for axis_map in maps]
    return _resample(volume, maps, margins, outside, blur=True)


def put_back(volume: Volume, target: Geometry, outside: float) -> npt.NDArray[np.float32]:
    """Resamples network slices to the grid of their source.

    Args:
        volume: Slices on a network's grid.
        target: The source's grid.
        outside: Value beyond the outermost voxel centres of the slices.

    Returns:
        float32 array (slices, rows, columns) of the target: a cubic spline along each axis, without blur.
    """
    return _resample(volume, axis_maps(volume.geometry, target), [SAME_PLACE] * 3, outside, blur=False)


def _resample(
    volume: Volume, maps: Sequence[AxisMap], margins: Sequence[float], outside: float, *, blur: bool
) -> npt.NDArray[np.float32]:
    """Axis after axis; points on voxels are taken as they are, so slices are never mixed across."""
    array = np.transpose(volume.array_kji, [2 - axis_map.source_axis for axis_map in reversed(maps)])
    missing = []
    for position, (axis_map, margin) in enumerate(zip(reversed(maps), reversed(margins), strict=True)):
        last = array.shape[position] - 1
        missing.append((axis_map.index < -margin) | (axis_map.index > last + margin))
        sigma = _blur(axis_map.index) if blur else 0.0
        array = _along(array, position, np.clip(axis_map.index, 0, last), sigma)
    # a spline overshoots at edges; nothing may be brighter or darker than the image itself
    result = np.clip(array, volume.array_kji.min(), volume.array_kji.max(), dtype=np.float32)
    for position, gone in enumerate(missing):
        result[(slice(None),) * position + (gone,)] = outside
    return result


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
