"""A result in, its ledger out: each structure that one side alone has, shown on both sides, to accept or to doubt."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from MedTranslateLib.mrml.ledger_nodes import Decision, LedgerRow
from MedTranslateLib.mrml.ledger_outline import hide_outline, show_outline
from MedTranslateLib.mrml.ledger_table import LedgerBoard
from MedTranslateLib.mrml.scene import ResultNodes
from MedTranslateLib.mrml.show_pair import show_pair
from MedTranslateLib.mrml.trust_scale import TrustStep
from MedTranslateWidgets.Slots import slot
from MedTranslateWidgets.Tables import Column, fillTable
from MedTranslateWidgets.TracePanel import NOTHING
from MedTranslateWidgets.Workbench import Workbench

DECISIONS = {Decision.OPEN: "open", Decision.ACCEPTED: "accepted", Decision.DOUBTED: "doubted"}
COLUMNS = (
    Column("No.", lambda row: str(row.entry.number)),
    Column("Decision", lambda row: _(DECISIONS[row.decision])),
    Column("Only in", lambda row: _(row.entry.side.value)),
    Column("mm\N{SUPERSCRIPT THREE}", lambda row: f"{row.entry.volume_mm3:.0f}"),
    Column("Strength", lambda row: f"x {row.entry.strength:.1f}"),
    Column("Trust", lambda row: trustText(row.entry.trust)),
    Column("Note", lambda row: row.note),
)
SECTION = "Ledger: what one side alone has"
KEYS = {"N": "next", "B": "previous", "A": "accept", "D": "doubt"}


class LedgerPanel:
    """The panel of `LedgerPanel.ui`.

    Args:
        ui: Its named widgets.
        workbench: What the panels share.
        trace: The panel that knows the result.
    """

    def __init__(self, ui, workbench: Workbench, trace) -> None:
        self._ui, self._bench, self._trace = ui, workbench, trace
        self.messages = workbench.messages
        self._nodes: ResultNodes | None = None
        self._number: int | None = None
        self._rows: tuple[LedgerRow, ...] = ()
        self._shortcuts = [self._shortcut(key, getattr(self, name)) for key, name in KEYS.items()]
        self._connect()
        workbench.listeners.append(self.refresh)
        self._show()

    @property
    def number(self) -> int | None:
        """Number of the entry that is looked at."""
        return self._number

    @slot
    def refresh(self) -> None:
        """Follows the result that the trace panel shows."""
        nodes = self._trace.nodes
        if nodes != self._nodes:
            self._leave()
            self._nodes = nodes
            self._show()
            self._ui.ledgerSection.collapsed = not self._rows
        self._listen()

    @slot
    def next(self) -> None:
        """Goes to the next entry."""
        self._step(1)

    @slot
    def previous(self) -> None:
        """Goes to the entry before."""
        self._step(-1)

    @slot
    def accept(self) -> None:
        """Accepts the entry that is looked at."""
        self._decide(Decision.ACCEPTED)

    @slot
    def doubt(self) -> None:
        """Doubts the entry that is looked at."""
        self._decide(Decision.DOUBTED)

    @slot
    def filterRows(self) -> None:
        """Shows all entries, or the open ones."""
        self._show()

    @slot
    def rowChosen(self, row: int) -> None:
        """Goes to the entry of a row."""
        if 0 <= row < len(self._rows):
            self._goTo(self._rows[row])

    @slot
    def noteWritten(self) -> None:
        """Keeps the user's words with the entry."""
        text = self._ui.ledgerNoteEdit.text
        if self._number is None or self._nodes is None:
            return
        board = LedgerBoard(self._nodes)
        if text != board.row(self._number).note:
            board.note(self._number, text)
            self._show()

    @slot
    def export(self) -> None:
        """Writes entries, decisions and notes as CSV."""
        title, kinds = _("Save as CSV"), _("Tables (*.csv)")
        path = qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), title, "ledger.csv", kinds)
        if path:
            self.write(Path(path))

    def write(self, path: Path) -> None:
        """Writes the ledger to a file and says so."""
        LedgerBoard(self._nodes).write_csv(path)
        self.messages.success(_("Saved {0}.").format(path))

    def sceneCloses(self) -> None:
        """Lets go of the nodes."""
        self._leave()
        self._show()

    def close(self) -> None:
        """Takes shortcuts and outline away."""
        self._leave()
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        self._shortcuts = []

    def _connect(self) -> None:
        ui = self._ui
        for button, pressed in (
            (ui.nextButton, self.next),
            (ui.previousButton, self.previous),
            (ui.acceptButton, self.accept),
            (ui.doubtButton, self.doubt),
            (ui.exportLedgerButton, self.export),
        ):
            button.connect("clicked()", pressed)
        ui.ledgerTable.connect("currentCellChanged(int,int,int,int)", self.rowChosen)
        ui.ledgerTable.connect("cellClicked(int,int)", self.rowChosen)
        ui.openOnlyBox.connect("toggled(bool)", self.filterRows)
        ui.ledgerNoteEdit.connect("editingFinished()", self.noteWritten)
        ui.ledgerSection.connect("contentsCollapsed(bool)", self._listen)

    @slot
    def _listen(self) -> None:
        """The keys are taken only where there is something to go to, and the panel is seen."""
        there = bool(self._rows or self._number) and self._bench.parameters is not None
        for shortcut in self._shortcuts:
            shortcut.setEnabled(there and not self._ui.ledgerSection.collapsed)

    def _shortcut(self, key: str, pressed) -> qt.QShortcut:
        shortcut = qt.QShortcut(qt.QKeySequence(key), slicer.util.mainWindow())
        shortcut.setEnabled(False)
        shortcut.connect("activated()", pressed)
        return shortcut

    def _step(self, step: int) -> None:
        if self._nodes is None:
            return
        row = LedgerBoard(self._nodes).neighbour(self._number, step, open_only=bool(self._ui.openOnlyBox.checked))
        if row is None:
            self.messages.hint(_("Every entry of the ledger has been looked at."))
        else:
            self._goTo(row)
            self._show()

    def _decide(self, decision: Decision) -> None:
        if self._nodes is None or self._number is None:
            self.messages.hint(_("Select an entry of the ledger first."))
            return
        LedgerBoard(self._nodes).decide(self._number, decision)
        self._show()

    def _goTo(self, row: LedgerRow) -> None:
        self._number = row.entry.number
        show_pair(slicer.mrmlScene, self._nodes, row.entry.source_ras, row.entry.output_ras)
        show_outline(slicer.mrmlScene, self._nodes, row.entry)
        self._describe()

    def _leave(self) -> None:
        if self._nodes is not None:
            hide_outline(slicer.mrmlScene)
        self._nodes = self._number = None

    def _show(self) -> None:
        ui, nodes = self._ui, self._nodes
        board = LedgerBoard(nodes) if nodes is not None else None
        self._rows = board.rows(open_only=bool(ui.openOnlyBox.checked)) if board is not None else ()
        said = board.sentences() if board is not None else _("Translate a volume first.")
        progress = board.progress() if board is not None else None
        ui.ledgerSummary.text = said
        ui.ledgerProgress.text = progress.text if progress is not None and progress.total else ""
        left = progress.total - progress.looked_at if progress is not None else 0
        ui.ledgerSection.text = _("Ledger: {0} to look at").format(left) if left else _(SECTION)
        self._fill()
        there = progress is not None and progress.total > 0
        parts = (ui.ledgerTable, ui.ledgerButtonsFrame, ui.ledgerNoteEdit, ui.openOnlyBox, ui.exportLedgerButton)
        for part in (*parts, ui.ledgerProgress):
            part.visible = there
        self._describe()
        self._listen()

    def _fill(self) -> None:
        """Fills the table and selects the row of the entry that is looked at, without going there once more."""
        table = self._ui.ledgerTable
        wasBlocked = table.blockSignals(True)
        fillTable(table, COLUMNS, self._rows)
        table.horizontalHeader().stretchLastSection = True
        selected = [place for place, row in enumerate(self._rows) if row.entry.number == self._number]
        table.clearSelection()
        table.setCurrentCell(-1, -1)
        if selected:
            table.selectRow(selected[0])
        table.blockSignals(wasBlocked)

    def _describe(self) -> None:
        ui, chosen = self._ui, self._nodes is not None and self._number is not None
        row = LedgerBoard(self._nodes).row(self._number) if chosen else None
        ui.ledgerReason.text = f"{row.entry.number}: {row.entry.reason}" if row is not None else ""
        ui.ledgerReason.visible = row is not None
        ui.ledgerNoteEdit.text = row.note if row is not None else ""
        ui.acceptButton.enabled = ui.doubtButton.enabled = ui.ledgerNoteEdit.enabled = row is not None


def trustText(trust: float | None) -> str:
    """The tenth and its word."""
    if trust is None:
        return NOTHING
    step = TrustStep.of(trust)
    return f"{step.tenth} ({_(step.word.value)})"
