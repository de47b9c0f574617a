"""A result with a ledger in, its table and the label map of its regions out; the table is what a scene file keeps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

import slicer
import vtk

from MedTranslateLib.core.ledger import LedgerEntry, LedgerSide
from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.mrml.volumes import label_node_from_mask

RULE = "MedTranslate.rule"
WRITTEN_DIGITS = 6
"""What Slicer keeps of a number in the file of a table."""
POSITIONS = tuple(f"{side.value}_ras_{axis}_mm" for side in LedgerSide for axis in "ras")
INTEGERS, TEXTS = ("number",), ("side", "reason", "decision", "note")
COLUMNS = ("number", "side", *POSITIONS, "volume_mm3", "strength", "trust", "reason", "decision", "note")
LedgerCell: TypeAlias = "str | int | float"


class Decision(str, Enum):
    """What a reader made of an entry."""

    OPEN = "open"
    ACCEPTED = "accepted"
    DOUBTED = "doubted"


@dataclass(frozen=True)
class LedgerRow:
    """An entry and what a reader made of it.

    Args:
        entry: The entry.
        decision: Accepted, doubted, or still open.
        note: The reader's own words; may be empty.
    """

    entry: LedgerEntry
    decision: Decision = Decision.OPEN
    note: str = ""


def add_ledger(
    scene: slicer.vtkMRMLScene, result: TranslationResult, name_of: Callable[[str], str]
) -> dict[str, slicer.vtkMRMLNode]:
    """Adds the nodes of a result's ledger; none where there is none, both where it is empty.

    Args:
        scene: Scene to add them to.
        result: A result.
        name_of: Gives the name of a node from its title.

    Returns:
        The table, `ledger`, and the label map, `ledger_regions`.
    """
    ledger = result.ledger
    if ledger is None:
        return {}
    table = scene.AddNewNodeByClass("vtkMRMLTableNode", name_of("Ledger"))
    table.SetLocked(1)  # in the table view: decisions are made in the panel
    table.SetAttribute(RULE, ledger.rule)
    fill_table(table, [LedgerRow(entry) for entry in ledger.entries])
    geometry = result.translated.geometry
    regions = label_node_from_mask(scene, ledger.regions_kji, geometry, name_of("Regions of the ledger"))
    return {"ledger": table, "ledger_regions": regions}


def fill_table(node: slicer.vtkMRMLTableNode, rows: list[LedgerRow]) -> None:
    """Replaces all columns; numbers get `WRITTEN_DIGITS` digits, so that they are the same in a reopened scene."""
    modified = node.StartModify()
    node.RemoveAllColumns()
    for name in COLUMNS:
        column = _new_column(name)
        for row in rows:
            column.InsertNextValue(cells_of(row)[name])
        node.AddColumn(column)
    node.EndModify(modified)


def cells_of(row: LedgerRow) -> dict[str, LedgerCell]:
    """The cells of a row by column; an unknown trust is NaN."""
    entry = row.entry
    numbers = (*entry.source_ras, *entry.output_ras, entry.volume_mm3, entry.strength)
    values: tuple[LedgerCell, ...] = (
        entry.number,
        entry.side.value,
        *(_written(value) for value in numbers),
        math.nan if entry.trust is None else _written(entry.trust),
        plain(entry.reason),
        row.decision.value,
        plain(row.note),
    )
    return dict(zip(COLUMNS, values, strict=True))


def plain(text: str) -> str:
    """The text in one line without double quotes, which the file of a table does not keep."""
    return " ".join(text.replace('"', "'").split())


def row_from(cells: Mapping[str, vtk.vtkVariant]) -> LedgerRow:
    """The row that a line of the table states.

    Raises:
        KeyError: If a column is missing.
        ValueError: If a cell cannot be what it should be.
    """
    numbers = {name: cells[name].ToDouble() for name in COLUMNS if name not in TEXTS}
    positions = [numbers[name] for name in POSITIONS]
    if not all(math.isfinite(value) for value in (*positions, numbers["volume_mm3"], numbers["strength"])):
        msg = "a number is missing"
        raise ValueError(msg)
    entry = LedgerEntry(
        number=int(numbers["number"]),
        side=LedgerSide(cells["side"].ToString()),
        source_ras=(positions[0], positions[1], positions[2]),
        output_ras=(positions[3], positions[4], positions[5]),
        volume_mm3=numbers["volume_mm3"],
        strength=numbers["strength"],
        trust=None if math.isnan(numbers["trust"]) else numbers["trust"],
        reason=cells["reason"].ToString(),
    )
    return LedgerRow(entry, Decision(cells["decision"].ToString()), cells["note"].ToString())


def _new_column(name: str) -> vtk.vtkAbstractArray:
    kind = vtk.vtkIntArray if name in INTEGERS else vtk.vtkStringArray if name in TEXTS else vtk.vtkDoubleArray
    column = kind()
    column.SetName(name)
    return column


def _written(value: float) -> float:
    return float(f"{value:.{WRITTEN_DIGITS}g}")
