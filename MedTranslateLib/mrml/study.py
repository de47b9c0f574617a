"""A source and the nodes that were made of it in, their place in Slicer's data tree out: the source's study."""

from __future__ import annotations

from collections.abc import Sequence

import slicer

LEVELS = slicer.vtkMRMLSubjectHierarchyConstants


def put_beside_source(source: slicer.vtkMRMLVolumeNode, parts: Sequence[slicer.vtkMRMLNode], study_name: str) -> None:
    """Puts nodes into the study, or else into the patient or folder, that the source lies in.

    Where the source lies in none of them, a study is made; a source that the tree does not hold yet goes there, too.
    One that lies in the tree stays where it is.

    Args:
        source: The node that was translated.
        parts: The new nodes.
        study_name: Name of the study, should one be made.
    """
    scene = source.GetScene()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = hierarchy.GetItemByDataNode(source)
    place = _study_of(hierarchy, item) or _branch_of(hierarchy, item)
    if not place:
        place = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), study_name)
        hierarchy.SetItemOwnerPluginName(place, "Folder")
    for node in parts if item else (source, *parts):
        hierarchy.SetItemOwnerPluginName(hierarchy.CreateItem(place, node), _plugin(node))


def put_into_folder(output: slicer.vtkMRMLVolumeNode, parts: Sequence[slicer.vtkMRMLNode], name: str) -> None:
    """Gathers parts of a result, which the tree holds already, in a folder beside its output; none makes no folder."""
    if not parts:
        return
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(output.GetScene())
    folder = hierarchy.CreateFolderItem(hierarchy.GetItemParent(hierarchy.GetItemByDataNode(output)), name)
    hierarchy.SetItemOwnerPluginName(folder, "Folder")
    hierarchy.SetItemExpanded(folder, False)  # noqa: FBT003  # what is looked at lies above it
    for node in parts:
        hierarchy.SetItemParent(hierarchy.GetItemByDataNode(node), folder)


def _study_of(hierarchy: slicer.vtkMRMLSubjectHierarchyNode, item: int) -> int:
    return hierarchy.GetItemAncestorAtLevel(item, LEVELS.GetDICOMLevelStudy()) if item else 0


def _branch_of(hierarchy: slicer.vtkMRMLSubjectHierarchyNode, item: int) -> int:
    """The nearest patient or folder; not another node, whose parts the new nodes are not."""
    branches = (LEVELS.GetDICOMLevelPatient(), LEVELS.GetSubjectHierarchyLevelFolder())
    place = hierarchy.GetItemParent(item) if item else 0
    while place and hierarchy.GetItemLevel(place) not in branches:
        place = hierarchy.GetItemParent(place)
    return place


def _plugin(node: slicer.vtkMRMLNode) -> str:
    """The part of Slicer that shows such a node in the data tree; without an application nobody fills it in."""
    if node.IsA("vtkMRMLLabelMapVolumeNode"):
        return "LabelMaps"
    if node.IsA("vtkMRMLVolumeNode"):
        return "Volumes"
    if node.IsA("vtkMRMLTableNode"):
        return "Tables"
    return "Transforms" if node.IsA("vtkMRMLTransformNode") else "Texts"
