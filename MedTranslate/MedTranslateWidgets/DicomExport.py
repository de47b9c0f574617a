"""A result and a series in, DICOM files that a process of the worker's Python writes out; no copy is left behind."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import qt

from MedTranslateLib.mrml.job_export import write_nodes
from MedTranslateLib.mrml.job_folders import JobFolders
from MedTranslateLib.mrml.scene import ResultNodes
from MedTranslateWidgets.PythonProcess import newPythonProcess
from MedTranslateWidgets.SlicerVersion import workerPython
from MedTranslateWidgets.WorkerProcess import KILL_MS, killTree

DISTRIBUTIONS = {"pydicom": "pydicom", "highdicom": "highdicom"}
"""What the export imports beyond a translation, and as what pip knows it."""
MISSING = re.compile(r"No module named '(\w+)")
PREFIX = re.compile(r"^medtranslate: (error: )?")


@dataclass(frozen=True)
class ExportChoice:
    """What the user chose.

    Args:
        series: Folder of the source's series; None where it is not known.
        target: The new folder.
        deidentify: Whether patient, place and dates are removed.
        burnIn: Whether the words are drawn into the pixels.
        maps: Whether the maps are written, too.
    """

    series: Path | None
    target: Path
    deidentify: bool = False
    burnIn: bool = False
    maps: bool = False


@dataclass(frozen=True)
class ExportEnd:
    """How an export ended.

    Args:
        files: Number of files; 0 where it failed.
        folder: Where they are.
        warnings: What the user has to know.
        missing: Packages that must be installed first.
        error: Why it failed; empty where it did not.
    """

    files: int = 0
    folder: str = ""
    warnings: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    error: str = ""


class DicomExport:
    """Runs one export at a time.

    Args:
        folders: Makes the private job folder, which is removed afterwards.
        onEnd: Told how it ended; never after `cancel`.
    """

    def __init__(self, folders: JobFolders, onEnd: Callable[[ExportEnd], None]) -> None:
        self._folders, self._onEnd = folders, onEnd
        self._process: qt.QProcess | None = None
        self._job: Path | None = None

    @property
    def running(self) -> bool:
        """Whether an export is under way."""
        return self._process is not None

    def start(self, nodes: ResultNodes, choice: ExportChoice) -> None:
        """Writes the nodes to a job folder and starts the process.

        Args:
            nodes: The result.
            choice: What the user chose.

        Raises:
            MedTranslateError: If the result was changed so that it cannot be exported, or there is no room for a copy.
        """
        self.cancel()
        self._job = self._folders.new()
        try:
            write_nodes(self._job, nodes)
        except BaseException:
            self._forget()
            raise
        process = newPythonProcess()
        process.connect("finished(int,QProcess::ExitStatus)", lambda code, _status: self._ended(process, int(code)))
        process.connect("errorOccurred(QProcess::ProcessError)", lambda error: self._failed(process, int(error)))
        self._process = process
        process.start(workerPython(), commandOf(self._job, choice))

    def cancel(self) -> None:
        """Ends the process at once; what it has written so far is not left behind."""
        process, self._process = self._process, None
        if process is not None:
            killTree(process)
            process.waitForFinished(KILL_MS)
            process.deleteLater()
        self._forget()

    def _ended(self, process: qt.QProcess, code: int) -> None:
        if process is not self._process:
            return
        self._process = None
        said = bytes(process.readAllStandardOutput().data()).decode("utf-8", "replace")
        complained = bytes(process.readAllStandardError().data()).decode("utf-8", "replace")
        process.deleteLater()
        self._forget()
        self._onEnd(endFrom(code, said, complained))

    def _failed(self, process: qt.QProcess, error: int) -> None:
        """A process that cannot even be started gives no `finished` signal."""
        if process is self._process and error == int(qt.QProcess.FailedToStart):
            self._process = None
            reason = f"{workerPython()}: {process.errorString()}"
            process.deleteLater()
            self._forget()
            self._onEnd(ExportEnd(error=reason))

    def _forget(self) -> None:
        if self._job is not None:
            self._folders.remove(self._job)
        self._job = None


def commandOf(job: Path, choice: ExportChoice) -> list[str]:
    """Arguments for Python."""
    whose = ["--no-series"] if choice.series is None else ["--series", str(choice.series)]
    flags = (("--deidentify", choice.deidentify), ("--burn-in", choice.burnIn), ("--uncertainty", choice.maps))
    chosen = [flag for flag, on in flags if on]
    return ["-m", "MedTranslateLib", "dicom", str(job), *whose, "--out", str(choice.target), *chosen, "--json"]


def endFrom(code: int, said: str, complained: str) -> ExportEnd:
    """How an export ended, from its exit code and what it said; success needs both."""
    if code == 0:
        try:
            table = json.loads(said.strip().splitlines()[-1])
            return ExportEnd(int(table["files"]), str(table["folder"]), tuple(map(str, table["warnings"])))
        except (ValueError, LookupError, TypeError):
            return ExportEnd(error="The export reported success, but did not say what it has written.")
    lacking = [DISTRIBUTIONS[name] for name in MISSING.findall(complained) if name in DISTRIBUTIONS]
    if lacking:
        return ExportEnd(missing=tuple(DISTRIBUTIONS.values()))
    lines = [line for line in complained.strip().splitlines() if line]
    return ExportEnd(error=PREFIX.sub("", lines[-1]) if lines else f"The export ended with exit code {code}.")
