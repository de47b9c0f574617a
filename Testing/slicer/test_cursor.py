# ruff: noqa: E402  # without Slicer's core the file is skipped before it imports what needs it
from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import vtk

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

from MedTranslateLib.core.correspondence import Correspondence
from MedTranslateLib.mrml.cursor import LinkedCursor
from MedTranslateLib.mrml.layout import composite_of, show_compare
from MedTranslateLib.mrml.mapping import ReadingState

SOURCE_TAGS, OUTPUT_TAGS = ("Red", "Yellow", "Green"), ("Red+", "Yellow+", "Green+")
VOXEL = (13.2, 11.4, 5.3)


class Desk:
    """The compare views with a result in them, a linked cursor, and what it said."""

    def __init__(self, scene: slicer.vtkMRMLScene, nodes: Any, truth: Any) -> None:
        self.scene, self.nodes, self.truth = scene, nodes, truth
        show_compare(scene, nodes)
        self.before = set(self.node_ids())
        self.readings: list = []
        self.cursor = LinkedCursor(scene, nodes, self.readings.append)

    def node_ids(self) -> list[str]:
        return [self.scene.GetNthNode(index).GetID() for index in range(self.scene.GetNumberOfNodes())]

    def view(self, tag: str) -> slicer.vtkMRMLSliceNode:
        return self.scene.GetSingletonNode(tag, "vtkMRMLSliceNode")

    def crosshair(self) -> slicer.vtkMRMLCrosshairNode:
        return self.scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")

    def distance_to_slice_mm(self, tag: str, point: Any) -> float:
        plane = np.array([[self.view(tag).GetSliceToRAS().GetElement(r, c) for c in range(4)] for r in range(4)])
        return abs(float((np.asarray(point) - plane[:3, 3]) @ plane[:3, 2]))

    def markers(self) -> dict[str, tuple[float, float, float]]:
        """Position of the marker that a view shows, by the view's name."""
        shown = {}
        for node in slicer_nodes(self.scene, "vtkMRMLMarkupsFiducialNode"):
            if node.GetDisplayNode().GetVisibility():
                for tag in (*SOURCE_TAGS, *OUTPUT_TAGS):
                    if node.GetDisplayNode().IsDisplayableInView(self.view(tag).GetID()):
                        position = [0.0, 0.0, 0.0]
                        node.GetNthControlPointPositionWorld(0, position)
                        assert tag not in shown
                        shown[tag] = tuple(position)
        return shown


def slicer_nodes(scene: slicer.vtkMRMLScene, kind: str) -> list:
    return [scene.GetNthNodeByClass(index, kind) for index in range(scene.GetNumberOfNodesByClass(kind))]


@pytest.fixture
def desk(scene: slicer.vtkMRMLScene, squeezed: tuple) -> Iterator[Desk]:
    made = Desk(scene, *squeezed)
    yield made
    made.cursor.close()


@pytest.fixture
def point(known: SimpleNamespace) -> np.ndarray:
    return known.oblique_grid().ras_from_ijk(VOXEL)


def test_over_the_source_the_partner_is_marked_in_the_outputs_views_alone(
    desk: Desk, hover: Callable, point: np.ndarray
) -> None:
    hover("Red", point)
    partner = desk.truth.to_output(point)
    assert set(desk.markers()) == set(OUTPUT_TAGS)
    for position in desk.markers().values():
        np.testing.assert_allclose(position, partner, atol=1e-3)
    (reading,) = desk.readings
    np.testing.assert_allclose(reading.source_ras, point, atol=1e-6)
    np.testing.assert_allclose(reading.output_ras, partner, atol=1e-3)
    assert (reading.state, reading.from_output) == (ReadingState.TRACED, False)


def test_over_the_output_the_partner_is_marked_in_the_sources_views_alone(
    desk: Desk, hover: Callable, point: np.ndarray
) -> None:
    hover("Red", point)
    hover("Green+", point)
    partner = desk.truth.to_source(point)
    assert set(desk.markers()) == set(SOURCE_TAGS)
    for position in desk.markers().values():
        np.testing.assert_allclose(position, partner, atol=1e-3)
    assert desk.readings[-1].from_output
    np.testing.assert_allclose(desk.readings[-1].source_ras, partner, atol=1e-3)


def test_the_other_sides_slices_go_through_the_partner_and_are_not_centred_on_it(
    desk: Desk, hover: Callable, point: np.ndarray
) -> None:
    def in_plane(tag: str) -> np.ndarray:
        plane = np.array([[desk.view(tag).GetSliceToRAS().GetElement(r, c) for c in range(4)] for r in range(4)])
        return plane[:3, :2].T @ plane[:3, 3]

    before = {tag: in_plane(tag) for tag in OUTPUT_TAGS}
    hover("Yellow", point)
    for tag in OUTPUT_TAGS:
        assert desk.distance_to_slice_mm(tag, desk.truth.to_output(point)) < 2e-3
        np.testing.assert_allclose(in_plane(tag), before[tag], atol=1e-6)


def test_a_move_tells_each_slice_of_the_other_side_once_and_none_of_its_own(
    desk: Desk, hover: Callable, point: np.ndarray
) -> None:
    hover("Red", point)
    told: list[str] = []
    tags = (*SOURCE_TAGS, *OUTPUT_TAGS)
    for tag in tags:
        desk.view(tag).AddObserver(vtk.vtkCommand.ModifiedEvent, lambda node, _: told.append(node.GetLayoutName()))
    view = desk.view("Red")
    desk.crosshair().SetCursorPositionXYZ([90.0, 100.0, 0.0], view)
    assert sorted(told) == sorted(OUTPUT_TAGS)
    told.clear()
    desk.crosshair().SetCursorPositionXYZ([90.0, 100.0, 0.0], view)
    assert told == []


def test_when_the_reading_comes_marker_and_slices_are_there(
    scene: slicer.vtkMRMLScene, squeezed: tuple, hover: Callable, point: np.ndarray
) -> None:
    nodes, truth = squeezed
    show_compare(scene, nodes)
    seen = []

    def look(_: object) -> None:
        seen.append([desk.distance_to_slice_mm(tag, truth.to_output(point)) for tag in OUTPUT_TAGS])
        seen.append(list(desk.markers()))

    desk = Desk(scene, nodes, truth)
    cursor = LinkedCursor(scene, nodes, look)
    desk.cursor.close()
    hover("Red", point)
    cursor.close()
    assert max(seen[0]) < 2e-3
    assert set(seen[1]) == set(OUTPUT_TAGS)


def test_outside_nothing_moves_and_nothing_is_marked_but_there_is_a_reading(
    desk: Desk, hover: Callable, known: SimpleNamespace, point: np.ndarray
) -> None:
    hover("Red", point)
    before = [desk.view(tag).GetSliceOffset() for tag in OUTPUT_TAGS]
    hover("Red", known.oblique_grid().ras_from_ijk([-4, 11, 5]))
    assert [desk.view(tag).GetSliceOffset() for tag in OUTPUT_TAGS] == before
    assert desk.markers() == {}
    assert desk.readings[-1].state is ReadingState.OUTSIDE


def test_when_the_mouse_leaves_the_views_the_marker_goes_and_that_is_told_once(
    desk: Desk, hover: Callable, point: np.ndarray
) -> None:
    desk.crosshair().SetCursorPositionInvalid()
    assert desk.readings == []
    hover("Red", point)
    desk.crosshair().SetCursorPositionInvalid()
    desk.crosshair().SetCursorPositionInvalid()
    assert desk.readings[1:] == [None]
    assert desk.markers() == {}


def test_a_position_in_a_3d_view_is_not_followed(desk: Desk, hover: Callable, point: np.ndarray) -> None:
    hover("Red", point)
    desk.crosshair().SetCursorPositionRAS(point.tolist())
    assert desk.readings[1:] == [None]
    assert desk.markers() == {}


def test_switched_off_it_follows_nothing_and_switched_on_it_goes_on_where_the_mouse_is(
    desk: Desk, hover: Callable, point: np.ndarray
) -> None:
    hover("Red", point)
    desk.cursor.enabled = False
    assert desk.readings[1:] == [None]
    assert desk.markers() == {}
    hover("Green", point + 1)
    assert len(desk.readings) == 2
    desk.cursor.enabled = True
    np.testing.assert_allclose(desk.readings[2].source_ras, point + 1, atol=1e-6)
    assert set(desk.markers()) == set(OUTPUT_TAGS)


def test_closed_it_leaves_nothing_in_the_scene(desk: Desk, hover: Callable, point: np.ndarray) -> None:
    hover("Red", point)
    assert set(desk.node_ids()) - desk.before
    for _ in range(2):
        desk.cursor.close()
    assert set(desk.node_ids()) == desk.before
    assert not desk.crosshair().HasObserver(slicer.vtkMRMLCrosshairNode.CursorPositionModifiedEvent)
    assert desk.readings[1:] == [None]
    desk.cursor.enabled = True
    assert not desk.cursor.enabled


def test_it_ends_with_the_scene_before_any_node_goes(desk: Desk, hover: Callable, point: np.ndarray) -> None:
    images_there = []

    def look(_: object) -> None:
        images_there.append(all(map(desk.scene.IsNodePresent, (desk.nodes.source, desk.nodes.output))))

    other = LinkedCursor(desk.scene, desk.nodes, look)
    hover("Red", point)
    desk.scene.Clear(False)
    assert desk.cursor.closed
    assert other.closed
    assert desk.readings[1:] == [None]
    assert images_there == [True, True]
    assert slicer_nodes(desk.scene, "vtkMRMLMarkupsFiducialNode") == []
    desk.crosshair().SetCursorPositionXYZ([90.0, 100.0, 0.0], desk.view("Red"))
    assert len(desk.readings) == 2


@pytest.mark.parametrize("role", ["source", "output", "forward", "inverse", "validity"])
def test_it_ends_when_a_node_that_it_needs_is_deleted(
    desk: Desk, hover: Callable, point: np.ndarray, role: str
) -> None:
    hover("Red+", point)
    desk.scene.RemoveNode(getattr(desk.nodes, role))
    assert desk.cursor.closed
    assert desk.readings[1:] == [None]
    assert desk.markers() == {}
    hover("Red+", point + 1)
    assert len(desk.readings) == 2


def test_it_goes_on_when_other_nodes_are_deleted(desk: Desk, hover: Callable, point: np.ndarray) -> None:
    desk.scene.RemoveNode(desk.nodes.provenance)
    hover("Red", point)
    assert not desk.cursor.closed
    assert len(desk.readings) == 1


def show(desk: Desk, tag: str, background: Any, foreground: Any = None) -> None:
    composite = composite_of(desk.view(tag))
    composite.SetBackgroundVolumeID(background.GetID() if background else None)
    composite.SetForegroundVolumeID(foreground.GetID() if foreground else None)


def test_what_a_view_shows_says_which_side_it_is(desk: Desk, hover: Callable, point: np.ndarray) -> None:
    source, output = desk.nodes.source, desk.nodes.output
    show(desk, "Red", output)
    show(desk, "Red+", source)
    show(desk, "Yellow", None, output)
    show(desk, "Yellow+", source, output)
    show(desk, "Green", desk.nodes.validity)
    show(desk, "Green+", None)
    hover("Red", point)
    assert desk.readings[-1].from_output
    assert set(desk.markers()) == {"Red+", "Yellow+"}
    hover("Yellow+", point)
    assert not desk.readings[-1].from_output
    assert set(desk.markers()) == {"Red", "Yellow", "Green", "Green+"}


def test_a_view_of_another_results_image_belongs_to_no_side(
    desk: Desk, hover: Callable, point: np.ndarray, add_to_scene: Callable, known: SimpleNamespace
) -> None:
    geometry = known.oblique_grid()
    other = add_to_scene(geometry, Correspondence.identity(geometry))
    show(desk, "Red+", other.output)
    hover("Red", point)
    assert set(desk.markers()) == {"Yellow+", "Green+"}
    hover("Red+", point)
    assert desk.readings[-1] is None


def test_views_of_any_layout_take_part_and_those_that_are_not_on_the_screen_do_not(
    desk: Desk, hover: Callable, point: np.ndarray
) -> None:
    extra = slicer.vtkMRMLSliceNode()
    extra.SetLayoutName("Slice4")
    extra.SetName("Slice4")
    extra = desk.scene.AddNode(extra)
    show(desk, "Slice4", desk.nodes.output)
    for tag in ("Red", "Slice4", "Green+"):
        desk.view(tag).SetMappedInLayout(True)
    hidden = desk.view("Red+").GetSliceOffset()
    hover("Red", point)
    assert desk.distance_to_slice_mm("Slice4", desk.truth.to_output(point)) < 2e-3
    assert desk.view("Red+").GetSliceOffset() == hidden
    assert set(desk.markers()) == {"Green+"}
    (marker,) = [node for node in slicer_nodes(desk.scene, "vtkMRMLMarkupsFiducialNode") if node.GetDisplayVisibility()]
    assert set(marker.GetDisplayNode().GetViewNodeIDs()) == {extra.GetID(), desk.view("Green+").GetID()}


def test_without_a_view_of_the_other_side_no_view_shows_a_marker(
    desk: Desk, hover: Callable, point: np.ndarray
) -> None:
    hover("Red", point)
    for tag in OUTPUT_TAGS:
        show(desk, tag, desk.nodes.source)
    hover("Red", point + 1)
    assert desk.markers() == {}
    assert desk.readings[-1].state is ReadingState.TRACED


def test_markers_cannot_be_listed_picked_undone_or_saved(desk: Desk, tmp_path: Path) -> None:
    markers = slicer_nodes(desk.scene, "vtkMRMLMarkupsFiducialNode")
    assert len(markers) == 2
    for marker in markers:
        assert marker.GetLocked()
        assert not marker.GetSelectable()
        for node in (marker, marker.GetDisplayNode()):
            assert node.GetHideFromEditors()
            assert not node.GetSaveWithScene()
            assert not node.GetUndoEnabled()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(desk.scene)
    assert [hierarchy.GetItemByDataNode(marker) for marker in markers] == [0, 0]
    desk.scene.SetURL(str(tmp_path / "saved.mrml"))
    desk.scene.Commit()
    assert "Markups" not in (tmp_path / "saved.mrml").read_text(encoding="utf-8")


def test_the_users_next_click_does_not_go_into_a_marker(
    application: slicer.vtkMRMLApplicationLogic, scene: slicer.vtkMRMLScene, squeezed: tuple
) -> None:
    selection = application.GetSelectionNode()
    mine = scene.AddNewNodeByClass("vtkMRMLMarkupsCurveNode", "mine")
    assert selection.GetActivePlaceNodeID() == mine.GetID()
    desk = Desk(scene, *squeezed)
    assert selection.GetActivePlaceNodeID() == mine.GetID()
    assert selection.GetActivePlaceNodeClassName() == "vtkMRMLMarkupsCurveNode"
    desk.cursor.close()


def test_a_view_that_tells_the_position_again_while_slices_move_is_not_followed_twice(
    desk: Desk, hover: Callable, point: np.ndarray
) -> None:
    def tell_again(*_: object) -> None:
        desk.crosshair().InvokeEvent(slicer.vtkMRMLCrosshairNode.CursorPositionModifiedEvent)

    for tag in OUTPUT_TAGS:
        desk.view(tag).AddObserver(vtk.vtkCommand.ModifiedEvent, tell_again)
    hover("Red", point)
    assert len(desk.readings) == 1


def test_scrolling_the_slice_under_the_mouse_is_followed_too(desk: Desk, hover: Callable, point: np.ndarray) -> None:
    hover("Red", point)
    view = desk.view("Red")
    view.SetSliceOffset(view.GetSliceOffset() + 5)
    xyz = [0.0, 0.0, 0.0]
    desk.crosshair().GetCursorPositionXYZ(xyz)
    desk.crosshair().SetCursorPositionXYZ(xyz, view)  # as the crosshair's displayable manager does
    moved = np.array(desk.readings[1].source_ras) - desk.readings[0].source_ras
    assert np.linalg.norm(moved) == pytest.approx(5)
