# ruff: noqa: E402  # without Slicer's core the file is skipped before it imports what needs it
from __future__ import annotations

import csv
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

from MedTranslateLib.core.correspondence import Correspondence
from MedTranslateLib.core.errors import OutputError, RequestError
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.mrml.links import results_in
from MedTranslateLib.mrml.mapping import PointTracer, Reading, ReadingState
from MedTranslateLib.mrml.pins import COLUMNS, Pin, PinBoard
from MedTranslateLib.mrml.scene import ResultNodes
from MedTranslateLib.mrml.volumes import geometry_of_node

SOURCE_VIEWS = {"vtkMRMLSliceNodeRed", "vtkMRMLSliceNodeYellow", "vtkMRMLSliceNodeGreen"}
OUTPUT_VIEWS = {f"{view}+" for view in SOURCE_VIEWS}


def reading(number: float = 0.0, **changes: Any) -> Reading:
    """Each number a different one; more digits than a table file keeps."""
    values: dict[str, Any] = {
        "source_ras": (-123.456789 + number, 2.5, 0.001234567),
        "output_ras": (-120.0, 3.25 + number, 7.125),
        "source_value": 411.0,
        "output_value": 0.3333333,
        "displacement_mm": 8.76543219,
        "det_j": 0.91234567,
        "round_trip_mm": 0.0123456789,
        "state": ReadingState.TRACED,
        "from_output": True,
    }
    return Reading(**{**values, **changes})


def marks_on(nodes: ResultNodes, side: str) -> slicer.vtkMRMLMarkupsFiducialNode:
    return nodes.output.GetNodeReference(f"MedTranslate.{side}_pins")


def table_of(nodes: ResultNodes) -> slicer.vtkMRMLTableNode:
    return nodes.output.GetNodeReference("MedTranslate.pins")


def labels_and_places(marks: slicer.vtkMRMLMarkupsFiducialNode) -> dict[str, list[float]]:
    count = marks.GetNumberOfControlPoints()
    return {marks.GetNthControlPointLabel(n): list(marks.GetNthControlPointPositionWorld(n)) for n in range(count)}


def ids_in(scene: slicer.vtkMRMLScene) -> list[str]:
    return [node.GetID() for node in scene.GetNodes()]


@pytest.fixture
def nodes(squeezed: tuple[ResultNodes, Any]) -> ResultNodes:
    return squeezed[0]


@pytest.fixture
def board(scene: slicer.vtkMRMLScene, nodes: ResultNodes) -> PinBoard:
    return PinBoard(scene, nodes)


@pytest.fixture
def reopened(
    scene: slicer.vtkMRMLScene, application: Any, tmp_path: Path
) -> Iterator[Callable[[], slicer.vtkMRMLScene]]:
    """Saves the scene as Slicer does and opens it in a fresh one."""
    kept = []

    def reopen() -> slicer.vtkMRMLScene:
        messages = slicer.vtkMRMLMessageCollection()
        assert scene.WriteToMRB(str(tmp_path / "saved.mrb"), None, messages), messages.GetAllMessagesAsString()
        with zipfile.ZipFile(tmp_path / "saved.mrb") as archive:
            archive.extractall(tmp_path / "unpacked")
        fresh = slicer.vtkMRMLScene()
        logic = slicer.vtkSlicerMarkupsLogic()
        fresh.AddNode(slicer.vtkMRMLSelectionNode())
        logic.SetMRMLScene(fresh)
        kept.append(logic)
        fresh.SetURL(str(tmp_path / "unpacked" / "saved" / "saved.mrml"))
        assert fresh.Import(messages), messages.GetAllMessagesAsString()
        return fresh

    yield reopen
    for logic in kept:
        logic.SetMRMLScene(None)


def test_a_pin_marks_both_places_with_its_number(board: PinBoard, nodes: ResultNodes) -> None:
    board.pin(reading())
    board.pin(reading(10))
    source, output = (labels_and_places(marks_on(nodes, side)) for side in ("source", "output"))
    np.testing.assert_allclose(source["1"], [-123.457, 2.5, 0.00123457], rtol=1e-9)
    np.testing.assert_allclose(source["2"], [-113.457, 2.5, 0.00123457], rtol=1e-9)
    assert output == {"1": [-120.0, 3.25, 7.125], "2": [-120.0, 13.25, 7.125]}


def test_marks_are_drawn_in_the_views_of_their_side_only(board: PinBoard, nodes: ResultNodes) -> None:
    board.pin(reading())
    views = [set(marks_on(nodes, side).GetDisplayNode().GetViewNodeIDs()) for side in ("source", "output")]
    assert views == [SOURCE_VIEWS, OUTPUT_VIEWS]


def test_marks_cannot_be_moved_or_added_by_hand_and_are_named_after_their_image(
    board: PinBoard, nodes: ResultNodes
) -> None:
    board.pin(reading())
    for side, volume in (("source", nodes.source), ("output", nodes.output)):
        marks = marks_on(nodes, side)
        assert marks.GetLocked()
        assert marks.GetFixedNumberOfControlPoints()
        assert marks.GetName() == f"Pins on {volume.GetName()}"
    assert table_of(nodes).GetLocked()


def test_a_pin_tells_what_the_reading_told(board: PinBoard) -> None:
    pin = board.pin(reading())
    assert pin == Pin(
        number=1,
        source_ras=(-123.457, 2.5, 0.00123457),
        output_ras=(-120.0, 3.25, 7.125),
        source_value=411.0,
        output_value=0.333333,
        displacement_mm=8.76543,
        det_j=0.912346,
        round_trip_mm=0.0123457,
        state=ReadingState.TRACED,
        from_output=True,
        note="SYNTHETIC, research use only",
    )
    assert board.pins() == (pin,)


def test_a_traced_point_is_pinned_where_the_cursor_finds_it(
    scene: slicer.vtkMRMLScene, squeezed: tuple[ResultNodes, Any]
) -> None:
    nodes, mapping = squeezed
    start = mapping.middle_ras + np.array([3.0, -4.0, 6.0])
    pin = PinBoard(scene, nodes).pin(PointTracer(nodes).trace(start, from_output=True))
    np.testing.assert_allclose(pin.source_ras, mapping.to_source(start), atol=1e-3)
    assert pin.det_j == pytest.approx(mapping.det, abs=1e-3)
    assert pin.state is ReadingState.TRACED


def test_the_table_is_kept_in_step_and_tells_units_in_its_heading(board: PinBoard, nodes: ResultNodes) -> None:
    for number in range(3):
        board.pin(reading(number))
    board.remove(2)
    table = table_of(nodes).GetTable()
    heading = [table.GetColumnName(column) for column in range(table.GetNumberOfColumns())]
    assert heading == list(COLUMNS)
    assert "output_ras_a_mm" in heading
    cells = [table.GetValueByName(row, "output_ras_a_mm").ToDouble() for row in range(table.GetNumberOfRows())]
    assert cells == [3.25, 5.25]


def test_a_number_is_never_given_again(board: PinBoard, scene: slicer.vtkMRMLScene, nodes: ResultNodes) -> None:
    for number in range(3):
        board.pin(reading(number))
    board.remove(3)
    assert board.pin(reading()).number == 4
    board.clear()
    assert board.pins() == ()
    assert labels_and_places(marks_on(nodes, "source")) == {}
    assert PinBoard.of(scene, nodes).pin(reading()).number == 5


def test_two_boards_of_a_result_show_the_same_pins(
    board: PinBoard, scene: slicer.vtkMRMLScene, nodes: ResultNodes
) -> None:
    first = board.pin(reading())
    other = PinBoard.of(scene, nodes)
    second = other.pin(reading(1))
    assert board.pins() == other.pins() == (first, second)


def test_pins_of_two_results_are_kept_apart(
    board: PinBoard, scene: slicer.vtkMRMLScene, nodes: ResultNodes, add_to_scene: Callable[..., ResultNodes]
) -> None:
    board.pin(reading())
    geometry = geometry_of_node(nodes.source)
    other = PinBoard(scene, add_to_scene(geometry, Correspondence.identity(geometry)))
    assert other.pins() == ()
    assert other.pin(reading(5)).number == 1
    assert len(board.pins()) == 1


def test_pins_come_back_with_a_reopened_scene(board: PinBoard, nodes: ResultNodes, reopened: Callable) -> None:
    pins = [
        board.pin(reading()),
        board.pin(reading(1)),
        board.pin(reading(2, source_value=None, output_value=1234567.0)),
    ]
    board.remove(2)
    scene = reopened()
    (again,) = results_in(scene)
    found = PinBoard.of(scene, again)
    assert found.pins() == (pins[0], pins[2])
    assert found.pins()[1].source_value is None
    marks = marks_on(again, "output")
    assert labels_and_places(marks) == {"1": [-120.0, 3.25, 7.125], "3": [-120.0, 5.25, 7.125]}
    assert set(marks.GetDisplayNode().GetViewNodeIDs()) == OUTPUT_VIEWS
    assert marks.GetLocked()
    assert found.pin(reading()).number == 4
    assert len(labels_and_places(marks)) == 3


def test_a_point_without_a_partner_is_not_pinned(board: PinBoard, scene: slicer.vtkMRMLScene) -> None:
    before = ids_in(scene)
    with pytest.raises(RequestError, match=r"no partner.*Pin another one"):
        board.pin(reading(state=ReadingState.OUTSIDE))
    assert ids_in(scene) == before


def test_looking_at_pins_adds_nothing_to_the_scene(board: PinBoard, scene: slicer.vtkMRMLScene, tmp_path: Path) -> None:
    before = ids_in(scene)
    assert board.pins() == ()
    board.clear()
    board.write_csv(tmp_path / "pins.csv")
    assert ids_in(scene) == before


def test_a_pin_that_is_not_there_cannot_be_removed(board: PinBoard) -> None:
    board.pin(reading())
    with pytest.raises(RequestError, match=r"no pin 2 \(there are: 1\)"):
        board.remove(2)
    assert len(board.pins()) == 1


def test_marks_that_were_deleted_come_back_with_the_next_pin(
    board: PinBoard, scene: slicer.vtkMRMLScene, nodes: ResultNodes
) -> None:
    board.pin(reading())
    scene.RemoveNode(marks_on(nodes, "source"))
    board.pin(reading(1))
    assert list(labels_and_places(marks_on(nodes, "source"))) == ["1", "2"]


def test_a_deleted_table_takes_its_pins_along_but_not_their_numbers(
    board: PinBoard, scene: slicer.vtkMRMLScene, nodes: ResultNodes
) -> None:
    board.pin(reading())
    scene.RemoveNode(table_of(nodes))
    assert board.pins() == ()
    assert board.pin(reading(1)).number == 2
    assert list(labels_and_places(marks_on(nodes, "output"))) == ["2"]


@pytest.mark.parametrize("column", ["state", "det_j", "source_ras_s_mm"])
def test_a_table_that_was_changed_by_hand_is_not_believed(board: PinBoard, nodes: ResultNodes, column: str) -> None:
    board.pin(reading())
    table_of(nodes).RemoveColumn(COLUMNS.index(column))
    with pytest.raises(RequestError, match=r"'Pins: .*' was changed by hand.*Clear the pins"):
        board.pins()
    board.clear()
    assert board.pin(reading()).number == 2


def test_an_empty_cell_is_no_position(board: PinBoard, nodes: ResultNodes) -> None:
    board.pin(reading())
    table_of(nodes).SetCellText(0, COLUMNS.index("output_ras_r_mm"), "nan")
    with pytest.raises(RequestError, match="a position is missing"):
        board.pins()


def test_the_users_next_click_goes_where_it_went_before(
    board: PinBoard, scene: slicer.vtkMRMLScene, application: Any
) -> None:
    chosen = scene.AddNewNodeByClass("vtkMRMLMarkupsClosedCurveNode", "being drawn")
    selection = scene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
    assert selection.GetActivePlaceNodeID() == chosen.GetID()
    board.pin(reading())
    assert selection.GetActivePlaceNodeID() == chosen.GetID()
    assert selection.GetActivePlaceNodeClassName() == "vtkMRMLMarkupsClosedCurveNode"


def test_pins_lie_beside_the_output_in_the_data_tree(
    board: PinBoard, scene: slicer.vtkMRMLScene, nodes: ResultNodes
) -> None:
    board.pin(reading())
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    parts = [table_of(nodes), marks_on(nodes, "source"), marks_on(nodes, "output")]
    items = [hierarchy.GetItemByDataNode(node) for node in parts]
    study = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(nodes.output))
    assert hierarchy.GetItemLevel(study) == "Study"
    assert [hierarchy.GetItemParent(item) for item in items] == [study] * 3
    assert [hierarchy.GetItemOwnerPluginName(item) for item in items] == ["Tables", "Markups", "Markups"]


def test_the_csv_file_states_units_and_says_synthetic(board: PinBoard, nodes: ResultNodes, tmp_path: Path) -> None:
    board.pin(reading())
    board.pin(reading(1, source_value=None, from_output=False, state=ReadingState.FOLDED))
    board.write_csv(tmp_path / "pins.csv")
    with (tmp_path / "pins.csv").open(encoding="utf-8", newline="") as file:
        first, second = csv.DictReader(file)
    expected = {
        "pin": "1",
        "source_ras_r_mm": "-123.457",
        "source_ras_a_mm": "2.5",
        "source_ras_s_mm": "0.00123457",
        "output_ras_r_mm": "-120",
        "output_ras_a_mm": "3.25",
        "output_ras_s_mm": "7.125",
        "source_value": "411",
        "output_value": "0.333333",
        "displacement_mm": "8.76543",
        "det_j": "0.912346",
        "round_trip_mm": "0.0123457",
        "state": "traced",
        "pinned_in": "output",
        "note": "SYNTHETIC, research use only",
        "source_unit": "intensities as in the file",
        "output_unit": "relative, not HU",
        "source_image": nodes.source.GetName(),
        "output_image": nodes.output.GetName(),
    }
    assert first == expected
    assert (second["source_value"], second["state"], second["pinned_in"]) == ("", "folded", "source")
    assert not any("#" in name for name in first)


def test_hounsfield_units_are_stated_where_they_are_meant(
    scene: slicer.vtkMRMLScene, squeezed: tuple[ResultNodes, Any], tmp_path: Path
) -> None:
    nodes, _ = squeezed
    nodes.output.SetAttribute("MedTranslate.scale", "hounsfield")
    nodes.output.SetAttribute("MedTranslate.source.modality", "CT")
    board = PinBoard(scene, nodes)
    board.pin(reading())
    board.write_csv(tmp_path / "pins.csv")
    with (tmp_path / "pins.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["source_unit"], row["output_unit"]) == ("HU", "HU")


def test_a_csv_file_that_cannot_be_written_is_a_clear_error_and_leaves_nothing(board: PinBoard, tmp_path: Path) -> None:
    board.pin(reading())
    with pytest.raises(OutputError, match=r"missing.*pins\.csv could not be written"):
        board.write_csv(tmp_path / "missing" / "pins.csv")
    (tmp_path / "in the way.csv").mkdir()
    with pytest.raises(OutputError, match=r"in the way\.csv could not be written"):
        board.write_csv(tmp_path / "in the way.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["in the way.csv"]


def test_the_source_is_not_changed_by_pins(board: PinBoard, nodes: ResultNodes) -> None:
    before = nodes.source.GetMTime()
    board.pin(reading())
    board.remove(1)
    assert nodes.source.GetMTime() == before


def test_names_of_images_do_not_break_the_csv_file(
    add_to_scene: Callable[..., ResultNodes], scene: slicer.vtkMRMLScene, tmp_path: Path
) -> None:
    geometry = Geometry((3, 4, 2), np.diag([1.0, 2.0, 3.0, 1.0]))
    source = Volume(np.zeros(geometry.shape_kji), geometry, 'knee, "left";\nsecond line')
    nodes = add_to_scene(geometry, Correspondence.identity(geometry), source=source)
    board = PinBoard(scene, nodes)
    board.pin(reading())
    board.write_csv(tmp_path / "pins.csv")
    with (tmp_path / "pins.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["source_image"] == nodes.source.GetName()
    assert row["output_image"] == nodes.output.GetName()
