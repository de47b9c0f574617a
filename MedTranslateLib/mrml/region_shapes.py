"""A ROI or a segment in, a shape out that says which places of the patient lie inside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from MedTranslateLib.core.errors import RequestError
from MedTranslateLib.mrml.stored_field import Points
from MedTranslateLib.mrml.volumes import array_from_matrix
from MedTranslateLib.mrml.world import matrix_to_world

Bools = npt.NDArray[np.bool_]
BINARY = "Binary labelmap"


class Shape(Protocol):
    """Part of patient space, in RAS mm; half open, so that shapes side by side share no place."""

    def contains(self, points_ras: Points) -> Bools:
        """Tells for points (N, 3) whether they lie inside."""

    def corners_ras(self) -> Points:
        """Corners (8, 3) of a box around the shape."""

    def some_points_ras(self, count: int) -> Points:
        """At most about `count` points inside, evenly spread: the same each time."""


@dataclass(frozen=True)
class BoxShape:
    """A box in any orientation.

    Args:
        ras_from_box: 4x4 matrix from the unit cube, 0 to 1 along each edge of the box, to RAS mm.
    """

    ras_from_box: npt.NDArray[np.float64]

    def contains(self, points_ras: Points) -> Bools:
        """Tells for points (N, 3) in RAS mm whether they lie in the box."""
        to_box = np.linalg.inv(self.ras_from_box)
        index = to_box[:3, :3] @ points_ras.T + to_box[:3, 3:]
        return np.asarray(((index >= 0) & (index < 1)).all(axis=0))

    def corners_ras(self) -> Points:
        """The corners of the box."""
        return _mapped(self.ras_from_box, _cube_corners(np.zeros(3), np.ones(3)))

    def some_points_ras(self, count: int) -> Points:
        """The centres of equal cells, as many along each edge."""
        along = max(round(count ** (1 / 3)), 1)
        centres = (np.arange(along) + 0.5) / along
        return _mapped(self.ras_from_box, np.stack(np.meshgrid(centres, centres, centres), axis=-1).reshape(-1, 3))


@dataclass(frozen=True)
class VoxelShape:
    """The voxels of a mask: each is the whole box around its centre.

    So a place belongs to the segment when its nearest voxel does. Interpolating the mask and cutting at 0.5 would
    round off corners and let thin parts vanish: a single voxel would keep a quarter of its volume.

    Args:
        inside_kji: The mask.
        ras_from_ijk: 4x4 matrix from its voxel indices to RAS mm.
    """

    inside_kji: Bools
    ras_from_ijk: npt.NDArray[np.float64]

    def contains(self, points_ras: Points) -> Bools:
        """Tells for points (N, 3) in RAS mm whether the voxel they lie in belongs to the mask."""
        to_index = np.linalg.inv(self.ras_from_ijk)
        index = to_index[:3, :3] @ points_ras.T + (to_index[:3, 3:] + 0.5)
        inside = np.ones(len(points_ras), dtype=np.bool_)
        for along, size in zip(index, self.inside_kji.shape[::-1], strict=True):
            inside &= (along >= 0) & (along < size)
        found = np.flatnonzero(inside)
        i, j, k = index[:, found].astype(np.intp)
        inside[found] = self.inside_kji[k, j, i]
        return inside

    def corners_ras(self) -> Points:
        """Corners of the box around all voxels of the mask."""
        used = [np.flatnonzero(self.inside_kji.any(axis=others)) for others in ((0, 1), (0, 2), (1, 2))]
        low, high = (np.array([along[end] for along in used]) for end in (0, -1))
        return _mapped(self.ras_from_ijk, _cube_corners(low - 0.5, high + 0.5))

    def some_points_ras(self, count: int) -> Points:
        """Centres of voxels of the mask."""
        found = np.flatnonzero(self.inside_kji)
        if len(found) > count:
            found = found[np.linspace(0, len(found) - 1, count).astype(np.intp)]
        k, j, i = np.unravel_index(found, self.inside_kji.shape)
        return _mapped(self.ras_from_ijk, np.stack([i, j, k], axis=-1))


def box_shape(roi: slicer.vtkMRMLMarkupsROINode) -> BoxShape:
    """The box of a ROI node, turned and sized as it is drawn.

    Args:
        roi: The node.

    Returns:
        Its shape.

    Raises:
        RequestError: If the ROI is not drawn yet, or a transform bends it.
    """
    size = np.array(roi.GetSize())
    if not size.all():
        msg = f"{roi.GetName()}: the ROI is {_numbers(size)} mm large; expected a box. Draw it first."
        raise RequestError(msg)
    centred = np.eye(4)
    centred[:3, :3] = np.diag(size)
    centred[:3, 3] = -size / 2
    return BoxShape(matrix_to_world(roi) @ array_from_matrix(roi.GetObjectToNodeMatrix()) @ centred)


def segment_shape(segmentation: slicer.vtkMRMLSegmentationNode, segment_id: str) -> VoxelShape:
    """The voxels of a segment, on its own grid.

    Args:
        segmentation: The node.
        segment_id: Which of its segments.

    Returns:
        Its shape.

    Raises:
        RequestError: If there is no such segment, it is empty or no mask, or a transform bends it.
    """
    segment = segmentation.GetSegmentation().GetSegment(segment_id)
    if segment is None:
        known = ", ".join(segmentation.GetSegmentation().GetSegmentIDs()) or "none"
        msg = f"{segmentation.GetName()}: has no segment {segment_id!r} (it has: {known}). Choose one of them."
        raise RequestError(msg)
    name = f"{segmentation.GetName()}, {segment.GetName()}"
    if segment.GetRepresentation(BINARY) is None:
        msg = f"{name}: has no binary labelmap. Create one first (Segmentations module, Representations)."
        raise RequestError(msg)
    mask = slicer.vtkOrientedImageData()
    segmentation.GetBinaryLabelmapRepresentation(segment_id, mask)
    voxels = mask.GetPointData().GetScalars() if mask.GetNumberOfPoints() else None
    if voxels is None or not vtk_to_numpy(voxels).any():
        msg = f"{name}: the segment is empty. Paint something first."
        raise RequestError(msg)
    inside = vtk_to_numpy(voxels).reshape(mask.GetDimensions()[::-1]) != 0
    matrix = vtk.vtkMatrix4x4()
    mask.GetImageToWorldMatrix(matrix)
    first = np.eye(4)
    first[:3, 3] = mask.GetExtent()[::2]
    return VoxelShape(inside, matrix_to_world(segmentation) @ array_from_matrix(matrix) @ first)


def _mapped(matrix: npt.NDArray[np.floating], points: npt.NDArray[np.number]) -> Points:
    return np.asarray(points @ matrix[:3, :3].T + matrix[:3, 3], dtype=np.float64)


def _cube_corners(low: Points, high: Points) -> Points:
    return np.array([[i, j, k] for k in (low[2], high[2]) for j in (low[1], high[1]) for i in (low[0], high[0])])


def _numbers(values: Points) -> str:
    return " x ".join(f"{value:g}" for value in values)
