"""A result in, how it was made, whether that repeats, and its DICOM files out."""

from __future__ import annotations

import html
from dataclasses import replace
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from MedTranslateLib.core.errors import MedTranslateError
from MedTranslateLib.mrml.links import results_in
from MedTranslateLib.mrml.run_sheet import Repetition, RunSheet
from MedTranslateLib.mrml.runs import Run
from MedTranslateLib.mrml.scene import ResultNodes
from MedTranslateWidgets.DicomPanel import DicomPanel
from MedTranslateWidgets.Slots import slot
from MedTranslateWidgets.Workbench import Workbench


class RecordPanel:
    """The panel of `RecordPanel.ui`.

    Args:
        ui: Its named widgets.
        workbench: What the panels share.
        trace: The panel that knows the result.
        runs: The runs of the session.
    """

    def __init__(self, ui, workbench: Workbench, trace, runs) -> None:
        self._ui, self._bench, self._trace, self._runs = ui, workbench, trace, runs
        self.messages = workbench.messages
        self.dicom = DicomPanel(ui, workbench, trace)
        self._shown: ResultNodes | None = None
        self._firstOf: dict[int, str] = {}
        ui.saveRecordButton.connect("clicked()", self.save)
        ui.runAgainButton.connect("clicked()", self.runAgain)
        workbench.listeners.append(self.refresh)
        self._show(None)

    @slot
    def refresh(self) -> None:
        """Follows the result that the trace panel shows."""
        if self._trace.nodes != self._shown:
            self._show(self._trace.nodes)
        self.dicom.refresh()

    @slot
    def save(self) -> None:
        """Writes the record to a file."""
        title, kinds = _("Save provenance"), _("JSON (*.json)")
        path = qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), title, "provenance.json", kinds)
        if path:
            RunSheet.of(self._shown).save(Path(path))
            self.messages.success(_("Saved {0}.").format(path))

    @slot
    def runAgain(self) -> None:
        """Repeats the run of the chosen result on its source."""
        nodes = self._shown
        sheet = RunSheet.of(nodes)
        sheet.check_repeatable(nodes.source, self._bench.store)
        name = _("{0}, run again").format(nodes.output.GetName())
        run = self._bench.logic.queue(nodes.source, replace(sheet.choice(), output_name=name))
        self._firstOf[run.number] = nodes.output.GetID()
        self._runs.announce(run)

    def outcomeOf(self, run: Run) -> str:
        """What a finished run says of the one it repeats; empty where it repeats none.

        Args:
            run: A run that is done.
        """
        output = self._firstOf.pop(run.number, None)
        if output is None or run.nodes is None:
            return ""
        first = next((nodes for nodes in results_in(slicer.mrmlScene) if nodes.output.GetID() == output), None)
        if first is None:
            return _("The first result is not in the scene any more, so they were not compared.")
        try:
            return _(Repetition.of(first, run.nodes).sentence())
        except MedTranslateError as error:
            return str(error)

    def sceneCloses(self) -> None:
        """Lets go of the nodes, and ends an export."""
        self.dicom.sceneCloses()
        self._firstOf = {}
        self._show(None)

    def close(self) -> None:
        """The module is closed."""
        self.dicom.close()

    def _show(self, nodes: ResultNodes | None) -> None:
        self._shown = nodes
        usable = False
        if nodes is None:
            text = _("Translate a volume first.")
        else:
            try:
                text, usable = sheetText(RunSheet.of(nodes)), True
            except MedTranslateError as error:
                text = html.escape(str(error))
        self._ui.sheetLabel.text = text
        self._ui.saveRecordButton.enabled = self._ui.runAgainButton.enabled = usable


def sheetText(sheet: RunSheet) -> str:
    """The lines of a sheet as a table."""
    label = "<td style='padding-right:8px'><i>{}</i></td>"
    lines = ((html.escape(_(line.label)), html.escape(line.text)) for line in sheet.lines())
    rows = "".join(f"<tr>{label.format(name)}<td>{text}</td></tr>" for name, text in lines)
    return f"<table>{rows}</table>"
