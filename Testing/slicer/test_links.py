# ruff: noqa: E402  # without Slicer's core the file is skipped before it imports what needs it
"""The parts of a result find each other again: after deletions, copies, and in a scene that was saved and reopened."""

from __future__ import annotations

import json

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

from MedTranslateLib.core.correspondence import Correspondence
from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.imaging.fields import map_points
from MedTranslateLib.mrml.links import result_nodes, results_in
from MedTranslateLib.mrml.mapping import PointTracer
from MedTranslateLib.mrml.placement import has_moved
from MedTranslateLib.mrml.scene import ResultNodes, add_result
from MedTranslateLib.mrml.volumes import geometry_of_node, node_from_volume, volume_from_node
from Testing.slicer.trusted_results import ledger_of, trust_of

AWKWARD = 'a:b;c "d" <e>\nsecond line \N{GREEK SMALL LETTER MU}'
PROVENANCE = {"bundle": {"name": "mr-ct", "version": "1.2.3"}, "run": {"steps": 2}, "awkward": AWKWARD}


@pytest.fixture
def result(known) -> TranslationResult:
    geometry = known.oblique_grid((7, 6, 5))
    return TranslationResult(
        translated=known.numbered(geometry, first=0.5),
        correspondence=known.correspondence_of(geometry, known.squeeze(geometry)),
        validity_kji=np.ones(geometry.shape_kji, np.uint8),
        uncertainty=known.numbered(geometry, first=9.0),
        provenance=PROVENANCE,
        output_name="CT",
        output_modality="CT",
        trust=trust_of(geometry),
        ledger=ledger_of(geometry),
    )


@pytest.fixture
def source(scene, known):
    return node_from_volume(scene, known.numbered(known.oblique_grid((7, 6, 5))), "MRHead")


@pytest.fixture
def nodes(scene, source, result) -> ResultNodes:
    return add_result(scene, source, "MRHead", result)


def test_every_part_and_the_source_lead_to_the_result(scene, nodes):
    assert results_in(scene) == [nodes]
    for _, node in nodes.roles():
        assert result_nodes(node) == nodes


def test_nothing_and_nodes_of_others_lead_nowhere(scene, nodes):
    assert result_nodes(None) is None
    assert result_nodes(node_from_volume(scene, volume_from_node(nodes.source), "other")) is None
    assert result_nodes(slicer.vtkMRMLScalarVolumeNode()) is None
    assert results_in(slicer.vtkMRMLScene()) == []


def test_results_come_in_the_order_of_their_making_and_a_source_leads_to_the_latest(scene, source, nodes, result):
    second = add_result(scene, source, "MRHead", result)
    assert results_in(scene) == [nodes, second]
    assert result_nodes(source) == second
    assert result_nodes(nodes.forward) == nodes
    assert result_nodes(second.validity) == second


def test_an_output_that_was_translated_itself_leads_to_what_made_it(scene, nodes, result):
    chained = add_result(scene, nodes.output, "the CT", result)
    assert result_nodes(nodes.output) == nodes
    assert result_nodes(chained.output) == chained
    assert results_in(scene) == [nodes, chained]


@pytest.mark.parametrize("role", ["source", "output", "forward", "inverse", "validity"])
def test_without_a_part_that_tracing_needs_there_is_no_result(scene, nodes, role):
    lost = getattr(nodes, role)
    scene.RemoveNode(lost)
    assert results_in(scene) == []
    for _, node in nodes.roles():
        assert result_nodes(node) is None


@pytest.mark.parametrize(
    "role", ["uncertainty", "provenance", "trust", "expected_error", "trust_cycle", "ledger", "ledger_regions"]
)
def test_without_a_map_a_ledger_or_the_provenance_the_rest_is_found(scene, nodes, role):
    scene.RemoveNode(getattr(nodes, role))
    (found,) = results_in(scene)
    assert getattr(found, role) is None
    assert {name for name, _ in found.roles()} == {name for name, _ in nodes.roles()} - {role}


def test_a_copy_of_an_output_is_no_second_result(scene, nodes):
    copy = slicer.vtkMRMLScalarVolumeNode()
    copy.Copy(nodes.output)
    scene.AddNode(copy)
    assert copy.GetNodeReference("MedTranslate.forward") is nodes.forward
    assert result_nodes(copy) is None
    assert results_in(scene) == [nodes]


# Saved and reopened


def attributes(node) -> dict[str, str]:
    names = [name for name in node.GetAttributeNames() if name.startswith("MedTranslate.")]
    return {name: node.GetAttribute(name) for name in names}


def test_a_reopened_scene_has_all_links_voxels_attributes_and_text(nodes, result, reopened):
    (back,) = results_in(reopened())
    for (role, before), (role_after, after) in zip(nodes.roles(), back.roles(), strict=True):
        assert role == role_after
        assert after is not before
        assert (after.GetName(), after.GetClassName()) == (before.GetName(), before.GetClassName())
        assert attributes(after) == attributes(before)
        assert result_nodes(after) == back
    assert attributes(back.output)["MedTranslate.awkward"] == AWKWARD
    assert json.loads(back.provenance.GetText()) == PROVENANCE
    for role in ("source", *(part for part, node in nodes.roles() if node.IsA("vtkMRMLVolumeNode"))):
        before, after = volume_from_node(getattr(nodes, role)), volume_from_node(getattr(back, role))
        assert after.geometry.same_grid(before.geometry, tolerance_mm=1e-5)
        np.testing.assert_array_equal(after.array_kji, before.array_kji)
    assert back.output.GetVoxelValueUnits().GetCodeMeaning() == "no units"


def test_reopened_fields_map_the_same_points(nodes, result, reopened):
    (back,) = results_in(reopened())
    geometry = result.translated.geometry
    points = geometry.ras_from_ijk(np.random.default_rng(2).uniform(1, np.array(geometry.size_ijk) - 2, (100, 3)))
    for role in ("forward", "inverse"):
        expected = map_points(getattr(result.correspondence, role), points)
        mapped = [getattr(back, role).GetTransformFromParent().TransformPoint(point) for point in points]
        np.testing.assert_allclose(mapped, expected, atol=1e-3)  # the field is affine: no interpolation differs
        assert np.abs(expected - points).max() > 1


def test_a_reopened_identity_is_one(scene, source, result, reopened):
    values = {name: getattr(result, name) for name in result.__dataclass_fields__}
    still = TranslationResult(**{**values, "correspondence": Correspondence.identity(result.translated.geometry)})
    add_result(scene, source, "MRHead", still)
    (back,) = results_in(reopened())
    point = geometry_of_node(back.output).ras_from_ijk([2.5, 3.5, 1.5])
    np.testing.assert_allclose(back.forward.GetTransformFromParent().TransformPoint(point), point, atol=1e-9)
    assert back.output.GetAttribute("MedTranslate.correspondence") == "identity"


def test_runs_are_counted_on_in_a_reopened_scene(scene, source, nodes, result, reopened):
    again = reopened()
    (back,) = results_in(again)
    assert (
        add_result(again, back.source, "MRHead", result).output.GetName() == "CT of MRHead by mr-ct, run 2 (SYNTHETIC)"
    )


def test_a_scene_added_to_one_that_has_the_same_nodes_makes_a_second_result(scene, nodes, reopened):
    reopened(scene)
    first, second = results_in(scene)
    assert first == nodes
    theirs, mine = ({node.GetID() for _, node in found.roles()} for found in (first, second))
    assert len(theirs | mine) == 2 * 15


def test_a_left_handed_result_is_traced_after_reopening_though_slicer_counts_its_slices_backwards(
    known, add_to_scene, reopened
):
    geometry = known.oblique_grid((9, 8, 5), handedness=-1.0)
    before = add_to_scene(geometry, known.correspondence_of(geometry, known.squeeze(geometry)))
    (back,) = results_in(reopened())
    assert np.linalg.det(geometry_of_node(back.output).ijk_to_ras[:3, :3]) > 0
    place = geometry.ras_from_ijk([4, 4, 2])
    was, now = (PointTracer(nodes).trace(place, from_output=True) for nodes in (before, back))
    assert (now.state, now.output_value) == (was.state, was.output_value)
    np.testing.assert_allclose(now.source_ras, was.source_ras, atol=1e-3)
    back.output.SetOrigin(*(value + 1.0 for value in back.output.GetOrigin()))
    assert has_moved(back.output, back.source)
