# ruff: noqa: E402  # without Slicer's core the file is skipped before it imports what needs it
"""Marks on suspicious places lie where the reader clicked, and the cursor is followed only where a study allows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

import vtk

from MedTranslateLib.mrml.study_cursor import StudyCursor
from MedTranslateLib.mrml.study_layout import Place, view_at
from MedTranslateLib.mrml.study_marks import StudyMarks

WIDTH, HEIGHT, FIELD_MM = 300, 200, 150.0


class Clicked:
    """A view, its marks and a mouse."""

    def __init__(self, scene: Any) -> None:
        self.view = view_at(scene, Place.FIRST)
        self.view.SetOrientation("Axial")
        self.view.SetDimensions(WIDTH, HEIGHT, 1)
        self.view.SetFieldOfView(FIELD_MM, FIELD_MM * HEIGHT / WIDTH, 1)
        self.view.JumpSliceByCentering(10, -20, 35)
        self.interactor = vtk.vtkRenderWindowInteractor()
        self.changes = 0
        self.marks = StudyMarks(scene, self.view, self.interactor, self._changed)
        self.marks.enabled = True

    def click(self, x: int, y: int, *, released_at: tuple[int, int] | None = None) -> None:
        self.interactor.SetEventPosition(x, y)
        self.interactor.InvokeEvent("LeftButtonPressEvent")
        self.interactor.SetEventPosition(*(released_at or (x, y)))
        self.interactor.InvokeEvent("LeftButtonReleaseEvent")

    def _changed(self) -> None:
        self.changes += 1


@pytest.fixture
def clicked(scene: Any) -> Iterator[Clicked]:
    made = Clicked(scene)
    yield made
    made.marks.close()


def test_a_click_marks_the_place_below_the_pointer(clicked: Clicked) -> None:
    clicked.click(WIDTH // 2, HEIGHT // 2)
    clicked.click(WIDTH // 2 + 40, HEIGHT // 2 + 30)
    pixel_mm = FIELD_MM / WIDTH
    # In an axial view the patient's right is on the left, and the front is above.
    expected = [(10, -20, 35), (10 - 40 * pixel_mm, -20 + 30 * pixel_mm, 35)]
    np.testing.assert_allclose(clicked.marks.points, expected, atol=pixel_mm)
    assert clicked.changes == 2


def test_a_drag_marks_nothing_and_neither_does_a_click_that_nobody_asked_for(clicked: Clicked) -> None:
    clicked.click(100, 100, released_at=(100, 110))
    clicked.marks.enabled = False
    clicked.click(100, 100)
    assert clicked.marks.points == ()
    clicked.marks.enabled = True
    clicked.click(100, 100, released_at=(102, 99))
    assert len(clicked.marks.points) == 1


def test_the_last_mark_can_be_taken_back_and_another_case_begins_with_none(clicked: Clicked) -> None:
    clicked.click(100, 100)
    clicked.click(50, 60)
    first = clicked.marks.points[0]
    clicked.marks.remove_last()
    assert clicked.marks.points == (first,)
    clicked.marks.clear()
    clicked.marks.remove_last()
    assert clicked.marks.points == ()


def test_marks_leave_nothing_behind(scene: Any) -> None:
    view_at(scene, Place.FIRST)
    before = scene.GetNumberOfNodes()
    made = Clicked(scene)
    made.click(100, 100)
    made.marks.close()
    made.click(100, 100)
    assert scene.GetNumberOfNodes() == before
    made.marks.close()


def test_the_cursors_way_is_kept_only_where_the_study_says_so(
    scene: Any, hover: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("MedTranslateLib.mrml.study_cursor.EVERY_S", 0.0)
    view = scene.GetSingletonNode("Red", "vtkMRMLSliceNode")
    for traced in (True, False):
        cursor = StudyCursor(scene, linked=True, traced=traced)
        cursor.follow([view])
        hover("Red", (3.0, 4.0, 5.0))
        hover("Yellow", (7.0, 8.0, 9.0))  # of nobody's case
        assert [place[1:] for place in cursor.trace] == ([(3.0, 4.0, 5.0)] if traced else [])
        cursor.close()
        hover("Red", (1.0, 1.0, 1.0))
        assert len(cursor.trace) == traced


def test_a_trace_has_no_more_than_ten_places_a_second(scene: Any, hover: Callable) -> None:
    cursor = StudyCursor(scene, linked=False, traced=True)
    cursor.follow([scene.GetSingletonNode("Red", "vtkMRMLSliceNode")])
    for step in range(50):
        hover("Red", (float(step), 4.0, 5.0))
    seconds = [place[0] for place in cursor.trace]
    assert all(later - earlier >= 0.1 - 0.001 for earlier, later in pairwise(seconds))
    cursor.close()


def test_a_linked_cursor_shows_the_same_place_elsewhere_and_gives_the_crosshair_back(
    scene: Any, hover: Callable
) -> None:
    crosshair = scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    crosshair.SetCrosshairMode(slicer.vtkMRMLCrosshairNode.ShowHashmarks)
    cursor = StudyCursor(scene, linked=True, traced=False)
    cursor.follow([scene.GetSingletonNode(name, "vtkMRMLSliceNode") for name in ("Red", "Red+")])
    hover("Red", (3.0, 4.0, 5.0))
    np.testing.assert_allclose(crosshair.GetCrosshairRAS(), (3.0, 4.0, 5.0), atol=1e-4)
    assert crosshair.GetCrosshairMode() == slicer.vtkMRMLCrosshairNode.ShowSmallBasic
    cursor.stop()
    assert crosshair.GetCrosshairMode() == slicer.vtkMRMLCrosshairNode.NoCrosshair
    cursor.close()
    assert crosshair.GetCrosshairMode() == slicer.vtkMRMLCrosshairNode.ShowHashmarks
