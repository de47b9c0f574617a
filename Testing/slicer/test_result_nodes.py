# ruff: noqa: E402  # without Slicer's core the file is skipped before it imports what needs it
"""A result is in the scene whole and beside an untouched source, or not at all; its voxels are there once."""

from __future__ import annotations

import gc
import importlib.util
from pathlib import Path

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
vtk = pytest.importorskip("vtk")

from vtk.util.numpy_support import vtk_to_numpy

from MedTranslateLib.core.correspondence import Correspondence
from MedTranslateLib.core.errors import InvalidVolumeError
from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.imaging.fields import map_points
from MedTranslateLib.imaging.job_folder import read_result, write_result
from MedTranslateLib.mrml import scene as scene_module
from MedTranslateLib.mrml.scene import add_result
from MedTranslateLib.mrml.volumes import geometry_of_node, node_from_volume, volume_from_node
from MedTranslateLib.mrml.voxel_memory import vtk_array_from, vtk_memory

BUNDLE = {"bundle": {"name": "mr-ct"}, "run": {"steps": 2}}


@pytest.fixture
def result(known) -> TranslationResult:
    """A deformed result with uncertainty, all voxels different, on an oblique, left-handed grid."""
    geometry = known.oblique_grid((7, 6, 5), handedness=-1.0)
    validity = np.ones(geometry.shape_kji, np.uint8)
    validity[0, 1, 2] = 0
    return TranslationResult(
        translated=known.numbered(geometry, first=0.5),
        correspondence=known.correspondence_of(geometry, known.squeeze(geometry)),
        validity_kji=validity,
        uncertainty=known.numbered(geometry, first=9.0),
        provenance=BUNDLE,
        output_name="CT",
        output_modality="CT",
    )


@pytest.fixture
def source(scene, known):
    return node_from_volume(scene, known.numbered(known.oblique_grid((7, 6, 5), handedness=-1.0)), "MRHead")


def changed(result: TranslationResult, **values) -> TranslationResult:
    fields = {name: getattr(result, name) for name in result.__dataclass_fields__}
    return TranslationResult(**{**fields, **values})


def hierarchy_of(scene):
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)


def parents(scene, nodes) -> list[int]:
    hierarchy = hierarchy_of(scene)
    return [hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) for node in nodes]


def parts(nodes) -> list:
    return [node for role, node in nodes.roles() if role != "source"]


def ids(scene) -> list[str]:
    return [node.GetID() for node in scene.GetNodes()]


def items(scene) -> list[tuple[int, str, int]]:
    hierarchy, found = hierarchy_of(scene), vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), found, True)
    numbers = [found.GetId(n) for n in range(found.GetNumberOfIds())]
    return [(item, hierarchy.GetItemName(item), hierarchy.GetItemParent(item)) for item in numbers]


def state_of(node) -> tuple:
    """All that a user could see of a node; its references as XML writes them."""
    attributes = {name: node.GetAttribute(name) for name in node.GetAttributeNames()}
    roles = [node.GetNthNodeReferenceRole(n) for n in range(node.GetNumberOfNodeReferenceRoles())]
    references = {role: node.GetNodeReferenceID(role) for role in roles}
    return node.GetMTime(), node.GetImageData().GetMTime(), attributes, references, node.GetName()


# Names, units and windows


def test_names_tell_source_bundle_and_from_the_second_time_on_the_run(scene, source, result):
    first, second, third = (add_result(scene, source, "MRHead", result) for _ in range(3))
    assert first.output.GetName() == "CT of MRHead by mr-ct (SYNTHETIC)"
    assert second.output.GetName() == "CT of MRHead by mr-ct, run 2 (SYNTHETIC)"
    assert [node.GetName() for node in parts(third)] == [
        "CT of MRHead by mr-ct, run 3 (SYNTHETIC)",
        "Output to source: CT of MRHead by mr-ct, run 3",
        "Source to output: CT of MRHead by mr-ct, run 3",
        "Seen by the model: CT of MRHead by mr-ct, run 3",
        "Uncertainty: CT of MRHead by mr-ct, run 3",
        "Provenance: CT of MRHead by mr-ct, run 3",
    ]
    assert third.output.GetAttribute("MedTranslate.run_number") == "3"


def test_runs_of_another_bundle_or_source_are_counted_by_themselves(scene, source, result):
    other = node_from_volume(scene, volume_from_node(source), "other")
    add_result(scene, source, "MRHead", result)
    by_other_bundle = add_result(scene, source, "MRHead", changed(result, provenance={"bundle": {"name": "mr-ct-2"}}))
    assert by_other_bundle.output.GetName() == "CT of MRHead by mr-ct-2 (SYNTHETIC)"
    assert add_result(scene, other, "other", result).output.GetName() == "CT of other by mr-ct (SYNTHETIC)"


def test_a_number_that_is_still_in_the_scene_is_not_given_twice(scene, source, result):
    first, _ = (add_result(scene, source, "MRHead", result) for _ in range(2))
    scene.RemoveNode(first.output)
    assert add_result(scene, source, "MRHead", result).output.GetName().endswith("run 3 (SYNTHETIC)")


def test_a_caller_can_state_the_run(scene, source, result):
    assert add_result(scene, source, "MRHead", result, run="7").output.GetName().endswith("run 7 (SYNTHETIC)")


def test_a_users_own_name_is_taken_for_all_parts_and_still_says_synthetic(scene, source, result):
    nodes = add_result(scene, source, "MRHead", result, output_name="My CT")
    assert nodes.output.GetName() == "My CT (SYNTHETIC)"
    assert nodes.uncertainty.GetName() == "Uncertainty: My CT"
    named = add_result(scene, source, "MRHead", result, output_name="synthetic skull")
    assert named.output.GetName() == "synthetic skull"


@pytest.mark.parametrize(
    ("scale", "unit", "code", "window"),
    [
        ("hounsfield", "HU", ("[hnsf'U]", "UCUM", "Hounsfield unit"), (-160.0, 240.0)),
        ("relative", "relative, not HU", ("1", "UCUM", "no units"), (0.0, 1.0)),
    ],
)
def test_unit_and_window_are_those_of_the_scale(scene, source, result, scale, unit, code, window):
    nodes = add_result(scene, source, "MRHead", changed(result, output_scale=scale))
    for node in (nodes.output, nodes.uncertainty):
        assert node.GetAttribute("MedTranslate.unit") == unit
        coded = node.GetVoxelValueUnits()
        assert (coded.GetCodeValue(), coded.GetCodingSchemeDesignator(), coded.GetCodeMeaning()) == code
    display = nodes.output.GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == window
    assert not display.GetAutoWindowLevel()
    assert display.GetColorNode().GetName() == "Grey"
    assert nodes.uncertainty.GetDisplayNode().GetColorNode().GetName() == "Iron"


def test_a_scene_without_colour_tables_gets_the_same_nodes(known, result):
    bare = slicer.vtkMRMLScene()
    source = node_from_volume(bare, known.numbered(known.oblique_grid((7, 6, 5))), "MRHead")
    nodes = add_result(bare, source, "MRHead", result)
    assert nodes.uncertainty.GetDisplayNode().GetColorNode() is None
    np.testing.assert_array_equal(volume_from_node(nodes.output).array_kji, result.translated.array_kji)
    np.testing.assert_array_equal(volume_from_node(nodes.validity).array_kji, result.validity_kji)


def test_no_view_shows_the_validity_or_anything_else_that_was_not_there(scene, source, result):
    composites = []
    for view in ("Red", "Red+"):
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLScene(scene)
        logic.SetSliceNode(scene.GetSingletonNode(view, "vtkMRMLSliceNode"))
        composites.append(logic.GetSliceCompositeNode())
        composites[-1].SetBackgroundVolumeID(source.GetID())
    add_result(scene, source, "MRHead", result)
    for composite in composites:
        layers = (composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID(), composite.GetLabelVolumeID())
        assert layers == (source.GetID(), None, None)


def test_an_identity_says_so_in_name_and_attribute_and_a_deformation_does_not(scene, source, result):
    still = changed(result, correspondence=Correspondence.identity(result.translated.geometry))
    same, deformed = add_result(scene, source, "MRHead", still), add_result(scene, source, "MRHead", result)
    for field in (same.forward, same.inverse):
        assert "identity" in field.GetName()
        assert field.GetAttribute("MedTranslate.correspondence") == "identity"
    for field in (deformed.forward, deformed.inverse):
        assert "identity" not in field.GetName()
        assert field.GetAttribute("MedTranslate.correspondence") == "model"


# The place in the data tree, and the source


def test_a_source_is_not_touched(scene, source, result):
    source.SetAttribute("mine", "kept")
    hierarchy = hierarchy_of(scene)
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "folder")
    item = hierarchy.CreateItem(folder, source)
    before, voxels = state_of(source), volume_from_node(source).array_kji
    for _ in range(2):
        add_result(scene, source, "MRHead", result)
    assert state_of(source) == before
    np.testing.assert_array_equal(volume_from_node(source).array_kji, voxels)
    assert (hierarchy.GetItemByDataNode(source), hierarchy.GetItemParent(item)) == (item, folder)


def test_parts_go_into_the_study_of_the_source(scene, source, result):
    hierarchy = hierarchy_of(scene)
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "patient")
    study = hierarchy.CreateStudyItem(patient, "study")
    folder = hierarchy.CreateFolderItem(study, "folder in the study")
    hierarchy.CreateItem(folder, source)
    nodes = add_result(scene, source, "MRHead", result)
    assert parents(scene, parts(nodes)) == [study] * 6
    assert parents(scene, [source]) == [folder]


@pytest.mark.parametrize("kind", ["CreateSubjectItem", "CreateFolderItem"])
def test_without_a_study_parts_go_into_the_patient_or_folder_of_the_source(scene, source, result, kind):
    hierarchy = hierarchy_of(scene)
    place = getattr(hierarchy, kind)(hierarchy.GetSceneItemID(), "place")
    hierarchy.CreateItem(place, source)
    assert parents(scene, parts(add_result(scene, source, "MRHead", result))) == [place] * 6


def test_below_another_node_the_folder_around_both_is_taken(scene, source, result):
    hierarchy = hierarchy_of(scene)
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "folder")
    series = hierarchy.CreateItem(folder, scene.AddNewNodeByClass("vtkMRMLTextNode", "series"))
    hierarchy.CreateItem(series, source)
    assert parents(scene, parts(add_result(scene, source, "MRHead", result))) == [folder] * 6


def test_beside_a_source_that_lies_at_the_root_a_study_is_made_and_the_source_stays(scene, source, result):
    hierarchy = hierarchy_of(scene)
    hierarchy.CreateItem(hierarchy.GetSceneItemID(), source)
    nodes = add_result(scene, source, "MRHead", result)
    (study,) = set(parents(scene, parts(nodes)))
    assert hierarchy.GetItemName(study) == "MRHead: CT by mr-ct"
    assert hierarchy.GetItemLevel(study) == "Study"
    assert hierarchy.GetItemParent(study) == hierarchy.GetSceneItemID()
    assert parents(scene, [source]) == [hierarchy.GetSceneItemID()]


# All or nothing


@pytest.mark.parametrize(
    "failing",
    ["transform_node_from_field", "label_node_from_mask", "_provenance_node", "_set_unit", "put_beside_source"],
)
def test_a_failure_half_way_leaves_the_scene_as_it_was(scene, source, result, monkeypatch, failing):
    hierarchy = hierarchy_of(scene)
    hierarchy.CreateItem(hierarchy.GetSceneItemID(), source)
    before, items_before, source_before = ids(scene), items(scene), state_of(source)

    def fail(*_arguments):
        if failing == "put_beside_source":
            hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "a study that is not filled")
        raise MemoryError

    monkeypatch.setattr(scene_module, failing, fail)
    with pytest.raises(MemoryError):
        add_result(scene, source, "MRHead", result)
    assert (ids(scene), items(scene), state_of(source)) == (before, items_before, source_before)
    assert not scene.IsBatchProcessing()
    monkeypatch.undo()
    assert add_result(scene, source, "MRHead", result).output.GetName() == "CT of MRHead by mr-ct (SYNTHETIC)"


def test_observers_are_told_of_the_change_once(scene, source, result):
    told = []
    scene.AddObserver(slicer.vtkMRMLScene.EndBatchProcessEvent, lambda *_: told.append(ids(scene)))
    nodes = add_result(scene, source, "MRHead", result)
    assert len(told) == 1
    assert {node.GetID() for node in parts(nodes)} < set(told[0])


def test_a_source_that_was_deleted_meanwhile_is_named_and_nothing_is_added(scene, source, result):
    scene.RemoveNode(source)
    before = ids(scene)
    with pytest.raises(InvalidVolumeError, match="'MRHead' was deleted from the scene"):
        add_result(scene, source, "MRHead", result)
    assert ids(scene) == before


# Memory


def voxels_of(node) -> np.ndarray:
    return vtk_to_numpy(node.GetImageData().GetPointData().GetScalars())


def grid_of(node) -> np.ndarray:
    return vtk_to_numpy(node.GetTransformFromParent().GetDisplacementGrid().GetPointData().GetScalars())


def test_a_result_in_vtks_memory_is_in_the_scene_without_a_copy_and_right(scene, source, result, tmp_path):
    write_result(tmp_path, result)
    back = read_result(tmp_path, vtk_memory)
    nodes = add_result(scene, source, "MRHead", back)
    for given, taken in (
        (back.translated.array_kji, voxels_of(nodes.output)),
        (back.uncertainty.array_kji, voxels_of(nodes.uncertainty)),
        (back.validity_kji, voxels_of(nodes.validity)),
        (back.correspondence.forward.vectors_kji_ras, grid_of(nodes.forward)),
        (back.correspondence.inverse.vectors_kji_ras, grid_of(nodes.inverse)),
    ):
        assert np.shares_memory(given, taken)
    del back, given, taken
    gc.collect()
    np.testing.assert_array_equal(volume_from_node(nodes.output).array_kji, result.translated.array_kji)
    np.testing.assert_array_equal(volume_from_node(nodes.uncertainty).array_kji, result.uncertainty.array_kji)
    np.testing.assert_array_equal(volume_from_node(nodes.validity).array_kji, result.validity_kji)
    assert geometry_of_node(nodes.output).same_grid(result.translated.geometry)
    points = result.translated.geometry.ras_from_ijk(np.random.default_rng(6).integers(0, (7, 6, 5), (30, 3)))
    for node, field in (
        (nodes.forward, result.correspondence.forward),
        (nodes.inverse, result.correspondence.inverse),
    ):
        mapped = [node.GetTransformFromParent().TransformPoint(point) for point in points]
        np.testing.assert_allclose(mapped, map_points(field, points), atol=1e-4)


def test_a_deleted_node_gives_its_memory_back(scene, source, result, tmp_path):
    write_result(tmp_path, result)
    nodes = add_result(scene, source, "MRHead", read_result(tmp_path, vtk_memory))
    freed = []
    grid = nodes.forward.GetTransformFromParent().GetDisplacementGrid()
    for name, image in (("image", nodes.output.GetImageData()), ("field", grid)):
        image.GetPointData().GetScalars().AddObserver("DeleteEvent", lambda *_, name=name: freed.append(name))
    # In the application the Data module removes the display node, which holds the image as well.
    for node in (nodes.output.GetDisplayNode(), nodes.output, nodes.forward):
        scene.RemoveNode(node)
    del nodes, node, grid, image
    gc.collect()
    assert sorted(freed) == ["field", "image"]


def test_two_nodes_never_share_voxels(scene, source, result, tmp_path):
    write_result(tmp_path, result)
    back = read_result(tmp_path, vtk_memory)
    first, second = (add_result(scene, source, "MRHead", back) for _ in range(2))
    assert not np.shares_memory(voxels_of(first.output), voxels_of(second.output))
    np.testing.assert_array_equal(voxels_of(first.output), voxels_of(second.output))


@pytest.mark.parametrize(
    "part", [lambda a: a[1:], lambda a: a[::-1], lambda a: a[:, ::2], lambda a: a.T], ids=["end", "turned", "half", "T"]
)
def test_a_part_of_vtks_memory_or_another_order_is_copied(part):
    array = vtk_memory((4, 3, 2), np.dtype(np.float32))
    array[...] = np.arange(24).reshape(4, 3, 2)
    taken = vtk_to_numpy(vtk_array_from(part(array)))
    assert not np.shares_memory(taken, array)
    assert taken.tolist() == part(np.arange(24).reshape(4, 3, 2)).ravel().tolist()


def test_numpys_own_memory_is_copied():
    array = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    taken = vtk_array_from(array, components=3)
    array[...] = 0
    assert (taken.GetNumberOfComponents(), taken.GetNumberOfTuples()) == (3, 8)
    assert taken.GetTuple3(7) == (21.0, 22.0, 23.0)


@pytest.mark.slow
def test_a_result_of_the_size_of_a_head_scan_is_there_in_three_seconds_and_once(tmp_path):
    path = Path(__file__).parents[1] / "benchmarks" / "result_in_scene.py"
    spec = importlib.util.spec_from_file_location("result_in_scene", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.write_case(tmp_path)
    measured = module.measure(tmp_path)
    assert measured["cpu_seconds"] <= 3
    assert measured["bytes_ratio"] <= 1.3
