"""The nodes of a result in, its ledger with the reader's decisions out; they live in the table, so scenes keep them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import slicer

from MedTranslateLib.core.errors import RequestError
from MedTranslateLib.core.result import SYNTHETIC_NOTE
from MedTranslateLib.mrml.csv_file import write_rows
from MedTranslateLib.mrml.ledger_nodes import COLUMNS, RULE, Decision, LedgerRow, cells_of, plain, row_from
from MedTranslateLib.mrml.scene import ResultNodes

NO_PROOF = "An empty ledger is no proof that nothing was lost or made up."
NOT_LOOKED_FOR = "This result has no ledger: nobody looked for structures that one side alone has."


@dataclass(frozen=True)
class LedgerProgress:
    """How far a reader is.

    Args:
        looked_at: Entries that were accepted or doubted.
        total: All entries.
    """

    looked_at: int
    total: int

    @property
    def text(self) -> str:
        """Such as `3 of 12 looked at`."""
        return f"{self.looked_at} of {self.total} looked at"


class LedgerBoard:
    """The ledger of one result.

    Nothing is kept here: several boards of a result, or one made after the scene was reopened, show the same.

    Args:
        nodes: The nodes of the result.
    """

    def __init__(self, nodes: ResultNodes) -> None:
        self._nodes = nodes

    @property
    def exists(self) -> bool:
        """Whether the result has a ledger, which may be empty."""
        return self._nodes.ledger is not None

    @property
    def rule(self) -> str:
        """What makes a structure an entry, in one sentence; empty where there is no ledger."""
        return (self._nodes.ledger.GetAttribute(RULE) or "") if self._nodes.ledger is not None else ""

    def rows(self, *, open_only: bool = False) -> tuple[LedgerRow, ...]:
        """The entries, the strongest first.

        Args:
            open_only: Whether those that were decided are left out.

        Raises:
            RequestError: If the table was changed by hand.
        """
        table = self._nodes.ledger
        rows = _rows_in(table) if table is not None else []
        kept = [row for row in rows if row.decision is Decision.OPEN or not open_only]
        return tuple(sorted(kept, key=lambda row: (-row.entry.strength, row.entry.number)))

    def row(self, number: int) -> LedgerRow:
        """The entry of a number.

        Raises:
            RequestError: If there is no such entry, or the table was changed by hand.
        """
        found = [row for row in self.rows() if row.entry.number == number]
        if not found:
            msg = f"The ledger has no entry {number}; it has {len(self.rows())}. Choose one of them."
            raise RequestError(msg)
        return found[0]

    def decide(self, number: int, decision: Decision) -> None:
        """Notes what a reader made of an entry; a later decision replaces it.

        Raises:
            RequestError: If there is no such entry, or the table was changed by hand.
        """
        self._write(number, "decision", decision.value)

    def note(self, number: int, text: str) -> None:
        """Notes a reader's own words, as `ledger_nodes.plain` writes them.

        Raises:
            RequestError: If there is no such entry, or the table was changed by hand.
        """
        self._write(number, "note", plain(text))

    def progress(self) -> LedgerProgress:
        """How many entries were decided.

        Raises:
            RequestError: If the table was changed by hand.
        """
        rows = self.rows()
        return LedgerProgress(sum(row.decision is not Decision.OPEN for row in rows), len(rows))

    def neighbour(self, number: int | None, step: int, *, open_only: bool = False) -> LedgerRow | None:
        """The entry after or before another one, round the end.

        Args:
            number: Where to start; None starts before the first or after the last.
            step: 1 for the next, -1 for the one before.
            open_only: Whether those that were decided are passed over.

        Returns:
            The entry; None where there is none.

        Raises:
            RequestError: If the table was changed by hand.
        """
        order = self.rows()
        places = {row.entry.number: place for place, row in enumerate(order)}
        start = places.get(number, -1 if step > 0 else 0) if number is not None else (-1 if step > 0 else 0)
        for away in range(1, len(order) + 1):
            row = order[(start + step * away) % len(order)]
            if row.decision is Decision.OPEN or not open_only:
                return row
        return None

    def sentences(self) -> str:
        """What the ledger says as a whole: how many entries, by which rule, and what an empty one does not mean.

        Raises:
            RequestError: If the table was changed by hand.
        """
        if not self.exists:
            return NOT_LOOKED_FOR
        rows = self.rows()
        if not rows:
            return f"No structure was found that one side alone has. {NO_PROOF} {self.rule}"
        sides = [row.entry.side.value for row in rows]
        count = f"{sides.count('source')} in the source alone, {sides.count('output')} in the output alone."
        return f"{count} {self.rule}"

    def write_csv(self, path: Path) -> None:
        """Writes one line an entry, with the decisions, the names of both images and that the output is synthetic.

        Args:
            path: The file; one that exists is replaced as a whole.

        Raises:
            OutputError: If the file cannot be written whole.
            RequestError: If the table was changed by hand.
        """
        nodes = self._nodes
        ends = [nodes.source.GetName(), nodes.output.GetName(), self.rule, SYNTHETIC_NOTE]
        lines = []
        for row in self.rows():
            unknown = {"trust": None} if row.entry.trust is None else {}
            lines.append([*{**cells_of(row), **unknown}.values(), *ends])
        write_rows(path, [*COLUMNS, "source_image", "output_image", "rule", "synthetic"], lines)

    def _write(self, number: int, column: str, text: str) -> None:
        self.row(number)
        table: slicer.vtkMRMLTableNode = self._nodes.ledger
        line = next(index for index, row in enumerate(_rows_in(table)) if row.entry.number == number)
        table.SetCellText(line, COLUMNS.index(column), text)


def _rows_in(node: slicer.vtkMRMLTableNode) -> list[LedgerRow]:
    table = node.GetTable()
    names = [table.GetColumnName(column) for column in range(table.GetNumberOfColumns())]
    lines = [
        {name: table.GetValue(line, column) for column, name in enumerate(names)}
        for line in range(table.GetNumberOfRows())
    ]
    try:
        return [row_from(line) for line in lines]
    except (KeyError, ValueError) as error:
        msg = f"The table {node.GetName()!r} was changed by hand and cannot be read ({error}). Translate again."
        raise RequestError(msg) from error
