"""A written job folder in, what the worker says while it runs it and how it ended out; behind `mrml.logic.Runner`.

One process stays warm between jobs. Its standard input is a pipe from Slicer: when Slicer ends, for whatever reason,
the pipe closes and the worker ends itself and its children.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import qt

from MedTranslateLib.core.messages import Message
from MedTranslateLib.mrml.conversation import Conversation, Outcome
from MedTranslateWidgets.PythonProcess import newPythonProcess
from MedTranslateWidgets.SlicerVersion import workerPython

SILENT_AFTER_S = 120.0
KILL_MS = 2000

OnMessage = Callable[[Message], None]
OnEnd = Callable[[Outcome], None]


class WorkerProcess:
    """Runs one job at a time in a process of its own.

    Args:
        onSilent: Called once when a job's worker has said nothing for two minutes, with the seconds.
        onLog: Called with each line that is for the log only.
    """

    def __init__(self, onSilent: Callable[[float], None], onLog: Callable[[str], None]) -> None:
        self._onSilent, self._onLog = onSilent, onLog
        self._process: qt.QProcess | None = None
        self._conversation: Conversation | None = None
        self._onMessage: OnMessage | None = None
        self._onEnd: OnEnd | None = None
        self._patience = SILENT_AFTER_S
        self._watch = qt.QTimer()
        self._watch.setInterval(1000)
        self._watch.connect("timeout()", self._lookAtClock)

    @property
    def processId(self) -> int:
        """Number of the process; 0 where there is none."""
        return int(self._process.processId()) if self._process is not None else 0

    def start(self, folder: Path, onMessage: OnMessage, onEnd: OnEnd) -> None:
        """Runs a job; returns at once.

        Args:
            folder: Job folder with request and source.
            onMessage: Told what the worker says.
            onEnd: Told the outcome, once; never after `stop`.
        """
        self._conversation = Conversation()
        self._conversation.begin(folder)
        self._patience = SILENT_AFTER_S
        self._onMessage, self._onEnd = onMessage, onEnd
        self._watch.start()
        if self._process is None:
            self._launch()
        if self._process is None:  # it could not even be started, and that was told already
            return
        self._process.write(f"{folder}\n".encode())

    def stop(self) -> None:
        """Ends the process and all it started, at once; the job's `onEnd` is not called."""
        self._forgetJob()
        process, self._process = self._process, None
        if process is None:
            return
        killTree(process)
        process.waitForFinished(KILL_MS)
        process.deleteLater()

    def keepWaiting(self) -> None:
        """Gives a silent worker as long again."""
        self._patience += SILENT_AFTER_S
        self._watch.start()

    def _launch(self) -> None:
        process = newPythonProcess()
        # A process that was stopped must not speak for the one that came after it.
        process.connect("readyReadStandardOutput()", lambda: self._hear(process))
        process.connect("readyReadStandardError()", lambda: self._hearErrors(process))
        process.connect(
            "finished(int,QProcess::ExitStatus)", lambda code, status: self._ended(process, code, crashed=status != 0)
        )
        process.connect("errorOccurred(QProcess::ProcessError)", lambda error: self._failed(process, error))
        self._process = process
        process.start(workerPython(), ["-m", "MedTranslateLib.inference.worker", "--serve", "--end-with-parent"])

    def _hear(self, process: qt.QProcess) -> None:
        chunk = bytes(process.readAllStandardOutput().data())
        if process is not self._process or self._conversation is None:
            return
        for message in self._conversation.hear(chunk):
            self._onMessage(message)
            if self._conversation is None:  # the listener has stopped us
                return
        self._tellOutcome()

    def _hearErrors(self, process: qt.QProcess) -> None:
        chunk = bytes(process.readAllStandardError().data())
        if process is self._process and self._conversation is not None:
            self._conversation.overhear(chunk)

    def _ended(self, process: qt.QProcess, code: int, *, crashed: bool) -> None:
        if process is not self._process:
            return
        self._hearErrors(process)
        self._hear(process)
        if process is not self._process:
            return
        self._process = None
        process.deleteLater()
        if self._conversation is not None:
            self._conversation.process_ended(int(code), crashed)
            self._tellOutcome()

    def _failed(self, process: qt.QProcess, error: int) -> None:
        """A process that cannot even be started gives no `finished` signal."""
        if process is self._process and int(error) == int(qt.QProcess.FailedToStart):
            self._process = None
            process.deleteLater()
            if self._conversation is not None:
                self._conversation.not_started(f"{workerPython()}: {process.errorString()}")
                self._tellOutcome()

    def _tellOutcome(self) -> None:
        if self._conversation is not None and self._conversation.outcome is not None:
            outcome, onEnd = self._conversation.outcome, self._onEnd
            for line in self._conversation.strange_lines if outcome.error is not None else ():
                self._onLog(line)
            self._forgetJob()
            onEnd(outcome)

    def _forgetJob(self) -> None:
        self._watch.stop()
        self._conversation = self._onMessage = self._onEnd = None

    def _lookAtClock(self) -> None:
        if self._conversation is None:
            self._watch.stop()
            return
        silent = self._conversation.seconds_silent(time.monotonic())
        if silent >= self._patience:
            self._watch.stop()
            self._onSilent(silent)


def killTree(process: qt.QProcess) -> None:
    """Kills a worker with everything it started.

    The worker leads a process group of its own on POSIX; Windows knows the tree itself.
    """
    number = int(process.processId())
    if number > 0 and os.name == "nt":
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(number)], capture_output=True, check=False)
    elif number > 0 and groupOf(number) == number:
        os.killpg(number, signal.SIGKILL)
    process.kill()


def groupOf(number: int) -> int:
    """Process group of a process; 0 where it is gone."""
    try:
        return os.getpgid(number)
    except ProcessLookupError:
        return 0
