"""The ledger, worked through with mouse and keys: each entry on both sides, decided, kept and written."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import slicer

from panel_case_files import beside

LIMIT_S = 300
trace = beside(__file__, "trace")
RULE = "An entry is a structure of at least 30 mm\N{SUPERSCRIPT THREE}; two in ten healthy heads have a false one."


def ledger_parts(geometry, count: int = 3) -> dict:
    """Boxes at known places: entries of the output and of the source by turns."""
    from MedTranslateLib.core.ledger import Ledger, LedgerEntry, LedgerSide

    regions = np.zeros(geometry.shape_kji, np.uint8)
    entries = []
    for number in range(1, count + 1):
        k, j, i = 5 + 4 * number, 30 + 8 * number, 40 + 6 * number
        regions[k - 1 : k + 2, j - 4 : j + 5, i - 5 : i + 6] = number
        middle = geometry.ras_from_ijk([i, j, k])
        own, other = middle, middle + trace.SHIFT_MM
        side = LedgerSide.OUTPUT if number % 2 else LedgerSide.SOURCE
        places = {"output_ras": own, "source_ras": other}
        if side is LedgerSide.SOURCE:
            places = {"source_ras": own, "output_ras": middle - trace.SHIFT_MM}
        entries.append(
            LedgerEntry(
                number=number,
                side=side,
                **{name: tuple(place.tolist()) for name, place in places.items()},
                volume_mm3=2376.0,
                strength=6.0 / number,
                trust=0.15 * number,
                reason=f"A bright spot that only the {side.value} has, {6.0 / number:.1f} times what is usual.",
            )
        )
    return {"ledger": Ledger(tuple(entries), regions, RULE)}


def shown(side, changes=ledger_parts):
    nodes = trace.shifted_result(changes=changes)
    panels = side.open_module().panels
    panels.trace.show(nodes)
    side.wait(400)
    side.child("traceSection").collapsed = side.child("translateSection").collapsed = True
    side.wait(100)
    return nodes, panels


def label_in(name: str) -> str:
    return slicer.app.layoutManager().sliceWidget(name).mrmlSliceCompositeNode().GetLabelVolumeID() or ""


def entry_of(nodes, number: int):
    from MedTranslateLib.mrml.ledger_table import LedgerBoard

    return LedgerBoard(nodes).row(number).entry


def assert_both_sides_show(nodes, number: int) -> None:
    entry = entry_of(nodes, number)
    for names, place in (
        (("Red", "Yellow", "Green"), entry.source_ras),
        (("Red+", "Yellow+", "Green+"), entry.output_ras),
    ):
        assert max(trace.distance_mm(name, place) for name in names) < 0.01
    own, other = ("Red+", "Red") if entry.side.value == "output" else ("Red", "Red+")
    assert label_in(own)
    assert not label_in(other)


def check_rows_go_to_both_sides_and_outline_the_region(side) -> None:
    nodes, panels = shown(side)
    table = side.child("ledgerTable")
    assert table.rowCount == 3, panels.messages.text
    assert side.child("ledgerProgress").text == "0 of 3 looked at"
    assert RULE in side.child("ledgerSummary").text
    for row in (1, 0, 2):
        side.mouse.click(table.viewport(), 30, table.rowViewportPosition(row) + 8)
        assert panels.ledger.number == row + 1
        assert_both_sides_show(nodes, row + 1)
        side.wait(100)
        side.picture(f"ledger-row-{row}")


def check_keys_go_on_decide_and_the_scene_keeps_it(side) -> None:
    nodes, panels = shown(side)
    view = trace.view("Red+")
    side.mouse.press(view, "n")
    assert panels.ledger.number == 1
    assert_both_sides_show(nodes, 1)
    side.mouse.press(view, "d")
    assert side.child("ledgerProgress").text == "1 of 3 looked at"
    side.mouse.press(view, "n")
    side.mouse.press(view, "a")
    assert side.child("ledgerProgress").text == "2 of 3 looked at"
    side.mouse.press(view, "b")
    assert panels.ledger.number == 1
    note = side.child("ledgerNoteEdit")
    side.mouse.click(note)
    side.mouse.key(note, "vessel")
    side.mouse.press(note, "Return")
    side.picture("ledger-decided")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "ledger.csv"
        with mock.patch("qt.QFileDialog.getSaveFileName", return_value=str(target)):
            side.mouse.click(side.child("exportLedgerButton"))
        rows = list(csv.DictReader(target.open(encoding="utf-8")))
        assert [row["decision"] for row in rows] == ["doubted", "accepted", "open"]
        assert rows[0]["note"] == "vessel"
        scene = Path(folder) / "case.mrb"
        assert slicer.util.saveScene(str(scene))
        slicer.mrmlScene.Clear(0)
        side.wait(100)
        assert not side.child("ledgerTable").isVisible()
        assert slicer.util.loadScene(str(scene))
    side.wait(500)
    assert side.child("ledgerProgress").text == "2 of 3 looked at"
    table = side.child("ledgerTable")
    assert [table.item(row, 1).text() for row in range(3)] == ["doubted", "accepted", "open"]
    assert table.item(0, 6).text() == "vessel"
    assert_nothing_of_the_outline_was_saved()
    side.picture("ledger-reopened")


def assert_nothing_of_the_outline_was_saved() -> None:
    roles = [node.GetAttribute("MedTranslate.role") for node in slicer.mrmlScene.GetNodes()]
    assert not [role for role in roles if role and "outline" in role]


def check_the_filter_leaves_the_open_ones(side) -> None:
    nodes, panels = shown(side)
    side.mouse.click(side.child("nextButton"))
    side.mouse.click(side.child("acceptButton"))
    box = side.child("openOnlyBox")
    side.mouse.click(box, 8, box.height // 2)
    table = side.child("ledgerTable")
    assert [table.item(row, 0).text() for row in range(table.rowCount)] == ["2", "3"]
    side.mouse.click(side.child("nextButton"))
    assert panels.ledger.number == 2
    side.mouse.click(side.child("doubtButton"))
    side.mouse.click(side.child("nextButton"))
    assert panels.ledger.number == 3
    side.mouse.click(side.child("doubtButton"))
    assert table.rowCount == 0
    side.mouse.click(side.child("nextButton"))
    assert "has been looked at" in panels.messages.text
    assert side.child("ledgerProgress").text == "3 of 3 looked at"
    assert nodes.ledger is not None


def check_an_empty_ledger_says_that_it_proves_nothing(side) -> None:
    _nodes, _panels = shown(side, lambda geometry: ledger_parts(geometry, 0))
    side.child("ledgerSection").collapsed = False
    side.wait(100)
    text = side.child("ledgerSummary").text
    assert "No structure was found" in text
    assert "no proof" in text
    assert RULE in text
    assert not side.child("ledgerTable").isVisible()
    side.picture("ledger-empty")


def check_a_result_without_a_ledger_takes_no_keys(side) -> None:
    _nodes, panels = shown(side, trace.nothing_more)
    side.child("ledgerSection").collapsed = False
    side.wait(100)
    assert "nobody looked" in side.child("ledgerSummary").text
    side.mouse.press(trace.view("Red+"), "n")
    assert panels.ledger.number is None
    assert not label_in("Red+")


def check_another_result_takes_the_outline_away(side) -> None:
    _nodes, panels = shown(side)
    side.mouse.click(side.child("nextButton"))
    assert label_in("Red+")
    other = trace.shifted_result()
    panels.trace.show(other)
    side.wait(200)
    assert not label_in("Red+")
    assert panels.ledger.number is None
