"""An entry of a ledger in, the outline of its region in the views of its own side out."""

from __future__ import annotations

import numpy as np
import slicer
from vtk.util.numpy_support import vtk_to_numpy

from MedTranslateLib.core.ledger import LedgerEntry
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.mrml.layout import Side, composite_of, side_of_view, slice_views
from MedTranslateLib.mrml.scene import ATTRIBUTE_PREFIX, ResultNodes
from MedTranslateLib.mrml.volumes import geometry_of_node, label_node_from_mask

ROLE = f"{ATTRIBUTE_PREFIX}role"
OUTLINE, OUTLINE_COLOURS = "ledger_outline", "ledger_outline_colours"
COLOUR = (1.0, 0.25, 0.85)
"""Unlike the marks of cursor and pins, and unlike tissue."""


def show_outline(scene: slicer.vtkMRMLScene, nodes: ResultNodes, entry: LedgerEntry) -> bool:
    """Outlines the region of an entry, where its structure is, instead of the one before.

    Only the part of the regions that holds it is drawn, so that the neighbours, and the regions of the other side,
    are not. The outline is not saved with the scene.

    Args:
        scene: Scene of the result.
        nodes: The result.
        entry: One of its ledger.

    Returns:
        Whether there is anything to outline; the regions may have been deleted or changed.
    """
    hide_outline(scene)
    outline = _cut(scene, nodes.ledger_regions, entry.number) if nodes.ledger_regions is not None else None
    if outline is None:
        return False
    for view in slice_views(scene):
        if side_of_view(view, nodes) is Side(entry.side.value):
            composite_of(view).SetLabelVolumeID(outline.GetID())
            composite_of(view).SetLabelOpacity(1.0)
            view.UseLabelOutlineOn()
    return True


def hide_outline(scene: slicer.vtkMRMLScene) -> None:
    """Takes the outline away; a label map of the user's stays."""
    outlines = [node for node in _ours(scene) if node.IsA("vtkMRMLLabelMapVolumeNode")]
    for view in scene.GetNodesByClass("vtkMRMLSliceNode"):
        composite = slicer.vtkMRMLSliceLogic.GetSliceCompositeNode(view)
        if composite is not None and composite.GetLabelVolumeID() in [node.GetID() for node in outlines]:
            composite.SetLabelVolumeID(None)
            view.UseLabelOutlineOff()
    for node in (*[outline.GetDisplayNode() for outline in outlines], *_ours(scene)):
        if node is not None and scene.IsNodePresent(node):
            scene.RemoveNode(node)


def _cut(
    scene: slicer.vtkMRMLScene, regions: slicer.vtkMRMLLabelMapVolumeNode, number: int
) -> slicer.vtkMRMLLabelMapVolumeNode | None:
    """The box of one region as a label map of its own; a rim of a voxel closes the outline."""
    image = regions.GetImageData()
    if image is None:
        return None
    inside = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1]) == number
    ends = [np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    if not len(ends[0]):
        return None
    box = tuple(slice(along[0], along[-1] + 1) for along in ends)
    part = np.pad(inside[box], 1).astype(np.uint8)
    node = label_node_from_mask(scene, part, _part_of(geometry_of_node(regions), box, part.shape), f"Ledger {number}")
    node.GetDisplayNode().SetAndObserveColorNodeID(_colours(scene).GetID())
    node.GetDisplayNode().SaveWithSceneOff()
    _keep_out_of_sight(node, OUTLINE)
    return node


def _part_of(whole: Geometry, box: tuple[slice, ...], shape_kji: tuple[int, ...]) -> Geometry:
    matrix = whole.ijk_to_ras.copy()
    matrix[:3, 3] = whole.ras_from_ijk([float(along.start) - 1 for along in reversed(box)])
    return Geometry((shape_kji[2], shape_kji[1], shape_kji[0]), matrix)


def _colours(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLColorTableNode:
    node = slicer.vtkMRMLColorTableNode()
    node.SetName("Outline of a ledger entry")
    node.SetTypeToUser()
    node.SetNumberOfColors(2)
    node.SetColor(0, "nothing", 0.0, 0.0, 0.0, 0.0)
    node.SetColor(1, "region", *COLOUR, 1.0)
    _keep_out_of_sight(node, OUTLINE_COLOURS)
    return scene.AddNode(node)


def _keep_out_of_sight(node: slicer.vtkMRMLNode, role: str) -> None:
    node.SetAttribute(ROLE, role)
    node.HideFromEditorsOn()
    node.SaveWithSceneOff()
    node.UndoEnabledOff()


def _ours(scene: slicer.vtkMRMLScene) -> list[slicer.vtkMRMLNode]:
    kinds = ("vtkMRMLLabelMapVolumeNode", "vtkMRMLColorTableNode")
    nodes = [scene.GetNthNodeByClass(n, kind) for kind in kinds for n in range(scene.GetNumberOfNodesByClass(kind))]
    return [node for node in nodes if node.GetAttribute(ROLE) in (OUTLINE, OUTLINE_COLOURS)]
