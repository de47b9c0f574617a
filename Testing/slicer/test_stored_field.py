from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

from MedTranslateLib.core.correspondence import DisplacementField
from MedTranslateLib.core.errors import RequestError
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.mrml.mapping import PointTracer
from MedTranslateLib.mrml.scene import ResultNodes
from MedTranslateLib.mrml.sides import sides_of, trace_points
from MedTranslateLib.mrml.stored_field import StoredField
from MedTranslateLib.mrml.transforms import grid_transform, transform_node_from_field
from Testing.slicer.drawn_regions import oblique, voxels_of


def steep(geometry: Geometry, seed: int = 3) -> DisplacementField:
    """Full displacement one way or the other at each grid point: as far as a cubic interpolation can swing."""
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (*geometry.shape_kji, 3))
    return DisplacementField((signs * [2.0, 3.0, 4.0]).astype(np.float32), geometry)


def places_in(geometry: Geometry, count: int, margin: float = 0.0) -> np.ndarray:
    index = np.random.default_rng(4).uniform(-0.5 - margin, np.array(geometry.size_ijk) - 0.5 + margin, (count, 3))
    return geometry.ras_from_ijk(index)


@pytest.mark.parametrize("handedness", [1.0, -1.0])
def test_many_points_are_mapped_as_slicer_maps_each(scene: Any, handedness: float) -> None:
    geometry = oblique((9, 8, 7), handedness)
    node = transform_node_from_field(scene, steep(geometry), "steep")
    points = places_in(geometry, 200)
    expected = [node.GetTransformFromParent().TransformPoint(point) for point in points]
    np.testing.assert_allclose(StoredField.of(node).map_points(points), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("handedness", [1.0, -1.0])
def test_a_field_knows_its_own_grid(scene: Any, handedness: float) -> None:
    geometry = oblique((9, 8, 7), handedness)
    field = StoredField.of(transform_node_from_field(scene, steep(geometry), "steep"))
    assert field.geometry.same_grid(geometry)
    assert field.displacement_mm.shape == (2, 3)
    corner = geometry.ras_from_ijk([[-0.49, -0.49, -0.49], [8.49, 7.49, 6.49], [-0.51, 3, 3], [3, 3, 6.51]])
    assert field.covers(corner).tolist() == [True, True, False, False]


def test_no_displacement_leaves_the_range_although_a_cubic_curve_overshoots(scene: Any) -> None:
    geometry = oblique((16, 15, 14))
    field = StoredField.of(transform_node_from_field(scene, steep(geometry), "steep"))
    points = places_in(geometry, 20000)
    moved = field.map_points(points) - points
    assert (moved.max(axis=0) > [2.0, 3.0, 4.0]).all()
    assert (moved.min(axis=0) < [-2.0, -3.0, -4.0]).all()
    assert (moved <= field.displacement_mm[1]).all()
    assert (moved >= field.displacement_mm[0]).all()


def test_an_identity_is_known_to_move_nothing(scene: Any) -> None:
    geometry = oblique((9, 8, 7))
    field = StoredField.of(transform_node_from_field(scene, DisplacementField.zero(geometry), "still"))
    assert field.moves_nothing
    points = places_in(geometry, 10)
    np.testing.assert_array_equal(field.map_points(points), points)
    assert not field.folds(points).any()
    assert field.covers(voxels_of(geometry).reshape(-1, 3)).all()


def test_many_points_have_the_states_that_a_reading_has(squeezed: tuple[ResultNodes, Any]) -> None:
    nodes, _ = squeezed
    for from_output in (False, True):
        own, other = sides_of(nodes, from_output=from_output)
        points = places_in(own.geometry, 300, margin=3.0)
        readings = [PointTracer(nodes).trace(point, from_output=from_output) for point in points]
        traced = trace_points(points, own, other)
        outside = np.array([reading.state.value == "outside" for reading in readings])
        assert 0.1 < outside.mean() < 0.9
        np.testing.assert_array_equal(traced.outside, outside)
        inside = [reading.partner_ras for reading in readings if reading.state.value != "outside"]
        np.testing.assert_allclose(traced.partner_ras[~outside], inside, atol=1e-9)


def test_a_transform_that_is_no_field_from_parent_is_refused(scene: Any) -> None:
    geometry = oblique((9, 8, 7))
    linear = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "tilt")
    turned_round = transform_node_from_field(scene, steep(geometry), "turned round")
    turned_round.Inverse()
    set_to_parent = scene.AddNewNodeByClass("vtkMRMLGridTransformNode", "to parent")
    set_to_parent.SetAndObserveTransformToParent(grid_transform(steep(geometry)))
    inverted = scene.AddNewNodeByClass("vtkMRMLGridTransformNode", "inverted")
    backwards = grid_transform(steep(geometry))
    backwards.Inverse()
    inverted.SetAndObserveTransformFromParent(backwards)
    for node in (linear, turned_round, set_to_parent, inverted):
        with pytest.raises(RequestError, match=f"{node.GetName()}: expected the displacement field of a translation"):
            StoredField.of(node)
