# ruff: noqa: E402  # without Slicer's core the file is skipped before it imports what needs it
from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import vtk

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

from MedTranslateLib.core.correspondence import Correspondence, DisplacementField, Origin
from MedTranslateLib.core.errors import InvalidVolumeError
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.imaging.tracing import trace_point
from MedTranslateLib.mrml.mapping import PointTracer, Reading, ReadingState, position_text
from MedTranslateLib.mrml.sides import sides_of
from MedTranslateLib.mrml.transforms import grid_transform

COLUMNS, ROWS = 30, 26
INNER_VOXEL = (13, 11, 5)


def value_at(ijk: Any, first: float) -> float:
    """What `numbered` holds in a voxel."""
    i, j, k = ijk
    return first + i + COLUMNS * j + COLUMNS * ROWS * k


def shifted(geometry: Geometry, shift_mm: Any) -> Correspondence:
    """Every point of the output came from `shift_mm` beside it."""
    there = np.broadcast_to(np.float32(shift_mm), (*geometry.shape_kji, 3)).copy()
    return Correspondence(DisplacementField(there, geometry), DisplacementField(-there, geometry), Origin.MODEL)


@pytest.mark.parametrize("handedness", [1.0, -1.0])
@pytest.mark.parametrize("voxel", [(13, 11, 5), (12.3, 9.8, 5.6)])
def test_from_the_output_the_forward_field_leads_to_the_source(
    known: SimpleNamespace, add_to_scene: Callable, handedness: float, voxel: tuple
) -> None:
    geometry = known.oblique_grid(handedness=handedness)
    truth = known.squeeze(geometry)
    tracer = PointTracer(add_to_scene(geometry, known.correspondence_of(geometry, truth)))
    point = geometry.ras_from_ijk(voxel)
    reading = tracer.trace(point, from_output=True)
    np.testing.assert_allclose(reading.output_ras, point, atol=1e-9)
    np.testing.assert_allclose(reading.source_ras, truth.to_source(point), atol=1e-3)
    assert reading.partner_ras == reading.source_ras
    assert reading.displacement_mm == pytest.approx(np.linalg.norm(truth.to_source(point) - point), abs=1e-3)
    assert reading.displacement_mm > 2
    assert reading.det_j == pytest.approx(np.linalg.det(truth.matrix), abs=1e-4)
    assert reading.round_trip_mm < 1e-3
    assert (reading.state, reading.from_output) == (ReadingState.TRACED, True)


@pytest.mark.parametrize("handedness", [1.0, -1.0])
def test_from_the_source_the_inverse_field_leads_to_the_output(
    known: SimpleNamespace, add_to_scene: Callable, handedness: float
) -> None:
    geometry = known.oblique_grid(handedness=handedness)
    truth = known.squeeze(geometry)
    tracer = PointTracer(add_to_scene(geometry, known.correspondence_of(geometry, truth)))
    point = geometry.ras_from_ijk([14.2, 12.7, 6.1])
    reading = tracer.trace(point, from_output=False)
    np.testing.assert_allclose(reading.source_ras, point, atol=1e-9)
    np.testing.assert_allclose(reading.output_ras, truth.to_output(point), atol=1e-3)
    assert reading.partner_ras == reading.output_ras
    assert reading.det_j == pytest.approx(1 / np.linalg.det(truth.matrix), abs=1e-4)
    assert (reading.state, reading.from_output) == (ReadingState.TRACED, False)


def test_neither_direction_uses_the_other_field(known: SimpleNamespace, add_to_scene: Callable) -> None:
    geometry = known.oblique_grid()
    there, back = (np.broadcast_to(np.float32(shift), (*geometry.shape_kji, 3)) for shift in ([4, 0, 0], [0, 7, 0]))
    fields = (DisplacementField(vectors.copy(), geometry) for vectors in (there, back))
    tracer = PointTracer(add_to_scene(geometry, Correspondence(*fields, Origin.MODEL)))
    point = geometry.ras_from_ijk(INNER_VOXEL)
    np.testing.assert_allclose(tracer.trace(point, from_output=True).source_ras, point + np.array([4, 0, 0]), atol=1e-5)
    reading = tracer.trace(point, from_output=False)
    np.testing.assert_allclose(reading.output_ras, point + np.array([0, 7, 0]), atol=1e-5)
    assert reading.round_trip_mm == pytest.approx(np.hypot(4, 7), abs=1e-4)


def test_at_grid_points_of_any_field_it_agrees_with_the_library(known: SimpleNamespace, add_to_scene: Callable) -> None:
    geometry = known.oblique_grid(handedness=-1.0)
    random = np.random.default_rng(2)
    fields = (
        DisplacementField(random.normal(0, 0.6, (*geometry.shape_kji, 3)).astype(np.float32), geometry)
        for _ in range(2)
    )
    correspondence = Correspondence(*fields, Origin.MODEL)
    tracer = PointTracer(add_to_scene(geometry, correspondence))
    for voxel in random.integers(3, [27, 23, 9], (20, 3)):
        point = geometry.ras_from_ijk(voxel)
        for from_output in (True, False):
            ours = tracer.trace(point, from_output=from_output)
            library = trace_point(correspondence, point, from_output=from_output)
            np.testing.assert_allclose(ours.source_ras, library.source_ras, atol=1e-4)
            np.testing.assert_allclose(ours.output_ras, library.output_ras, atol=1e-4)
            # central differences over a voxel are the cubic's derivative at its grid points
            assert ours.det_j == pytest.approx(library.det_j, abs=1e-4)


def test_between_grid_points_the_determinant_is_that_of_the_interpolated_map(
    known: SimpleNamespace, add_to_scene: Callable
) -> None:
    geometry = Geometry((20, 18, 14), np.diag([2.0, 2.5, 3.0, 1.0]))
    bend = 0.004

    def bent(points: np.ndarray) -> np.ndarray:
        return points + np.stack([bend * points[..., 0] ** 2, 0 * points[..., 0], 0 * points[..., 0]], axis=-1)

    field = known.field_of(geometry, bent)
    tracer = PointTracer(add_to_scene(geometry, Correspondence(field, field, Origin.MODEL)))
    for r in (11.0, 16.3, 17.9, 20.6):
        # a cubic reproduces a parabola: d/dr (r + bend r^2)
        assert tracer.trace([r, 20.1, 18.4], from_output=True).det_j == pytest.approx(1 + 2 * bend * r, abs=1e-4)


def test_values_are_those_of_the_voxels_that_the_two_places_lie_in(
    known: SimpleNamespace, add_to_scene: Callable
) -> None:
    geometry = known.oblique_grid()
    # three voxels along i and minus two along j, exactly
    shift = geometry.ijk_to_ras[:3, :3] @ [3, -2, 0]
    tracer = PointTracer(add_to_scene(geometry, shifted(geometry, shift)))
    reading = tracer.trace(geometry.ras_from_ijk([13.4, 10.6, 5.3]), from_output=True)
    assert reading.output_value == value_at((13, 11, 5), first=0.5)
    assert reading.source_value == value_at((16, 9, 5), first=0)


@pytest.mark.parametrize(("beside", "state"), [(-0.49, ReadingState.TRACED), (-0.51, ReadingState.OUTSIDE)])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("far_end", [False, True])
def test_an_image_and_its_field_end_half_a_voxel_beyond_the_outermost_centres(
    known: SimpleNamespace, add_to_scene: Callable, beside: float, state: ReadingState, axis: int, far_end: bool
) -> None:
    geometry = known.oblique_grid()
    tracer = PointTracer(add_to_scene(geometry, shifted(geometry, [0, 0, 0])))
    voxel = np.array(INNER_VOXEL, dtype=float)
    voxel[axis] = geometry.size_ijk[axis] - 1 - beside if far_end else beside
    reading = tracer.trace(geometry.ras_from_ijk(voxel), from_output=True)
    assert reading.state is state
    assert (reading.source_value is None) == (state is ReadingState.OUTSIDE)


def test_outside_a_smaller_field_a_point_is_its_own_partner_and_has_its_values(
    known: SimpleNamespace, add_to_scene: Callable
) -> None:
    geometry = known.oblique_grid()
    smaller = Geometry((20, 26, 12), geometry.ijk_to_ras)
    tracer = PointTracer(add_to_scene(geometry, shifted(smaller, [0, 0, 4])))
    beyond = geometry.ras_from_ijk([24, 11, 5])
    for from_output in (True, False):
        reading = tracer.trace(beyond, from_output=from_output)
        assert reading.state is ReadingState.OUTSIDE
        np.testing.assert_allclose([reading.source_ras, reading.output_ras], [beyond, beyond], atol=1e-9)
        assert (reading.displacement_mm, reading.det_j) == (0, 1)
        assert reading.source_value == value_at((24, 11, 5), first=0)
        assert reading.output_value == value_at((24, 11, 5), first=0.5)


@pytest.mark.parametrize(("i", "state"), [(19.49, ReadingState.TRACED), (19.51, ReadingState.OUTSIDE)])
def test_a_smaller_field_ends_half_a_voxel_beyond_its_own_last_centre(
    known: SimpleNamespace, add_to_scene: Callable, i: float, state: ReadingState
) -> None:
    geometry = known.oblique_grid()
    smaller = Geometry((20, 26, 12), geometry.ijk_to_ras)
    tracer = PointTracer(add_to_scene(geometry, shifted(smaller, [0, 0, 0])))
    assert tracer.trace(geometry.ras_from_ijk([i, 11, 5]), from_output=True).state is state


def test_a_partner_beyond_the_field_that_leads_back_is_outside(known: SimpleNamespace, add_to_scene: Callable) -> None:
    geometry = known.oblique_grid()
    forward = shifted(geometry, geometry.ijk_to_ras[:3, :3] @ [10, 0, 0]).forward
    inverse = shifted(Geometry((20, 26, 12), geometry.ijk_to_ras), [0, 0, 0]).inverse
    tracer = PointTracer(add_to_scene(geometry, Correspondence(forward, inverse, Origin.MODEL)))
    reading = tracer.trace(geometry.ras_from_ijk([12, 11, 5]), from_output=True)
    assert (reading.state, reading.source_value) == (ReadingState.OUTSIDE, value_at((22, 11, 5), first=0))
    assert tracer.trace(geometry.ras_from_ijk([8, 11, 5]), from_output=True).state is ReadingState.TRACED


def test_a_partner_beyond_the_image_is_outside_though_the_field_reaches_there(
    known: SimpleNamespace, add_to_scene: Callable
) -> None:
    geometry = known.oblique_grid()
    matrix = geometry.ijk_to_ras.copy()
    matrix[:3, 3] = geometry.ras_from_ijk([-20, -20, -20])
    larger = Geometry((70, 66, 52), matrix)
    tracer = PointTracer(add_to_scene(geometry, shifted(larger, geometry.ijk_to_ras[:3, :3] @ [-8, 0, 0])))
    point = geometry.ras_from_ijk([6, 11, 5])
    from_output = tracer.trace(point, from_output=True)
    assert (from_output.state, from_output.source_value) == (ReadingState.OUTSIDE, None)
    assert from_output.output_value == value_at((6, 11, 5), first=0.5)
    from_source = tracer.trace(point, from_output=False)
    assert (from_source.state, from_source.output_value) == (
        ReadingState.TRACED,
        value_at((14, 11, 5), first=0.5),
    )


def test_what_the_model_did_not_see_is_outside_by_the_mask_at_the_outputs_point(
    known: SimpleNamespace, add_to_scene: Callable
) -> None:
    geometry = known.oblique_grid()
    validity = np.ones(geometry.shape_kji, np.uint8)
    validity[:, :, 14] = 0
    correspondence = shifted(geometry, geometry.ijk_to_ras[:3, :3] @ [3, 0, 0])
    tracer = PointTracer(add_to_scene(geometry, correspondence, validity_kji=validity))

    def state(voxel: Any, *, from_output: bool) -> ReadingState:
        return tracer.trace(geometry.ras_from_ijk(voxel), from_output=from_output).state

    assert state([14, 11, 5], from_output=True) is ReadingState.OUTSIDE
    assert state([11, 11, 5], from_output=True) is ReadingState.TRACED  # its source lies at i = 14
    assert state([17, 11, 5], from_output=False) is ReadingState.OUTSIDE
    assert state([14, 11, 5], from_output=False) is ReadingState.TRACED


def test_where_the_map_mirrors_it_is_folded(known: SimpleNamespace, add_to_scene: Callable) -> None:
    geometry = known.oblique_grid()
    mirror = known.AffineMap(np.diag([-0.5, 1.0, 1.0]), known.middle_of(geometry))
    tracer = PointTracer(add_to_scene(geometry, known.correspondence_of(geometry, mirror)))
    reading = tracer.trace(geometry.ras_from_ijk([14, 12, 5]), from_output=True)
    assert reading.state is ReadingState.FOLDED
    assert reading.det_j == pytest.approx(-0.5, abs=1e-4)


def test_an_identity_says_so_within_the_image_only(known: SimpleNamespace, add_to_scene: Callable) -> None:
    geometry = known.oblique_grid()
    tracer = PointTracer(add_to_scene(geometry, Correspondence.identity(geometry)))
    point = geometry.ras_from_ijk([2.2, 24.8, 10.9])
    reading = tracer.trace(point, from_output=False)
    assert reading.state is ReadingState.IDENTITY
    np.testing.assert_allclose(reading.output_ras, point, atol=1e-9)
    assert (reading.displacement_mm, reading.det_j, reading.round_trip_mm) == pytest.approx((0, 1, 0), abs=1e-9)
    assert tracer.trace(geometry.ras_from_ijk([-0.6, 3, 3]), from_output=False).state is ReadingState.OUTSIDE


def test_a_pair_of_an_estimated_field_never_reads_as_if_the_model_had_made_it(
    known: SimpleNamespace, add_to_scene: Callable
) -> None:
    geometry = known.oblique_grid()
    there = shifted(geometry, [1.5, -2.0, 0.5])
    nodes = add_to_scene(geometry, Correspondence(there.forward, there.inverse, Origin.ESTIMATED))
    reading = PointTracer(nodes).trace(geometry.ras_from_ijk(INNER_VOXEL), from_output=True)
    assert reading.state is ReadingState.ESTIMATED
    assert reading.displacement_mm == pytest.approx(np.linalg.norm([1.5, -2.0, 0.5]), abs=1e-3)
    assert reading.sentence().startswith("estimated, not by the model:")
    assert "Output to source, estimated" in nodes.forward.GetName()
    assert "Source to output, estimated" in nodes.inverse.GetName()


def test_a_moved_source_is_read_where_it_is_now(
    scene: slicer.vtkMRMLScene, known: SimpleNamespace, add_to_scene: Callable
) -> None:
    geometry = known.oblique_grid()
    nodes = add_to_scene(geometry, shifted(geometry, [0, 0, 0]))
    move = np.eye(4)
    move[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    move[:3, 3] = geometry.ras_from_ijk([10, 8, 4]) - move[:3, :3] @ geometry.ras_from_ijk([20, 5, 7])
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "turned")
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(move.ravel().tolist())
    parent.SetMatrixTransformToParent(matrix)
    nodes.source.SetAndObserveTransformNodeID(parent.GetID())
    reading = PointTracer(nodes).trace(geometry.ras_from_ijk([10, 8, 4]), from_output=True)
    assert reading.source_value == value_at((20, 5, 7), first=0)
    assert reading.output_value == value_at((10, 8, 4), first=0.5)


@pytest.mark.parametrize("moved", ["source", "output"])
@pytest.mark.parametrize("by", ["transform", "origin"])
def test_an_image_that_was_moved_since_the_translation_has_no_partners_until_it_is_back(
    scene: slicer.vtkMRMLScene, known: SimpleNamespace, add_to_scene: Callable, moved: str, by: str
) -> None:
    geometry = known.oblique_grid()
    nodes = add_to_scene(geometry, shifted(geometry, [0, 3, 0]))
    tracer, point = PointTracer(nodes), geometry.ras_from_ijk(INNER_VOXEL)
    assert tracer.trace(point, from_output=True).state is ReadingState.TRACED
    node = getattr(nodes, moved)
    origin = node.GetOrigin()
    if by == "origin":
        node.SetOrigin(origin[0] + 0.5, *origin[1:])
    else:
        parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
        shift = vtk.vtkMatrix4x4()
        shift.SetElement(2, 3, 0.5)
        parent.SetMatrixTransformToParent(shift)
        node.SetAndObserveTransformNodeID(parent.GetID())
    assert tracer.trace(point, from_output=True).state is ReadingState.OUTSIDE
    with pytest.raises(InvalidVolumeError, match="was moved after the translation"):
        sides_of(nodes, from_output=True)
    node.SetAndObserveTransformNodeID(None)
    node.SetOrigin(*origin)
    assert tracer.trace(point, from_output=True).state is ReadingState.TRACED


def test_changes_of_image_and_field_count_at_once(known: SimpleNamespace, add_to_scene: Callable) -> None:
    geometry = known.oblique_grid()
    nodes = add_to_scene(geometry, shifted(geometry, [0, 0, 0]))
    tracer = PointTracer(nodes)
    point = geometry.ras_from_ijk(INNER_VOXEL)
    assert tracer.trace(point, from_output=True).displacement_mm == 0
    nodes.output.GetImageData().SetScalarComponentFromDouble(*INNER_VOXEL, 0, -77.0)
    field = shifted(geometry, [0, 3, 0]).forward
    nodes.forward.SetAndObserveTransformFromParent(grid_transform(field))
    reading = tracer.trace(point, from_output=True)
    assert (reading.output_value, reading.displacement_mm) == (-77.0, pytest.approx(3, abs=1e-5))


def test_a_field_that_is_no_stored_grid_any_more_has_no_partners(
    known: SimpleNamespace, add_to_scene: Callable
) -> None:
    geometry = known.oblique_grid()
    nodes = add_to_scene(geometry, shifted(geometry, [0, 3, 0]))
    point = geometry.ras_from_ijk(INNER_VOXEL)
    nodes.forward.Inverse()
    nodes.forward.GetTransformFromParent().TransformPoint(point)  # Slicer computes an inverse when it is asked
    assert PointTracer(nodes).trace(point, from_output=True).state is ReadingState.OUTSIDE
    nodes.forward.SetAndObserveTransformFromParent(vtk.vtkThinPlateSplineTransform())
    assert PointTracer(nodes).trace(point, from_output=True).state is ReadingState.OUTSIDE


def test_a_deleted_image_has_no_values(known: SimpleNamespace, add_to_scene: Callable) -> None:
    geometry = known.oblique_grid()
    nodes = add_to_scene(geometry, shifted(geometry, [0, 3, 0]))
    nodes.source.SetAndObserveImageData(None)
    reading = PointTracer(nodes).trace(geometry.ras_from_ijk(INNER_VOXEL), from_output=True)
    assert (reading.source_value, reading.state) == (None, ReadingState.OUTSIDE)
    assert reading.output_value == value_at(INNER_VOXEL, first=0.5)


def test_without_the_outputs_image_there_is_no_partner_either(known: SimpleNamespace, add_to_scene: Callable) -> None:
    geometry = known.oblique_grid()
    nodes = add_to_scene(geometry, shifted(geometry, [0, 3, 0]))
    nodes.output.SetAndObserveImageData(None)
    reading = PointTracer(nodes).trace(geometry.ras_from_ijk(INNER_VOXEL), from_output=False)
    assert (reading.output_value, reading.state) == (None, ReadingState.OUTSIDE)


def test_a_position_is_said_with_letters_for_directions() -> None:
    assert position_text([12.0, -20.14, 35.2]) == "R 12.0 P 20.1 S 35.2 mm"
    assert position_text([-0.06, 7, -3.25]) == "L 0.1 A 7.0 I 3.2 mm"
    assert position_text([-0.04, 0, -0.0]) == "R 0.0 A 0.0 S 0.0 mm"


def reading_with(**changes: Any) -> Reading:
    values: dict[str, Any] = {
        "source_ras": (12.0, -20.1, 35.2),
        "output_ras": (-1.04, -20.1, 35.2),
        "source_value": 3.0,
        "output_value": 4.0,
        "displacement_mm": 13.04,
        "det_j": 1.084,
        "round_trip_mm": 0.012,
        "state": ReadingState.TRACED,
        "from_output": False,
    }
    return Reading(**{**values, **changes})


def test_a_reading_is_a_sentence_from_the_start_to_its_partner() -> None:
    assert reading_with().sentence() == (
        "traced: source R 12.0 P 20.1 S 35.2 mm -> output L 1.0 P 20.1 S 35.2 mm, "
        "moved 13.0 mm, volume x1.08, round trip 0.01 mm"
    )
    assert (
        reading_with(from_output=True)
        .sentence()
        .startswith("traced: output L 1.0 P 20.1 S 35.2 mm -> source R 12.0 P 20.1 S 35.2 mm")
    )


def test_the_sentences_of_the_other_states_say_what_they_mean() -> None:
    assert "do not rely on this pair" in reading_with(state=ReadingState.FOLDED, det_j=-0.5).sentence()
    outside = reading_with(state=ReadingState.OUTSIDE).sentence()
    assert outside.startswith("outside: source R 12.0 P 20.1 S 35.2 mm has no partner")
    assert "output" not in outside
    same = reading_with(state=ReadingState.IDENTITY, output_ras=(12.0, -20.1, 35.2)).sentence()
    assert same == ("same grid, no deformation: source R 12.0 P 20.1 S 35.2 mm is output R 12.0 P 20.1 S 35.2 mm")
