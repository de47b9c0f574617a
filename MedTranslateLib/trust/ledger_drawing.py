"""Regions in, one label image on the output's grid out, each region drawn in the image of its own side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from MedTranslateLib.core.correspondence import Correspondence, DisplacementField
from MedTranslateLib.core.ledger import LedgerSide
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.imaging.fields import is_identity, map_points
from MedTranslateLib.trust.ledger_regions import Region

Labels = npt.NDArray[np.uint8]


def draw_regions(
    regions: Sequence[Region], found_on: Geometry, correspondence: Correspondence, grid: Geometry
) -> Labels:
    """Draws the weakest first, so that where two meet the stronger one is seen.

    Args:
        regions: Sorted, the first gets the number 1.
        found_on: Grid of their voxels, in the output's frame.
        correspondence: Both fields; the inverse says where a point of the source went to in the output.
        grid: The grid to draw on.

    Returns:
        uint8 (slices, rows, columns); 0 where there is no region.
    """
    labels = np.zeros(grid.shape_kji, dtype=np.uint8)
    for number, region in reversed(list(enumerate(regions, start=1))):
        field = correspondence.inverse if region.side is LedgerSide.SOURCE else None
        if field is not None and is_identity(field):
            field = None
        _draw(labels, number, region, (found_on, grid), field)
    return labels


def _draw(
    labels: Labels, number: int, region: Region, grids: tuple[Geometry, Geometry], field: DisplacementField | None
) -> None:
    """A voxel belongs to the region if the point of the output that shows it lies in one of the region's voxels."""
    found_on, grid = grids
    low = region.voxels_kji.min(axis=0)
    inside = np.zeros(region.voxels_kji.max(axis=0) - low + 1, dtype=bool)
    inside[tuple((region.voxels_kji - low).T)] = True
    first, last = _box(region, grids, 0.0 if field is None else _longest_mm(field))
    rows, columns = np.meshgrid(np.arange(first[1], last[1]), np.arange(first[0], last[0]), indexing="ij")
    for k in range(first[2], last[2]):
        points = grid.ras_from_ijk(np.stack([columns, rows, np.full_like(rows, k)], axis=-1))
        places = found_on.ijk_from_ras(points if field is None else map_points(field, points))
        nearest = np.floor(places[..., ::-1] + 0.5).astype(np.intp) - low
        within = ((nearest >= 0) & (nearest < inside.shape)).all(axis=-1)
        hit = np.zeros(within.shape, dtype=bool)
        hit[within] = inside[tuple(nearest[within].T)]
        labels[k, first[1] : last[1], first[0] : last[0]][hit] = number


def _box(
    region: Region, grids: tuple[Geometry, Geometry], margin_mm: float
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """First and one past the last voxel i, j, k of the grid that the region, moved by up to `margin_mm`, can reach."""
    found_on, grid = grids
    low, high = region.voxels_kji.min(axis=0)[::-1] - 0.5, region.voxels_kji.max(axis=0)[::-1] + 0.5
    corners = np.array([[(low, high)[bit][axis] for axis, bit in enumerate(bits)] for bits in np.ndindex(2, 2, 2)])
    reached = grid.ijk_from_ras(found_on.ras_from_ijk(corners))
    margin = margin_mm / np.abs(np.linalg.svd(grid.ijk_to_ras[:3, :3], compute_uv=False)).min()
    first = np.clip(np.floor(reached.min(axis=0) - margin), 0, grid.size_ijk).astype(np.intp)
    last = np.clip(np.ceil(reached.max(axis=0) + margin) + 1, 0, grid.size_ijk).astype(np.intp)
    return first, last


def _longest_mm(field: DisplacementField) -> float:
    return float(np.sqrt(max(np.square(part, dtype=np.float64).sum(axis=-1).max() for part in field.vectors_kji_ras)))
