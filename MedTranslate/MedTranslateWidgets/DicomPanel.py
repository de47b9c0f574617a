"""A result and the user's choices in, an export to DICOM out, told in the message bar."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from MedTranslateLib.mrml.job_folders import JobFolders
from MedTranslateLib.mrml.scene import ResultNodes
from MedTranslateWidgets.DicomExport import DicomExport, ExportChoice, ExportEnd
from MedTranslateWidgets.DicomSeries import seriesFolderOf
from MedTranslateWidgets.Slots import slot
from MedTranslateWidgets.Workbench import Workbench

NO_SERIES = (
    "Without the source's series the files go into a study of their own, which names no patient and refers to nothing."
)


class DicomPanel:
    """The box "Export to DICOM" of `RecordPanel.ui`.

    Args:
        ui: Named widgets of that file.
        workbench: What the panels share.
        trace: The panel that knows the result.
    """

    def __init__(self, ui, workbench: Workbench, trace) -> None:
        self._ui, self._bench, self._trace = ui, workbench, trace
        self.messages = workbench.messages
        self._shown: ResultNodes | None = None
        self._folders = JobFolders(Path(slicer.app.temporaryPath))
        self._export = DicomExport(self._folders, self._ended)
        ui.seriesButton.connect("clicked()", self.chooseSeries)
        ui.targetButton.connect("clicked()", self.chooseTarget)
        ui.seriesEdit.connect("textChanged(QString)", self._enable)
        ui.targetEdit.connect("textChanged(QString)", self._enable)
        ui.dicomButton.connect("clicked()", self.exportOrCancel)
        self._enable()

    @slot
    def refresh(self) -> None:
        """Follows the result that the trace panel shows."""
        if self._trace.nodes != self._shown:
            self._shown = self._trace.nodes
            self._ui.seriesEdit.text = seriesFolderOf(self._shown.source) if self._shown is not None else ""
            self._enable()

    @slot
    def chooseSeries(self) -> None:
        """Asks for the folder of the source's series."""
        folder = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Series of the source"))
        if folder:
            self._ui.seriesEdit.text = folder

    @slot
    def chooseTarget(self) -> None:
        """Asks where the new folder shall be made, and proposes a name for it."""
        folder = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Make the new folder in"))
        if folder:
            self._ui.targetEdit.text = str(freeFolder(Path(folder)))

    @slot
    def exportOrCancel(self) -> None:
        """Writes the files, or cancels that: the button says which."""
        if self._export.running:
            self._export.cancel()
            self.messages.info(_("The export was cancelled; nothing of it was kept."))
            self._enable()
            return
        ui, series = self._ui, self._ui.seriesEdit.text.strip()
        choice = ExportChoice(
            series=Path(series) if series else None,
            target=Path(ui.targetEdit.text.strip()),
            deidentify=bool(ui.deidentifyBox.checked),
            burnIn=bool(ui.burnInBox.checked),
            maps=bool(ui.mapsBox.enabled and ui.mapsBox.checked),
        )
        self.messages.info(_("Writing DICOM files ..."))
        slicer.app.processEvents()  # the copy of a large result takes some seconds
        with slicer.util.WaitCursor():
            self._export.start(self._shown, choice)
        self._enable()

    def sceneCloses(self) -> None:
        """Ends an export: its images are going away."""
        self._export.cancel()
        self._shown = None
        self._ui.seriesEdit.text = ""
        self._enable()

    def close(self) -> None:
        """The module is closed."""
        self._export.cancel()
        self._folders.close()

    @slot
    def _ended(self, end: ExportEnd) -> None:
        self._enable()
        if end.missing:
            self._bench.dependencies.offerPackages(end.missing, _("The export to DICOM needs"))
        elif end.error:
            self.messages.error(_("Nothing was exported. {0}").format(end.error))
        else:
            self._ui.targetEdit.text = str(freeFolder(Path(end.folder).parent))  # for the next one
            text = _("Wrote {0} DICOM files to {1}.").format(end.files, end.folder)
            self.messages.success(" ".join([text, *end.warnings]))

    @slot
    def _enable(self) -> None:
        ui, nodes, running = self._ui, self._shown, self._export.running
        series, target = ui.seriesEdit.text.strip(), ui.targetEdit.text.strip()
        wrong = problemWith(series, target)
        ui.dicomButton.text = _("Cancel") if running else _("Export")
        ui.dicomButton.enabled = running or (nodes is not None and bool(target) and not wrong)
        ui.dicomProgress.visible = running
        ui.dicomNote.text = wrong or ("" if series else _(NO_SERIES))
        ui.dicomNote.visible = bool(ui.dicomNote.text)
        ui.mapsBox.enabled = nodes is not None and (nodes.uncertainty is not None or nodes.trust is not None)
        for part in (ui.seriesEdit, ui.seriesButton, ui.targetEdit, ui.targetButton):
            part.enabled = not running


def problemWith(series: str, target: str) -> str:
    """What is wrong with the two folders, in a sentence; empty where nothing is."""
    if series and not Path(series).is_dir():
        return _("{0} is no folder. Choose the folder of the source's series, or leave it empty.").format(series)
    if target and Path(target).exists() and (not Path(target).is_dir() or any(Path(target).iterdir())):
        return _("{0} is there already and not empty. Choose a new folder.").format(target)
    if target and not Path(target).parent.is_dir():
        return _("{0} does not exist. Choose where the new folder shall be made.").format(Path(target).parent)
    return ""


def freeFolder(parent: Path) -> Path:
    """A folder below `parent` that is not there yet."""
    names = ("synthetic-dicom", *(f"synthetic-dicom-{number}" for number in range(2, 1000)))
    return next(parent / name for name in names if not (parent / name).exists())
