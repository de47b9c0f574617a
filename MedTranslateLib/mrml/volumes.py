"""Between a scalar volume node and a `Volume`: a node in, a value out, and back. The node is never modified."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from MedTranslateLib.core.errors import InvalidVolumeError
from MedTranslateLib.core.volume import FloatArray, Geometry, Volume


def volume_from_node(node: slicer.vtkMRMLScalarVolumeNode) -> Volume:
    """Copies the voxels of a node, of any scalar type, as float32 with their IJK-to-RAS matrix.

    Args:
        node: Volume node without a parent transform.

    Returns:
        A volume that does not share memory with the node.

    Raises:
        InvalidVolumeError: If it has no image, several components a voxel, a parent transform, or unusable values.
    """
    name = node.GetName() or "volume"
    _check_node(node, name)
    image = node.GetImageData()
    scalars = vtk_to_numpy(image.GetPointData().GetScalars())
    columns, rows, slices = image.GetDimensions()
    # A copy: the node may change its voxels later, a Volume must not.
    array_kji = scalars.reshape(slices, rows, columns).astype(np.float32, copy=True)
    return Volume(array_kji, geometry_of_node(node), name)


def geometry_of_node(node: slicer.vtkMRMLVolumeNode) -> Geometry:
    """Size and IJK-to-RAS matrix of a volume node that has an image."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return Geometry(node.GetImageData().GetDimensions(), array_from_matrix(matrix))


def node_from_volume(scene: slicer.vtkMRMLScene, volume: Volume, name: str) -> slicer.vtkMRMLScalarVolumeNode:
    """Adds a float32 volume node with the volume's geometry, kept to rounding also where it is oblique or left-handed.

    Args:
        scene: Scene to add the node to.
        volume: Voxels and geometry.
        name: Name of the node.

    Returns:
        The new node; it has a display node and a copy of the voxels.
    """
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    _fill(node, volume.array_kji, volume.geometry)
    return node


def label_node_from_mask(
    scene: slicer.vtkMRMLScene, mask_kji: npt.NDArray[np.uint8], geometry: Geometry, name: str
) -> slicer.vtkMRMLLabelMapVolumeNode:
    """Adds a label map node with a copy of the mask."""
    node = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", name)
    _fill(node, mask_kji, geometry)
    return node


def matrix_from_array(matrix: npt.NDArray[np.float64]) -> vtk.vtkMatrix4x4:
    """A VTK matrix with the elements of a 4x4 array."""
    result = vtk.vtkMatrix4x4()
    result.DeepCopy(matrix.ravel().tolist())
    return result


def array_from_matrix(matrix: vtk.vtkMatrix4x4) -> npt.NDArray[np.float64]:
    """The elements of a VTK matrix as a 4x4 float64 array."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def image_from_array(array_kji: FloatArray | npt.NDArray[np.uint8], components: int = 1) -> vtk.vtkImageData:
    """An image with a copy of the array, origin 0 and spacing 1.

    Args:
        array_kji: (slices, rows, columns), or (slices, rows, columns, components); the type is kept.
        components: Values a voxel.

    Returns:
        The image, i fastest, as VTK has it.
    """
    image = vtk.vtkImageData()
    image.SetDimensions(array_kji.shape[2], array_kji.shape[1], array_kji.shape[0])
    scalars = numpy_to_vtk(np.ascontiguousarray(array_kji).reshape(-1, components), deep=True)
    image.GetPointData().SetScalars(scalars)
    return image


def _fill(node: slicer.vtkMRMLVolumeNode, array_kji: FloatArray | npt.NDArray[np.uint8], geometry: Geometry) -> None:
    node.SetAndObserveImageData(image_from_array(array_kji))
    node.SetIJKToRASMatrix(matrix_from_array(geometry.ijk_to_ras))
    node.CreateDefaultDisplayNodes()


def _check_node(node: slicer.vtkMRMLScalarVolumeNode, name: str) -> None:
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0 or image.GetPointData().GetScalars() is None:
        msg = f"{name}: the volume node has no image; expected one with voxels. Load the image first."
        raise InvalidVolumeError(msg)
    if image.GetNumberOfScalarComponents() != 1:
        got = image.GetNumberOfScalarComponents()
        msg = f"{name}: has {got} components a voxel (colour or vector image); expected 1. Split it first."
        raise InvalidVolumeError(msg)
    if node.GetParentTransformNode() is not None:
        transform = node.GetParentTransformNode().GetName()
        msg = (
            f"{name}: is moved by the transform {transform!r}, which its voxel-to-patient matrix does not contain. "
            "Harden the transform first (Data module, right click on the transform, Harden transform)."
        )
        raise InvalidVolumeError(msg)
