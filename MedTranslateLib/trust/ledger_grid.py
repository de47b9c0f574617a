"""Images on a network's grid and their correspondence in, the same on a coarser grid in the output's frame out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates

from MedTranslateLib.core.correspondence import Correspondence, DisplacementField
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.imaging.fields import is_identity, map_points, slice_points_ras

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
PIXEL_MM = 2.4
"""Pixels are joined up to about this size: the smallest scale has a standard deviation of 4 mm."""


@dataclass(frozen=True)
class LedgerImages:
    """What a ledger is made from, all on the network's grid.

    Args:
        source: (slices, rows, columns) in [-1, 1].
        output: Its translation.
        geometry: The grid.
        correspondence: Both fields.
        back: A -> B -> A, where the bundle translates both ways.
        valid: False where the network saw nothing of the source; None where it saw all.
    """

    source: Array
    output: Array
    geometry: Geometry
    correspondence: Correspondence
    back: Array | None = None
    valid: Mask | None = None


@dataclass(frozen=True)
class Coarse:
    """The same on a coarser grid; source and reconstruction carried to where the output shows them."""

    source: Array
    output: Array
    geometry: Geometry
    back: Array | None
    valid: Mask


def coarse_images(images: LedgerImages) -> Coarse:
    """Joins pixels and carries source and reconstruction along the forward field.

    Args:
        images: All on one grid.
    """
    fine, geometry = images.geometry, joined_geometry(images.geometry)
    source, output = (joined_means(part, fine) for part in (images.source, images.output))
    back = None if images.back is None else joined_means(images.back, fine)
    valid = np.ones(geometry.shape_kji, dtype=bool) if images.valid is None else joined_mask(images.valid, fine)
    forward = images.correspondence.forward
    if is_identity(forward):
        return Coarse(source, output, geometry, back, valid)
    moved = None if back is None else _carried(back, forward, geometry)
    return Coarse(_carried(source, forward, geometry), output, geometry, moved, valid)


def joined_geometry(geometry: Geometry) -> Geometry:
    """The grid of the joined pixels; a last row or column that is not full counts as full."""
    rows, columns = _joined(geometry)
    i, j, k = geometry.size_ijk
    matrix = geometry.ijk_to_ras.copy()
    matrix[:3, 0] *= columns
    matrix[:3, 1] *= rows
    matrix[:3, 3] = geometry.ras_from_ijk([(columns - 1) / 2, (rows - 1) / 2, 0])
    return Geometry((-(-i // columns), -(-j // rows), k), matrix)


def joined_means(array: Array, geometry: Geometry) -> Array:
    """An image on the network's grid as seen on the coarser one."""
    return _means(array, *_joined(geometry))


def joined_mask(mask: Mask, geometry: Geometry) -> Mask:
    """A mask on the network's grid as seen on the coarser one: where at least half of the pixels are inside."""
    return np.asarray(joined_means(mask.astype(np.float32), geometry) >= 0.5)


def _joined(geometry: Geometry) -> tuple[int, int]:
    """How many rows and columns become one."""
    columns, rows, _ = geometry.spacing_mm
    return max(1, round(PIXEL_MM / rows)), max(1, round(PIXEL_MM / columns))


def _means(array: Array, rows: int, columns: int) -> Array:
    count, height, width = array.shape
    more = ((0, -height % rows), (0, -width % columns))
    result = np.empty((count, -(-height // rows), -(-width // columns)), dtype=np.float32)
    for k, part in enumerate(array):
        full = np.pad(part, more, mode="edge")
        result[k] = full.reshape(result.shape[1], rows, result.shape[2], columns).mean(axis=(1, 3))
    return result


def _carried(array: Array, forward: DisplacementField, geometry: Geometry) -> Array:
    result = np.empty_like(array)
    for k, points in enumerate(slice_points_ras(geometry)):
        places = geometry.ijk_from_ras(map_points(forward, points))[..., ::-1]
        result[k] = map_coordinates(array, np.moveaxis(places, -1, 0), order=1, mode="nearest")
    return result
