"""Source, output and correspondence in, the ledger out: what one side alone has, where, and why it is listed."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from MedTranslateLib.core.correspondence import Correspondence
from MedTranslateLib.core.ledger import Ledger, LedgerEntry, LedgerSide
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.fields import map_points
from MedTranslateLib.trust.ledger_drawing import draw_regions
from MedTranslateLib.trust.ledger_evidence import evidence_of
from MedTranslateLib.trust.ledger_grid import LedgerImages, coarse_images
from MedTranslateLib.trust.ledger_regions import Region, regions_of
from MedTranslateLib.trust.ledger_rule import LedgerThresholds

HARDLY, WEAKLY = 0.25, 0.6
"""Contrast on the other side over that on the own side."""


def find_ledger(
    images: LedgerImages, thresholds: LedgerThresholds, grid: Geometry, trust: Volume | None = None
) -> Ledger:
    """Looks for structures without a partner.

    Args:
        images: Both sides on the network's grid.
        thresholds: What counts as strength 1.
        grid: The output's grid, which the regions are drawn on.
        trust: The joint trust map, 0 to 1; None where there is none.

    Returns:
        The ledger, without entries where there is nothing to list.
    """
    evidence = evidence_of(coarse_images(images), thresholds.scales_mm)
    regions = regions_of(evidence, thresholds)
    entries = [
        _entry(number, region, evidence.geometry, images.correspondence, trust)
        for number, region in enumerate(regions, start=1)
    ]
    drawn = draw_regions(regions, evidence.geometry, images.correspondence, grid)
    return Ledger(tuple(entries), drawn, thresholds.rule)


def reason_of(region: Region, geometry: Geometry) -> str:
    """One sentence that a clinician reads.

    Args:
        region: A region on the grid `geometry`.
        geometry: That grid.
    """
    other = LedgerSide.OUTPUT if region.side is LedgerSide.SOURCE else LedgerSide.SOURCE
    own, there = region.contrast[region.side], region.contrast[other]
    kind = "Bright" if own > 0 else "Dark"
    across = across_mm(region, geometry)
    where = f"{kind} structure of the {region.side.value}, about {across:.0f} mm across,"
    share = abs(there) / abs(own) if own else 0.0
    if share < HARDLY:
        return f"{where} that the {other.value} does not show."
    if share < WEAKLY:
        return f"{where} that the {other.value} shows much more weakly."
    return f"{where} that the {other.value} shows unlike similar tissue elsewhere."


def across_mm(region: Region, geometry: Geometry) -> float:
    """Diameter of the disc with the area that the region has in its largest slice."""
    area = float(np.bincount(region.voxels_kji[:, 0]).max() * np.prod(geometry.spacing_mm[:2]))
    return 2 * math.sqrt(area / math.pi)


def _entry(
    number: int, region: Region, geometry: Geometry, correspondence: Correspondence, trust: Volume | None
) -> LedgerEntry:
    middle = geometry.ras_from_ijk(_middle_kji(region)[::-1])
    origin = map_points(correspondence.forward, middle)
    points = geometry.ras_from_ijk(region.voxels_kji[:, ::-1])
    return LedgerEntry(
        number=number,
        side=region.side,
        source_ras=(float(origin[0]), float(origin[1]), float(origin[2])),
        output_ras=(float(middle[0]), float(middle[1]), float(middle[2])),
        volume_mm3=region.volume_mm3,
        strength=region.strength,
        trust=None if trust is None else _mean_at(trust, points),
        reason=reason_of(region, geometry),
    )


def _middle_kji(region: Region) -> npt.NDArray[np.float64]:
    """The centroid where it lies inside of the region, else the region's voxel next to it: a jump must land inside."""
    centroid = region.voxels_kji.mean(axis=0)
    distances = np.abs(region.voxels_kji - centroid)
    if (distances.max(axis=1) <= 0.5).any():
        return centroid
    nearest = np.argmin(np.square(region.voxels_kji - centroid).sum(axis=1))
    return region.voxels_kji[nearest].astype(np.float64)


def _mean_at(volume: Volume, points_ras: npt.NDArray[np.float64]) -> float | None:
    """Mean of the voxels next to the points; None where all lie outside."""
    indices = np.rint(volume.geometry.ijk_from_ras(points_ras)).astype(np.intp)
    within = ((indices >= 0) & (indices < volume.geometry.size_ijk)).all(axis=1)
    if not within.any():
        return None
    i, j, k = indices[within].T
    return float(volume.array_kji[k, j, i].mean(dtype=np.float64))
