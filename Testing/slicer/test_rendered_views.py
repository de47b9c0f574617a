# ruff: noqa: E402  # without Slicer's core the file is skipped before it imports what needs it
"""What a user sees in the six views, drawn off-screen by Slicer's own displayable managers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import vtk

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.imaging.phantom import head_phantom
from MedTranslateLib.mrml.cursor import LinkedCursor
from MedTranslateLib.mrml.layout import (
    COMPARE_LAYOUT_ID,
    after_import,
    compare_layout_xml,
    fit_view,
    fit_views,
    layout_node,
    show_compare,
    show_compare_layout,
)
from MedTranslateLib.mrml.synthetic_label import SyntheticLabels

SOURCE_TAGS, OUTPUT_TAGS = ("Red", "Yellow", "Green"), ("Red+", "Yellow+", "Green+")
PLACE_MM = (18.0, 21.0, 9.0)
"""Beside the middle of the head."""


@pytest.fixture
def geometry(known: SimpleNamespace) -> Geometry:
    """Large enough for a head."""
    tilted = known.oblique_grid()
    matrix = tilted.ijk_to_ras.copy()
    matrix[:3, :3] = tilted.direction_ras @ np.diag([3.0, 3.4, 5.0])
    return Geometry((64, 66, 40), matrix)


@pytest.fixture
def views(
    scene: slicer.vtkMRMLScene,
    geometry: Geometry,
    known: SimpleNamespace,
    add_to_scene: Callable,
    drawn_views: Callable,
) -> Iterator[SimpleNamespace]:
    """A head and its squeezed twin in the compare views, with linked cursor and labels."""
    head = head_phantom(geometry)
    truth = known.squeeze(geometry)
    nodes = add_to_scene(
        geometry,
        known.correspondence_of(geometry, truth),
        source=head,
        translated=head.with_array(900 - head.array_kji),
    )
    for node in (nodes.source, nodes.output):
        node.GetDisplayNode().AutoWindowLevelOff()
        node.GetDisplayNode().SetWindowLevelMinMax(0, 1000)
    views = drawn_views()
    show_compare(scene, nodes)
    fit_views(scene)
    labels = SyntheticLabels(scene, lambda: {tag: view.renderer for tag, view in views.items()})
    cursor = LinkedCursor(scene, nodes, lambda _: None)
    point = known.middle_of(geometry) + PLACE_MM
    yield SimpleNamespace(drawn=views, nodes=nodes, truth=truth, labels=labels, cursor=cursor, point=point)
    cursor.close()
    labels.close()


def pictures(views: SimpleNamespace, folder: Path) -> dict[str, np.ndarray]:
    return {tag: view.draw(folder / f"{tag}.png") for tag, view in views.drawn.items()}


def marker_pixels(picture: np.ndarray) -> np.ndarray:
    """(x, y) of the pixels in the marker's green, which no grey image has."""
    red, green, blue = np.moveaxis(picture, -1, 0)
    y, x = np.nonzero((green > 150) & (green > red + 80) & (green > blue + 60))
    return np.stack([x, y], axis=-1)


def label_pixels(picture: np.ndarray) -> np.ndarray:
    """(x, y) of the pixels in the label's yellow."""
    red, green, blue = np.moveaxis(picture, -1, 0)
    y, x = np.nonzero((red > 180) & (green > 140) & (blue < red - 100))
    return np.stack([x, y], axis=-1)


@pytest.mark.parametrize(
    ("mouse", "there", "here"), [("Red", OUTPUT_TAGS, SOURCE_TAGS), ("Yellow+", SOURCE_TAGS, OUTPUT_TAGS)]
)
def test_the_marker_is_drawn_at_the_partner_in_all_views_of_the_other_side_alone(
    views: SimpleNamespace, hover: Callable, tmp_path: Path, mouse: str, there: tuple, here: tuple
) -> None:
    hover(mouse, views.point)
    partner = views.truth.to_output(views.point) if mouse == "Red" else views.truth.to_source(views.point)
    drawn = pictures(views, tmp_path)
    for tag in there:
        green = marker_pixels(drawn[tag])
        assert len(green) > 20, tag
        np.testing.assert_allclose(green.mean(axis=0), views.drawn[tag].xy_of(partner), atol=1.5)
        assert np.ptp(green, axis=0).max() < 40
    for tag in here:
        assert len(marker_pixels(drawn[tag])) == 0, tag


def test_the_other_sides_picture_shows_the_tissue_that_the_partner_lies_in(
    views: SimpleNamespace, geometry: Geometry, hover: Callable, tmp_path: Path
) -> None:
    hover("Green", views.point)
    views.cursor.enabled = False  # no marker over the pixels that are compared
    value = 900 - head_phantom(geometry).array_kji
    for tag in OUTPUT_TAGS:
        x, y = np.rint(views.drawn[tag].xy_of(views.truth.to_output(views.point))).astype(int)
        k, j, i = np.rint(geometry.ijk_from_ras(views.truth.to_output(views.point))).astype(int)[::-1]
        picture = views.drawn[tag].draw(tmp_path / f"{tag}.png")
        neighbourhood = value[k - 1 : k + 2, j - 1 : j + 2, i - 1 : i + 2] * 255 / 1000
        assert neighbourhood.min() - 2 <= picture[y, x, 0] <= neighbourhood.max() + 2


def test_when_the_mouse_leaves_no_marker_is_drawn(
    views: SimpleNamespace, scene: slicer.vtkMRMLScene, hover: Callable, tmp_path: Path
) -> None:
    hover("Red", views.point)
    assert len(marker_pixels(views.drawn["Red+"].draw())) > 20
    scene.GetFirstNodeByClass("vtkMRMLCrosshairNode").SetCursorPositionInvalid()
    for tag, picture in pictures(views, tmp_path).items():
        assert len(marker_pixels(picture)) == 0, tag


def test_the_label_is_drawn_in_output_views_alone(views: SimpleNamespace, tmp_path: Path) -> None:
    for tag, picture in pictures(views, tmp_path).items():
        yellow = label_pixels(picture)
        if tag in SOURCE_TAGS:
            assert len(yellow) == 0, tag
            continue
        assert len(yellow) > 200, tag
        rows, columns, _ = picture.shape
        assert yellow[:, 1].min() > 0.9 * rows
        assert abs(np.mean([yellow[:, 0].min(), yellow[:, 0].max()]) - columns / 2) < 5
        assert 0.4 * columns < np.ptp(yellow[:, 0]) < 0.9 * columns


def test_the_label_follows_the_output_into_another_view(
    views: SimpleNamespace, scene: slicer.vtkMRMLScene, tmp_path: Path
) -> None:
    composites = {tag: scene.GetSingletonNode(tag, "vtkMRMLSliceCompositeNode") for tag in ("Red", "Red+")}
    composites["Red"].SetForegroundVolumeID(views.nodes.output.GetID())
    composites["Red+"].SetBackgroundVolumeID(views.nodes.source.GetID())
    drawn = pictures(views, tmp_path)
    assert len(label_pixels(drawn["Red"])) > 200
    assert len(label_pixels(drawn["Red+"])) == 0


@pytest.mark.parametrize("pixels", [(320, 260), (150, 420), (500, 120)])
def test_all_of_the_image_is_in_each_view_and_its_middle_in_the_middle(
    views: SimpleNamespace, scene: slicer.vtkMRMLScene, geometry: Geometry, known: SimpleNamespace, pixels: tuple
) -> None:
    for view in views.drawn.values():
        view.node.SetDimensions(*pixels, 1)
        view.node.SetSliceOrigin(30, -20, 0)  # as after panning
    fit_views(scene)
    size = np.array(geometry.size_ijk)
    corners = geometry.ras_from_ijk(np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in size])).reshape(3, -1).T)
    for view in views.drawn.values():
        width, height, _ = view.node.GetDimensions()
        xy = np.array([view.xy_of(corner) for corner in corners])
        assert xy.min() > -1
        assert (xy.max(axis=0) < [width + 1, height + 1]).all()
        assert max(np.ptp(xy, axis=0) / [width, height]) > 0.97
        np.testing.assert_allclose(view.xy_of(known.middle_of(geometry)), [width / 2, height / 2], atol=0.5)


def test_slicers_crosshair_and_the_marker_are_drawn_side_by_side(
    views: SimpleNamespace, scene: slicer.vtkMRMLScene, hover: Callable, tmp_path: Path
) -> None:
    crosshair = scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    crosshair.SetCrosshairMode(slicer.vtkMRMLCrosshairNode.ShowBasic)
    hover("Red", views.point)
    crosshair.SetCrosshairRAS(views.point.tolist())
    drawn = pictures(views, tmp_path)
    row = round(views.drawn["Red"].xy_of(views.point)[1])
    line = drawn["Red"][row - 1 : row + 2, 5:30]
    assert ((line[..., 0] > 100) & (line[..., 2] < 50)).any(axis=0).all()  # Slicer's yellow, blended over two rows
    assert len(marker_pixels(drawn["Red+"])) > 20


def test_a_hundred_moves_draw_nothing_by_themselves(
    views: SimpleNamespace, hover: Callable, geometry: Geometry
) -> None:
    for view in views.drawn.values():
        view.draw()
    drawn: list[Any] = []
    for view in views.drawn.values():
        view.window.AddObserver("StartEvent", lambda *_: drawn.append(1))
    for step in range(100):
        hover("Red", geometry.ras_from_ijk([20 + 0.2 * step, 33, 20]))
    assert drawn == []


def test_showing_a_result_sets_layout_groups_links_and_layers(
    views: SimpleNamespace, scene: slicer.vtkMRMLScene
) -> None:
    for tag in (*SOURCE_TAGS, *OUTPUT_TAGS):
        composite = scene.GetSingletonNode(tag, "vtkMRMLSliceCompositeNode")
        composite.SetForegroundVolumeID(views.nodes.source.GetID())
        composite.SetLabelVolumeID(views.nodes.validity.GetID())
        composite.LinkedControlOff()
    models = scene.GetNumberOfNodesByClass("vtkMRMLModelNode")
    show_compare(scene, views.nodes)
    assert scene.GetFirstNodeByClass("vtkMRMLLayoutNode").GetViewArrangement() == COMPARE_LAYOUT_ID
    for tags, volume, group in ((SOURCE_TAGS, views.nodes.source, 0), (OUTPUT_TAGS, views.nodes.output, 1)):
        for tag in tags:
            composite = scene.GetSingletonNode(tag, "vtkMRMLSliceCompositeNode")
            assert composite.GetBackgroundVolumeID() == volume.GetID()
            assert (composite.GetForegroundVolumeID(), composite.GetLabelVolumeID()) == (None, None)
            assert composite.GetLinkedControl()
            assert scene.GetSingletonNode(tag, "vtkMRMLSliceNode").GetViewGroup() == group
    # an application's views have their slice models already
    assert scene.GetNumberOfNodesByClass("vtkMRMLModelNode") == models == 6


def test_the_middle_slice_goes_through_voxel_centres(
    views: SimpleNamespace, scene: slicer.vtkMRMLScene, geometry: Geometry
) -> None:
    middle = geometry.ras_from_ijk(np.array(geometry.size_ijk) // 2)
    for view in views.drawn.values():
        plane = np.array([[view.node.GetSliceToRAS().GetElement(r, c) for c in range(4)] for r in range(4)])
        assert (middle - plane[:3, 3]) @ plane[:3, 2] == pytest.approx(0, abs=1e-6)
        spacing = np.abs(geometry.ijk_to_ras[:3, :3].T @ plane[:3, 2]).max()
        assert view.node.GetFieldOfView()[2] == pytest.approx(spacing)


def test_a_source_under_a_transform_is_fitted_where_it_is(
    views: SimpleNamespace, scene: slicer.vtkMRMLScene, geometry: Geometry, known: SimpleNamespace
) -> None:
    moved = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy((0, -1, 0, 40, 1, 0, 0, -25, 0, 0, 1, 60, 0, 0, 0, 1))
    moved.SetMatrixTransformToParent(matrix)
    views.nodes.source.SetAndObserveTransformNodeID(moved.GetID())
    show_compare(scene, views.nodes)
    red = views.drawn["Red"]
    width, height, _ = red.node.GetDimensions()
    r, a, s = known.middle_of(geometry)
    np.testing.assert_allclose(red.xy_of([40 - a, r - 25, s + 60]), [width / 2, height / 2], atol=0.5)
    r, a, s = geometry.ras_from_ijk(np.array(geometry.size_ijk) // 2)
    plane = np.array([[red.node.GetSliceToRAS().GetElement(r, c) for c in range(4)] for r in range(4)])
    assert ([40 - a, r - 25, s + 60] - plane[:3, 3]) @ plane[:3, 2] == pytest.approx(0, abs=1e-6)


def test_a_view_that_shows_nothing_or_that_is_missing_is_left_alone(scene: slicer.vtkMRMLScene) -> None:
    red = scene.GetSingletonNode("Red", "vtkMRMLSliceNode")
    before = red.GetFieldOfView()
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    scene.RemoveNode(scene.GetSingletonNode("Green+", "vtkMRMLSliceNode"))
    fit_views(scene)
    fit_view(red, empty)
    assert red.GetFieldOfView() == before


def test_after_an_import_the_layout_that_the_file_asks_for_is_known_again(
    scene: slicer.vtkMRMLScene, tmp_path: Path
) -> None:
    show_compare_layout(layout_node(scene))
    scene.SetURL(str(tmp_path / "saved.mrml"))
    scene.Commit()
    fresh = slicer.vtkMRMLScene()
    logic = slicer.vtkMRMLLayoutLogic()
    logic.SetMRMLScene(fresh)
    fresh.SetURL(str(tmp_path / "saved.mrml"))
    fresh.Import()
    layout = layout_node(fresh)
    assert layout.GetViewArrangement() == COMPARE_LAYOUT_ID
    assert not layout.IsLayoutDescription(COMPARE_LAYOUT_ID)
    after_import(fresh)
    assert layout.GetCurrentLayoutDescription() == compare_layout_xml()
    assert fresh.GetSingletonNode("Green+", "vtkMRMLSliceNode").GetViewGroup() == 1
