"""A node that a user adds to a result in; placed in its views, linked to the result and filed in its study."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import slicer

from MedTranslateLib.mrml.layout import SIDE_OF_TAG, Side
from MedTranslateLib.mrml.scene import ATTRIBUTE_PREFIX

ROLE = f"{ATTRIBUTE_PREFIX}role"
OUTPUT = f"{ATTRIBUTE_PREFIX}output"
PLUGINS = {
    "vtkMRMLMarkupsNode": "Markups",
    "vtkMRMLSegmentationNode": "Segmentations",
    "vtkMRMLTableNode": "Tables",
    "vtkMRMLScalarVolumeNode": "Volumes",
}


def view_ids(side: Side) -> tuple[str, ...]:
    """Node IDs of the slice views of one side of the compare layout, whether or not they exist yet."""
    # The scene makes a singleton's ID from its class and its tag.
    return tuple(f"vtkMRMLSliceNode{tag}" for tag, its_side in SIDE_OF_TAG.items() if its_side is side)


def add_shown_on(
    scene: slicer.vtkMRMLScene, node: slicer.vtkMRMLDisplayableNode, display: slicer.vtkMRMLDisplayNode, side: Side
) -> None:
    """Adds a node and its display node to a scene, drawn in the views of one side only.

    Args:
        scene: Where to add them.
        node: Not in a scene yet.
        display: Not in a scene yet.
        side: Whose views.
    """
    # Views first: a node that is attached to its display node before is drawn in every view.
    for view_id in view_ids(side):
        display.AddViewNodeID(view_id)
    scene.AddNode(display)
    node.SetAndObserveDisplayNodeID(display.GetID())
    with _same_place_mode(scene):
        scene.AddNode(node)


def attach(output: slicer.vtkMRMLNode, node: slicer.vtkMRMLNode, role: str) -> None:
    """Links a node of the output's scene to the output and puts it beside the output in the data tree.

    Args:
        output: The translated image.
        node: What was made for it.
        role: What it is.
    """
    node.SetAttribute(ROLE, role)
    node.SetNodeReferenceID(OUTPUT, output.GetID())
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(output.GetScene())
    item = hierarchy.GetItemByDataNode(output)
    if item:
        created = hierarchy.CreateItem(hierarchy.GetItemParent(item), node)
        # Without an application nobody fills in which part of Slicer shows such a node in the tree.
        plugin = next((name for kind, name in PLUGINS.items() if node.IsA(kind)), "")
        hierarchy.SetItemOwnerPluginName(created, plugin)


@contextmanager
def _same_place_mode(scene: slicer.vtkMRMLScene) -> Iterator[None]:
    """Slicer makes each new markup the one that the next click continues; the user's own choice stays."""
    selection = scene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
    if selection is None:
        yield
        return
    kind, chosen = selection.GetActivePlaceNodeClassName(), selection.GetActivePlaceNodeID()
    yield
    selection.SetReferenceActivePlaceNodeClassName(kind)
    selection.SetReferenceActivePlaceNodeID(chosen)
