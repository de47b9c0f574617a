"""A field of a result and slice views in, its arrows, grid lines or contours over just those views out; not in 3-D."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from enum import Enum

import slicer
import vtk

from MedTranslateLib.core.correspondence import Origin
from MedTranslateLib.mrml.layout import Side
from MedTranslateLib.mrml.mapping import ReadingState
from MedTranslateLib.mrml.scene import ATTRIBUTE_PREFIX, ResultNodes
from MedTranslateLib.mrml.stored_field import StoredField

ROLE = "overlay"
FIELD_REFERENCE = f"{ATTRIBUTE_PREFIX}field"
SMALLEST_MM = 0.01
"""Slicer leaves shorter arrows out, too."""
ARROWS_ACROSS, CELLS_ACROSS, SAMPLES_ACROSS = 16, 12, 96
"""Arrows, grid cells and points of a contour along the larger side of a view; spacings are round, so there may be up to
2.5 times as many arrows and cells."""
LONGEST_ARROW = 1.5
"""In spacings, at most; small displacements are drawn longer, by a round factor that is stated."""
LINES_PER_CELL = 4
CONTOURS = 6
COLOURS = ((0.0, (0.25, 0.75, 1.0)), (0.5, (1.0, 0.95, 0.2)), (1.0, (1.0, 0.2, 0.15)))
"""Share of the largest displacement and its colour; all of them bright enough for a dark image."""


class FieldOverlay(str, Enum):
    """How a field is drawn."""

    NONE = "none"
    GLYPH = "glyph"
    GRID = "grid"
    CONTOUR = "contour"


def field_over(nodes: ResultNodes, side: Side) -> slicer.vtkMRMLGridTransformNode:
    """The field whose starting points lie in the images of a side, and so the one to draw over them.

    Args:
        nodes: The nodes of a result.
        side: Whose views are drawn over.

    Returns:
        Over the output, the forward field: from points of the output to where they came from. Over the source, the
        inverse field: from points of the source to where they went.
    """
    return nodes.forward if side is Side.OUTPUT else nodes.inverse


def show_field(
    field_node: slicer.vtkMRMLTransformNode,
    overlay: FieldOverlay,
    views: Sequence[slicer.vtkMRMLSliceNode | str],
) -> str:
    """Draws a field over some slice views instead of whatever was drawn of it before.

    What Slicer draws of a transform is where it moves points *to parent*. A field is stored *from parent*, so an
    overlay is a node of its own that has the stored vectors to parent: nothing is inverted, arrows and readout agree.
    It ends where the field ends. It is hidden, and not saved with the scene.

    Args:
        field_node: A field of a result, in a scene; see `field_over`.
        overlay: `GLYPH`: arrows from points to their partners, as far as they lie in the plane. `GRID`: lines of a
            regular grid, moved to the partners of their points. `CONTOUR`: lines of equal displacement. `NONE`:
            nothing.
        views: Slice nodes, or their layout names such as "Red+"; no others show it. Spacings follow their present
            field of view.

    Returns:
        What is to be seen, or why there is nothing, in one sentence.

    Raises:
        RequestError: If the node does not hold the field of a translation any more.
    """
    scene = field_node.GetScene()
    _remove_overlays(scene, field_node)
    if overlay is FieldOverlay.NONE:
        return "No field is drawn."
    if not views:
        return "No view is chosen for the field."
    field = StoredField.of(field_node)
    largest_mm = _largest_mm(field)
    if largest_mm == 0:
        return f"{ReadingState.IDENTITY.value}: there is nothing to draw."
    if largest_mm < SMALLEST_MM:
        return f"The largest displacement is {largest_mm:.4f} mm: too small to draw."
    display = _display_node(scene, overlay, largest_mm, _extent_mm(scene, views))
    display.SetViewNodeIDs([_view_id(view) for view in views])
    _add_overlay(field_node, field, display)
    return _sentence(field_node, overlay, display, largest_mm)


def hide_fields(scene: slicer.vtkMRMLScene) -> None:
    """Takes all overlays out of a scene, also those of fields that are no longer there."""
    _remove_overlays(scene, None)


def _remove_overlays(scene: slicer.vtkMRMLScene, field_node: slicer.vtkMRMLTransformNode | None) -> None:
    """Those of a field, or all; a display node whose views were changed would go on drawing in the old ones."""
    for node in list(_overlays(scene)):
        drawn = node.GetNodeReference(FIELD_REFERENCE)
        if field_node is None or drawn is None or drawn.GetID() == field_node.GetID():
            display = node.GetDisplayNode()
            colours = display.GetColorNode() if display is not None else None
            for part in (node, display, colours):
                if part is not None and scene.IsNodePresent(part):
                    scene.RemoveNode(part)


def _overlays(scene: slicer.vtkMRMLScene) -> Iterator[slicer.vtkMRMLTransformNode]:
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLGridTransformNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLGridTransformNode")
        if node.GetAttribute(f"{ATTRIBUTE_PREFIX}role") == ROLE:
            yield node


def _largest_mm(field: StoredField) -> float:
    vectors = field.transform.GetDisplacementGrid().GetPointData().GetScalars()
    return float(vectors.GetRange(-1)[1])  # -1: of the length


def _extent_mm(scene: slicer.vtkMRMLScene, views: Sequence[slicer.vtkMRMLSliceNode | str]) -> float:
    """The largest side of the views; 250 mm while none of them has been made."""
    nodes = [scene.GetNodeByID(_view_id(view)) for view in views]
    return max((max(node.GetFieldOfView()[:2]) for node in nodes if node is not None), default=250.0)


def _view_id(view: slicer.vtkMRMLSliceNode | str) -> str:
    # The scene makes a singleton's ID from its class and its tag.
    return f"vtkMRMLSliceNode{view}" if isinstance(view, str) else str(view.GetID())


def _display_node(
    scene: slicer.vtkMRMLScene, overlay: FieldOverlay, largest_mm: float, extent_mm: float
) -> slicer.vtkMRMLTransformDisplayNode:
    display = slicer.vtkMRMLTransformDisplayNode()
    _keep_out_of_sight(display)
    scene.AddNode(display)  # before its colours: it finds them through the scene
    display.SetAndObserveColorNodeID(_colour_node(scene, largest_mm).GetID())
    display.VisibilityOn()
    display.Visibility2DOn()
    display.Visibility3DOff()
    display.SetVisualizationMode(getattr(display, f"VIS_MODE_{overlay.name}"))
    display.SetSliceIntersectionThickness(1 if overlay is FieldOverlay.GRID else 2)
    _set_sizes(display, largest_mm, extent_mm)
    return display


def _set_sizes(display: slicer.vtkMRMLTransformDisplayNode, largest_mm: float, extent_mm: float) -> None:
    arrow_mm = _round_number(extent_mm / ARROWS_ACROSS)
    display.SetGlyphSpacingMm(arrow_mm)
    display.SetGlyphScalePercent(100.0 * max(1.0, _round_number(LONGEST_ARROW * arrow_mm / largest_mm)))
    display.SetGlyphDisplayRangeMinMm(SMALLEST_MM)
    display.SetGlyphDisplayRangeMaxMm(2 * largest_mm)
    cell_mm = _round_number(extent_mm / CELLS_ACROSS)
    display.SetGridSpacingMm(cell_mm)
    display.SetGridResolutionMm(cell_mm / LINES_PER_CELL)
    display.SetContourResolutionMm(extent_mm / SAMPLES_ACROSS)
    step_mm = _round_number(largest_mm / CONTOURS)
    levels = [step_mm * n for n in range(1, math.ceil(largest_mm / step_mm))]
    display.SetContourLevelsMmFromString(" ".join(f"{level:g}" for level in levels or [largest_mm / 2]))


def _round_number(value: float) -> float:
    """The largest of 1, 2, 5, 10, 20, ... (or 0.5, 0.2, ...) that is not larger."""
    decade = 10.0 ** math.floor(math.log10(value))
    return decade * max(factor for factor in (1.0, 2.0, 5.0) if factor * decade <= value * (1 + 1e-9))


def _colour_node(scene: slicer.vtkMRMLScene, largest_mm: float) -> slicer.vtkMRMLProceduralColorNode:
    node = slicer.vtkMRMLProceduralColorNode()
    node.SetName("Displacement in mm")
    _keep_out_of_sight(node)
    for share, colour in COLOURS:
        node.GetColorTransferFunction().AddRGBPoint(share * largest_mm, *colour)
    return scene.AddNode(node)


def _add_overlay(
    field_node: slicer.vtkMRMLTransformNode, field: StoredField, display: slicer.vtkMRMLTransformDisplayNode
) -> None:
    node = slicer.vtkMRMLGridTransformNode()
    node.SetName(f"{field_node.GetName()} (drawn)")
    node.SetAttribute(f"{ATTRIBUTE_PREFIX}role", ROLE)
    _keep_out_of_sight(node)
    node.SetAndObserveTransformToParent(_ending_where_the_field_ends(field))
    node.SetNodeReferenceID(FIELD_REFERENCE, field_node.GetID())
    # The views are chosen by now: a node that is attached to its display node before is drawn in every view.
    node.SetAndObserveDisplayNodeID(display.GetID())
    field_node.GetScene().AddNode(node)


def _ending_where_the_field_ends(field: StoredField) -> slicer.vtkOrientedGridTransform:
    """The field with a rim of zeros: beyond its grid, Slicer would draw the border's vectors for ever."""
    rim = vtk.vtkImageConstantPad()
    rim.SetInputData(field.transform.GetDisplacementGrid())
    low_high = field.transform.GetDisplacementGrid().GetExtent()
    rim.SetOutputWholeExtent(*(end + (1 if index % 2 else -1) for index, end in enumerate(low_high)))
    rim.SetConstant(0.0)
    rim.Update()
    transform = slicer.vtkOrientedGridTransform()
    transform.SetGridDirectionMatrix(field.transform.GetGridDirectionMatrix())
    transform.SetDisplacementGridData(rim.GetOutput())
    transform.SetInterpolationMode(field.transform.GetInterpolationMode())
    return transform


def _keep_out_of_sight(node: slicer.vtkMRMLNode) -> None:
    node.HideFromEditorsOn()
    node.SaveWithSceneOff()
    node.UndoEnabledOff()


def _sentence(
    field_node: slicer.vtkMRMLTransformNode,
    overlay: FieldOverlay,
    display: slicer.vtkMRMLTransformDisplayNode,
    largest_mm: float,
) -> str:
    inverse = field_node.GetAttribute(f"{ATTRIBUTE_PREFIX}role") == "inverse"
    way = "from points of the source to where they went" if inverse else "from points of the output to their source"
    if field_node.GetAttribute(f"{ATTRIBUTE_PREFIX}correspondence") == Origin.ESTIMATED.value:
        way += f" ({ReadingState.ESTIMATED.value})"
    if overlay is FieldOverlay.CONTOUR:
        levels = display.GetContourLevelsMmAsString().split()
        return f"Lines of equal displacement {way}: {', '.join(levels)} mm."
    if overlay is FieldOverlay.GRID:
        return f"A grid of {display.GetGridSpacingMm():g} mm, moved {way}, by up to {largest_mm:.1f} mm."
    times = display.GetGlyphScalePercent() / 100
    longer = f", drawn {times:g} times as long" if times > 1 else ""
    return f"Arrows {way}, up to {largest_mm:.1f} mm{longer}."
