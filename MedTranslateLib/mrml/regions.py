"""A region drawn on one side of a result in, its partner on the other side and the figures of both out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import slicer

from MedTranslateLib.core.correspondence import Origin
from MedTranslateLib.core.errors import RequestError
from MedTranslateLib.mrml.attachments import OUTPUT, ROLE, add_shown_on, attach
from MedTranslateLib.mrml.layout import Side
from MedTranslateLib.mrml.region_curve import TracedCurve, closed_curve, trace_curve
from MedTranslateLib.mrml.region_mask import TracedMask, segmentation_of, trace_shape
from MedTranslateLib.mrml.region_shapes import box_shape, segment_shape
from MedTranslateLib.mrml.scene import ATTRIBUTE_PREFIX, ResultNodes
from MedTranslateLib.mrml.sides import ResultSide, sides_of
from MedTranslateLib.mrml.traced_region import RegionKind, TracedRegion

TRACED_REGION = "traced_region"
REGION = f"{ATTRIBUTE_PREFIX}region"
SEGMENT = f"{ATTRIBUTE_PREFIX}segment"
FIGURES = f"{ATTRIBUTE_PREFIX}figures"
LINE_WIDTH_PERCENT = 0.6
"""Of the view's diagonal: the width that Slicer draws curves with."""
Colour = tuple[float, float, float]
NODE_OF_KIND = {
    RegionKind.CURVE: "vtkMRMLMarkupsClosedCurveNode",
    RegionKind.BOX: "vtkMRMLMarkupsROINode",
    RegionKind.SEGMENT: "vtkMRMLSegmentationNode",
}


@dataclass(frozen=True)
class Region:
    """What to trace.

    Args:
        node: A closed curve, a ROI or a segmentation in the scene.
        segment_id: Which segment of a segmentation.

    Raises:
        RequestError: If the node is something else.
    """

    node: slicer.vtkMRMLNode
    segment_id: str = ""

    def __post_init__(self) -> None:
        """Checks the kind of node."""
        if not any(self.node.IsA(kind) for kind in NODE_OF_KIND.values()):
            got = self.node.GetNodeTagName()
            msg = (
                f"{self.node.GetName()}: expected a closed curve, a ROI or a segmentation, got a {got}. Choose another."
            )
            raise RequestError(msg)

    @property
    def kind(self) -> RegionKind:
        """What it was drawn as."""
        return next(kind for kind, name in NODE_OF_KIND.items() if self.node.IsA(name))

    @property
    def name(self) -> str:
        """The name of the node, or of the segment."""
        segment = self._segment()
        return str(segment.GetName() if segment else self.node.GetName())

    @property
    def partner_name(self) -> str:
        """How its partner is called."""
        return f"{self.name} (traced)"

    @property
    def colour(self) -> Colour:
        """The colour it is drawn in: red, green and blue from 0 to 1."""
        if segment := self._segment():
            return tuple(segment.GetColor())
        display = self.node.GetDisplayNode() or slicer.vtkMRMLMarkupsDisplayNode()
        return tuple(display.GetSelectedColor())

    def _segment(self) -> Any:
        is_segment = self.kind is RegionKind.SEGMENT
        return self.node.GetSegmentation().GetSegment(self.segment_id) if is_segment else None


def trace_region(scene: slicer.vtkMRMLScene, nodes: ResultNodes, region: Region, *, from_output: bool) -> TracedRegion:
    """Adds the partner of a region to the scene; one that was made of the same region before is replaced.

    Args:
        scene: The scene of the result and the region.
        nodes: The nodes of the result.
        region: What to trace; it is not changed.
        from_output: Whether the region lies in the output; otherwise it lies in the source.

    Returns:
        The figures on both sides. They are kept with the partner in the scene, see `regions_of`.

    Raises:
        RequestError: If the region is deleted, empty or has no partner, or a transform bends or moves what must stay.
        InvalidVolumeError: If an image was removed.
    """
    if region.node.GetScene() is not scene:
        msg = f"{region.node.GetName()}: was deleted from the scene. Draw it again."
        raise RequestError(msg)
    own, other = sides_of(nodes, from_output=from_output)
    partner = _of_curve(region, own, other) if region.kind is RegionKind.CURVE else _of_shape(region, own, other)
    return _publish(nodes, region, partner, own, other)


def regions_of(scene: slicer.vtkMRMLScene, nodes: ResultNodes) -> tuple[TracedRegion, ...]:
    """The regions that were traced for a result and whose partners are still in the scene, also after reopening it."""
    return tuple(
        replace(TracedRegion.from_json(node.GetAttribute(FIGURES)), partner_id=node.GetID())
        for node in _partners(scene, nodes)
    )


@dataclass(frozen=True)
class _Partner:
    """Nodes that are not in the scene yet, and what is known about them."""

    node: slicer.vtkMRMLDisplayableNode
    display: slicer.vtkMRMLDisplayNode
    figures: TracedCurve | TracedMask


def _of_curve(region: Region, own: ResultSide, other: ResultSide) -> _Partner:
    curve = trace_curve(region.node, own, other)
    display = slicer.vtkMRMLMarkupsDisplayNode()
    display.SetColor(*region.colour)
    display.SetSelectedColor(*region.colour)
    display.PointLabelsVisibilityOff()
    display.PropertiesLabelVisibilityOff()
    display.SetGlyphScale(LINE_WIDTH_PERCENT)
    display.SetLineThickness(1.0)  # as wide as its many points, so that only the line is seen
    return _Partner(closed_curve(curve.partner_ras, region.partner_name), display, curve)


def _of_shape(region: Region, own: ResultSide, other: ResultSide) -> _Partner:
    is_box = region.kind is RegionKind.BOX
    shape = box_shape(region.node) if is_box else segment_shape(region.node, region.segment_id)
    mask = trace_shape(region.name, shape, own, other)
    node = segmentation_of(mask.partner_mask, other, region.partner_name, region.colour)
    return _Partner(node, slicer.vtkMRMLSegmentationDisplayNode(), mask)


def _publish(nodes: ResultNodes, region: Region, partner: _Partner, own: ResultSide, other: ResultSide) -> TracedRegion:
    """Adds the partner in place of an older one, and what is known about it as an attribute."""
    scene, node, found = nodes.output.GetScene(), partner.node, partner.figures
    for old in [old for old in _partners(scene, nodes) if _is_partner_of(old, region, own)]:
        _remove(scene, old)
    add_shown_on(scene, node, partner.display, other.side)
    if region.kind is not RegionKind.CURVE:
        node.SetReferenceImageGeometryParameterFromVolumeNode(other.volume)
        node.SetAndObserveTransformNodeID(other.volume.GetTransformNodeID())
    attach(nodes.output, node, TRACED_REGION)
    node.SetNodeReferenceID(REGION, region.node.GetID())
    node.SetAttribute(SEGMENT, region.segment_id)
    from_output = own.side is Side.OUTPUT
    traced = TracedRegion(
        name=region.name,
        partner_name=node.GetName(),
        partner_id=node.GetID(),
        kind=region.kind,
        from_output=from_output,
        source_name=nodes.source.GetName(),
        output_name=nodes.output.GetName(),
        source=found.partner if from_output else found.own,
        output=found.own if from_output else found.partner,
        outside_share=found.outside_share,
        folded_share=found.folded_share,
        remarks=(*found.remarks, *_remarks_on(nodes)),
    )
    node.SetAttribute(FIGURES, traced.to_json())
    return traced


def _partners(scene: slicer.vtkMRMLScene, nodes: ResultNodes) -> Iterator[slicer.vtkMRMLNode]:
    for kind in ("vtkMRMLMarkupsClosedCurveNode", "vtkMRMLSegmentationNode"):
        for node in [scene.GetNthNodeByClass(n, kind) for n in range(scene.GetNumberOfNodesByClass(kind))]:
            if node.GetAttribute(ROLE) == TRACED_REGION and node.GetNodeReference(OUTPUT) is nodes.output:
                yield node


def _remove(scene: slicer.vtkMRMLScene, node: slicer.vtkMRMLDisplayableNode) -> None:
    """Takes a node out with what belongs to it alone; a scene leaves its display and storage behind."""
    parts = [node.GetNthDisplayNode(n) for n in range(node.GetNumberOfDisplayNodes())]
    for part in (node, node.GetStorageNode(), *parts):
        if part is not None and scene.IsNodePresent(part):
            scene.RemoveNode(part)


def _is_partner_of(node: slicer.vtkMRMLNode, region: Region, own: ResultSide) -> bool:
    drawn_in_output = TracedRegion.from_json(node.GetAttribute(FIGURES)).from_output
    same_region = node.GetNodeReference(REGION) is region.node and node.GetAttribute(SEGMENT) == region.segment_id
    return same_region and drawn_in_output is (own.side is Side.OUTPUT)


def _remarks_on(nodes: ResultNodes) -> Iterator[str]:
    if nodes.output.GetAttribute(f"{ATTRIBUTE_PREFIX}correspondence") == Origin.ESTIMATED.value:
        yield "The correspondence was estimated afterwards; the model did not make it."
