"""A grid transform node in, many points mapped at once out; all in RAS millimetres.

The counterpart of `mapping.PointTracer` for thousands of points: the same stored field, the same rule for what it
covers, the same derivative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from MedTranslateLib.core.errors import RequestError
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.mrml.volumes import array_from_matrix

Points = npt.NDArray[np.float64]
OVERSHOOT = 0.5
"""A cubic interpolation leaves the range of its grid values by less than this share of the range: the weights of the
convolution add up to at most 1.25 without their signs along each axis, and (1.25^3 - 1) / 2 = 0.48."""


@dataclass(frozen=True)
class StoredField:
    """The field that a transform node holds, from parent.

    Args:
        transform: The node's own grid transform; not a copy.
        geometry: Its grid.
        displacement_mm: Smallest and largest displacement along R, A, S anywhere, shape (2, 3).
    """

    transform: slicer.vtkOrientedGridTransform
    geometry: Geometry
    displacement_mm: Points

    @classmethod
    def of(cls, node: slicer.vtkMRMLTransformNode) -> StoredField:
        """Reads a node without a copy of its vectors.

        Args:
            node: Grid transform node, set from parent.

        Returns:
            The field.

        Raises:
            RequestError: If the node holds something else, or is moved by another transform.
        """
        # 0: no error if it is another one
        transform = node.GetTransformFromParentAs("vtkOrientedGridTransform", 0)
        if transform is None or transform.GetInverseFlag() or transform.GetDisplacementGrid() is None:
            msg = (
                f"{node.GetName()}: expected the displacement field of a translation, got a transform that was "
                "replaced or inverted. Undo the change, or translate the volume again."
            )
            raise RequestError(msg)
        if node.GetParentTransformNode() is not None:
            msg = (
                f"{node.GetName()}: is moved by the transform {node.GetParentTransformNode().GetName()!r}, so it no "
                "longer fits its images. Take it out of that transform (Transforms module)."
            )
            raise RequestError(msg)
        transform.Update()
        grid = transform.GetDisplacementGrid()
        return cls(transform, _geometry(grid, transform.GetGridDirectionMatrix()), _range(grid))

    @property
    def moves_nothing(self) -> bool:
        """Whether each point stays where it is."""
        return not self.displacement_mm.any()

    def map_points(self, points_ras: Points) -> Points:
        """Maps points (N, 3), as `TransformPoint` maps each of them; beyond the grid, ask `covers` first."""
        if self.moves_nothing or not len(points_ras):
            return points_ras
        start, end = vtk.vtkPoints(), vtk.vtkPoints()
        start.SetData(numpy_to_vtk(np.ascontiguousarray(points_ras)))
        end.SetDataTypeToDouble()
        self.transform.TransformPoints(start, end)
        return np.asarray(vtk_to_numpy(end.GetData()), dtype=np.float64)

    def covers(self, points_ras: Points) -> npt.NDArray[np.bool_]:
        """Tells for points (N, 3) whether the grid covers them, to the outer faces of its voxels."""
        return within(self.geometry, self.geometry.ijk_from_ras(points_ras))

    def folds(self, points_ras: Points) -> npt.NDArray[np.bool_]:
        """Tells for points (N, 3) that are covered whether tissue is turned inside out there: det J <= 0."""
        if self.moves_nothing:
            return np.zeros(len(points_ras), dtype=np.bool_)
        return np.array([self._determinant(point) <= 0 for point in points_ras.tolist()], dtype=np.bool_)

    def _determinant(self, point_ras: list[float]) -> float:
        derivative = [[0.0] * 3 for _ in range(3)]
        self.transform.InternalTransformDerivative(point_ras, [0.0] * 3, derivative)
        return float(vtk.vtkMath.Determinant3x3(*derivative))


def within(geometry: Geometry, points_ijk: Points) -> npt.NDArray[np.bool_]:
    """Tells for continuous indices (N, 3) whether they lie in a voxel of the grid."""
    inside = (points_ijk >= -0.5) & (points_ijk < np.array(geometry.size_ijk) - 0.5)
    return np.asarray(inside.all(axis=-1))


def _geometry(grid: vtk.vtkImageData, direction: vtk.vtkMatrix4x4 | None) -> Geometry:
    matrix = np.eye(4) if direction is None else array_from_matrix(direction)
    matrix[:3, :3] *= grid.GetSpacing()
    matrix[:3, 3] = grid.GetOrigin() + matrix[:3, :3] @ grid.GetExtent()[::2]
    return Geometry(grid.GetDimensions(), matrix)


def _range(grid: vtk.vtkImageData) -> Points:
    vectors = grid.GetPointData().GetScalars()
    low, high = np.array([vectors.GetRange(axis) for axis in range(3)]).T
    return np.stack([low - OVERSHOOT * (high - low), high + OVERSHOOT * (high - low)])
