# ruff: noqa: E402  # without Slicer's core the file is skipped before it imports what needs it
"""The ledger of a result: every entry is shown where it is, and what a reader makes of it is kept with the scene."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

from MedTranslateLib.core.correspondence import Correspondence
from MedTranslateLib.core.errors import RequestError
from MedTranslateLib.core.ledger import Ledger
from MedTranslateLib.mrml.layout import Side, composite_of, show_compare, side_of_view, slice_views
from MedTranslateLib.mrml.ledger_nodes import Decision
from MedTranslateLib.mrml.ledger_outline import hide_outline, show_outline
from MedTranslateLib.mrml.ledger_table import LedgerBoard
from MedTranslateLib.mrml.links import results_in
from MedTranslateLib.mrml.scene import ResultNodes
from MedTranslateLib.mrml.show_pair import show_pair
from MedTranslateLib.mrml.volumes import geometry_of_node
from Testing.slicer.trusted_results import AWKWARD_REASON, RULE, entry, ledger_of


@pytest.fixture
def nodes(known: SimpleNamespace, add_to_scene: Callable[..., ResultNodes]) -> ResultNodes:
    geometry = known.oblique_grid()
    return add_to_scene(geometry, Correspondence.identity(geometry), ledger=ledger_of(geometry))


@pytest.fixture
def board(nodes: ResultNodes) -> LedgerBoard:
    return LedgerBoard(nodes)


def test_the_table_has_the_entries_as_they_were_found(board: LedgerBoard, known: SimpleNamespace) -> None:
    expected = ledger_of(known.oblique_grid()).entries
    for row, item in zip(board.rows(), expected, strict=True):
        assert row.entry.side is item.side
        assert row.entry.reason == item.reason.replace('"', "'")  # which a table's file does not keep
        assert (row.entry.volume_mm3, row.entry.trust) == (item.volume_mm3, item.trust)
        np.testing.assert_allclose(row.entry.source_ras, item.source_ras, rtol=1e-5)
        np.testing.assert_allclose(row.entry.output_ras, item.output_ras, rtol=1e-5)
        assert (row.decision, row.note) == (Decision.OPEN, "")


def test_the_strongest_comes_first_whatever_its_number(known: SimpleNamespace, add_to_scene: Callable) -> None:
    geometry = known.oblique_grid()
    entries = tuple(entry(n, (0.0, 0.0, 0.0), strength=strength) for n, strength in ((1, 1.5), (2, 9.0), (3, 4.0)))
    ledger = Ledger(entries, np.zeros(geometry.shape_kji, np.uint8), RULE)
    board = LedgerBoard(add_to_scene(geometry, Correspondence.identity(geometry), ledger=ledger))
    assert [row.entry.number for row in board.rows()] == [2, 3, 1]


def test_decisions_and_notes_can_be_changed_and_are_counted(board: LedgerBoard) -> None:
    assert board.progress().text == "0 of 3 looked at"
    board.decide(2, Decision.ACCEPTED)
    board.decide(3, Decision.DOUBTED)
    board.note(3, ' a "cyst",\n\tperhaps ')
    assert board.progress().text == "2 of 3 looked at"
    assert [row.decision.value for row in board.rows()] == ["open", "accepted", "doubted"]
    assert board.row(3).note == "a 'cyst', perhaps"
    board.decide(3, Decision.OPEN)
    assert board.progress().text == "1 of 3 looked at"
    assert [row.entry.number for row in board.rows(open_only=True)] == [1, 3]


def test_next_and_previous_go_round_and_pass_over_what_was_decided(board: LedgerBoard) -> None:
    def number(row: object) -> int | None:
        return None if row is None else row.entry.number  # type: ignore[attr-defined]  # a test's shorthand

    assert [number(board.neighbour(start, 1)) for start in (None, 1, 2, 3)] == [1, 2, 3, 1]
    assert [number(board.neighbour(start, -1)) for start in (None, 1, 2, 3)] == [3, 3, 1, 2]
    board.decide(2, Decision.DOUBTED)
    assert [number(board.neighbour(start, 1, open_only=True)) for start in (None, 1, 2, 3)] == [1, 3, 3, 1]
    for left in (1, 3):
        board.decide(left, Decision.ACCEPTED)
    assert board.neighbour(1, 1, open_only=True) is None
    assert number(board.neighbour(1, 1)) == 2


def test_an_entry_that_is_not_there_is_an_error_and_nothing_is_written(board: LedgerBoard) -> None:
    with pytest.raises(RequestError, match="no entry 4; it has 3"):
        board.decide(4, Decision.ACCEPTED)
    assert board.progress().looked_at == 0


def test_decisions_notes_and_rule_are_there_again_in_a_reopened_scene(board: LedgerBoard, reopened: Callable) -> None:
    board.decide(1, Decision.DOUBTED)
    board.decide(2, Decision.ACCEPTED)
    board.note(1, "seen, \N{GREEK SMALL LETTER MU}-bleeds; 2nd look")
    (back,) = results_in(reopened())
    again = LedgerBoard(back)
    assert again.rows() == board.rows()
    assert again.rule == RULE
    assert again.rows()[0].entry.reason == AWKWARD_REASON.replace('"', "'")
    again.decide(3, Decision.ACCEPTED)
    assert again.progress().text == "3 of 3 looked at"


def test_an_empty_ledger_says_so_and_that_it_is_no_proof_also_when_reopened(
    known: SimpleNamespace, add_to_scene: Callable, reopened: Callable
) -> None:
    geometry = known.oblique_grid()
    add_to_scene(geometry, Correspondence.identity(geometry), ledger=ledger_of(geometry, entries=0))
    (back,) = results_in(reopened())
    board = LedgerBoard(back)
    assert board.exists
    assert board.rows() == ()
    assert board.progress().text == "0 of 0 looked at"
    assert board.neighbour(None, 1) is None
    said = board.sentences()
    assert said.startswith("No structure was found that one side alone has. An empty ledger is no proof")
    assert said.endswith(RULE)


def test_a_result_without_a_ledger_is_not_called_empty(known: SimpleNamespace, add_to_scene: Callable) -> None:
    geometry = known.oblique_grid()
    board = LedgerBoard(add_to_scene(geometry, Correspondence.identity(geometry)))
    assert not board.exists
    assert board.rows() == ()
    assert "nobody looked" in board.sentences()


def test_a_table_that_was_changed_by_hand_is_not_believed(board: LedgerBoard, nodes: ResultNodes) -> None:
    nodes.ledger.SetCellText(1, 1, "left")
    with pytest.raises(RequestError, match="changed by hand"):
        board.rows()
    nodes.ledger.RemoveAllColumns()
    assert board.rows() == ()


def test_the_csv_file_has_entries_decisions_and_what_they_belong_to(
    board: LedgerBoard, nodes: ResultNodes, tmp_path: Path
) -> None:
    board.decide(2, Decision.DOUBTED)
    board.note(2, "too dark")
    board.write_csv(tmp_path / "ledger.csv")
    with (tmp_path / "ledger.csv").open(encoding="utf-8", newline="") as file:
        first, second, _ = csv.DictReader(file)
    assert (first["number"], first["side"], first["volume_mm3"], first["strength"]) == ("1", "output", "24", "5.5")
    assert (first["reason"], first["decision"]) == (AWKWARD_REASON.replace('"', "'"), "open")
    assert (second["trust"], second["decision"], second["note"]) == ("", "doubted", "too dark")
    assert second["output_image"] == nodes.output.GetName()
    assert second["synthetic"] == "SYNTHETIC, research use only"
    assert second["rule"] == RULE


# In the views


def label_of(view: slicer.vtkMRMLSliceNode) -> str | None:
    return composite_of(view).GetLabelVolumeID() or None


def test_an_entry_is_outlined_on_its_own_side_alone_at_its_own_place(
    scene: slicer.vtkMRMLScene, nodes: ResultNodes, board: LedgerBoard
) -> None:
    show_compare(scene, nodes)
    assert show_outline(scene, nodes, board.row(2).entry)  # in the source
    labelled = {side_of_view(view, nodes) for view in slice_views(scene) if label_of(view)}
    assert labelled == {Side.SOURCE}
    assert all(view.GetUseLabelOutline() == bool(label_of(view)) for view in slice_views(scene))
    outline = scene.GetNodeByID(next(filter(None, map(label_of, slice_views(scene)))))
    inside = np.argwhere(slicer.util.arrayFromVolume(outline))[:, ::-1]
    places = geometry_of_node(outline).ras_from_ijk(inside)
    expected = geometry_of_node(nodes.output).ras_from_ijk([[1, 2, 2], [2, 2, 2]])
    np.testing.assert_allclose(places, expected, atol=1e-6)


def test_another_entry_replaces_the_outline_and_none_leaves_nothing(
    scene: slicer.vtkMRMLScene, nodes: ResultNodes, board: LedgerBoard
) -> None:
    show_compare(scene, nodes)
    before = scene.GetNumberOfNodes()
    show_outline(scene, nodes, board.row(2).entry)
    count = scene.GetNumberOfNodes()
    show_outline(scene, nodes, board.row(1).entry)
    assert scene.GetNumberOfNodes() == count
    assert {side_of_view(view, nodes) for view in slice_views(scene) if label_of(view)} == {Side.OUTPUT}
    hide_outline(scene)
    assert scene.GetNumberOfNodes() == before
    assert not any(label_of(view) or view.GetUseLabelOutline() for view in slice_views(scene))
    hide_outline(scene)


def test_a_label_map_of_the_users_stays(scene: slicer.vtkMRMLScene, nodes: ResultNodes, board: LedgerBoard) -> None:
    show_compare(scene, nodes)
    view = scene.GetSingletonNode("Red", "vtkMRMLSliceNode")
    composite_of(view).SetLabelVolumeID(nodes.validity.GetID())
    show_outline(scene, nodes, board.row(1).entry)
    hide_outline(scene)
    assert label_of(view) == nodes.validity.GetID()


def test_regions_that_were_deleted_leave_the_entries_without_an_outline(
    scene: slicer.vtkMRMLScene, nodes: ResultNodes, board: LedgerBoard
) -> None:
    scene.RemoveNode(nodes.ledger_regions)
    (left,) = results_in(scene)
    assert not show_outline(scene, left, board.row(1).entry)


def test_an_outline_is_not_saved_with_the_scene(
    scene: slicer.vtkMRMLScene, nodes: ResultNodes, board: LedgerBoard, reopened: Callable
) -> None:
    show_compare(scene, nodes)
    show_outline(scene, nodes, board.row(1).entry)
    again = reopened()
    roles = [node.GetAttribute("MedTranslate.role") for node in again.GetNodes()]
    assert not [role for role in roles if role and "outline" in role]


def test_a_pair_beyond_a_views_edge_is_brought_into_its_middle_and_one_in_sight_is_not(
    scene: slicer.vtkMRMLScene, nodes: ResultNodes
) -> None:
    show_compare(scene, nodes)
    view = scene.GetSingletonNode("Red+", "vtkMRMLSliceNode")
    geometry = geometry_of_node(nodes.output)
    near, far = geometry.ras_from_ijk([14, 12, 3]), geometry.ras_from_ijk([1, 1, 9])
    centre = [view.GetSliceToRAS().GetElement(row, 3) for row in range(3)]
    show_pair(scene, nodes, near, near)
    moved = np.subtract([view.GetSliceToRAS().GetElement(row, 3) for row in range(3)], centre)
    normal = [view.GetSliceToRAS().GetElement(row, 2) for row in range(3)]
    np.testing.assert_allclose(np.cross(moved, normal), 0, atol=1e-6)  # along the view's direction alone
    view.SetFieldOfView(12.0, 12.0, 1.0)
    show_pair(scene, nodes, far, far)
    np.testing.assert_allclose([view.GetSliceToRAS().GetElement(row, 3) for row in range(3)], far, atol=1e-4)
