# ruff: noqa: E402  # without Slicer's core the file is skipped before it imports what needs it
from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
vtk = pytest.importorskip("vtk")

from MedTranslateLib.core.correspondence import Correspondence, DisplacementField, Origin
from MedTranslateLib.core.errors import InvalidVolumeError, RequestError
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.mrml.comparison import (
    checkerboard_node,
    difference_node,
    remove_comparisons,
    set_blend,
    traced_source_node,
)
from MedTranslateLib.mrml.scene import ResultNodes
from MedTranslateLib.mrml.volumes import node_from_volume, volume_from_node

CT_TO_CT = {"output_scale": "hounsfield", "provenance": {"source": {"modality": "CT"}}}
SLOPE = np.array([1.5, -2.0, 0.75])


def slope_at(points_ras: Any) -> np.ndarray:
    """A value that is linear in the place, which linear interpolation gives exactly."""
    return 300.0 + np.asarray(points_ras) @ SLOPE


def centres(geometry: Geometry) -> np.ndarray:
    k, j, i = np.indices(geometry.shape_kji)
    return geometry.ras_from_ijk(np.stack([i, j, k], axis=-1))


def sloping(geometry: Geometry, name: str = "sloping") -> Volume:
    return Volume(slope_at(centres(geometry)), geometry, name)


def inside(geometry: Geometry, points_ras: np.ndarray) -> np.ndarray:
    ijk = geometry.ijk_from_ras(points_ras)
    return ((ijk >= -0.5) & (ijk < np.array(geometry.size_ijk) - 0.5)).all(axis=-1)


def well_inside(geometry: Geometry, points_ras: np.ndarray) -> np.ndarray:
    """Between voxel centres, where a linear image is interpolated and not held."""
    ijk = geometry.ijk_from_ras(points_ras)
    return ((ijk >= 0) & (ijk <= np.array(geometry.size_ijk) - 1)).all(axis=-1)


def voxels(node: Any) -> np.ndarray:
    return volume_from_node(node).array_kji


@pytest.fixture
def identical(known: SimpleNamespace, add_to_scene: Callable[..., Any]) -> ResultNodes:
    """A CT translated to HU on the source's grid: 0.5 HU more in each voxel, except where the model saw nothing."""
    geometry = known.oblique_grid()
    seen = np.ones(geometry.shape_kji, np.uint8)
    seen[0] = 0
    return add_to_scene(geometry, Correspondence.identity(geometry), validity_kji=seen, **CT_TO_CT)


@pytest.fixture
def squeezed_ct(known: SimpleNamespace, add_to_scene: Callable[..., Any]) -> tuple[ResultNodes, Any, Geometry]:
    """A sloping CT, its translation with 100 HU everywhere, and the mapping from output to source."""
    geometry = known.oblique_grid()
    mapping = known.squeeze(geometry)
    flat = Volume(np.full(geometry.shape_kji, 100.0), geometry, "flat")
    nodes = add_to_scene(
        geometry, known.correspondence_of(geometry, mapping), source=sloping(geometry), translated=flat, **CT_TO_CT
    )
    return nodes, mapping, geometry


def test_on_one_grid_the_difference_is_that_of_the_voxels_to_the_last_bit(scene: Any, identical: ResultNodes) -> None:
    values = voxels(difference_node(scene, identical))
    assert (values[1:] == 0.5).all()
    assert (values[0] == 0).all()


def test_the_source_is_looked_up_where_each_voxel_came_from(scene: Any, squeezed_ct: tuple[Any, ...]) -> None:
    nodes, mapping, geometry = squeezed_ct
    node = difference_node(scene, nodes)
    came_from = mapping.to_source(centres(geometry))
    compared, between = inside(geometry, came_from), well_inside(geometry, came_from)
    assert 0.5 < between.mean() < compared.mean() < 0.97
    values = voxels(node)
    np.testing.assert_allclose(values[between], 100 - slope_at(came_from[between]), atol=5e-3)
    assert (values[~compared] == 0).all()
    assert (values[compared] != 0).all()
    assert float(node.GetAttribute("MedTranslate.compared_share")) == pytest.approx(compared.mean(), abs=6e-4)


def test_a_coarser_field_that_covers_a_part_leads_as_far_as_it_goes(
    known: SimpleNamespace, scene: Any, add_to_scene: Callable[..., Any]
) -> None:
    geometry = known.oblique_grid()
    matrix = geometry.ijk_to_ras.copy()
    matrix[:3, :3] *= 1.9
    coarse = Geometry((10, 14, 6), matrix)
    mapping = known.squeeze(geometry)
    nodes = add_to_scene(geometry, known.correspondence_of(coarse, mapping), source=sloping(geometry), **CT_TO_CT)
    values = voxels(traced_source_node(scene, nodes))
    points = centres(geometry)
    came_from = mapping.to_source(points)
    in_the_field = coarse.ijk_from_ras(points)
    # In the outermost cells a cubic interpolation does not give a linear field exactly.
    interpolated = ((in_the_field >= 1) & (in_the_field <= np.array(coarse.size_ijk) - 2)).all(axis=-1)
    interpolated &= well_inside(geometry, came_from)
    assert interpolated.mean() > 0.15
    np.testing.assert_allclose(values[interpolated], slope_at(came_from[interpolated]), atol=5e-3)
    outside = ~inside(coarse, points)
    assert 0.2 < outside.mean() < 0.8
    assert (values[outside] == 0).all()


@pytest.mark.parametrize("factor", [1.0, 1.9])
def test_between_grid_points_of_a_curved_field_the_source_is_where_the_cursor_finds_it(
    known: SimpleNamespace, scene: Any, add_to_scene: Callable[..., Any], factor: float
) -> None:
    geometry = known.oblique_grid()
    matrix = geometry.ijk_to_ras.copy()
    matrix[:3, :3] *= factor
    other = Geometry((16, 14, 7), matrix)
    vectors = np.random.default_rng(8).normal(0, 4, (*other.shape_kji, 3)).astype(np.float32)
    curved = DisplacementField(vectors, other)
    nodes = add_to_scene(geometry, Correspondence(curved, curved, Origin.MODEL), source=sloping(geometry), **CT_TO_CT)
    values = voxels(traced_source_node(scene, nodes))
    transform = nodes.forward.GetTransformFromParent()
    came_from = np.array([transform.TransformPoint(point) for point in centres(geometry).reshape(-1, 3)])
    came_from = came_from.reshape(*geometry.shape_kji, 3)
    found = inside(other, centres(geometry)) & well_inside(geometry, came_from)
    assert found.mean() > 0.1
    np.testing.assert_allclose(values[found], slope_at(came_from[found]), atol=5e-3)


def test_another_image_is_looked_up_at_the_same_place_below_its_transform(
    known: SimpleNamespace, scene: Any, squeezed_ct: tuple[Any, ...]
) -> None:
    nodes, _, geometry = squeezed_ct
    there = known.oblique_grid((17, 29, 9), handedness=-1.0)
    moved = np.eye(4)
    moved[:3, :3] = [[0, -1.0, 0], [1.0, 0, 0], [0, 0, 1.0]]
    moved[:3, 3] = [-30.0, 10.0, 4.0]
    in_world = Geometry(there.size_ijk, moved @ there.ijk_to_ras)
    other = node_from_volume(scene, Volume(slope_at(centres(in_world)), there, "acquired"), "acquired")
    other.SetAttribute("DICOM.Modality", "CT")
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    to_parent = vtk.vtkMatrix4x4()
    to_parent.DeepCopy(moved.ravel().tolist())
    parent.SetMatrixTransformToParent(to_parent)
    other.SetAndObserveTransformNodeID(parent.GetID())
    values = voxels(difference_node(scene, nodes, other))
    points = centres(geometry)
    between = well_inside(in_world, points)
    assert 0.1 < between.mean() < 0.9
    np.testing.assert_allclose(values[between], 100 - slope_at(points[between]), atol=5e-3)
    assert (values[~inside(in_world, points)] == 0).all()


@pytest.mark.parametrize("stated", ["provenance", "data tree", "voxel units"])
def test_two_images_in_hu_are_subtracted_in_hu(
    known: SimpleNamespace, scene: Any, add_to_scene: Callable[..., Any], stated: str
) -> None:
    geometry = known.oblique_grid()
    modality = "CT" if stated == "provenance" else None
    nodes = add_to_scene(
        geometry,
        Correspondence.identity(geometry),
        output_scale="hounsfield",
        provenance={"source": {"modality": modality}},
    )
    if stated == "data tree":
        nodes.source.SetAttribute("DICOM.Modality", "CT")
    if stated == "voxel units":
        units = slicer.vtkCodedEntry()
        units.SetValueSchemeMeaning("[hnsf'U]", "UCUM", "Hounsfield unit")
        nodes.source.SetVoxelValueUnits(units)
    node = difference_node(scene, nodes)
    assert (voxels(node) == 0.5).all()
    assert node.GetAttribute("MedTranslate.unit") == "HU"
    assert node.GetName().startswith("Difference in HU: ")


@pytest.mark.parametrize(
    "changes",
    [
        {"output_scale": "hounsfield", "provenance": {"source": {"modality": "MR"}}},
        {"output_scale": "relative", "provenance": {"source": {"modality": "CT"}}},
    ],
)
def test_other_pairs_are_subtracted_as_they_are_shown_and_the_name_says_so(
    known: SimpleNamespace, scene: Any, add_to_scene: Callable[..., Any], changes: dict[str, Any]
) -> None:
    geometry = known.oblique_grid()
    nodes = add_to_scene(geometry, Correspondence.identity(geometry), **changes)
    nodes.source.GetDisplayNode().SetWindowLevelMinMax(1000.0, 5000.0)
    nodes.output.GetDisplayNode().SetWindowLevelMinMax(0.0, 2000.0)
    node = difference_node(scene, nodes)
    number = np.arange(30 * 26 * 12).reshape(geometry.shape_kji)
    expected = np.clip((number + 0.5) / 2000, 0, 1) - np.clip((number - 1000) / 4000, 0, 1)
    np.testing.assert_allclose(voxels(node), expected, atol=1e-6)
    assert node.GetAttribute("MedTranslate.unit") == "window-scaled intensities, no unit"
    assert node.GetName().startswith("Difference of window-scaled intensities, no unit: ")


def test_an_image_of_whole_numbers_is_compared_as_well(scene: Any, identical: ResultNodes) -> None:
    image = identical.source.GetImageData()
    cast = vtk.vtkImageCast()
    cast.SetInputData(image)
    cast.SetOutputScalarTypeToShort()
    cast.Update()
    identical.source.SetAndObserveImageData(cast.GetOutput())
    assert (voxels(difference_node(scene, identical))[1:] == 0.5).all()


def test_the_checkerboard_changes_image_every_so_many_millimetres(scene: Any, squeezed_ct: tuple[Any, ...]) -> None:
    nodes, mapping, geometry = squeezed_ct
    nodes.source.GetDisplayNode().SetWindowLevelMinMax(0.0, 1000.0)
    nodes.output.GetDisplayNode().SetWindowLevelMinMax(0.0, 400.0)
    node = checkerboard_node(scene, nodes, tile_mm=9.0)
    values = voxels(node)
    came_from = mapping.to_source(centres(geometry))
    spacing = (2.0, 2.4, 5.0)
    for (k, j, i), value in np.ndenumerate(values):
        tiles = [int((index + 0.5) * mm / 9.0) for index, mm in zip((i, j, k), spacing, strict=True)]
        if sum(tiles) % 2 == 0:
            assert value == np.float32(0.25)
        elif well_inside(geometry, came_from[k, j, i]):
            assert value == pytest.approx(np.clip(slope_at(came_from[k, j, i]) / 1000, 0, 1), abs=1e-5)
        elif not inside(geometry, came_from[k, j, i]):
            assert value == 0
    display = node.GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0, 1)
    assert display.GetColorNodeID() == "vtkMRMLColorTableNodeGrey"


def test_a_comparison_lies_on_the_outputs_grid_and_is_marked_synthetic(
    scene: Any, squeezed_ct: tuple[Any, ...]
) -> None:
    nodes, _, geometry = squeezed_ct
    for node in (difference_node(scene, nodes), traced_source_node(scene, nodes)):
        assert volume_from_node(node).geometry.same_grid(geometry)
        assert node.GetAttribute("MedTranslate.synthetic") == "true"
        hierarchy = scene.GetSubjectHierarchyNode()
        study, item = (hierarchy.GetItemByDataNode(known) for known in (nodes.output, node))
        assert hierarchy.GetItemParent(item) == hierarchy.GetItemParent(study)
        assert hierarchy.GetItemOwnerPluginName(item) == "Volumes"
    assert difference_node(scene, nodes).GetAttribute("MedTranslate.role") == "comparison"


def test_colours_of_a_difference_are_symmetrical_about_zero(scene: Any, squeezed_ct: tuple[Any, ...]) -> None:
    nodes, *_ = squeezed_ct
    node = difference_node(scene, nodes)
    display = node.GetDisplayNode()
    assert display.GetColorNodeID() == "vtkMRMLColorTableNodeFileDivergingBlueRed.txt"
    assert not display.GetAutoWindowLevel()
    assert display.GetWindowLevelMin() == -display.GetWindowLevelMax()
    beyond = np.abs(voxels(node)) > display.GetWindowLevelMax()
    assert 0 < beyond.mean() < 0.03


def test_each_result_has_one_comparison_that_is_filled_anew(scene: Any, squeezed_ct: tuple[Any, ...]) -> None:
    nodes, *_ = squeezed_ct
    first = difference_node(scene, nodes)
    traced = traced_source_node(scene, nodes)
    count = scene.GetNumberOfNodes()
    assert checkerboard_node(scene, nodes) is first
    assert first.GetName().startswith("Checkerboard")
    assert voxels(first).min() >= 0
    assert difference_node(scene, nodes, nodes.output) is first
    assert traced_source_node(scene, nodes) is traced
    assert not voxels(first).any()
    assert scene.GetNumberOfNodes() == count
    remove_comparisons(scene, nodes)
    assert not scene.IsNodePresent(first)
    assert not scene.IsNodePresent(traced)
    assert difference_node(scene, nodes) is not first


@pytest.mark.parametrize("gone", ["comparison", "output", "scene"])
def test_what_is_gone_already_is_not_removed_again(scene: Any, identical: ResultNodes, gone: str) -> None:
    node = difference_node(scene, identical)
    if gone == "scene":
        scene.Clear(0)
    else:
        scene.RemoveNode(node if gone == "comparison" else identical.output)
    errors = []
    scene.AddObserver(vtk.vtkCommand.ErrorEvent, lambda *_: errors.append(1))
    remove_comparisons(scene, identical)
    assert not errors


def test_a_copy_of_an_output_gets_a_comparison_of_its_own(scene: Any, identical: ResultNodes) -> None:
    first = difference_node(scene, identical)
    copy = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "copy")
    copy.Copy(identical.output)
    copied = ResultNodes(**{**dict(identical.roles()), "output": copy, "uncertainty": None})
    assert difference_node(scene, copied) is not first


def test_where_nothing_moved_the_traced_source_is_the_source(scene: Any, identical: ResultNodes) -> None:
    count = scene.GetNumberOfNodes()
    assert traced_source_node(scene, identical) is identical.source
    assert scene.GetNumberOfNodes() == count


def test_the_traced_source_looks_as_the_source_does(scene: Any, squeezed_ct: tuple[Any, ...]) -> None:
    nodes, *_ = squeezed_ct
    nodes.source.GetDisplayNode().SetWindowLevelMinMax(-7.0, 77.0)
    nodes.source.GetDisplayNode().SetAndObserveColorNodeID("vtkMRMLColorTableNodeIron")
    display = traced_source_node(scene, nodes).GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (-7, 77)
    assert display.GetColorNodeID() == "vtkMRMLColorTableNodeIron"


def test_the_images_of_the_result_are_not_changed(scene: Any, squeezed_ct: tuple[Any, ...]) -> None:
    nodes, *_ = squeezed_ct
    before = [voxels(node).copy() for node in (nodes.source, nodes.output)]
    difference_node(scene, nodes)
    checkerboard_node(scene, nodes)
    traced_source_node(scene, nodes)
    for node, values in zip((nodes.source, nodes.output), before, strict=True):
        np.testing.assert_array_equal(voxels(node), values)


def test_a_comparison_is_not_compared(scene: Any, identical: ResultNodes) -> None:
    node = difference_node(scene, identical)
    with pytest.raises(InvalidVolumeError, match="is itself a comparison"):
        difference_node(scene, identical, node)


def test_an_image_without_voxels_is_refused_by_name(scene: Any, identical: ResultNodes) -> None:
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "nothing yet")
    with pytest.raises(InvalidVolumeError, match="nothing yet: the volume node has no image"):
        checkerboard_node(scene, identical, empty)


def test_an_output_that_was_moved_is_refused(scene: Any, identical: ResultNodes) -> None:
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "by hand")
    identical.output.SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(InvalidVolumeError, match="is moved by the transform 'by hand'"):
        difference_node(scene, identical)


@pytest.mark.parametrize("tile_mm", [0.0, -3.0, float("nan")])
def test_tiles_need_a_size(scene: Any, identical: ResultNodes, tile_mm: float) -> None:
    with pytest.raises(RequestError, match="need an edge above 0 mm"):
        checkerboard_node(scene, identical, tile_mm=tile_mm)


def test_a_blend_lays_an_image_over_the_views_and_takes_it_away_again(scene: Any, identical: ResultNodes) -> None:
    composites = [
        scene.GetSingletonNode(tag, "vtkMRMLSliceCompositeNode") or made(scene, tag) for tag in ("Red+", "R2")
    ]
    set_blend(composites, identical.source, 0.4)
    found = {(node.GetForegroundVolumeID(), node.GetForegroundOpacity()) for node in composites}
    assert found == {(identical.source.GetID(), 0.4)}
    set_blend(composites, identical.source, 7.0)
    assert {node.GetForegroundOpacity() for node in composites} == {1.0}
    set_blend(composites, None, 0.4)
    assert {(node.GetForegroundVolumeID(), node.GetForegroundOpacity()) for node in composites} == {(None, 0.0)}


def made(scene: Any, tag: str) -> Any:
    node = slicer.vtkMRMLSliceCompositeNode()
    node.SetLayoutName(tag)
    return scene.AddNode(node)
