from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

from MedTranslateLib.core.correspondence import Correspondence
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.mrml.regions import Region, trace_region
from MedTranslateLib.mrml.traced_region import RegionKind
from Testing.slicer.drawn_regions import (
    SKEWED,
    affine,
    frame,
    in_box,
    middle_of,
    numbered,
    oblique,
    partner_of,
    roi,
    segmentation,
    turned,
    upright,
    voxels_in,
    voxels_of,
    vtk_matrix,
)


@pytest.mark.parametrize("from_output", [False, True])
def test_without_a_deformation_nothing_changes_at_all(scene: Any, add_to_scene: Callable, from_output: bool) -> None:
    geometry = oblique()
    image = numbered(geometry)
    nodes = add_to_scene(geometry, Correspondence.identity(geometry), source=image, translated=numbered(geometry, 2.0))
    box, size = frame(turned(40, 5), middle_of(geometry) + np.array([1.1, -2.3, 0.7])), (13.1, 17.3, 19.9)
    traced = trace_region(scene, nodes, Region(roi(scene, box, size)), from_output=from_output)
    expected = in_box(voxels_of(geometry), box, size)
    assert 100 < expected.sum() < 1000
    np.testing.assert_array_equal(voxels_in(partner_of(scene, traced), geometry), expected)
    assert traced.source.volume_mm3 == traced.output.volume_mm3 == pytest.approx(expected.sum() * 1.5 * 1.8 * 4.0)
    assert traced.size_change_percent == 0
    assert (traced.outside_share, traced.folded_share) == (0, 0)
    assert traced.source.mean_value == pytest.approx(image.array_kji[expected].mean(dtype=np.float64))
    assert traced.output.mean_value == pytest.approx(2 * traced.source.mean_value)


def test_a_shift_moves_a_box_by_whole_voxels(scene: Any, add_to_scene: Callable) -> None:
    geometry = upright()
    # The output shows at p what the source has at p + (3, -4, 6) mm, so the partner of a box lies at minus that.
    nodes = add_to_scene(geometry, affine(geometry, np.eye(3), (3, -4, 6)), source=numbered(geometry))
    box = roi(scene, frame(np.eye(3), (10.5, 17, 13.5)), (6, 8, 9))  # i 8 to 13, j 7 to 10, k 3 to 5
    traced = trace_region(scene, nodes, Region(box), from_output=False)
    expected = np.zeros(geometry.shape_kji, bool)
    expected[1:4, 9:13, 5:11] = True
    np.testing.assert_array_equal(voxels_in(partner_of(scene, traced), geometry), expected)
    assert traced.source.volume_mm3 == traced.output.volume_mm3 == 6 * 8 * 9
    assert traced.size_change_percent == 0
    # first value of the source's box 3 * 480 + 7 * 24 + 8, last one 5 * 480 + 10 * 24 + 13
    assert traced.source.mean_value == ((3 * 480 + 7 * 24 + 8) + (5 * 480 + 10 * 24 + 13)) / 2


@pytest.mark.parametrize("handedness", [1.0, -1.0])
@pytest.mark.parametrize("from_output", [False, True])
def test_the_partner_of_a_turned_box_is_what_an_affine_map_makes_of_it(
    scene: Any, add_to_scene: Callable, from_output: bool, handedness: float
) -> None:
    geometry = oblique(handedness=handedness)
    nodes = add_to_scene(geometry, affine(geometry, SKEWED, (2.5, -1.5, 3.5)))
    box, size = frame(turned(-35, 50), middle_of(geometry) + np.array([2.0, 1.0, -1.5])), (12.3, 9.1, 14.7)
    traced = trace_region(scene, nodes, Region(roi(scene, box, size)), from_output=from_output)
    centre, shift = middle_of(geometry), np.array([2.5, -1.5, 3.5])
    points = voxels_of(geometry)
    pulled = (
        centre + (points - centre - shift) @ np.linalg.inv(SKEWED).T
        if from_output
        else centre + (points - centre) @ SKEWED.T + shift
    )
    expected = in_box(pulled, box, size)
    assert expected.sum() > 80
    np.testing.assert_array_equal(voxels_in(partner_of(scene, traced), geometry), expected)
    partner, own = (traced.source, traced.output) if from_output else (traced.output, traced.source)
    assert partner.volume_mm3 == pytest.approx(expected.sum() * 1.5 * 1.8 * 4.0)
    assert own.volume_mm3 == pytest.approx(in_box(points, box, size).sum() * 1.5 * 1.8 * 4.0)


def test_a_volume_changes_by_the_determinant(scene: Any, add_to_scene: Callable) -> None:
    geometry = oblique((32, 30, 24))
    # The output shows everything twice as long, so forward halves distances: its determinant is 1/8.
    nodes = add_to_scene(geometry, affine(geometry, np.eye(3) / 2))
    edges = geometry.ras_from_ijk([15.5, 14.5, 11.5])  # the middle is a corner of voxels
    box = roi(scene, frame(geometry.direction_ras, edges), (8 * 1.5, 6 * 1.8, 4 * 4.0))
    traced = trace_region(scene, nodes, Region(box), from_output=False)
    voxel = 1.5 * 1.8 * 4.0
    assert traced.source.volume_mm3 == pytest.approx(8 * 6 * 4 * voxel)
    assert traced.output.volume_mm3 == pytest.approx(16 * 12 * 8 * voxel)
    assert traced.size_change_percent == pytest.approx(700)
    # pulled, so without the holes that pushing each source voxel to one place would leave
    i, j, k = (slice(n, -n) for n in (8, 9, 8))
    assert voxels_in(partner_of(scene, traced), geometry)[k, j, i].all()


def test_a_box_below_a_linear_transform_is_traced_where_it_is_drawn(scene: Any, add_to_scene: Callable) -> None:
    geometry = upright()
    nodes = add_to_scene(geometry, Correspondence.identity(geometry))
    box = roi(scene, np.eye(4), (4, 5, 6))
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    parent = frame(turned(30, 0) * [1.5, 1.0, 1.0], (11.3, 19.1, 14.2))
    transform.SetMatrixTransformToParent(vtk_matrix(parent))
    box.SetAndObserveTransformNodeID(transform.GetID())
    traced = trace_region(scene, nodes, Region(box), from_output=True)
    own = (voxels_of(geometry) - parent[:3, 3]) @ np.linalg.inv(parent[:3, :3]).T
    expected = (np.abs(own) < np.array([2, 2.5, 3])).all(axis=-1)
    np.testing.assert_array_equal(voxels_in(partner_of(scene, traced), geometry), expected)


def test_a_segment_is_traced_on_its_own_oblique_grid_below_its_transform(scene: Any, add_to_scene: Callable) -> None:
    geometry = oblique()
    nodes = add_to_scene(geometry, affine(geometry, SKEWED, (2.5, -1.5, 3.5)))
    own_grid = Geometry((9, 8, 7), frame(turned(-20, 70) @ np.diag([2.2, 2.6, 3.1]), (0, 0, 0)))
    mask = (np.random.default_rng(8).random(own_grid.shape_kji) < 0.6).astype(np.uint8)
    mask[0, 0, 0] = 2
    node = segmentation(scene, mask, own_grid, first_ijk=(3, -2, 5))
    parent = frame(turned(10, -15), middle_of(geometry) - turned(10, -15) @ own_grid.ras_from_ijk([7, 2, 8]))
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    transform.SetMatrixTransformToParent(vtk_matrix(parent))
    node.SetAndObserveTransformNodeID(transform.GetID())
    traced = trace_region(scene, nodes, Region(node, "liver"), from_output=False)

    world = parent @ own_grid.ijk_to_ras
    centre = middle_of(geometry)
    pulled = centre + (voxels_of(geometry) - centre) @ SKEWED.T + [2.5, -1.5, 3.5]
    expected = {}
    for which, points in (("source", voxels_of(geometry)), ("output", pulled)):
        index = np.rint((points - world[:3, 3]) @ np.linalg.inv(world[:3, :3]).T).astype(int) - [3, -2, 5]
        expected[which] = np.zeros(geometry.shape_kji, bool)
        for k, j, i in np.ndindex(geometry.shape_kji):
            a, b, c = index[k, j, i]
            expected[which][k, j, i] = 0 <= a < 9 and 0 <= b < 8 and 0 <= c < 7 and mask[c, b, a] == 1
    np.testing.assert_array_equal(voxels_in(partner_of(scene, traced), geometry), expected["output"])
    voxel = 1.5 * 1.8 * 4.0
    assert traced.source.volume_mm3 == pytest.approx(expected["source"].sum() * voxel)
    assert traced.output.volume_mm3 == pytest.approx(expected["output"].sum() * voxel)
    assert traced.kind is RegionKind.SEGMENT
    assert traced.name == "liver"


def test_a_single_voxel_keeps_its_volume(scene: Any, add_to_scene: Callable) -> None:
    geometry = upright()
    coarse = Geometry((3, 3, 3), frame(np.diag([4.0, 8.0, 12.0]), (5.5, 7, 4.5)))  # 4 x 4 x 4 voxels of the image each
    nodes = add_to_scene(geometry, affine(geometry, np.eye(3), (2, 2, 3)))
    mask = np.zeros((3, 3, 3), np.uint8)
    mask[1, 1, 1] = 1
    traced = trace_region(scene, nodes, Region(segmentation(scene, mask, coarse), "liver"), from_output=False)
    assert traced.source.volume_mm3 == traced.output.volume_mm3 == 4 * 8 * 12


def test_a_source_below_a_linear_transform_is_traced_in_world_coordinates(scene: Any, add_to_scene: Callable) -> None:
    geometry = upright()
    nodes = add_to_scene(geometry, Correspondence.identity(geometry))
    local = Geometry(geometry.size_ijk, frame(turned(90, 0), (0, 0, 0)) @ geometry.ijk_to_ras)
    nodes.source.SetIJKToRASMatrix(vtk_matrix(local.ijk_to_ras))
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "back")
    transform.SetMatrixTransformToParent(vtk_matrix(frame(turned(-90, 0), (0, 0, 0))))
    nodes.source.SetAndObserveTransformNodeID(transform.GetID())
    box = roi(scene, frame(np.eye(3), (10.5, 17, 13.5)), (6, 8, 9))
    traced = trace_region(scene, nodes, Region(box), from_output=True)
    assert traced.size_change_percent == 0
    partner = partner_of(scene, traced)
    assert partner.GetParentTransformNode() is transform
    expected = np.zeros(geometry.shape_kji, bool)
    expected[3:6, 7:11, 8:14] = True
    np.testing.assert_array_equal(voxels_in(partner, local), expected)


def test_a_far_move_is_found(scene: Any, add_to_scene: Callable) -> None:
    """The search for the partner must reach as far as the field moves anything, also in one corner only."""
    geometry = upright((40, 30, 20))
    back = (12.0, -18.0, 15.0)
    nodes = add_to_scene(geometry, affine(geometry, np.eye(3), back))
    box = roi(scene, frame(np.eye(3), (30.5, 13, 37.5)), (4, 4, 6))
    traced = trace_region(scene, nodes, Region(box), from_output=False)
    expected = np.zeros(geometry.shape_kji, bool)
    expected[7:9, 15:17, 17:21] = True
    found = voxels_in(partner_of(scene, traced), geometry)
    assert [axis.tolist() for axis in np.nonzero(found)] == [axis.tolist() for axis in np.nonzero(expected)]
