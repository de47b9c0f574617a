"""A question to the worker's Python in, its devices and what it lacks out; torch is never imported into Slicer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import qt

from MedTranslateWidgets.PythonProcess import newPythonProcess
from MedTranslateWidgets.SlicerVersion import workerPython

LIMIT_MS = 120_000


@dataclass(frozen=True)
class ProbeAnswer:
    """What the worker's Python has.

    Args:
        missing: Packages that must be installed first, as pip knows them.
        broken: Packages that are there but cannot be loaded, with the reason.
        devices: Name and label of each device.
        failure: Why there is no answer; empty where there is one.
        free: Bytes that are free on each device, where that is known.
    """

    missing: tuple[str, ...] = ()
    broken: dict[str, str] = field(default_factory=dict)
    devices: tuple[tuple[str, str], ...] = ()
    failure: str = ""
    free: dict[str, int] = field(default_factory=dict)

    def deviceFor(self, asked: str) -> str:
        """The device that "auto" stands for: the first one, accelerators before the processor."""
        if asked != "auto":
            return asked
        return self.devices[0][0] if self.devices else "cpu"

    def freeOn(self, device: str) -> int | None:
        """Bytes that were free on a graphics card; None for the processor, or where that is not known."""
        return None if device == "cpu" else self.free.get(device)


class Probe:
    """Asks in the background; the answer comes by a callback."""

    def __init__(self, onAnswer: Callable[[ProbeAnswer], None]) -> None:
        self._onAnswer = onAnswer
        self._process: qt.QProcess | None = None
        self._limit = qt.QTimer()
        self._limit.setSingleShot(True)
        self._limit.connect("timeout()", self._tooLate)

    def ask(self) -> None:
        """Starts a question; one that is under way is dropped."""
        self.close()
        process = newPythonProcess()
        process.connect("finished(int,QProcess::ExitStatus)", lambda code, _status: self._finished(process, code))
        process.connect("errorOccurred(QProcess::ProcessError)", lambda _error: self._finished(process, 127))
        self._process = process
        self._limit.start(LIMIT_MS)
        process.start(workerPython(), ["-m", "MedTranslateLib.inference.probe"])

    def close(self) -> None:
        """Ends a question that is under way."""
        self._limit.stop()
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.waitForFinished(1000)
            process.deleteLater()

    def _tooLate(self) -> None:
        """A driver or a library hangs while it is loaded."""
        self.close()
        self._onAnswer(ProbeAnswer(failure=f"{workerPython()} gave no answer within {LIMIT_MS // 1000} s"))

    def _finished(self, process: qt.QProcess, code: int) -> None:
        if process is not self._process:
            return
        self._process = None
        self._limit.stop()
        said = bytes(process.readAllStandardOutput().data()).decode("utf-8", "replace")
        process.deleteLater()
        self._onAnswer(answerFrom(said, int(code)))


def answerFrom(said: str, code: int) -> ProbeAnswer:
    """Reads the probe's line; anything else is a failure."""
    try:
        table = json.loads(said.strip().splitlines()[-1])
        devices = tuple((device["name"], device["label"]) for device in table["devices"])
        free = {device["name"]: int(device["free_bytes"]) for device in table["devices"] if device.get("free_bytes")}
        return ProbeAnswer(tuple(table["missing"]), dict(table.get("broken", {})), devices, free=free)
    except (ValueError, LookupError, TypeError):
        return ProbeAnswer(failure=f"{workerPython()} gave no answer (exit code {code})")
