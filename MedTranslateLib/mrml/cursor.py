"""Mouse moves in one image's views in, the partner shown in the other image's views and a reading out.

Nothing here draws or waits: nodes are set, the views schedule their own drawing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import slicer

from MedTranslateLib.mrml.layout import Side, side_of_view, slice_views
from MedTranslateLib.mrml.mapping import PointTracer, Reading, ReadingState
from MedTranslateLib.mrml.scene import ResultNodes
from MedTranslateLib.mrml.trust_scale import Colour

HAIR_MM = 1e-3
"""A slice that is nearer than this to the partner stays where it is."""
MARKER_COLOUR: Colour = (0.1, 1.0, 0.4)
"""Where no trust is known; else the marker has the colour of the trust."""
MARKER_SIZE_PERCENT = 5.0
"""Of the view's diagonal, as Slicer measures glyphs."""


class LinkedCursor:
    """Follows the mouse in the views of a result's source and output.

    Where the mouse is in a view of one side, a marker shows the partner in the other side's views, whose slices move
    to it. Outside of the correspondence nothing moves and no marker is shown, but there is a reading.

    It ends by itself when the scene is closed or a node that it needs is deleted.

    Args:
        scene: Scene that holds the nodes; one without a crosshair node gets one.
        nodes: The result.
        on_reading: Gets each reading, and None when the mouse leaves the views or the cursor ends.
    """

    def __init__(
        self, scene: slicer.vtkMRMLScene, nodes: ResultNodes, on_reading: Callable[[Reading | None], None]
    ) -> None:
        self._scene, self._nodes, self._on_reading = scene, nodes, on_reading
        self._tracer = PointTracer(nodes)
        self._crosshair = crosshair_of(scene)
        self._markers = {side: SideMarker(scene, side) for side in Side}
        self._needed = (nodes.source, nodes.output, nodes.forward, nodes.inverse, nodes.validity, self._crosshair)
        self._following = self._shown = self._closed = False
        self._mouse_tag: int | None = None
        self._scene_tags = [
            scene.AddObserver(slicer.vtkMRMLScene.StartCloseEvent, self._on_scene_close),
            scene.AddObserver(slicer.vtkMRMLScene.NodeRemovedEvent, self._on_node_removed),
        ]
        self.enabled = True

    @property
    def enabled(self) -> bool:
        """Whether the mouse is followed; the markers vanish when it is not."""
        return self._mouse_tag is not None

    @enabled.setter
    def enabled(self, enabled: bool) -> None:
        if self._closed or enabled == self.enabled:
            return
        if enabled:
            event = slicer.vtkMRMLCrosshairNode.CursorPositionModifiedEvent
            self._mouse_tag = self._crosshair.AddObserver(event, self._on_mouse)
            self._on_mouse()
        else:
            self._stop()
            self._show_nothing()

    @property
    def closed(self) -> bool:
        """Whether it has ended for good."""
        return self._closed

    def close(self) -> None:
        """Removes observers and markers for good and tells a last None; again is harmless."""
        if self._closed:
            return
        self._closed = True
        self._stop()
        for tag in self._scene_tags:
            self._scene.RemoveObserver(tag)
        for marker in self._markers.values():
            marker.remove()
        self._on_reading(None)

    def _stop(self) -> None:
        if self._mouse_tag is not None:
            self._crosshair.RemoveObserver(self._mouse_tag)
            self._mouse_tag = None

    def _on_mouse(self, *_: object) -> None:
        # Moving a slice below the mouse makes its view tell the position again.
        if self._following:
            return
        self._following = True
        try:
            self._follow()
        finally:
            self._following = False

    def _follow(self) -> None:
        view = self._crosshair.GetCursorPositionXYZ([0.0] * 3)
        side = side_of_view(view, self._nodes) if view is not None else None
        if side is None:
            self._show_nothing()
            return
        point = [0.0] * 3
        self._crosshair.GetCursorPositionRAS(point)
        reading = self._tracer.trace(point, from_output=side is Side.OUTPUT)
        self._markers[side].hide()
        if reading.state is ReadingState.OUTSIDE:
            self._markers[side.other].hide()
        else:
            self._show_partner(reading, side.other)
        self._shown = True
        self._on_reading(reading)

    def _show_partner(self, reading: Reading, side: Side) -> None:
        views = [view for view in slice_views(self._scene) if side_of_view(view, self._nodes) is side]
        step = reading.trust_step
        self._markers[side].colour(MARKER_COLOUR if step is None else step.colour)
        self._markers[side].show(reading.partner_ras, [view.GetID() for view in views])
        for view in views:
            if abs(_distance_to_slice_mm(view, reading.partner_ras)) > HAIR_MM:
                view.JumpSliceByOffsetting(*reading.partner_ras)

    def _show_nothing(self) -> None:
        for marker in self._markers.values():
            marker.hide()
        if self._shown:
            self._shown = False
            self._on_reading(None)

    def _on_scene_close(self, *_: object) -> None:
        self.close()

    def _on_node_removed(self, *_: object) -> None:
        needed = (*self._needed, *(marker.node for marker in self._markers.values()))
        if not all(self._scene.IsNodePresent(node) for node in needed):
            self.close()


class SideMarker:
    """A point that is drawn in one side's slice views only, and that nobody can pick, list, save or undo.

    Args:
        scene: Scene that gets the point, hidden at first.
        side: Whose views it is for.
    """

    def __init__(self, scene: slicer.vtkMRMLScene, side: Side) -> None:
        self._scene = scene
        self._display = slicer.vtkMRMLMarkupsFiducialDisplayNode()
        self._view_ids: list[str] = []
        self._colour = MARKER_COLOUR
        self.node = slicer.vtkMRMLMarkupsFiducialNode()
        self.node.SetName(f"Linked cursor in the {side.value}")
        _style(self._display)
        for node in (self._display, self.node):
            node.HideFromEditorsOn()
            node.SaveWithSceneOff()
        self.node.LockedOn()
        self.node.SelectableOff()
        self.node.AddControlPoint(0.0, 0.0, 0.0)
        self._add()

    def show(self, point_ras: Sequence[float], view_ids: list[str]) -> None:
        """Puts the point somewhere and shows it in these views; without a view it is hidden."""
        if not view_ids:
            self.hide()
            return
        self.node.SetNthControlPointPosition(0, *point_ras)
        if view_ids != self._view_ids:
            self._view_ids = view_ids
            self._display.SetViewNodeIDs(view_ids)
        self._display.VisibilityOn()

    def colour(self, colour: Colour) -> None:
        """Gives the point a colour; the one it has costs nothing."""
        if colour != self._colour:
            self._colour = colour
            _paint(self._display, colour)

    def hide(self) -> None:
        """Takes the point out of the views."""
        self._display.VisibilityOff()

    def remove(self) -> None:
        """Takes the nodes out of the scene."""
        for node in (self.node, self._display):
            if self._scene.IsNodePresent(node):
                self._scene.RemoveNode(node)

    def _add(self) -> None:
        """Adds the nodes; the user's next click must not go into them, as Slicer plans with each new point list."""
        selection = self._scene.GetFirstNodeByClass("vtkMRMLSelectionNode")
        before = (selection.GetActivePlaceNodeClassName(), selection.GetActivePlaceNodeID()) if selection else None
        self._scene.AddNode(self._display)
        self.node.SetAndObserveDisplayNodeID(self._display.GetID())
        self._scene.AddNode(self.node)
        if before is not None:
            selection.SetReferenceActivePlaceNodeClassName(before[0])
            selection.SetReferenceActivePlaceNodeID(before[1])


def crosshair_of(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLCrosshairNode:
    """The scene's one crosshair node; made where there is no application that has made it."""
    node = scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    return node if node is not None else scene.AddNode(slicer.vtkMRMLCrosshairNode())


def _style(display: slicer.vtkMRMLMarkupsDisplayNode) -> None:
    display.VisibilityOff()
    display.Visibility3DOff()
    _paint(display, MARKER_COLOUR)
    display.SetGlyphTypeFromString("CrossDot2D")
    display.SetGlyphScale(MARKER_SIZE_PERCENT)
    display.PointLabelsVisibilityOff()
    display.PropertiesLabelVisibilityOff()


def _paint(display: slicer.vtkMRMLMarkupsDisplayNode, colour: Colour) -> None:
    modified = display.StartModify()
    display.SetColor(*colour)
    display.SetSelectedColor(*colour)
    display.EndModify(modified)


def _distance_to_slice_mm(view: slicer.vtkMRMLSliceNode, point_ras: Sequence[float]) -> float:
    plane = view.GetSliceToRAS()
    return sum((point_ras[row] - plane.GetElement(row, 3)) * plane.GetElement(row, 2) for row in range(3))
