"""A map of an output in, the same map as it lies over the source out: at each voxel the value of its partner."""

from __future__ import annotations

import numpy as np
import slicer

from MedTranslateLib.mrml.attachments import attach
from MedTranslateLib.mrml.output_grid import resliced
from MedTranslateLib.mrml.scene import ATTRIBUTE_PREFIX, ResultNodes
from MedTranslateLib.mrml.source import world_geometry
from MedTranslateLib.mrml.stored_field import StoredField
from MedTranslateLib.mrml.volumes import check_image, image_from_array, matrix_from_array

ROLE = "traced_map"
REFERENCE = f"{ATTRIBUTE_PREFIX}{ROLE}"
COPIED = ("unit", "synthetic")


def traced_map_node(
    scene: slicer.vtkMRMLScene, nodes: ResultNodes, shown: slicer.vtkMRMLScalarVolumeNode
) -> slicer.vtkMRMLScalarVolumeNode:
    """The map over the source, looked up through the inverse field; with the colours and the range of the map.

    What has no partner is shown as what is worst: of no trust, or of an error at the end of the range.

    Args:
        scene: Scene of the result.
        nodes: The result; nothing of it is changed.
        shown: One of its maps.

    Returns:
        The map itself where nothing moved, which then lies over the source as well; otherwise the result's node for
        it, filled anew.

    Raises:
        InvalidVolumeError: If an image is missing, or a non-linear transform moves the source.
        RequestError: If the inverse field was replaced or is moved by a transform.
    """
    grid = world_geometry(nodes.source)
    check_image(shown)
    field = StoredField.of(nodes.inverse)
    if field.moves_nothing:
        return shown
    display = shown.GetDisplayNode()
    worst = 0.0 if shown is nodes.trust else display.GetWindowLevelMax()
    values = resliced(grid, shown, field)
    np.nan_to_num(values, copy=False, nan=worst)
    node = _node(scene, nodes, shown)
    node.SetIJKToRASMatrix(matrix_from_array(grid.ijk_to_ras))
    node.SetAndObserveImageData(image_from_array(values))
    node.GetDisplayNode().AutoWindowLevelOff()
    node.GetDisplayNode().SetWindowLevelMinMax(display.GetWindowLevelMin(), display.GetWindowLevelMax())
    node.GetDisplayNode().SetAndObserveColorNodeID(display.GetColorNodeID())
    return node


def remove_traced_map(scene: slicer.vtkMRMLScene, nodes: ResultNodes) -> None:
    """Takes the result's node for it out of the scene, where there is one."""
    node = _made_before(nodes)
    if node is not None and scene.IsNodePresent(node):
        scene.RemoveNode(node)


def _node(
    scene: slicer.vtkMRMLScene, nodes: ResultNodes, shown: slicer.vtkMRMLScalarVolumeNode
) -> slicer.vtkMRMLScalarVolumeNode:
    node = _made_before(nodes)
    if node is None:
        node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", ROLE)
        node.CreateDefaultDisplayNodes()
        attach(nodes.output, node, ROLE)
        nodes.output.SetNodeReferenceID(REFERENCE, node.GetID())
    for name in COPIED:
        node.SetAttribute(f"{ATTRIBUTE_PREFIX}{name}", shown.GetAttribute(f"{ATTRIBUTE_PREFIX}{name}"))
    node.SetName(f"{shown.GetName()}, over the source")
    return node


def _made_before(nodes: ResultNodes) -> slicer.vtkMRMLScalarVolumeNode | None:
    """A copy of an output also refers to it, but it is not the copy's."""
    node = nodes.output.GetNodeReference(REFERENCE)
    own = node is not None and node.GetNodeReference(f"{ATTRIBUTE_PREFIX}output") is nodes.output
    return node if own else None
