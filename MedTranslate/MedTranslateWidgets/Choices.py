"""Rows of label and key in, a combo box that shows them out; and which key is chosen."""

from __future__ import annotations

from collections.abc import Sequence

import qt


def fill(box: qt.QComboBox, rows: Sequence[tuple[str, str]], key: str) -> None:
    """Shows these rows and selects the one of a key, without telling anybody that something changed.

    Args:
        box: Filled anew only where its rows differ.
        rows: Label and key of each choice.
        key: What is selected; nothing where no row has it.
    """
    there = [(box.itemText(row), str(box.itemData(row))) for row in range(box.count)]
    wasBlocked = box.blockSignals(True)
    if there != list(rows):
        box.clear()
        for label, data in rows:
            box.addItem(label, data)
    box.setCurrentIndex(next((row for row, (_label, data) in enumerate(rows) if data == key), -1))
    box.blockSignals(wasBlocked)


def chosen(box: qt.QComboBox) -> str:
    """Key of the selected row; empty where none is."""
    return str(box.itemData(box.currentIndex)) if box.currentIndex >= 0 else ""
