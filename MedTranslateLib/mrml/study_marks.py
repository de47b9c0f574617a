"""Clicks into the view of an image in, marks on suspicious places out, in RAS mm."""

from __future__ import annotations

from collections.abc import Callable

import slicer
import vtk

from MedTranslateLib.studies.study import Point

NAME = "Mark"
COLOUR = (1.0, 0.85, 0.2)
GLYPH_PERCENT = 2.5
STILL_PIXELS = 3
"""A button that is released farther away than this from where it was pressed has dragged, not clicked."""
ABOVE_SLICERS_OWN = 2.0


class StudyMarks:
    """Lets a reader place marks by clicking, in one case after the other; they are drawn where they lie, never saved.

    Args:
        scene: The scene.
        view: The image's view.
        interactor: Tells of the mouse in it.
        on_change: Called after each mark that comes or goes.
    """

    def __init__(
        self,
        scene: slicer.vtkMRMLScene,
        view: slicer.vtkMRMLSliceNode,
        interactor: vtk.vtkRenderWindowInteractor,
        on_change: Callable[[], None],
    ) -> None:
        self._scene, self._view, self._interactor = scene, view, interactor
        self._on_change = on_change
        self._pressed: tuple[int, int] | None = None
        self._node = self._add_node()
        self._tags = [
            interactor.AddObserver("LeftButtonPressEvent", self._press, ABOVE_SLICERS_OWN),
            interactor.AddObserver("LeftButtonReleaseEvent", self._release, ABOVE_SLICERS_OWN),
        ]
        self.enabled = False

    @property
    def points(self) -> tuple[Point, ...]:
        """The marks, in RAS mm, in the order in which they were placed."""
        return tuple(self._point(index) for index in range(self._node.GetNumberOfControlPoints()))

    def add(self, point_ras: Point) -> None:
        """Places a mark.

        Args:
            point_ras: Where, in RAS mm.
        """
        number = self._node.AddControlPoint(vtk.vtkVector3d(*point_ras))
        self._node.SetNthControlPointLabel(number, str(number + 1))
        self._changed()

    def remove_last(self) -> None:
        """Takes the last mark away, where there is one."""
        count = self._node.GetNumberOfControlPoints()
        if count:
            self._node.RemoveNthControlPoint(count - 1)
            self._changed()

    def clear(self) -> None:
        """Takes all marks away, for another case."""
        if self._node.GetNumberOfControlPoints():
            self._node.RemoveAllControlPoints()

    def show(self, visible: bool) -> None:  # noqa: FBT001  # a setter
        """Shows or hides the marks.

        Args:
            visible: Whether they are seen.
        """
        self._node.GetDisplayNode().SetVisibility(visible)

    def close(self) -> None:
        """Takes the marks away; again is harmless."""
        for tag in self._tags:
            self._interactor.RemoveObserver(tag)
        self._tags, self.enabled = [], False
        if self._scene.IsNodePresent(self._node):
            display = self._node.GetDisplayNode()
            self._scene.RemoveNode(self._node)
            self._scene.RemoveNode(display)

    def _add_node(self) -> slicer.vtkMRMLMarkupsFiducialNode:
        node = slicer.vtkMRMLMarkupsFiducialNode()
        node.SetName(NAME)
        node.HideFromEditorsOn()
        node.SaveWithSceneOff()
        node = self._scene.AddNode(node)
        node.CreateDefaultDisplayNodes()
        node.LockedOn()
        display = node.GetDisplayNode()
        display.SaveWithSceneOff()
        display.SetSelectedColor(*COLOUR)
        display.SetGlyphScale(GLYPH_PERCENT)
        display.PointLabelsVisibilityOn()
        display.SetViewNodeIDs([self._view.GetID()])
        return node

    def _point(self, index: int) -> Point:
        place = [0.0] * 3
        self._node.GetNthControlPointPositionWorld(index, place)
        return (place[0], place[1], place[2])

    def _press(self, *_: object) -> None:
        self._pressed = self._interactor.GetEventPosition()

    def _release(self, *_: object) -> None:
        pressed, self._pressed = self._pressed, None
        x, y = self._interactor.GetEventPosition()
        still = pressed is not None and max(abs(x - pressed[0]), abs(y - pressed[1])) <= STILL_PIXELS
        if self.enabled and still:
            r, a, s, _ = self._view.GetXYToRAS().MultiplyPoint((x, y, 0.0, 1.0))
            self.add((r, a, s))

    def _changed(self) -> None:
        self._on_change()
