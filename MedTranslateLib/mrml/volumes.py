"""Between a scalar volume node and a `Volume`: a node in, a value out, and back. The node is never modified."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from MedTranslateLib.core.errors import InvalidVolumeError
from MedTranslateLib.core.volume import FloatArray, Geometry, Volume
from MedTranslateLib.imaging.display import DisplayRange
from MedTranslateLib.mrml.voxel_memory import vtk_array_from


def volume_from_node(node: slicer.vtkMRMLScalarVolumeNode) -> Volume:
    """Copies the voxels of a node, of any scalar type, as float32 with the node's own IJK-to-RAS matrix.

    Args:
        node: Volume node. A parent transform is left out; `source.volume_of_source` applies it.

    Returns:
        A volume that does not share memory with the node.

    Raises:
        InvalidVolumeError: If it has no image, several components a voxel, or unusable values.
    """
    check_image(node)
    return Volume(_voxels(node), geometry_of_node(node), name_of_node(node))


def name_of_node(node: slicer.vtkMRMLNode) -> str:
    """How messages call a node."""
    return node.GetName() or "volume"


def check_image(node: slicer.vtkMRMLVolumeNode) -> None:
    """Checks that a volume node holds one value a voxel and at least one voxel; voxels are not looked at.

    Raises:
        InvalidVolumeError: If it does not.
    """
    name, image = name_of_node(node), node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0 or image.GetPointData().GetScalars() is None:
        msg = f"{name}: the volume node has no image; expected one with voxels. Load the image first."
        raise InvalidVolumeError(msg)
    if image.GetNumberOfScalarComponents() != 1:
        got = image.GetNumberOfScalarComponents()
        msg = f"{name}: has {got} components a voxel (colour or vector image); expected 1. Split it first."
        raise InvalidVolumeError(msg)


def geometry_of_node(node: slicer.vtkMRMLVolumeNode) -> Geometry:
    """Size and IJK-to-RAS matrix of a volume node that has an image."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return Geometry(node.GetImageData().GetDimensions(), array_from_matrix(matrix))


def node_from_volume(
    scene: slicer.vtkMRMLScene, volume: Volume, name: str, shown: DisplayRange | None = None
) -> slicer.vtkMRMLScalarVolumeNode:
    """Adds a float32 volume node with the volume's geometry, kept to rounding also where it is oblique or left-handed.

    Args:
        scene: Scene to add the node to.
        volume: Voxels and geometry.
        name: Name of the node.
        shown: Intensities shown as black and white; None lets Slicer choose them from the voxels.

    Returns:
        The new node; it has a display node and the voxels, see `image_from_array`.
    """
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.CreateDefaultDisplayNodes()
    if shown is not None:
        set_window(node, shown)
    _fill(node, volume.array_kji, volume.geometry)
    return node


def set_window(node: slicer.vtkMRMLScalarVolumeNode, shown: DisplayRange) -> None:
    """Fixes the window of a volume node to a range, so that Slicer does not choose one from the voxels."""
    display = node.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(shown.low, shown.high)


def label_node_from_mask(
    scene: slicer.vtkMRMLScene, mask_kji: npt.NDArray[np.uint8], geometry: Geometry, name: str
) -> slicer.vtkMRMLLabelMapVolumeNode:
    """Adds a label map node; for its voxels see `image_from_array`. No view shows it before it is chosen there."""
    node = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", name)
    node.CreateDefaultDisplayNodes()
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
    """An image with the values of an array, origin 0 and spacing 1.

    Args:
        array_kji: (slices, rows, columns), or (slices, rows, columns, components); the type is kept.
        components: Values a voxel.

    Returns:
        The image, i fastest, as VTK has it. Memory from `vtk_memory` becomes the image's own, other is copied.
    """
    image = vtk.vtkImageData()
    image.SetDimensions(array_kji.shape[2], array_kji.shape[1], array_kji.shape[0])
    image.GetPointData().SetScalars(vtk_array_from(array_kji, components))
    return image


def _fill(node: slicer.vtkMRMLVolumeNode, array_kji: FloatArray | npt.NDArray[np.uint8], geometry: Geometry) -> None:
    node.SetIJKToRASMatrix(matrix_from_array(geometry.ijk_to_ras))
    node.SetAndObserveImageData(image_from_array(array_kji))


def _voxels(node: slicer.vtkMRMLScalarVolumeNode) -> npt.NDArray[np.float32]:
    image = node.GetImageData()
    columns, rows, slices = image.GetDimensions()
    scalars = vtk_to_numpy(image.GetPointData().GetScalars())
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite, which Volume refuses
        # A copy: the node may change its voxels later, a Volume must not.
        return scalars.reshape(slices, rows, columns).astype(np.float32, copy=True)
