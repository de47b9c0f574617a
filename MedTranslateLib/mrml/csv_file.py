"""Rows of cells in, a CSV file out that other programs read without a setting: UTF-8, commas, a full stop as point."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from MedTranslateLib.imaging.files import write_text

Cell = str | int | float | None


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Writes a heading and rows under another name and renames the file into place.

    Args:
        path: The file; one that exists is replaced as a whole.
        header: Names of the columns.
        rows: One cell a column; None leaves the cell empty.

    Raises:
        OutputError: If the file cannot be written whole.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_text(cell) for cell in row] for row in rows)
    write_text(path, text.getvalue())


def _text(cell: Cell) -> str:
    """Nine digits: as many as a float32 value has."""
    if cell is None:
        return ""
    return f"{cell:.9g}" if isinstance(cell, float) else str(cell)
