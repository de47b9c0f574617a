# ruff: noqa: E402  # without Slicer's core the file is skipped before it imports what needs it
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

from MedTranslateLib.core.correspondence import Correspondence, DisplacementField, Origin
from MedTranslateLib.core.errors import RequestError
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.mrml.layout import OUTPUT_VIEWS, SOURCE_VIEWS, Side, fit_views, show_compare
from MedTranslateLib.mrml.overlays import FieldOverlay, field_over, hide_fields, show_field
from MedTranslateLib.mrml.scene import ResultNodes

DRAWN = [FieldOverlay.GLYPH, FieldOverlay.GRID, FieldOverlay.CONTOUR]
SIZE = (41, 37, 25)
SPACING = (2.0, 2.4, 3.5)
MIDDLE = np.array([10.0, -20.0, 30.0])


def upright() -> Geometry:
    """Along the patient's axes, so that millimetres in a view are millimetres of the grid; anisotropic."""
    matrix = np.diag([*SPACING, 1.0])
    matrix[:3, 3] = MIDDLE - np.array(SPACING) * (np.array(SIZE) - 1) / 2
    return Geometry(SIZE, matrix)


def field_from(displacement: Callable[[np.ndarray], np.ndarray]) -> DisplacementField:
    """The field of a function of the place relative to the middle."""
    geometry = upright()
    k, j, i = np.indices(geometry.shape_kji)
    points = geometry.ras_from_ijk(np.stack([i, j, k], axis=-1))
    return DisplacementField(displacement(points - MIDDLE).astype(np.float32), geometry)


def cone(towards: float) -> DisplacementField:
    """As long as a tenth of the distance from the middle axis along S, along S itself, so it is not seen as arrows."""
    return field_from(lambda d: np.stack([0 * d[..., 0], 0 * d[..., 0], towards * np.hypot(d[..., 0], d[..., 1])], -1))


def ball(shift_mm: float, direction: tuple[float, float, float] = (-1.0, 0.0, 0.0)) -> DisplacementField:
    """To the patient's left, or elsewhere, inside 20 mm around the middle."""
    shift = shift_mm * np.array(direction)
    return field_from(lambda d: np.where(np.linalg.norm(d, axis=-1, keepdims=True) < 20, shift, 0.0))


@pytest.fixture
def shown(scene: Any, add_to_scene: Callable[..., Any], drawn_views: Callable[..., Any]) -> Callable[..., Any]:
    """Gives the nodes of a result with these fields, in drawn views that show nothing but what is laid over them."""

    def show(forward: DisplacementField, inverse: DisplacementField) -> tuple[ResultNodes, dict[str, Any]]:
        nodes = add_to_scene(upright(), Correspondence(forward, inverse, Origin.MODEL))
        show_compare(scene, nodes)
        views = drawn_views((240, 200))
        fit_views(scene)
        return nodes, views

    return show


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return np.abs(after - before).max(axis=-1) > 8


def overlay_nodes(scene: Any) -> list[Any]:
    return [node for node in scene.GetNodes() if node.GetAttribute("MedTranslate.role") == "overlay"]


@pytest.mark.parametrize("overlay", DRAWN)
def test_a_field_is_drawn_in_the_views_chosen_and_in_no_other(
    shown: Callable[..., Any], scene: Any, overlay: FieldOverlay
) -> None:
    skew = (-0.6, 0.64, 0.48)
    nodes, views = shown(ball(6.0, skew), ball(-6.0, skew))
    before = {tag: view.draw() for tag, view in views.items()}
    show_field(nodes.forward, overlay, ["Red+", scene.GetSingletonNode("Green+", "vtkMRMLSliceNode")])
    seen = {tag for tag, view in views.items() if changed(before[tag], view.draw()).any()}
    assert seen == {"Red+", "Green+"}
    show_field(nodes.forward, overlay, ["Yellow+"])
    seen = {tag for tag, view in views.items() if changed(before[tag], view.draw()).any()}
    assert seen == {"Yellow+"}
    assert show_field(nodes.forward, FieldOverlay.NONE, ["Yellow+"]) == "No field is drawn."
    assert not any(changed(before[tag], view.draw()).any() for tag, view in views.items())


def test_arrows_lead_from_points_of_the_output_to_where_they_came_from(shown: Callable[..., Any]) -> None:
    nodes, views = shown(ball(12.0), ball(-12.0))
    view = views["Red+"]
    before = view.draw()
    show_field(field_over(nodes, Side.OUTPUT), FieldOverlay.GLYPH, ["Red+"])
    y, x = np.nonzero(changed(before, view.draw()))
    pixel_mm = view.node.GetFieldOfView()[0] / 240
    # The patient's left is on the right: arrows start within 20 mm of the middle and end 12 mm further to the right.
    middle_x, middle_y = view.xy_of(MIDDLE)
    left, right = (middle_x - x.min()) * pixel_mm, (x.max() - middle_x) * pixel_mm
    assert 10 < left < 22
    assert right - left == pytest.approx(12, abs=2 * pixel_mm)
    assert (np.abs(y - middle_y) * pixel_mm).max() < 20 + 4  # half an arrow head


def test_contours_lie_where_the_displacement_has_their_length(shown: Callable[..., Any]) -> None:
    nodes, views = shown(cone(0.1), cone(-0.1))
    view = views["Red+"]
    before = view.draw()
    sentence = show_field(nodes.forward, FieldOverlay.CONTOUR, ["Red+"])
    # The longest vectors are at the corners: 0.1 * hypot(40 mm, 43.2 mm) = 5.9 mm.
    assert sentence == (
        "Lines of equal displacement from points of the output to their source: "
        "0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5 mm."
    )
    y, x = np.nonzero(changed(before, view.draw()))
    x0, y0 = view.xy_of(MIDDLE)
    radius_mm = np.hypot(x - x0, y - y0) * view.node.GetFieldOfView()[0] / 240
    inner = radius_mm[radius_mm < 37]  # beyond 40 mm the grid ends, and its rim with it
    assert np.abs(inner / 5 - np.round(inner / 5)).max() * 5 < 1.6
    assert set(np.round(inner / 5)) == {1, 2, 3, 4, 5, 6, 7}


def test_what_is_drawn_is_the_stored_field_and_ends_with_it(squeezed: tuple[Any, Any], scene: Any) -> None:
    nodes, mapping = squeezed
    for side, mapped in ((Side.OUTPUT, mapping.to_source), (Side.SOURCE, mapping.to_output)):
        hide_fields(scene)
        show_field(field_over(nodes, side), FieldOverlay.GRID, ["Red+"])
        (node,) = overlay_nodes(scene)
        to_parent = node.GetTransformToParent()
        geometry = Geometry((30, 26, 12), matrix_of(nodes.output))
        for ijk in np.random.default_rng(2).uniform(1, (28, 24, 10), (30, 3)):
            point = geometry.ras_from_ijk(ijk)
            np.testing.assert_allclose(to_parent.TransformPoint(point), mapped(point), atol=1e-3)
        for ijk in ((-1.5, 12, 5), (31, 3, 4), (15, 27.5, 2), (4, 4, 13)):
            point = geometry.ras_from_ijk(ijk)
            np.testing.assert_allclose(to_parent.TransformPoint(point), point, atol=1e-6)


@pytest.mark.parametrize("overlay", DRAWN)
def test_the_sentence_says_which_way_and_how_far(scene: Any, squeezed: tuple[Any, Any], overlay: FieldOverlay) -> None:
    nodes, _ = squeezed
    forward = show_field(nodes.forward, overlay, [view.tag for view in OUTPUT_VIEWS])
    inverse = show_field(nodes.inverse, overlay, [view.tag for view in SOURCE_VIEWS])
    assert "from points of the output to their source" in forward
    assert "from points of the source to where they went" in inverse
    assert " mm" in forward
    assert len(overlay_nodes(scene)) == 2


def test_short_arrows_are_drawn_longer_by_a_stated_round_factor(shown: Callable[..., Any]) -> None:
    nodes, _ = shown(ball(0.5), ball(-0.5))
    sentence = show_field(nodes.forward, FieldOverlay.GLYPH, ["Red+"])
    assert sentence == ("Arrows from points of the output to their source, up to 0.5 mm, drawn 10 times as long.")


def test_where_nothing_moved_a_sentence_says_so_and_nothing_is_added(scene: Any, add_to_scene: Any) -> None:
    nodes = add_to_scene(upright(), Correspondence.identity(upright()))
    count = scene.GetNumberOfNodes()
    for overlay in DRAWN:
        sentence = show_field(nodes.forward, overlay, ["Red+"])
        assert sentence == "same grid, no deformation: there is nothing to draw."
    assert scene.GetNumberOfNodes() == count


def test_a_displacement_too_small_to_see_is_not_called_none(shown: Callable[..., Any], scene: Any) -> None:
    nodes, _ = shown(ball(0.004), ball(-0.004))
    sentence = show_field(nodes.forward, FieldOverlay.GLYPH, ["Red+"])
    assert sentence == "The largest displacement is 0.0040 mm: too small to draw."
    assert not overlay_nodes(scene)


def test_without_a_view_nothing_is_drawn_anywhere(shown: Callable[..., Any], scene: Any) -> None:
    nodes, _ = shown(ball(6.0), ball(-6.0))
    show_field(nodes.forward, FieldOverlay.GLYPH, ["Red+"])
    assert show_field(nodes.forward, FieldOverlay.GLYPH, []) == "No view is chosen for the field."
    assert not overlay_nodes(scene)


def test_overlays_are_neither_listed_nor_saved_nor_left_behind(scene: Any, squeezed: tuple[Any, Any]) -> None:
    nodes, _ = squeezed
    before = {node.GetID() for node in scene.GetNodes()}
    for overlay in DRAWN:
        show_field(nodes.forward, overlay, ["Red+"])
    added = [node for node in scene.GetNodes() if node.GetID() not in before]
    assert len(added) == 3
    assert all(node.GetHideFromEditors() and not node.GetSaveWithScene() for node in added)
    assert not any(node.GetVisibility3D() for node in added if node.IsA("vtkMRMLDisplayNode"))
    scene.RemoveNode(nodes.forward)
    hide_fields(scene)
    assert {node.GetID() for node in scene.GetNodes()} == before - {nodes.forward.GetID()}


def test_the_overlay_of_a_deleted_field_goes_when_another_field_is_drawn(scene: Any, squeezed: tuple[Any, Any]) -> None:
    nodes, _ = squeezed
    show_field(nodes.forward, FieldOverlay.GRID, ["Red+"])
    scene.RemoveNode(nodes.forward)
    show_field(nodes.inverse, FieldOverlay.GRID, ["Red"])
    (node,) = overlay_nodes(scene)
    assert node.GetName().startswith(nodes.inverse.GetName())


def test_a_field_that_was_replaced_is_refused_and_its_overlay_goes(scene: Any, squeezed: tuple[Any, Any]) -> None:
    nodes, _ = squeezed
    show_field(nodes.forward, FieldOverlay.GRID, ["Red+"])
    nodes.forward.SetAndObserveTransformFromParent(slicer.vtkOrientedBSplineTransform())
    with pytest.raises(RequestError, match="expected the displacement field of a translation"):
        show_field(nodes.forward, FieldOverlay.GRID, ["Red+"])
    assert not overlay_nodes(scene)


def matrix_of(node: Any) -> np.ndarray:
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])
