"""A source node and a result in, the nodes a user looks at out: volumes, fields, maps, ledger, all in one study."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import slicer

from MedTranslateLib.core.correspondence import Origin
from MedTranslateLib.core.errors import InvalidVolumeError
from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.imaging.display import (
    HOUNSFIELD_UNIT,
    output_range,
    source_contrast,
    source_range,
    uncertainty_range,
)
from MedTranslateLib.mrml.ledger_nodes import add_ledger
from MedTranslateLib.mrml.names import ResultNames, named_by_user, names_of_result
from MedTranslateLib.mrml.placement import remember_placement
from MedTranslateLib.mrml.scene_change import all_or_nothing
from MedTranslateLib.mrml.study import put_beside_source, put_into_folder
from MedTranslateLib.mrml.transforms import transform_node_from_field
from MedTranslateLib.mrml.trust_nodes import MAP_KINDS, add_trust_maps, unit_of_map
from MedTranslateLib.mrml.volumes import label_node_from_mask, node_from_volume

ATTRIBUTE_PREFIX = "MedTranslate."
VOLUME = "vtkMRMLScalarVolumeNode"
OUTPUT_COLOURS = "vtkMRMLColorTableNodeGrey"
UNCERTAINTY_COLOURS = "vtkMRMLColorTableNodeIron"
HOUNSFIELD_CODE = ("[hnsf'U]", "UCUM", "Hounsfield unit")
NO_UNIT_CODE = ("1", "UCUM", "no units")
KINDS = {Origin.MODEL: "", Origin.IDENTITY: ", identity", Origin.ESTIMATED: ", estimated"}
"""What the names of field nodes say of where the fields come from."""


@dataclass(frozen=True)
class ResultNodes:
    """The nodes of one translation.

    Args:
        source: The image that was translated.
        output: The translated image.
        forward: Transform node; from parent, it maps a point of the output to the point of the source it came from.
        inverse: The other way.
        validity: 1 where the model saw the source.
        uncertainty: Standard deviation of the samples; None for a single sample, or where it was deleted.
        provenance: Text node with `provenance.json`; None where it was deleted.
        trust: How far each place can be believed, 0 to 1; None, as those below, where it was not made or was deleted.
        expected_error: Expected absolute error in the output's unit; None where the bundle is not calibrated.
        trust_round_trip, trust_folding, trust_intensity, trust_cycle: What the trust was joined from, see `TrustPart`.
        ledger: Table of the structures that one side alone has, with the reader's decisions.
        ledger_regions: Their numbers, each drawn in the image of its own side.
    """

    source: slicer.vtkMRMLScalarVolumeNode
    output: slicer.vtkMRMLScalarVolumeNode
    forward: slicer.vtkMRMLGridTransformNode
    inverse: slicer.vtkMRMLGridTransformNode
    validity: slicer.vtkMRMLLabelMapVolumeNode
    uncertainty: slicer.vtkMRMLScalarVolumeNode | None
    provenance: slicer.vtkMRMLTextNode | None
    trust: slicer.vtkMRMLScalarVolumeNode | None = None
    expected_error: slicer.vtkMRMLScalarVolumeNode | None = None
    trust_round_trip: slicer.vtkMRMLScalarVolumeNode | None = None
    trust_folding: slicer.vtkMRMLScalarVolumeNode | None = None
    trust_intensity: slicer.vtkMRMLScalarVolumeNode | None = None
    trust_cycle: slicer.vtkMRMLScalarVolumeNode | None = None
    ledger: slicer.vtkMRMLTableNode | None = None
    ledger_regions: slicer.vtkMRMLLabelMapVolumeNode | None = None

    def roles(self) -> Iterator[tuple[str, slicer.vtkMRMLNode]]:
        """Name and node of each part that there is."""
        for field in fields(self):
            node = getattr(self, field.name)
            if node is not None:
                yield field.name, node

    def output_images(self) -> list[slicer.vtkMRMLVolumeNode]:
        """The output and the maps that lie on its grid."""
        maps = (self.validity, self.uncertainty, self.trust, self.expected_error, self.trust_round_trip)
        parts = (self.trust_folding, self.trust_intensity, self.trust_cycle, self.ledger_regions)
        return [node for node in (self.output, *maps, *parts) if node is not None]

    def trust_maps(self) -> dict[str, slicer.vtkMRMLScalarVolumeNode]:
        """The trust map, the expected error and the parts, as far as there are any, by role."""
        return {role: node for role, node in self.roles() if role in MAP_KINDS}


ADDED_ROLES = tuple(field.name for field in fields(ResultNodes) if field.default is None)
OPTIONAL_ROLES = ("uncertainty", "provenance", *ADDED_ROLES)
"""Parts whose loss leaves a result that can be traced."""


def add_source(scene: slicer.vtkMRMLScene, source: Volume, result: TranslationResult) -> slicer.vtkMRMLScalarVolumeNode:
    """Adds the source as a node, for a scene that does not hold it yet."""
    contrast = source_contrast(source, result)
    name = f"{source.name} ({contrast})" if contrast else source.name
    return node_from_volume(scene, source, name, source_range(source))


def add_result(  # noqa: PLR0913  # the last two are choices that most callers leave open
    scene: slicer.vtkMRMLScene,
    source: slicer.vtkMRMLScalarVolumeNode,
    source_name: str,
    result: TranslationResult,
    *,
    run: str | None = None,
    output_name: str | None = None,
) -> ResultNodes:
    """Adds the nodes of a result beside the source node, which is not changed; all of them, or none.

    Args:
        scene: Scene that holds `source`.
        source: The node that was translated.
        source_name: How the source is called in the names of the new nodes.
        result: What was made of it. Arrays in `vtk_memory` become the nodes' own; others are copied.
        run: "2" for the second result of this source by this bundle; None counts those in the scene.
        output_name: The user's own name for the output; None for one that tells source, bundle and run.

    Returns:
        The new nodes and `source`.

    Raises:
        InvalidVolumeError: If the source is not in the scene (any more).
    """
    if source.GetScene() is not scene:
        msg = f"The source {source_name!r} was deleted from the scene in the meantime; nothing was added."
        raise InvalidVolumeError(msg)
    run = run or _next_run(scene, source, _bundle_of(result))
    names = names_of_result(result.output_name, source_name, _bundle_of(result), run)
    if output_name:
        names = named_by_user(names, output_name)
    with all_or_nothing(scene):
        nodes = _add_nodes(scene, source, result, names)
        _set_references(nodes)
        _set_attributes(nodes, result, run)
        put_beside_source(source, [node for role, node in nodes.roles() if role != "source"], names.study)
        put_into_folder(nodes.output, list(nodes.trust_maps().values()), names.part("Trust"))
    return nodes


def attributes_of(table: Mapping[str, Any], prefix: str = ATTRIBUTE_PREFIX) -> Iterator[tuple[str, str]]:
    """Flattens a table to attribute names with dots and values as text; what is not text is written as JSON."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from attributes_of(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)


def _bundle_of(result: TranslationResult) -> str:
    return str(result.provenance.get("bundle", {}).get("name", "unknown bundle"))


def _next_run(scene: slicer.vtkMRMLScene, source: slicer.vtkMRMLScalarVolumeNode, bundle: str) -> str:
    """One more than the highest number of this source and bundle, so that no name is given twice."""
    outputs = (scene.GetNthNodeByClass(n, VOLUME) for n in range(scene.GetNumberOfNodesByClass(VOLUME)))
    earlier = [
        node.GetAttribute(f"{ATTRIBUTE_PREFIX}run_number") or "1"
        for node in outputs
        if node.GetAttribute(f"{ATTRIBUTE_PREFIX}bundle.name") == bundle
        and node.GetNodeReferenceID(f"{ATTRIBUTE_PREFIX}source") == source.GetID()
    ]
    return str(max((int(number) for number in earlier if number.isdecimal()), default=0) + 1)


def _add_nodes(
    scene: slicer.vtkMRMLScene,
    source: slicer.vtkMRMLScalarVolumeNode,
    result: TranslationResult,
    names: ResultNames,
) -> ResultNodes:
    fields_of, geometry = result.correspondence, result.translated.geometry
    kind = KINDS[fields_of.origin]
    output = node_from_volume(scene, result.translated, names.output, output_range(result))
    output.GetDisplayNode().SetAndObserveColorNodeID(OUTPUT_COLOURS)
    return ResultNodes(
        source=source,
        output=output,
        forward=transform_node_from_field(scene, fields_of.forward, names.part(f"Output to source{kind}")),
        inverse=transform_node_from_field(scene, fields_of.inverse, names.part(f"Source to output{kind}")),
        validity=label_node_from_mask(scene, result.validity_kji, geometry, names.part("Seen by the model")),
        uncertainty=_uncertainty_node(scene, result, names.part("Uncertainty")),
        provenance=_provenance_node(scene, result, names.part("Provenance")),
        **add_trust_maps(scene, result, names.part),
        **add_ledger(scene, result, names.part),
    )


def _uncertainty_node(
    scene: slicer.vtkMRMLScene, result: TranslationResult, name: str
) -> slicer.vtkMRMLScalarVolumeNode | None:
    if result.uncertainty is None:
        return None
    node = node_from_volume(scene, result.uncertainty, name, uncertainty_range(result.uncertainty, result))
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


def _set_attributes(nodes: ResultNodes, result: TranslationResult, run: str) -> None:
    for role, node in nodes.roles():
        if role != "source":
            node.SetAttribute(f"{ATTRIBUTE_PREFIX}role", role)
    origin = result.correspondence.origin.value
    stated = {
        "scale": result.output_scale,
        "output_name": result.output_name,
        "output_modality": result.output_modality,
        "correspondence": origin,
        "run_number": run,
    }
    for name, value in attributes_of({**result.provenance, **stated}):
        nodes.output.SetAttribute(name, value)
    remember_placement(nodes.output, nodes.source)
    for field in (nodes.forward, nodes.inverse):
        field.SetAttribute(f"{ATTRIBUTE_PREFIX}correspondence", origin)
    for image in (nodes.output, nodes.uncertainty):
        if image is not None:
            image.SetAttribute(f"{ATTRIBUTE_PREFIX}synthetic", "true")  # either is labelled in every view
            _set_unit(image, output_range(result).unit)
    for role, image in nodes.trust_maps().items():
        image.SetAttribute(f"{ATTRIBUTE_PREFIX}synthetic", "true")  # they show the output's structures
        _set_unit(image, unit_of_map(role, result))


def _set_unit(node: slicer.vtkMRMLScalarVolumeNode, unit: str) -> None:
    node.SetAttribute(f"{ATTRIBUTE_PREFIX}unit", unit)
    coded = slicer.vtkCodedEntry()
    coded.SetValueSchemeMeaning(*(HOUNSFIELD_CODE if unit == HOUNSFIELD_UNIT else NO_UNIT_CODE))
    node.SetVoxelValueUnits(coded)
