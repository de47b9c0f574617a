# ruff: noqa: E402  # without Slicer's core the file is skipped before it imports what needs it
from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
vtk = pytest.importorskip("vtk")

from MedTranslateLib.core.correspondence import Correspondence
from MedTranslateLib.core.errors import InvalidVolumeError, RequestError
from MedTranslateLib.mrml.links import results_in
from MedTranslateLib.mrml.regions import Region, regions_of, trace_region
from MedTranslateLib.mrml.scene import ResultNodes
from MedTranslateLib.mrml.transforms import grid_transform
from MedTranslateLib.mrml.volumes import geometry_of_node
from Testing.slicer.drawn_regions import (
    SKEWED,
    affine,
    curve,
    frame,
    half_seen,
    ids_in,
    partner_of,
    points_of,
    ring,
    roi,
    segmentation,
    upright,
    voxels_in,
)

SOURCE_VIEWS = {"vtkMRMLSliceNodeRed", "vtkMRMLSliceNodeYellow", "vtkMRMLSliceNodeGreen"}
OUTPUT_VIEWS = {f"{view}+" for view in SOURCE_VIEWS}


@pytest.fixture
def still(add_to_scene: Callable) -> ResultNodes:
    geometry = upright()
    return add_to_scene(geometry, Correspondence.identity(geometry))


@pytest.mark.parametrize(("from_output", "views"), [(False, OUTPUT_VIEWS), (True, SOURCE_VIEWS)])
def test_a_partner_is_drawn_on_the_other_side_in_the_regions_colour(
    scene: Any, still: ResultNodes, from_output: bool, views: set[str]
) -> None:
    box = roi(scene, frame(np.eye(3), (10.5, 17, 13.5)), (6, 8, 9))
    box.GetDisplayNode().SetSelectedColor(0.9, 0.1, 0.3)
    outline = curve(scene, ring(np.array([11.0, 18, 12]), np.array([4.0, 0, 0]), np.array([0, 5.0, 0])))
    outline.GetDisplayNode().SetSelectedColor(0.3, 0.7, 0.1)
    for node, colour in ((box, (0.9, 0.1, 0.3)), (outline, (0.3, 0.7, 0.1))):
        traced = trace_region(scene, still, Region(node), from_output=from_output)
        partner = partner_of(scene, traced)
        assert partner.GetNumberOfDisplayNodes() == 1
        assert set(partner.GetDisplayNode().GetViewNodeIDs()) == views
        assert partner.GetDisplayNode().GetVisibility()
        assert partner.GetName() == traced.partner_name == f"{node.GetName()} (traced)"
        drawn = (
            partner.GetDisplayNode().GetSelectedColor()
            if node is outline
            else partner.GetSegmentation().GetNthSegment(0).GetColor()
        )
        assert drawn == pytest.approx(colour)
    assert partner.GetLocked()
    other = still.source if from_output else still.output
    boxed = scene.GetFirstNodeByName("box (traced)")
    assert boxed.GetNodeReference("referenceImageGeometryRef") is other
    assert boxed.GetSegmentation().GetNthSegment(0).GetName() == "box (traced)"


def test_a_partner_refers_to_its_region_and_lies_beside_the_output(scene: Any, still: ResultNodes) -> None:
    node = segmentation(scene, np.ones((2, 2, 2), np.uint8), upright((2, 2, 2)))
    partner = partner_of(scene, trace_region(scene, still, Region(node, "liver"), from_output=False))
    assert partner.GetAttribute("MedTranslate.role") == "traced_region"
    assert partner.GetNodeReference("MedTranslate.region") is node
    assert partner.GetNodeReference("MedTranslate.output") is still.output
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item, output = (hierarchy.GetItemByDataNode(part) for part in (partner, still.output))
    assert hierarchy.GetItemParent(item) == hierarchy.GetItemParent(output)
    assert hierarchy.GetItemLevel(hierarchy.GetItemParent(item)) == "Study"
    assert hierarchy.GetItemOwnerPluginName(item) == "Segmentations"


def test_neither_the_region_nor_the_images_are_changed(scene: Any, still: ResultNodes) -> None:
    segment = segmentation(scene, np.ones((2, 2, 2), np.uint8), upright((2, 2, 2)))
    regions = [
        Region(roi(scene, frame(np.eye(3), (10.5, 17, 13.5)), (6, 8, 9))),
        Region(curve(scene, ring(np.array([11.0, 18, 12]), np.array([4.0, 0, 0]), np.array([0, 5.0, 0])))),
        Region(segment, "liver"),
    ]
    watched = [*(region.node for region in regions), still.source, still.output, still.forward, still.inverse]
    before = [node.GetMTime() for node in watched]
    for region in regions:
        trace_region(scene, still, region, from_output=False)
    assert [node.GetMTime() for node in watched] == before


def test_tracing_again_replaces_the_partner_of_the_same_region_only(scene: Any, still: ResultNodes) -> None:
    node = segmentation(scene, np.array([1, 2] * 4, np.uint8).reshape(2, 2, 2), upright((2, 2, 2)))
    box = roi(scene, frame(np.eye(3), (10.5, 17, 13.5)), (6, 8, 9))
    first = [
        trace_region(scene, still, Region(node, "liver"), from_output=False),
        trace_region(scene, still, Region(node, "other"), from_output=False),
        trace_region(scene, still, Region(box), from_output=False),
        trace_region(scene, still, Region(box), from_output=True),
    ]
    before = len(ids_in(scene))
    box.SetSize([4, 8, 9])
    again = trace_region(scene, still, Region(box), from_output=False)
    assert len(ids_in(scene)) == before
    assert again.source.volume_mm3 == 4 * 8 * 9
    assert scene.GetNodeByID(first[2].partner_id) is None or again.partner_id == first[2].partner_id
    assert set(regions_of(scene, still)) == {first[0], first[1], first[3], again}


def test_a_region_that_cannot_be_traced_any_more_keeps_its_old_partner(scene: Any, still: ResultNodes) -> None:
    box = roi(scene, frame(np.eye(3), (10.5, 17, 13.5)), (6, 8, 9))
    traced = trace_region(scene, still, Region(box), from_output=False)
    box.SetCenter([500, 0, 0])
    with pytest.raises(RequestError):
        trace_region(scene, still, Region(box), from_output=False)
    assert regions_of(scene, still) == (traced,)


def test_the_users_next_click_goes_where_it_went_before(scene: Any, still: ResultNodes, application: Any) -> None:
    outline = curve(scene, ring(np.array([11.0, 18, 12]), np.array([4.0, 0, 0]), np.array([0, 5.0, 0])))
    selection = scene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
    assert selection.GetActivePlaceNodeID() == outline.GetID()
    trace_region(scene, still, Region(outline), from_output=False)
    assert selection.GetActivePlaceNodeID() == outline.GetID()


def test_partners_and_figures_come_back_with_a_reopened_scene(
    scene: Any, squeezed: tuple[ResultNodes, Any], application: Any, tmp_path: Path
) -> None:
    nodes, mapping = squeezed
    box = roi(scene, frame(np.eye(3), mapping.middle_ras), (16, 18, 20))
    outline = curve(scene, ring(mapping.middle_ras, np.array([9.0, 0, 0]), np.array([0, 7.0, 2])))
    traced = [trace_region(scene, nodes, Region(node), from_output=False) for node in (box, outline)]
    mask = voxels_in(partner_of(scene, traced[0]), geometry_of_node(nodes.output))
    messages = slicer.vtkMRMLMessageCollection()
    assert scene.WriteToMRB(str(tmp_path / "saved.mrb"), None, messages), messages.GetAllMessagesAsString()
    with zipfile.ZipFile(tmp_path / "saved.mrb") as archive:
        archive.extractall(tmp_path / "unpacked")
    fresh = slicer.vtkMRMLScene()
    fresh.AddNode(slicer.vtkMRMLSelectionNode())
    markups = slicer.vtkSlicerMarkupsLogic()
    markups.SetMRMLScene(fresh)  # it makes the classes known in which markups are stored
    fresh.SetURL(str(tmp_path / "unpacked" / "saved" / "saved.mrml"))
    assert fresh.Import(messages), messages.GetAllMessagesAsString()
    (again,) = results_in(fresh)
    found = {region.name: region for region in regions_of(fresh, again)}
    assert found["box"].source == traced[0].source
    assert found["outline"].output == traced[1].output
    partner = partner_of(fresh, found["box"])
    assert partner.GetNodeReference("MedTranslate.region").GetName() == "box"
    assert set(partner.GetDisplayNode().GetViewNodeIDs()) == OUTPUT_VIEWS
    np.testing.assert_array_equal(voxels_in(partner, geometry_of_node(again.output)), mask)
    reopened_outline = partner_of(fresh, found["outline"])
    expected = points_of(partner_of(scene, traced[1]))
    np.testing.assert_allclose(points_of(reopened_outline), expected, atol=1e-4)
    assert set(reopened_outline.GetDisplayNode().GetViewNodeIDs()) == OUTPUT_VIEWS


def _bent(scene: Any, node: Any) -> Any:
    geometry = upright()
    transform = scene.AddNewNodeByClass("vtkMRMLGridTransformNode", "bend")
    transform.SetAndObserveTransformFromParent(grid_transform(affine(geometry, SKEWED).forward))
    node.SetAndObserveTransformNodeID(transform.GetID())
    return node


def _empty_segmentation(scene: Any, mask: Iterable[int] | None) -> Any:
    geometry = upright((2, 2, 2))
    if mask is None:
        node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
        segment = slicer.vtkSegment()
        segment.SetName("liver")
        node.GetSegmentation().SetSourceRepresentationName("Closed surface")
        segment.AddRepresentation("Closed surface", vtk.vtkPolyData())
        node.GetSegmentation().AddSegment(segment, "liver")
        return node
    return segmentation(scene, np.array(mask, np.uint8).reshape(2, 2, 2), geometry)


BAD = {
    "two points": (lambda scene: Region(curve(scene, np.array([[5.0, 6, 12], [9, 6, 12]]))), "2 points"),
    "no points": (lambda scene: Region(curve(scene, np.zeros((0, 3)))), "encloses nothing"),
    "a line": (lambda scene: Region(curve(scene, np.array([[5.0, 6, 12], [9, 6, 12], [12, 6, 12]]))), "not on a line"),
    "far curve": (
        lambda scene: Region(curve(scene, ring(np.array([500.0, 0, 0]), np.eye(3)[0], np.eye(3)[1]))),
        "no partner",
    ),
    "flat box": (lambda scene: Region(roi(scene, np.eye(4), (5, 0, 5))), "5 x 0 x 5 mm large"),
    "far box": (lambda scene: Region(roi(scene, frame(np.eye(3), (500, 0, 0)), (5, 5, 5))), "holds no voxel"),
    "tiny box": (
        lambda scene: Region(roi(scene, frame(np.eye(3), (5.5, 9, 7.5)), (0.4, 0.4, 0.4))),
        "between its voxels",
    ),
    "bent box": (lambda scene: Region(_bent(scene, roi(scene, np.eye(4), (5, 5, 5)))), "bent by the transform 'bend'"),
    "empty segment": (lambda scene: Region(_empty_segmentation(scene, [0] * 8), "liver"), "the segment is empty"),
    "no labelmap": (lambda scene: Region(_empty_segmentation(scene, None), "liver"), "has no binary labelmap"),
    "no such segment": (
        lambda scene: Region(_empty_segmentation(scene, [1] * 8), "spleen"),
        r"no segment 'spleen' \(it has: liver, other\)",
    ),
    "an open curve": (
        lambda scene: Region(scene.AddNewNodeByClass("vtkMRMLMarkupsCurveNode", "open")),
        "open: expected a closed curve, a ROI or a segmentation",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_traced_is_refused_and_the_scene_stays(scene: Any, still: ResultNodes, case: str) -> None:
    make, message = BAD[case]
    before: list[str] = []

    def trace() -> None:
        region = make(scene)
        before.extend(ids_in(scene))
        trace_region(scene, still, region, from_output=False)

    with pytest.raises(RequestError, match=message):
        trace()
    if before:
        assert ids_in(scene) == before


def test_a_region_that_the_model_did_not_see_is_refused(scene: Any, add_to_scene: Callable) -> None:
    geometry = upright()
    nodes = add_to_scene(geometry, Correspondence.identity(geometry), validity_kji=half_seen(geometry))
    box = roi(scene, frame(np.eye(3), (4.5, 17, 13.5)), (6, 8, 9))
    for from_output in (False, True):
        with pytest.raises(RequestError, match=r"box: has no partner in .*Draw it where the cursor finds a partner"):
            trace_region(scene, nodes, Region(box), from_output=from_output)


def test_a_field_that_was_replaced_or_moved_is_refused(scene: Any, still: ResultNodes) -> None:
    box = Region(roi(scene, frame(np.eye(3), (10.5, 17, 13.5)), (6, 8, 9)))
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "tilt")
    still.forward.SetAndObserveTransformNodeID(parent.GetID())
    with pytest.raises(RequestError, match=r"moved by the transform 'tilt'.*Take it out"):
        trace_region(scene, still, box, from_output=False)
    still.forward.SetAndObserveTransformNodeID(None)
    still.inverse.Inverse()
    with pytest.raises(RequestError, match=r"replaced or inverted.*translate the volume again"):
        trace_region(scene, still, box, from_output=False)


def test_a_region_that_was_deleted_is_refused(scene: Any, still: ResultNodes) -> None:
    box = roi(scene, frame(np.eye(3), (10.5, 17, 13.5)), (6, 8, 9))
    scene.RemoveNode(box)
    with pytest.raises(RequestError, match="box: was deleted from the scene"):
        trace_region(scene, still, Region(box), from_output=False)


def test_an_image_without_voxels_is_refused(scene: Any, still: ResultNodes) -> None:
    box = Region(roi(scene, frame(np.eye(3), (10.5, 17, 13.5)), (6, 8, 9)))
    still.output.SetAndObserveImageData(None)
    with pytest.raises(InvalidVolumeError, match="has no image any more"):
        trace_region(scene, still, box, from_output=False)
