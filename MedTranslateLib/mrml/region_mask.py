"""A shape on one side of a result in, the voxels of both sides that belong to it out, with volume and mean.

The partner is pulled: a voxel of the other side belongs to it where the stored field maps its centre into the shape.
So it has no holes, whatever the field does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import slicer
from vtk.util.numpy_support import numpy_to_vtk

from MedTranslateLib.core.errors import RequestError
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.mrml.region_shapes import BINARY, Shape
from MedTranslateLib.mrml.sides import Bools, ResultSide, trace_points
from MedTranslateLib.mrml.stored_field import Points
from MedTranslateLib.mrml.traced_region import RegionFigures
from MedTranslateLib.mrml.volumes import geometry_of_node, matrix_from_array

SHARE_POINTS = 30_000


@dataclass(frozen=True)
class RegionMask:
    """Voxels of one side.

    Args:
        inside_kji: A mask on a part of the side's grid.
        first_ijk: Where that part begins.
    """

    inside_kji: Bools
    first_ijk: tuple[int, int, int]


@dataclass(frozen=True)
class TracedMask:
    """A shape on both sides.

    Args:
        own, partner: Its figures on its own side, and those of its partner.
        partner_mask: The partner's voxels.
        outside_share, folded_share: Shares of the shape's points.
        remarks: What has to be said with the figures.
    """

    own: RegionFigures
    partner: RegionFigures
    partner_mask: RegionMask
    outside_share: float
    folded_share: float
    remarks: tuple[str, ...] = ()


def trace_shape(name: str, shape: Shape, own: ResultSide, other: ResultSide) -> TracedMask:
    """Finds the partner of a shape.

    Args:
        name: How it is called in messages.
        shape: A shape on the side `own`.
        own: Its side.
        other: The other side.

    Returns:
        The figures on both sides and the partner's voxels.

    Raises:
        RequestError: If the shape holds no voxel of its side, or has no partner.
    """
    mask = own_mask(shape, own)
    if not mask.inside_kji.any():
        msg = (
            f"{name}: holds no voxel of {own.volume.GetName()}; it lies outside of the image or between its voxels. "
            "Move it into the image or make it larger."
        )
        raise RequestError(msg)
    points = shape.some_points_ras(SHARE_POINTS)
    traced = trace_points(points, own, other)
    partner = partner_mask(shape, own, other)
    if traced.outside.all() or not partner.inside_kji.any():
        msg = (
            f"{name}: has no partner in {other.volume.GetName()}; it lies outside of the fields or of what the model "
            "saw, or its partner falls between the voxels. Draw it where the cursor finds a partner, or larger."
        )
        raise RequestError(msg)
    return TracedMask(
        own=_figures(mask, own),
        partner=_figures(partner, other),
        partner_mask=partner,
        outside_share=float(traced.outside.mean()),
        folded_share=traced.folded_share,
    )


def own_mask(shape: Shape, side: ResultSide) -> RegionMask:
    """The voxels of a side whose centres lie in a shape of that side."""
    corners = side.geometry.ijk_from_ras(shape.corners_ras())
    box = _Box.around(side.geometry, corners.min(axis=0), corners.max(axis=0))
    inside = np.zeros(box.shape_kji, dtype=np.bool_)
    for in_slice, points in zip(inside, box.slices_ras(), strict=True):
        in_slice.reshape(-1)[:] = shape.contains(points)
    return RegionMask(inside, box.first_ijk)


def partner_mask(shape: Shape, own: ResultSide, other: ResultSide) -> RegionMask:
    """The voxels of the other side that the field maps into a shape, one slice at a time.

    Args:
        shape: A shape on the side `own`.
        own: Its side.
        other: The other side, whose field leads into the shape.

    Returns:
        Voxels with a partner, by the rules of `mapping.PointTracer`.
    """
    box = _search_box(shape, other)
    inside = np.zeros(box.shape_kji, dtype=np.bool_)
    for in_slice, points in zip(inside, box.slices_ras(), strict=True):
        mapped = other.field.map_points(points)
        found = np.flatnonzero(shape.contains(mapped))
        starts, ends = points[found], mapped[found]
        paired = other.field.covers(starts) & other.knows(starts) & own.field.covers(ends) & own.knows(ends)
        in_slice.reshape(-1)[found[paired]] = True
    return RegionMask(inside, box.first_ijk)


def segmentation_of(
    mask: RegionMask, side: ResultSide, name: str, colour: tuple[float, float, float]
) -> slicer.vtkMRMLSegmentationNode:
    """A segmentation with one segment on the grid of a side, not in a scene and not under the image's transforms yet.

    Args:
        mask: The voxels.
        side: Their side.
        name: Name of the node and of its segment.
        colour: Red, green and blue from 0 to 1.

    Returns:
        The node.
    """
    image = slicer.vtkOrientedImageData()
    slices, rows, columns = mask.inside_kji.shape
    i, j, k = mask.first_ijk
    image.SetExtent(i, i + columns - 1, j, j + rows - 1, k, k + slices - 1)
    image.GetPointData().SetScalars(numpy_to_vtk(mask.inside_kji.astype(np.uint8).ravel(), deep=True))
    image.SetImageToWorldMatrix(matrix_from_array(geometry_of_node(side.volume).ijk_to_ras))
    segment = slicer.vtkSegment()
    segment.SetName(name)
    segment.SetColor(*colour)
    segment.AddRepresentation(BINARY, image)
    node = slicer.vtkMRMLSegmentationNode()
    node.SetName(name)
    node.GetSegmentation().AddSegment(segment)
    return node


@dataclass(frozen=True)
class _Box:
    """A part of a grid; it may be empty."""

    geometry: Geometry
    first_ijk: tuple[int, int, int]
    shape_kji: tuple[int, int, int]

    @classmethod
    def around(cls, geometry: Geometry, low_ijk: Points, high_ijk: Points) -> _Box:
        """The part that holds all voxels between two corners."""
        first = np.clip(np.floor(low_ijk), 0, geometry.size_ijk).astype(int)
        end = np.clip(np.ceil(high_ijk) + 1, first, geometry.size_ijk).astype(int)
        i, j, k = (end - first).tolist()
        return cls(geometry, tuple(first.tolist()), (k, j, i))

    def slices_ras(self) -> Iterator[Points]:
        """The voxel centres of one slice after the other, each (N, 3) in RAS mm."""
        slices, rows, columns = self.shape_kji
        index = np.stack(np.meshgrid(np.arange(columns), np.arange(rows), [0]), axis=-1).reshape(-1, 3)
        first = self.geometry.ras_from_ijk(index + np.array(self.first_ijk))
        for k in range(slices):
            yield first + k * self.geometry.ijk_to_ras[:3, 2]


def _search_box(shape: Shape, other: ResultSide) -> _Box:
    """Where partners can be: p + d(p) lies in the shape, so p is no further from it than the field moves anything."""
    corners = other.geometry.ijk_from_ras(shape.corners_ras())
    least, most = other.field.displacement_mm
    index_from_mm = other.geometry.ras_to_ijk[:3, :3]
    moved, reach = index_from_mm @ (least + most) / 2, np.abs(index_from_mm) @ (most - least) / 2
    return _Box.around(other.geometry, corners.min(axis=0) - moved - reach, corners.max(axis=0) - moved + reach)


def _figures(mask: RegionMask, side: ResultSide) -> RegionFigures:
    (i, j, k), (slices, rows, columns) = mask.first_ijk, mask.inside_kji.shape
    values: npt.NDArray[np.generic] = side.values_kji[k : k + slices, j : j + rows, i : i + columns][mask.inside_kji]
    voxel_mm3 = abs(float(np.linalg.det(side.geometry.ijk_to_ras[:3, :3])))
    return RegionFigures(None, len(values) * voxel_mm3, float(values.mean(dtype=np.float64)), side.unit)
