"""A result and another image in, the values of both at the output's voxels out."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from MedTranslateLib.core.errors import InvalidVolumeError
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.imaging.fields import slice_points_ras
from MedTranslateLib.mrml.scene import ResultNodes
from MedTranslateLib.mrml.stored_field import StoredField
from MedTranslateLib.mrml.volumes import (
    check_image,
    geometry_of_node,
    image_from_array,
    matrix_from_array,
    name_of_node,
)

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class OnOutputGrid:
    """Two images at the output's voxels, (slices, rows, columns).

    Args:
        output_kji: The output, float32; may be the node's own memory.
        other_kji: The other image, float32; may be the node's own memory. NaN beyond its voxels.
        known_kji: Whether a voxel can be compared: both images have a value, the model saw the source, and the field
            reaches it where it was asked.
        is_unchanged: Whether `other_kji` are the other image's own voxels, on the output's own grid.
    """

    output_kji: npt.NDArray[np.float32]
    other_kji: npt.NDArray[np.float32]
    known_kji: Bools
    is_unchanged: bool


def on_output_grid(nodes: ResultNodes, other: slicer.vtkMRMLScalarVolumeNode) -> OnOutputGrid:
    """Looks another image up at each voxel of the output.

    Args:
        nodes: A result.
        other: The source, which is looked up where the forward field leads to, or any other image, which is looked up
            at the same place of the patient. Its parent transforms count. Values between voxels are linear.

    Returns:
        Both images. Where nothing moves on the same grid, the other's values are exactly its own.

    Raises:
        InvalidVolumeError: If an image is missing or has several values a voxel, or a transform moves the output.
        RequestError: If the forward field was replaced or is moved by a transform.
    """
    grid = _output_geometry(nodes)
    check_image(other)
    field = StoredField.of(nodes.forward) if other.GetID() == nodes.source.GetID() else None
    moving = field if field is not None and not field.moves_nothing else None
    is_unchanged = moving is None and _is_on(other, grid)
    values = _float_voxels(other) if is_unchanged else resliced(grid, other, moving)
    known = ~np.isnan(values)
    known &= _voxels(nodes.validity) != 0
    if field is not None and not _covers_all(field, grid):
        known &= np.stack(
            [field.covers(some.reshape(-1, 3)).reshape(some.shape[:2]) for some in slice_points_ras(grid)]
        )
    return OnOutputGrid(_float_voxels(nodes.output), values, known, is_unchanged)


def _output_geometry(nodes: ResultNodes) -> Geometry:
    output = nodes.output
    check_image(output)
    if output.GetParentTransformNode() is not None:
        msg = (
            f"{name_of_node(output)}: is moved by the transform {output.GetParentTransformNode().GetName()!r}, so it "
            "no longer lies where it was made. Take it out of that transform (Transforms module) before you compare."
        )
        raise InvalidVolumeError(msg)
    return geometry_of_node(output)


def _is_on(node: slicer.vtkMRMLScalarVolumeNode, grid: Geometry) -> bool:
    return node.GetParentTransformNode() is None and geometry_of_node(node).same_grid(grid)


def resliced(
    grid: Geometry, other: slicer.vtkMRMLScalarVolumeNode, field: StoredField | None
) -> npt.NDArray[np.float32]:
    """Looks an image up at each voxel of a grid, at the place that a field leads to.

    Args:
        grid: In world coordinates.
        other: The image; its parent transforms count.
        field: From places of the grid to places of the image; None for the same places.

    Returns:
        Linear between voxels; up to half a voxel beyond the outermost ones their value, then NaN.
    """
    reslice = vtk.vtkImageReslice()
    reslice.SetInputData(image_from_array(_float_voxels(other)))
    reslice.SetResliceTransform(_to_index_of(grid, other, field))
    reslice.SetInterpolationModeToLinear()
    reslice.BorderOn()
    reslice.SetBackgroundLevel(float("nan"))
    reslice.SetOutputOrigin(0.0, 0.0, 0.0)
    reslice.SetOutputSpacing(1.0, 1.0, 1.0)
    reslice.SetOutputExtent([bound for size in grid.size_ijk for bound in (0, size - 1)])
    reslice.Update()
    return np.asarray(vtk_to_numpy(reslice.GetOutput().GetPointData().GetScalars()).reshape(grid.shape_kji))


def _to_index_of(
    grid: Geometry, other: slicer.vtkMRMLScalarVolumeNode, field: StoredField | None
) -> vtk.vtkGeneralTransform:
    """From an index of the grid to the place in the patient, through the field, to an index of the other image."""
    to_other, to_index = vtk.vtkGeneralTransform(), vtk.vtkMatrix4x4()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(None, other.GetParentTransformNode(), to_other)
    other.GetRASToIJKMatrix(to_index)
    whole = vtk.vtkGeneralTransform()
    whole.PostMultiply()
    whole.Concatenate(matrix_from_array(grid.ijk_to_ras))
    if field is not None:
        whole.Concatenate(_quickly(field) if field.geometry.same_grid(grid) else field.transform)
    whole.Concatenate(to_other)
    whole.Concatenate(to_index)
    return whole


def _quickly(field: StoredField) -> slicer.vtkOrientedGridTransform:
    """The same field for the points of its own grid, where there is nothing to interpolate: twice as fast."""
    transform = slicer.vtkOrientedGridTransform()
    transform.SetGridDirectionMatrix(field.transform.GetGridDirectionMatrix())
    transform.SetDisplacementGridData(field.transform.GetDisplacementGrid())
    transform.SetInterpolationModeToLinear()
    return transform


def _float_voxels(node: slicer.vtkMRMLScalarVolumeNode) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite
        return _voxels(node).astype(np.float32, copy=False)


def _voxels(node: slicer.vtkMRMLVolumeNode) -> npt.NDArray[np.generic]:
    image = node.GetImageData()
    return np.asarray(vtk_to_numpy(image.GetPointData().GetScalars())).reshape(image.GetDimensions()[::-1])


def _covers_all(field: StoredField, grid: Geometry) -> bool:
    """Both grids are boxes: one that holds the other's corners holds all of it."""
    corners = np.array(list(product(*((0.0, size - 1.0) for size in grid.size_ijk))))
    return bool(field.covers(grid.ras_from_ijk(corners)).all())
