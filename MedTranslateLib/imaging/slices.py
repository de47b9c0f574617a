"""A volume in, the slices a network sees out; and back onto the source grid with a mask of what was seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.geometry import (
    SliceGrid,
    foreground_threshold,
    grid_centre_ijk,
    network_geometry,
)
from MedTranslateLib.imaging.resample import SAME_PLACE, axis_maps, put_back, thin_out
from MedTranslateLib.imaging.scale import IntensityRange, IntensityScale, measure


@dataclass(frozen=True)
class SliceStack:
    """Slices in display order on a network's grid.

    Args:
        slices: float32, shape (slices, rows, columns), normalised to [-1, 1].
        geometry: The same slices as a grid in patient space.
    """

    slices: npt.NDArray[np.float32]
    geometry: Geometry


def back_onto_source(
    stack: npt.NDArray[np.float32], network: Geometry, source: Geometry, outside: float, slab: int | None = None
) -> Volume:
    """Resamples network slices onto the source's own grid, `outside` where the network saw nothing; see `put_back`."""
    return Volume(put_back(Volume(stack, network), source, outside, slab), source)


def validity_mask(network: Geometry, source: Geometry) -> npt.NDArray[np.uint8]:
    """1 where a source voxel centre lies within the voxel centres of the network's grid, else 0; shape (k, j, i)."""
    inside = np.ones(source.shape_kji, dtype=bool)
    for axis, axis_map in enumerate(axis_maps(network, source)):
        last = network.size_ijk[axis_map.source_axis] - 1
        within = (axis_map.index >= -SAME_PLACE) & (axis_map.index <= last + SAME_PLACE)
        inside &= within.reshape([-1 if position == 2 - axis else 1 for position in range(3)])
    return inside.view(np.uint8)


def slab_of(geometry: Geometry, slices: slice) -> Geometry:
    """The grid of some neighbouring slices (along k) of a grid."""
    matrix = geometry.ijk_to_ras.copy()
    matrix[:3, 3] = geometry.ras_from_ijk([0, 0, slices.start])
    i, j, _ = geometry.size_ijk
    return Geometry((i, j, slices.stop - slices.start), matrix)


@dataclass(frozen=True)
class SlicedVolume:
    """A volume on a network's grid, and what was measured on the way.

    Args:
        stack: Normalised slices with their geometry.
        intensities: The source's own intensities that became -1 and 1.
    """

    stack: SliceStack
    intensities: IntensityRange


def slice_volume(volume: Volume, grid: SliceGrid, scale: IntensityScale, slab: int | None = None) -> SlicedVolume:
    """Centres the bundle's slice grid on the volume, resamples and normalises.

    Args:
        volume: Image on any grid.
        grid: In-plane grid of a bundle.
        scale: How a bundle scales this modality.
        slab: Slices that are resampled at once; None for all.

    Raises:
        InvalidVolumeError: If the image is constant or has no contrast on this scale.
    """
    threshold = foreground_threshold(volume)
    intensities = measure(volume.array_kji, scale, threshold)
    centre = grid_centre_ijk(volume, grid, threshold)
    geometry = network_geometry(volume.geometry, grid, centre)
    slices = thin_out(volume, geometry, intensities.low, slab)
    return SlicedVolume(SliceStack(intensities.normalise(slices), geometry), intensities)
