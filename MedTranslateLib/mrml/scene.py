"""A source node and a result in, the nodes a user looks at out: volumes, fields, mask, provenance, in one study."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import slicer

from MedTranslateLib.core.correspondence import DisplacementField
from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.imaging.display import (
    DisplayRange,
    output_range,
    source_contrast,
    source_range,
    uncertainty_range,
)
from MedTranslateLib.mrml.transforms import transform_node_from_field
from MedTranslateLib.mrml.volumes import label_node_from_mask, node_from_volume

ATTRIBUTE_PREFIX = "MedTranslate."
UNCERTAINTY_COLOURS = "vtkMRMLColorTableNodeIron"


@dataclass(frozen=True)
class ResultNodes:
    """The nodes of one translation.

    Args:
        source: The image that was translated.
        output: The translated image.
        forward: Transform node; from parent, it maps a point of the output to the point of the source it came from.
        inverse: The other way.
        validity: 1 where the model saw the source.
        uncertainty: Standard deviation of the samples; None for a single sample.
        provenance: Text node with `provenance.json`.
    """

    source: slicer.vtkMRMLScalarVolumeNode
    output: slicer.vtkMRMLScalarVolumeNode
    forward: slicer.vtkMRMLGridTransformNode
    inverse: slicer.vtkMRMLGridTransformNode
    validity: slicer.vtkMRMLLabelMapVolumeNode
    uncertainty: slicer.vtkMRMLScalarVolumeNode | None
    provenance: slicer.vtkMRMLTextNode

    def roles(self) -> Iterator[tuple[str, slicer.vtkMRMLNode]]:
        """Name and node of each part that there is."""
        for field in fields(self):
            node = getattr(self, field.name)
            if node is not None:
                yield field.name, node


def add_source(scene: slicer.vtkMRMLScene, source: Volume, result: TranslationResult) -> slicer.vtkMRMLScalarVolumeNode:
    """Adds the source as a node, for a scene that does not hold it yet."""
    contrast = source_contrast(source, result)
    node = node_from_volume(scene, source, f"{source.name} ({contrast})" if contrast else source.name)
    set_window(node, source_range(source))
    return node


def add_result(
    scene: slicer.vtkMRMLScene, source: slicer.vtkMRMLScalarVolumeNode, source_name: str, result: TranslationResult
) -> ResultNodes:
    """Adds the nodes of a result beside the source node, which is not changed.

    Args:
        scene: Scene that holds `source`.
        source: The node that was translated.
        source_name: How the source is called in the names of the new nodes.
        result: What was made of it.

    Returns:
        The new nodes and `source`.
    """
    bundle = result.provenance.get("bundle", {}).get("name", "unknown bundle")
    name = f"{result.output_name} of {source_name}"
    output = node_from_volume(scene, result.translated, f"{name} by {bundle} (SYNTHETIC)")
    set_window(output, output_range(result))
    nodes = ResultNodes(
        source=source,
        output=output,
        forward=_field_node(scene, result, result.correspondence.forward, f"Output to source: {name}"),
        inverse=_field_node(scene, result, result.correspondence.inverse, f"Source to output: {name}"),
        validity=label_node_from_mask(
            scene, result.validity_kji, result.translated.geometry, f"Seen by the model: {name}"
        ),
        uncertainty=_uncertainty_node(scene, result, f"Uncertainty: {name}"),
        provenance=_provenance_node(scene, result, f"Provenance: {name}"),
    )
    _set_references(nodes)
    _set_attributes(nodes, result)
    _put_into_study(scene, nodes, f"{source_name}: {result.output_name} by {bundle}")
    return nodes


def set_window(node: slicer.vtkMRMLScalarVolumeNode, shown: DisplayRange) -> None:
    """Fixes the window of a volume node to a range, so that Slicer does not choose one from the voxels."""
    display = node.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(shown.low, shown.high)


def attributes_of(table: Mapping[str, Any], prefix: str = ATTRIBUTE_PREFIX) -> Iterator[tuple[str, str]]:
    """Flattens a table to attribute names with dots and values as text; what is not text is written as JSON."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from attributes_of(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)


def _field_node(
    scene: slicer.vtkMRMLScene, result: TranslationResult, field: DisplacementField, name: str
) -> slicer.vtkMRMLGridTransformNode:
    node = transform_node_from_field(scene, field, name)
    node.SetAttribute(f"{ATTRIBUTE_PREFIX}correspondence", result.correspondence.origin.value)
    return node


def _uncertainty_node(
    scene: slicer.vtkMRMLScene, result: TranslationResult, name: str
) -> slicer.vtkMRMLScalarVolumeNode | None:
    if result.uncertainty is None:
        return None
    node = node_from_volume(scene, result.uncertainty, name)
    set_window(node, uncertainty_range(result.uncertainty, result))
    node.GetDisplayNode().SetAndObserveColorNodeID(UNCERTAINTY_COLOURS)
    return node


def _provenance_node(scene: slicer.vtkMRMLScene, result: TranslationResult, name: str) -> slicer.vtkMRMLTextNode:
    node = scene.AddNewNodeByClass("vtkMRMLTextNode", name)
    node.SetText(json.dumps(dict(result.provenance), indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    return node


def _set_references(nodes: ResultNodes) -> None:
    """Fields name the image they carry and the image they lead to; the output names all its parts."""
    transform = slicer.vtkMRMLTransformNode
    moving, fixed = transform.GetMovingNodeReferenceRole(), transform.GetFixedNodeReferenceRole()
    for field, carried, kept in (
        (nodes.forward, nodes.source, nodes.output),
        (nodes.inverse, nodes.output, nodes.source),
    ):
        field.SetNodeReferenceID(moving, carried.GetID())
        field.SetNodeReferenceID(fixed, kept.GetID())
    for role, node in nodes.roles():
        if role != "output":
            nodes.output.SetNodeReferenceID(f"{ATTRIBUTE_PREFIX}{role}", node.GetID())


def _set_attributes(nodes: ResultNodes, result: TranslationResult) -> None:
    for role, node in nodes.roles():
        if role != "source":
            node.SetAttribute(f"{ATTRIBUTE_PREFIX}role", role)
    stated = {
        "synthetic": "true",
        "scale": result.output_scale,
        "output_name": result.output_name,
        "output_modality": result.output_modality,
        "correspondence": result.correspondence.origin.value,
    }
    for name, value in attributes_of({**result.provenance, **stated}):
        nodes.output.SetAttribute(name, value)


def _put_into_study(scene: slicer.vtkMRMLScene, nodes: ResultNodes, study_name: str) -> None:
    """Puts the new nodes into the source's study, or all nodes into a new one."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = hierarchy.GetItemByDataNode(nodes.source)
    study = hierarchy.GetItemAncestorAtLevel(item, "Study") if item else 0
    new_study = not study
    if new_study:
        study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), study_name)
        hierarchy.SetItemOwnerPluginName(study, "Folder")
    for role, node in nodes.roles():
        if role != "source" or new_study:
            item = hierarchy.CreateItem(study, node)
            hierarchy.SetItemOwnerPluginName(item, _hierarchy_plugin(node))


def _hierarchy_plugin(node: slicer.vtkMRMLNode) -> str:
    """The part of Slicer that shows such a node in the data tree; without an application nobody fills it in."""
    if node.IsA("vtkMRMLLabelMapVolumeNode"):
        return "LabelMaps"
    if node.IsA("vtkMRMLVolumeNode"):
        return "Volumes"
    return "Transforms" if node.IsA("vtkMRMLTransformNode") else "Texts"
