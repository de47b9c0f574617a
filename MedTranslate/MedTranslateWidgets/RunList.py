"""The runs of the session in, their list, the progress bar and the log out; tells when a run has ended."""

from __future__ import annotations

import time
from collections.abc import Callable

import qt
import slicer
from slicer.i18n import tr as _

from MedTranslateLib.mrml.runs import Run, RunState
from MedTranslateWidgets.Slots import slot
from MedTranslateWidgets.Workbench import Workbench

STATES = {
    RunState.WAITING: "waiting",
    RunState.RUNNING: "running",
    RunState.LOADING: "loading",
    RunState.DONE: "done",
    RunState.FAILED: "failed",
    RunState.CANCELLED: "stopped",
}
STAGES = {
    "read": "Reading",
    "prepare": "Preparing slices",
    "translate": "Translating",
    "estimate": "Estimating the drift",
    "assemble": "Assembling",
    "check": "Checking the output",
    "write": "Writing",
}
ACTIVE = (RunState.RUNNING, RunState.LOADING)
WAITING_OR_ACTIVE = (RunState.WAITING, *ACTIVE)
LOG_LINES = 1000


class RunList:
    """The lower half of the translate panel.

    Args:
        ui: Named widgets of `TranslatePanel.ui`.
        workbench: What the panels share.
        onFinished: Told each run that has a result.
        onAnyway: Told a run that the input gate called doubtful, when the user wants it anyway.
    """

    def __init__(
        self, ui, workbench: Workbench, onFinished: Callable[[Run], None], onAnyway: Callable[[Run], None]
    ) -> None:
        self._ui, self._bench = ui, workbench
        self.messages = workbench.messages
        self._onFinished, self._onAnyway = onFinished, onAnyway
        self._known: dict[int, RunState] = {}
        self._started: dict[int, float] = {}
        self._logged: dict[int, int] = {}
        ui.runList.setHeaderLabels([_("No."), _("Translation"), _("State")])
        narrow, wide = qt.QHeaderView.ResizeToContents, qt.QHeaderView.Stretch
        for column, mode in enumerate((narrow, wide, narrow)):
            ui.runList.header().setSectionResizeMode(column, mode)
        ui.runList.header().stretchLastSection = False
        ui.logEdit.setMaximumBlockCount(LOG_LINES)
        ui.runList.connect("itemSelectionChanged()", self._updateButtons)
        ui.runList.connect("itemDoubleClicked(QTreeWidgetItem*,int)", self.showSelected)
        ui.showRunButton.connect("clicked()", self.showSelected)
        ui.stopRunButton.connect("clicked()", self.stopSelected)
        ui.copyLogButton.connect("clicked()", self.copyLog)
        ui.clearLogButton.connect("clicked()", ui.logEdit.clear)
        workbench.onLog, workbench.onSilent = self.log, self._silent

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every run of this session."""
        return tuple(self._bench.logic.runs) if self._bench.hasLogic else ()

    @property
    def active(self) -> Run | None:
        """The run that the big button cancels."""
        return next((run for run in self.runs if run.state in ACTIVE), None)

    def announce(self, run: Run) -> None:
        """Logs a new run and shows the note about its source, such as a transform that was taken into account."""
        choice = run.choice
        self.log(
            f"run {run.number}: {choice.bundle}{' reversed' if choice.reverse else ''}, {choice.samples} sample(s), "
            f"seed {choice.seed}, device {choice.device}"
        )
        if run.note:
            self.messages.info(run.note)
        self._bench.changed()

    @slot
    def refresh(self) -> None:
        """Shows what has changed since the last time."""
        for run in self.runs:
            before = self._known.get(run.number)
            self._known[run.number] = run.state
            self._logNews(run)
            if before is not run.state:
                self._entered(run)
        self._fillList()
        self._showProgress()

    @slot
    def log(self, line: str) -> None:
        """Adds a line to the log, which never names a patient."""
        self._ui.logEdit.appendPlainText(f"{time.strftime('%H:%M:%S')}  {line}")

    @slot
    def copyLog(self) -> None:
        """Puts the whole log on the clipboard."""
        slicer.app.clipboard().setText(self._ui.logEdit.toPlainText())
        self.messages.hint(_("The log is on the clipboard."))

    @slot
    def showSelected(self) -> None:
        """Shows the result of the selected run."""
        run = self._selected()
        if run is not None and run.nodes is not None:
            self._onFinished(run)

    @slot
    def stopSelected(self) -> None:
        """Stops the selected run, or takes it out of the queue."""
        run = self._selected() or self.active
        if run is not None:
            self._bench.logic.cancel(run)

    def _logNews(self, run: Run) -> None:
        """What the worker has said for the log since the last time."""
        for line in run.log[self._logged.get(run.number, 0) :]:
            self.log(f"run {run.number}: {line}")
        self._logged[run.number] = len(run.log)

    def _entered(self, run: Run) -> None:
        """A run has come into another state."""
        self.log(f"run {run.number}: {STATES[run.state]}")
        if run.state is RunState.RUNNING:
            self._started[run.number] = time.monotonic()
        elif run.state is RunState.DONE:
            self._onFinished(run)
        elif run.state is RunState.FAILED and run.doubtful:
            self.messages.warning(run.message, [(_("Translate anyway"), lambda: self._onAnyway(run))])
        elif run.state is RunState.FAILED:
            self.messages.error(run.message)
        elif run.state is RunState.CANCELLED and run.message:
            self.messages.info(run.message)

    @slot
    def _silent(self, seconds: float) -> None:
        run = self.active
        if run is not None:
            text = _(
                "The background process has said nothing for {0:.0f} s. It may hang, or the computer is very busy."
            )
            self.messages.warning(
                text.format(seconds),
                [
                    (_("Stop"), lambda: self._bench.logic.cancel(run)),
                    (_("Keep waiting"), self._bench.runner.keepWaiting),
                ],
            )

    def _showProgress(self) -> None:
        run = self.active
        self._ui.progressBar.visible = self._ui.progressLabel.visible = run is not None
        if run is None:
            return
        share, text = progressOf(run, time.monotonic() - self._started.get(run.number, time.monotonic()))
        self._ui.progressBar.maximum = 0 if share is None else 100
        self._ui.progressBar.value = round(100 * (share or 0.0))
        self._ui.progressLabel.text = text

    def _fillList(self) -> None:
        tree, runs = self._ui.runList, self.runs
        tree.visible = bool(runs)
        wasBlocked = tree.blockSignals(True)
        while tree.topLevelItemCount < len(runs):
            item = qt.QTreeWidgetItem(tree)
            item.setText(0, str(runs[tree.topLevelItemCount - 1].number))
            tree.scrollToBottom()  # the new one is what the user waits for
        for row, run in enumerate(runs):
            item = tree.topLevelItem(row)
            item.setText(1, run.title)
            item.setText(2, _(STATES[run.state]))
            item.setToolTip(2, run.message)
        tree.blockSignals(wasBlocked)
        self._updateButtons()

    @slot
    def _updateButtons(self) -> None:
        run = self._selected()
        self._ui.showRunButton.visible = self._ui.stopRunButton.visible = bool(self.runs)
        self._ui.showRunButton.enabled = run is not None and run.nodes is not None
        self._ui.stopRunButton.enabled = run is not None and run.state in WAITING_OR_ACTIVE

    def _selected(self) -> Run | None:
        item = self._ui.runList.currentItem()
        number = item.text(0) if item is not None else ""
        return next((run for run in self.runs if str(run.number) == number), None)


def progressOf(run: Run, elapsed_s: float) -> tuple[float | None, str]:
    """How far a run is.

    Args:
        run: A run that is running or loading.
        elapsed_s: Seconds since it was started.

    Returns:
        The share that is done, None while that is unknown, and a sentence with stage and remaining time.
    """
    progress = run.progress
    if run.state is RunState.LOADING:
        return 1.0, _("Loading the result into the scene ...")
    if progress is None:
        return None, _("Starting the background process ...")
    stage = _(STAGES.get(progress.stage, progress.stage))
    done = _("{0}: {1} of {2}").format(stage, progress.done, progress.total) if progress.total > 1 else stage
    if progress.eta_s is None:
        return None, f"{done} ..."
    share = elapsed_s / max(elapsed_s + progress.eta_s, 1e-6)
    return share, _("{0}, {1} left").format(done, duration(progress.eta_s))


def duration(seconds: float) -> str:
    """A length of time as people say it."""
    if seconds < 90:
        return _("about {0:.0f} s").format(max(seconds, 1))
    return _("about {0:.0f} min").format(seconds / 60)
