"""The node that a user chose as source in, whether it can be translated and its Volume in world coordinates out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import slicer
import vtk

from MedTranslateLib.core.errors import InvalidVolumeError
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.mrml.scene import ATTRIBUTE_PREFIX
from MedTranslateLib.mrml.volumes import (
    array_from_matrix,
    check_image,
    geometry_of_node,
    name_of_node,
    volume_from_node,
)

SEVERAL_VALUES = ("vtkMRMLTensorVolumeNode", "vtkMRMLDiffusionWeightedVolumeNode", "vtkMRMLMultiVolumeNode")
"""Tensor volumes include vector and colour volumes; multi-volumes are 4-D series of an extension."""


@dataclass(frozen=True)
class SourceVolume:
    """What is translated.

    Args:
        volume: A copy of the voxels, in world coordinates.
        note: What the user should know of it; None where it is simply the node.
    """

    volume: Volume
    note: str | None


def check_source(node: slicer.vtkMRMLNode | None) -> None:
    """Checks whether a node can be translated, without a look at its voxels: quick enough for every click.

    Args:
        node: What was chosen.

    Raises:
        InvalidVolumeError: If it is not one scalar volume with an image, or a non-linear transform moves it.
    """
    if node is None:
        msg = "Choose a source volume."
        raise InvalidVolumeError(msg)
    _check_kind(node)
    check_image(node)
    world_geometry(node)


def volume_of_source(node: slicer.vtkMRMLScalarVolumeNode) -> SourceVolume:
    """Copies a source as it lies in the scene, below its transforms. The node is never modified.

    Args:
        node: What was chosen.

    Returns:
        The volume of a hardened copy, and what to tell the user.

    Raises:
        InvalidVolumeError: As `check_source`, or if a value is not finite.
    """
    check_source(node)
    volume = replace(
        volume_from_node(node),
        geometry=world_geometry(node),
        modality=modality_of_node(node),
        synthetic=is_synthetic(node),
    )
    notes = [note for note in (_transform_note(node), _synthetic_note(node)) if note]
    return SourceVolume(volume, " ".join(notes) or None)


def modality_of_node(node: slicer.vtkMRMLVolumeNode) -> str | None:
    """DICOM modality that the data tree states for the node or for what it lies in, such as "MR"; else None."""
    name = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMSeriesModalityAttributeName()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    item = hierarchy.GetItemByDataNode(node)
    while item and item != hierarchy.GetSceneItemID():
        if stated := hierarchy.GetItemAttribute(item, name).strip():
            return str(stated)
        item = hierarchy.GetItemParent(item)
    return (node.GetAttribute(name) or "").strip() or None


def _check_kind(node: slicer.vtkMRMLNode) -> None:
    name = name_of_node(node)
    if node.IsA("vtkMRMLLabelMapVolumeNode"):
        msg = f"{name} is a label map, not an image. Choose the volume it was drawn on."
    elif any(node.IsA(kind) for kind in SEVERAL_VALUES):
        msg = (
            f"{name} holds several values a voxel (a colour, vector, diffusion or 4-D volume); expected one. "
            "Choose or extract a single 3-D volume."
        )
    elif not node.IsA("vtkMRMLScalarVolumeNode"):
        msg = f"{name} is a {node.GetNodeTagName()}, not a volume. Choose a scalar volume, such as an MR or a CT."
    else:
        return
    raise InvalidVolumeError(msg)


def world_geometry(node: slicer.vtkMRMLScalarVolumeNode) -> Geometry:
    """The node's grid, moved to where its parent transforms put it."""
    name, transform = name_of_node(node), node.GetParentTransformNode()
    own = _own_geometry(node, name)
    if transform is None:
        return own
    if not transform.IsTransformToWorldLinear():
        msg = (
            f"{name} is moved by the non-linear transform {transform.GetName()!r}. Harden it (Data module, right "
            "click on the volume's transform, Harden transform) or take the volume out of it, then choose the volume "
            "again."
        )
        raise InvalidVolumeError(msg)
    try:
        return Geometry(own.size_ijk, _to_world(transform) @ own.ijk_to_ras)
    except InvalidVolumeError as error:
        msg = (
            f"{name}: the transform {transform.GetName()!r} flattens, shears or moves it beyond what a volume can be. "
            f"{error}"
        )
        raise InvalidVolumeError(msg) from error


def _own_geometry(node: slicer.vtkMRMLScalarVolumeNode, name: str) -> Geometry:
    try:
        return geometry_of_node(node)
    except InvalidVolumeError as error:
        msg = f"{name}: {error}"
        raise InvalidVolumeError(msg) from error


def _to_world(transform: slicer.vtkMRMLTransformNode) -> npt.NDArray[np.float64]:
    matrix = vtk.vtkMatrix4x4()
    transform.GetMatrixTransformToWorld(matrix)
    return array_from_matrix(matrix)


def _transform_note(node: slicer.vtkMRMLScalarVolumeNode) -> str | None:
    transform = node.GetParentTransformNode()
    if transform is None:
        return None
    return (
        f"{name_of_node(node)} lies under the transform {transform.GetName()!r}: a hardened copy of it is translated, "
        "the volume itself stays as it is."
    )


def is_synthetic(node: slicer.vtkMRMLVolumeNode) -> bool:
    """Whether a node says of itself that a model made it."""
    return bool(node.GetAttribute(f"{ATTRIBUTE_PREFIX}synthetic") == "true")


def _synthetic_note(node: slicer.vtkMRMLScalarVolumeNode) -> str | None:
    if not is_synthetic(node):
        return None
    return f"{name_of_node(node)} is a synthetic image itself: errors of both translations add up."
