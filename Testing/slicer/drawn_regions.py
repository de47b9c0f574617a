"""What the tests of regions share: grids, affine maps, drawn boxes, outlines and segments, and a look at partners.

Only for files that skip themselves where Slicer's core is not installed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from MedTranslateLib.core.correspondence import Correspondence, DisplacementField, Origin
from MedTranslateLib.core.volume import Geometry, Volume

BINARY = "Binary labelmap"
SKEWED = np.array([[0.93, 0.06, 0.01], [-0.04, 1.07, 0.03], [0.02, -0.01, 0.89]])
"""Of an affine map from output to source: neither symmetric nor a rotation."""


def turned(degrees_s: float, degrees_r: float) -> np.ndarray:
    """A rotation about R after one about S."""
    a, b = math.radians(degrees_s), math.radians(degrees_r)
    about_s = np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]])
    return np.array([[1, 0, 0], [0, math.cos(b), -math.sin(b)], [0, math.sin(b), math.cos(b)]]) @ about_s


def oblique(size_ijk: tuple[int, int, int] = (24, 22, 11), handedness: float = 1.0) -> Geometry:
    """Anisotropic, off the origin."""
    matrix = np.eye(4)
    matrix[:3, :3] = turned(25, 15) @ np.diag([1.5 * handedness, 1.8, 4.0])
    matrix[:3, 3] = [12.25, -40.5, 21.0]
    return Geometry(size_ijk, matrix)


def upright(size_ijk: tuple[int, int, int] = (24, 20, 10)) -> Geometry:
    """Spacing 1, 2 and 3 mm, voxel (0, 0, 0) at the origin."""
    return Geometry(size_ijk, np.diag([1.0, 2.0, 3.0, 1.0]))


def middle_of(geometry: Geometry) -> np.ndarray:
    return geometry.ras_from_ijk((np.array(geometry.size_ijk) - 1) / 2)


def voxels_of(geometry: Geometry) -> np.ndarray:
    """Voxel centres in RAS mm, (slices, rows, columns, 3)."""
    k, j, i = np.indices(geometry.shape_kji)
    return geometry.ras_from_ijk(np.stack([i, j, k], axis=-1))


def affine(geometry: Geometry, matrix: np.ndarray, shift: Iterable[float] = (0, 0, 0)) -> Correspondence:
    """Output to source by p -> c + matrix (p - c) + shift about the middle c of the grid, and its exact inverse."""
    points, centre, back = voxels_of(geometry), middle_of(geometry), np.linalg.inv(matrix)
    to_source = centre + (points - centre) @ matrix.T + list(shift)
    to_output = centre + (points - centre - list(shift)) @ back.T
    forward, inverse = (
        DisplacementField((end - points).astype(np.float32), geometry) for end in (to_source, to_output)
    )
    return Correspondence(forward, inverse, Origin.MODEL)


def half_seen(geometry: Geometry) -> np.ndarray:
    """The model saw nothing of the first ten columns."""
    seen = np.ones(geometry.shape_kji, np.uint8)
    seen[:, :, :10] = 0
    return seen


def numbered(geometry: Geometry, scale: float = 1.0) -> Volume:
    numbers = np.arange(np.prod(geometry.shape_kji)).reshape(geometry.shape_kji)
    return Volume(numbers * scale, geometry, "case 3")


def roi(scene: Any, box_to_ras: np.ndarray, size: Iterable[float], name: str = "box") -> Any:
    """A box whose centre and axes are those of a 4x4 matrix."""
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", name)
    node.SetAndObserveObjectToNodeMatrix(vtk_matrix(box_to_ras))
    node.SetSize(list(size))
    node.CreateDefaultDisplayNodes()
    return node


def frame(rotation: np.ndarray, centre: Iterable[float]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = list(centre)
    return matrix


def in_box(points: np.ndarray, box_to_ras: np.ndarray, size: Iterable[float]) -> np.ndarray:
    own = (points - box_to_ras[:3, 3]) @ box_to_ras[:3, :3]
    return (np.abs(own) < np.array(list(size)) / 2).all(axis=-1)


def segmentation(
    scene: Any, mask_kji: np.ndarray, geometry: Geometry, first_ijk: tuple[int, int, int] = (0, 0, 0)
) -> Any:
    """Two segments that share one labelmap, as Slicer's editor leaves them: 1 is `mask_kji`, 2 its first voxel."""
    image = slicer.vtkOrientedImageData()
    slices, rows, columns = mask_kji.shape
    i, j, k = first_ijk
    image.SetExtent(i, i + columns - 1, j, j + rows - 1, k, k + slices - 1)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    vtk_to_numpy(image.GetPointData().GetScalars())[:] = mask_kji.ravel()
    image.SetImageToWorldMatrix(vtk_matrix(geometry.ijk_to_ras))
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
    for name, label in (("liver", 1), ("other", 2)):
        segment = slicer.vtkSegment()
        segment.SetName(name)
        segment.SetColor(0.2, 0.4, 0.6)
        segment.SetLabelValue(label)
        segment.AddRepresentation(BINARY, image)
        node.GetSegmentation().AddSegment(segment, name)
    return node


def curve(scene: Any, points: np.ndarray, name: str = "outline") -> Any:
    """Straight stretches between the points."""
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsClosedCurveNode", name)
    node.SetCurveTypeToLinear()
    for point in points:
        node.AddControlPointWorld(point.tolist())
    node.CreateDefaultDisplayNodes()
    return node


def ring(centre: np.ndarray, across: np.ndarray, up: np.ndarray, count: int = 90) -> np.ndarray:
    """Points on an ellipse."""
    angles = np.arange(count)[:, None] * 2 * np.pi / count
    return centre + np.cos(angles) * across + np.sin(angles) * up


def shoelace(points: np.ndarray) -> float:
    """Area of a planar polygon in space, from cross products."""
    arms = points - points[0]
    return float(np.linalg.norm(np.cross(arms[1:-1], arms[2:]).sum(axis=0)) / 2)


def points_of(node: Any) -> np.ndarray:
    return np.array([node.GetNthControlPointPositionWorld(n) for n in range(node.GetNumberOfControlPoints())])


def partner_of(scene: Any, traced: Any) -> Any:
    return scene.GetNodeByID(traced.partner_id)


def voxels_in(node: Any, geometry: Geometry) -> np.ndarray:
    """The only segment of a node, on the whole of a grid that it must lie on."""
    assert node.GetSegmentation().GetNumberOfSegments() == 1
    image = slicer.vtkOrientedImageData()
    assert node.GetBinaryLabelmapRepresentation(node.GetSegmentation().GetNthSegmentID(0), image)
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    found = np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])
    np.testing.assert_allclose(found, geometry.ijk_to_ras, atol=1e-9)
    i, i_last, j, j_last, k, k_last = image.GetExtent()
    whole = np.zeros(geometry.shape_kji, bool)
    part = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])
    whole[k : k_last + 1, j : j_last + 1, i : i_last + 1] = part != 0
    return whole


def ids_in(scene: Any) -> list[str]:
    return [node.GetID() for node in scene.GetNodes()]


def vtk_matrix(array: np.ndarray) -> Any:
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(np.asarray(array, dtype=float).ravel().tolist())
    return matrix
