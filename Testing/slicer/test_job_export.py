# ruff: noqa: E402  # without Slicer's core the file is skipped before it imports what needs it
"""What is in the scene goes to a job folder without a loss, also after the scene was saved and reopened."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

from MedTranslateLib.core.correspondence import Correspondence, Origin
from MedTranslateLib.core.errors import CorruptResultError, RequestError
from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.imaging.job_folder import read_request, read_result, read_source
from MedTranslateLib.mrml.job_export import write_nodes
from MedTranslateLib.mrml.ledger_nodes import Decision
from MedTranslateLib.mrml.ledger_table import LedgerBoard
from MedTranslateLib.mrml.links import results_in
from MedTranslateLib.mrml.scene import ResultNodes, add_result, add_source
from Testing.slicer.conftest import result_on
from Testing.slicer.trusted_results import ledger_of, trust_of

PROVENANCE = {"bundle": {"name": "mr-ct", "version": "1.2"}, "run": {"steps": 2, "from": "T1"}}


@pytest.fixture(params=[1.0, -1.0], ids=["right-handed", "left-handed"])
def whole(request: pytest.FixtureRequest, known: SimpleNamespace) -> TranslationResult:
    """Every part that a result can have, oblique and anisotropic."""
    geometry = known.oblique_grid((9, 8, 5), handedness=request.param)
    validity = np.ones(geometry.shape_kji, np.uint8)
    validity[:, :, 0] = 0
    return result_on(
        geometry,
        known.correspondence_of(geometry, known.squeeze(geometry)),
        validity_kji=validity,
        uncertainty=known.numbered(geometry, first=3.25),
        provenance=PROVENANCE,
        output_scale="hounsfield",
        trust=trust_of(geometry),
        ledger=ledger_of(geometry),
    )


@pytest.fixture
def nodes(scene: slicer.vtkMRMLScene, known: SimpleNamespace, whole: TranslationResult) -> ResultNodes:
    source = known.numbered(whole.translated.geometry, first=-40.0)
    return add_result(scene, add_source(scene, source, whole), "head", whole)


def slice_order(got: TranslationResult, expected: TranslationResult) -> int:
    """-1 where the slices come in the other order: Slicer reads left-handed images so."""
    axes = [result.translated.geometry.ijk_to_ras[:3, 2] for result in (got, expected)]
    return 1 if np.dot(*axes) > 0 else -1


def assert_same(volume: Volume | None, expected: Volume | None, tolerance_mm: float) -> None:
    """The same values at the same places of the patient."""
    assert (volume is None) == (expected is None)
    if volume is not None and expected is not None:
        last = np.array(volume.geometry.size_ijk) - 1
        for corner in np.ndindex(2, 2, 2):
            index = last * corner
            place = expected.geometry.ijk_from_ras(volume.geometry.ras_from_ijk(index)).round(4)
            assert volume.array_kji[tuple(index[::-1])] == expected.array_kji[tuple(place.astype(int)[::-1])]
            back = expected.geometry.ras_from_ijk(place)
            np.testing.assert_allclose(volume.geometry.ras_from_ijk(index), back, atol=tolerance_mm)
        np.testing.assert_array_equal(np.sort(volume.array_kji, axis=0), np.sort(expected.array_kji, axis=0))


def assert_same_result(got: TranslationResult, expected: TranslationResult, tolerance_mm: float) -> None:
    assert_same(got.translated, expected.translated, tolerance_mm)
    assert_same(got.uncertainty, expected.uncertainty, tolerance_mm)
    np.testing.assert_array_equal(got.validity_kji[:: slice_order(got, expected)], expected.validity_kji)
    assert got.correspondence.origin is expected.correspondence.origin
    for way in ("forward", "inverse"):
        field, wanted = getattr(got.correspondence, way), getattr(expected.correspondence, way)
        np.testing.assert_allclose(field.vectors_kji_ras, wanted.vectors_kji_ras, atol=tolerance_mm)
        assert field.geometry.same_grid(wanted.geometry, max(tolerance_mm, 1e-6))
    for name in ("provenance", "output_name", "output_modality", "output_scale"):
        assert getattr(got, name) == getattr(expected, name)
    assert got.trust is not None
    assert_same(got.trust.trust, expected.trust.trust, tolerance_mm)
    assert_same(got.trust.expected_error, expected.trust.expected_error, tolerance_mm)
    assert set(got.trust.parts) == set(expected.trust.parts)
    for part, volume in expected.trust.parts.items():
        assert_same(got.trust.parts[part], volume, tolerance_mm)
    np.testing.assert_array_equal(got.ledger.regions_kji[:: slice_order(got, expected)], expected.ledger.regions_kji)
    assert got.ledger.rule == expected.ledger.rule
    for entry, wanted in zip(got.ledger.entries, expected.ledger.entries, strict=True):
        assert (entry.number, entry.side, entry.trust) == (wanted.number, wanted.side, wanted.trust)
        np.testing.assert_allclose(entry.source_ras, wanted.source_ras, rtol=1e-5)


def test_a_job_folder_made_of_nodes_is_the_one_they_came_from(
    nodes: ResultNodes, whole: TranslationResult, known: SimpleNamespace, tmp_path: Path
) -> None:
    write_nodes(tmp_path, nodes)
    assert_same_result(read_result(tmp_path), whole, 1e-9)
    assert_same(read_source(tmp_path), known.numbered(whole.translated.geometry, first=-40.0), 1e-9)
    assert read_request(tmp_path).source_name == "source"  # a node's name may be a patient's


def test_the_same_after_saving_and_reopening(
    nodes: ResultNodes, whole: TranslationResult, reopened: Callable, tmp_path: Path
) -> None:
    LedgerBoard(nodes).decide(2, Decision.DOUBTED)
    (back,) = results_in(reopened())
    folder = tmp_path / "job"
    write_nodes(folder, back)
    assert_same_result(read_result(folder), whole, 1e-4)


def test_a_plain_result_stays_plain(known: SimpleNamespace, add_to_scene: Callable, tmp_path: Path) -> None:
    geometry = known.oblique_grid((9, 8, 5))
    nodes = add_to_scene(geometry, Correspondence.identity(geometry), provenance={"bundle": {"name": "mr-ct"}})
    write_nodes(tmp_path, nodes)
    result = read_result(tmp_path)
    assert (result.trust, result.ledger, result.uncertainty) == (None, None, None)
    assert result.correspondence.origin is Origin.IDENTITY
    assert not result.correspondence.forward.vectors_kji_ras.any()
    assert read_request(tmp_path).bundle == "mr-ct"


def test_a_deleted_provenance_is_no_provenance_and_a_broken_one_is_an_error(nodes: ResultNodes, tmp_path: Path) -> None:
    nodes.provenance.SetText("{not json")
    with pytest.raises(CorruptResultError, match="changed by hand"):
        write_nodes(tmp_path, nodes)
    assert list(tmp_path.iterdir()) == []
    nodes.provenance.GetScene().RemoveNode(nodes.provenance)
    (left,) = results_in(nodes.output.GetScene())
    write_nodes(tmp_path, left)
    assert json.loads((tmp_path / "provenance.json").read_text(encoding="utf-8")) == {}


def test_a_moved_result_is_not_exported(scene: slicer.vtkMRMLScene, nodes: ResultNodes, tmp_path: Path) -> None:
    moved = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "shift")
    matrix = slicer.util.arrayFromTransformMatrix(moved)
    matrix[0, 3] = 12.0
    slicer.util.updateTransformMatrixFromArray(moved, matrix)
    nodes.output.SetAndObserveTransformNodeID(moved.GetID())
    with pytest.raises(RequestError, match="was moved after the translation"):
        write_nodes(tmp_path, nodes)
    nodes.output.SetAndObserveTransformNodeID(None)
    nodes.trust.SetAndObserveTransformNodeID(moved.GetID())
    with pytest.raises(RequestError, match=r"Trust: .* is moved by the transform 'shift'"):
        write_nodes(tmp_path, nodes)
    assert list(tmp_path.iterdir()) == []
