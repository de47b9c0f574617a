"""Values and how each column shows them in, a filled QTableWidget out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import qt
from slicer.i18n import tr as _


class Column(NamedTuple):
    """A column: its title, and the text of a value in it."""

    title: str
    text: Callable[[Any], str]


def fillTable(table: qt.QTableWidget, columns: Sequence[Column], values: Sequence[Any]) -> None:
    """Shows one row a value; a selection stays where its row is still there."""
    table.setColumnCount(len(columns))
    table.setHorizontalHeaderLabels([_(column.title) for column in columns])
    table.setRowCount(len(values))
    for row, value in enumerate(values):
        for number, column in enumerate(columns):
            table.setItem(row, number, qt.QTableWidgetItem(column.text(value)))
    table.verticalHeader().visible = False
    table.resizeColumnsToContents()


def selectedRow(table: qt.QTableWidget) -> int | None:
    """Number of the selected row; None where none is."""
    row = int(table.currentRow())
    return row if 0 <= row < int(table.rowCount) else None
