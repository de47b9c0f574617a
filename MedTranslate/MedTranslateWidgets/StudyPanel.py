"""A study folder and a reader in, a reading on the whole screen out."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import qt
from slicer.i18n import tr as _

from MedTranslateLib.core.errors import StudyError
from MedTranslateLib.studies.prepare_plan import ReadingPlan, read_plan
from MedTranslateLib.studies.session import Session
from MedTranslateWidgets.Slots import slot
from MedTranslateWidgets.StudyReading import StudyReading

STUDY_VARIABLE, READER_VARIABLE = "MEDTRANSLATE_STUDY", "MEDTRANSLATE_READER"
"""What `medtranslate study run` leaves in the environment for the first opening of the module."""
AFTER_START_MS = 500


class StudyPanel:
    """The panel of `StudyPanel.ui`.

    Args:
        ui: Its named widgets.
        messages: The message bar.
        whileReading: Called with `reading=True` when a reading begins, and with False when it has ended.
    """

    def __init__(self, ui, messages, whileReading: Callable[..., None]) -> None:
        self._ui, self.messages, self._whileReading = ui, messages, whileReading
        self.reading: StudyReading | None = None
        self._plan: ReadingPlan | None = None
        ui.studyFolderEdit.connect("currentPathChanged(QString)", self.folderChosen)
        ui.startStudyButton.connect("clicked()", self.start)
        self._startAsTold()

    @slot
    def folderChosen(self) -> None:
        """Reads who the readers are."""
        ui, path = self._ui, str(self._ui.studyFolderEdit.currentPath)
        ui.studyReaderBox.clear()
        self._plan, said = None, ""
        if path:
            try:
                self._plan = read_plan(Path(path))
            except StudyError as error:
                said = str(error)
        if self._plan is not None:
            said = _("{0}: {1} images or pairs.").format(self._plan.title, len(self._plan.items))
            for reader in self._plan.orders:
                ui.studyReaderBox.addItem(reader)
        ui.studyStatus.text = said
        ui.startStudyButton.enabled = self._plan is not None

    @slot
    def start(self) -> None:
        """Opens the session; the reading begins."""
        if self.reading is not None:
            return
        folder, reader = Path(str(self._ui.studyFolderEdit.currentPath)), str(self._ui.studyReaderBox.currentText)
        session = Session.open(folder, reader)
        self.messages.clear()
        self._whileReading(reading=True)
        self.reading = StudyReading(session, self._ended)

    def sceneCloses(self) -> None:
        """The images go away with the scene: the reading ends, to be gone on with later."""
        if self.reading is not None:
            self.reading.close(_("The scene was closed, so the reading ended. Start again to go on exactly there."))

    def close(self) -> None:
        """Ends a reading; what was answered is stored."""
        if self.reading is not None:
            self.reading.close()

    def _ended(self, why: str) -> None:
        progress = self.reading.session.progress if self.reading is not None else None
        self.reading = None
        self._whileReading(reading=False)
        if why:
            self.messages.warning(why)
        elif progress is not None:
            self.messages.info(_("{0} of {1} cases are answered.").format(progress.done, progress.total))

    def _startAsTold(self) -> None:
        """Begins with the study that this Slicer was started for, once."""
        folder, reader = os.environ.pop(STUDY_VARIABLE, ""), os.environ.pop(READER_VARIABLE, "")
        if folder:
            self._ui.studySection.collapsed = False
            self._ui.studyFolderEdit.currentPath = folder
            place = self._ui.studyReaderBox.findText(reader)
            if place < 0:
                self.messages.error(_("The study in {0} has no reader {1}.").format(folder, reader))
                return
            self._ui.studyReaderBox.currentIndex = place
            qt.QTimer.singleShot(AFTER_START_MS, self.start)
