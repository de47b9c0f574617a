# ruff: noqa: E402  # without Slicer's core the file is skipped before it imports what needs it
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

from MedTranslateLib.core.correspondence import Correspondence, DisplacementField, Origin
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.mrml.regions import Region, trace_region
from Testing.slicer.drawn_regions import (
    SKEWED,
    affine,
    curve,
    frame,
    middle_of,
    oblique,
    partner_of,
    points_of,
    ring,
    shoelace,
    upright,
    voxels_of,
    vtk_matrix,
)


@pytest.mark.parametrize("from_output", [False, True])
def test_a_curve_stays_where_nothing_moves(scene: Any, add_to_scene: Callable, from_output: bool) -> None:
    geometry = oblique()
    nodes = add_to_scene(geometry, Correspondence.identity(geometry))
    i, j, _ = geometry.direction_ras.T
    node = curve(scene, ring(middle_of(geometry), 9 * i, 6 * j))
    traced = trace_region(scene, nodes, Region(node), from_output=from_output)
    assert traced.size_change_percent == 0
    assert traced.source.area_mm2 == traced.output.area_mm2
    # 90 points on an ellipse: the polygon has sin(2 pi / 90) * 90 / 2 instead of pi
    assert traced.source.area_mm2 == pytest.approx(9 * 6 * math.sin(2 * math.pi / 90) * 45, rel=1e-5)
    assert (traced.outside_share, traced.folded_share) == (0, 0)
    found = points_of(partner_of(scene, traced))
    drawn = points_of(node)
    nearest = [np.linalg.norm(found - point, axis=1).min() for point in drawn]
    assert max(nearest) < 1e-4


@pytest.mark.parametrize("from_output", [False, True])
def test_an_area_changes_as_the_cofactors_say(scene: Any, add_to_scene: Callable, from_output: bool) -> None:
    geometry = oblique()
    nodes = add_to_scene(geometry, affine(geometry, SKEWED, (1.0, -2.0, 1.5)))
    across, up = np.array([6.0, 2.0, 1.0]), np.array([-1.5, 5.0, 2.0])
    node = curve(scene, ring(middle_of(geometry) + np.array([0.5, 1.0, -0.5]), across, up, 60))
    traced = trace_region(scene, nodes, Region(node), from_output=from_output)
    matrix = SKEWED if from_output else np.linalg.inv(SKEWED)
    normal = np.cross(across, up)
    factor = np.linalg.norm(np.linalg.det(matrix) * np.linalg.inv(matrix).T @ normal) / np.linalg.norm(normal)
    own, partner = (
        (traced.output.area_mm2, traced.source.area_mm2)
        if from_output
        else (traced.source.area_mm2, traced.output.area_mm2)
    )
    assert partner / own == pytest.approx(factor, rel=2e-5)
    assert own == pytest.approx(np.linalg.norm(normal) * math.sin(2 * math.pi / 60) * 30, rel=1e-5)
    expected = traced.source.area_mm2 * (1 + traced.size_change_percent / 100)
    assert traced.output.area_mm2 == pytest.approx(expected)


def test_the_area_of_a_notched_outline_is_that_of_its_polygon(scene: Any, add_to_scene: Callable) -> None:
    geometry = upright()
    nodes = add_to_scene(geometry, affine(geometry, np.eye(3), (1, 2, 3)))
    corners = np.array([[3, 6, 12], [15, 6, 12], [15, 30, 12], [10, 30, 12], [10, 12, 12], [3, 12, 12]], dtype=float)
    traced = trace_region(scene, nodes, Region(curve(scene, corners)), from_output=False)
    assert shoelace(corners) == 12 * 6 + 5 * 18
    assert traced.source.area_mm2 == pytest.approx(shoelace(corners), rel=1e-5)
    assert traced.output.area_mm2 == pytest.approx(shoelace(corners), rel=1e-5)
    partner = partner_of(scene, traced)
    found = points_of(partner)
    for corner in corners - [1, 2, 3]:
        assert np.linalg.norm(found - corner, axis=1).min() < 1e-4
    assert slicer.vtkSlicerMarkupsLogic.GetClosedCurveSurfaceArea(partner) == pytest.approx(90 + 72, rel=1e-5)


def test_a_long_straight_stretch_follows_the_field(scene: Any, add_to_scene: Callable) -> None:
    """Four corners alone would not show a bulge between them."""
    geometry = upright((40, 30, 6))
    points = voxels_of(geometry)
    bulge = np.zeros_like(points)
    bulge[..., 1] = 4 * np.exp(-(((points[..., 0] - 20) / 5) ** 2))
    forward, inverse = (DisplacementField((sign * bulge).astype(np.float32), geometry) for sign in (-1, 1))
    nodes = add_to_scene(geometry, Correspondence(forward, inverse, Origin.MODEL))
    corners = np.array([[4, 10, 6], [36, 10, 6], [36, 40, 6], [4, 40, 6]], dtype=float)
    traced = trace_region(scene, nodes, Region(curve(scene, corners)), from_output=False)
    found = points_of(partner_of(scene, traced))
    lower = found[(found[:, 1] < 16) & (found[:, 0] > 6) & (found[:, 0] < 34)]
    np.testing.assert_allclose(lower[:, 1], 10 + 4 * np.exp(-(((lower[:, 0] - 20) / 5) ** 2)), atol=0.01)
    gaps = np.linalg.norm(np.diff(lower, axis=0), axis=1)
    assert gaps.max() < 2


def test_means_inside_a_curve_are_those_of_the_image_of_that_side(scene: Any, add_to_scene: Callable) -> None:
    """In an image that rises evenly, the mean over an ellipse is the value in its middle."""
    geometry = oblique((60, 56, 9))
    rises = np.array([3.0, -2.0, 1.0])
    values = voxels_of(geometry) @ rises
    shift = np.array([3.0, 2.0, -1.0])
    nodes = add_to_scene(
        geometry,
        affine(geometry, np.eye(3), shift),
        source=Volume(values, geometry, "rising"),
        translated=Volume(values / 10, geometry, "rising less"),
    )
    i, j, _ = geometry.direction_ras.T
    centre = geometry.ras_from_ijk([31, 27, 4])
    traced = trace_region(scene, nodes, Region(curve(scene, ring(centre, 22 * i, 20 * j))), from_output=False)
    assert traced.source.mean_value == pytest.approx(centre @ rises, abs=0.05)
    assert traced.output.mean_value == pytest.approx((centre - shift) @ rises / 10, abs=0.02)


def test_the_mean_is_taken_over_the_inside_only(scene: Any, add_to_scene: Callable) -> None:
    geometry = upright()
    image = np.full(geometry.shape_kji, 1000.0)
    image[4, 3:9, 4:12] = 7.0
    image[4, 3:9, 8] = 19.0
    nodes = add_to_scene(geometry, Correspondence.identity(geometry), source=Volume(image, geometry, "one patch"))
    corners = np.array([[4.5, 7, 12], [10.5, 7, 12], [10.5, 15, 12], [4.5, 15, 12]])
    traced = trace_region(scene, nodes, Region(curve(scene, corners)), from_output=False)
    assert traced.source.mean_value == pytest.approx((5 * 7 + 19) / 6, rel=1e-9)
    assert traced.source.area_mm2 == pytest.approx(48)


def test_a_curve_that_crosses_itself_has_no_area_and_says_so(scene: Any, add_to_scene: Callable) -> None:
    geometry = upright()
    nodes = add_to_scene(geometry, Correspondence.identity(geometry))
    corners = np.array([[4, 6, 12], [16, 30, 12], [16, 6, 12], [4, 30, 12]], dtype=float)
    traced = trace_region(scene, nodes, Region(curve(scene, corners)), from_output=False)
    assert traced.source.area_mm2 is None
    assert traced.size_change_percent is None
    assert any("The curve crosses itself" in note for note in traced.notes())


def test_a_curve_below_a_transform_is_traced_where_it_is_drawn(scene: Any, add_to_scene: Callable) -> None:
    geometry = upright()
    nodes = add_to_scene(geometry, Correspondence.identity(geometry))
    node = curve(scene, ring(np.zeros(3), np.array([4.0, 0, 0]), np.array([0, 5.0, 0])))
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    transform.SetMatrixTransformToParent(vtk_matrix(frame(np.diag([2.0, 1.0, 1.0]), (11.0, 18.0, 12.0))))
    node.SetAndObserveTransformNodeID(transform.GetID())
    traced = trace_region(scene, nodes, Region(node), from_output=False)
    found = points_of(partner_of(scene, traced))
    np.testing.assert_allclose(found.min(axis=0), [11 - 8, 18 - 5, 12], atol=0.01)
    np.testing.assert_allclose(found.max(axis=0), [11 + 8, 18 + 5, 12], atol=0.01)
    assert traced.source.area_mm2 == pytest.approx(8 * 5 * math.sin(2 * math.pi / 90) * 45, rel=1e-5)
