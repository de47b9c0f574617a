"""A case in, what became of it out: passed, skipped, or failed with every Python error that Slicer met meanwhile."""

from __future__ import annotations

import faulthandler
import importlib.util
import json
import logging
import sys
import threading
import time
import traceback
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from panel_cases import Case

if TYPE_CHECKING:  # it needs Slicer
    from slicer_side import SlicerSide

TRACE_BEFORE_LIMIT_S = 10


@dataclass(frozen=True)
class Outcome:
    """What became of a case."""

    outcome: str
    seconds: float
    message: str = ""

    @property
    def failed(self) -> bool:
        """Neither passed nor skipped."""
        return self.outcome == "failed"


class Results:
    """Lines of `results.jsonl`, each written out at once: the next moment may be a crash."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "results.jsonl"
        self.traces = folder / "traces.txt"

    def started(self, case: Case) -> None:
        self._write(event="started", case=case.name)

    def ended(self, case: Case, outcome: Outcome) -> None:
        self._write(
            event="ended",
            case=case.name,
            outcome=outcome.outcome,
            seconds=round(outcome.seconds, 3),
            message=outcome.message,
        )

    def finished(self) -> None:
        self._write(event="finished")

    def _write(self, **line: object) -> None:
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def run_case(case: Case, side: SlicerSide, traces: Path) -> Outcome:
    """Runs one case in a clean scene; where it hangs or crashes, `traces` says at which line."""
    started = time.monotonic()
    result = unittest.TestResult()
    with traced(case, traces), errors_of_slicer(side) as errors:
        unittest.FunctionTestCase(lambda: function_of(case)(side), side.reset, side.tidy_up).run(result)
        side.wait(50)  # what the case left for the event loop to do belongs to it
    seconds = time.monotonic() - started
    problems = [text for _case, text in (*result.errors, *result.failures)] + errors
    if problems:
        return Outcome("failed", seconds, "\n\n".join(problems))
    if result.skipped:
        return Outcome("skipped", seconds, result.skipped[0][1])
    return Outcome("passed", seconds)


def function_of(case: Case):
    """The case's function, from a file that is read anew each time."""
    return getattr(module_of(case.file), case.function)


def module_of(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"MedTranslatePanelCases.{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def traced(case: Case, traces: Path) -> Iterator[None]:
    """Notes the line where Python stands when Slicer crashes, and shortly before whoever waits loses patience."""
    with traces.open("a", encoding="utf-8") as file:
        file.write(f"== {case.name}\n")
        file.flush()
        faulthandler.enable(file)
        faulthandler.dump_traceback_later(max(case.limit_s - TRACE_BEFORE_LIMIT_S, 1), file=file)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            faulthandler.disable()


@contextmanager
def errors_of_slicer(side: SlicerSide) -> Iterator[list[str]]:
    """What goes wrong outside the case's own calls: in slots, observers, threads, destructors, and what is logged."""
    errors: list[str] = []

    def note(title: str, text: str) -> None:
        if not side.expects(text):
            errors.append(f"{title}:\n{text}")

    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    handler = NotingHandler(note)
    logging.getLogger().addHandler(handler)
    sys.excepthook = lambda *error: note("An error in a slot or an observer", text_of(*error))
    threading.excepthook = lambda args: note("An error in a thread", text_of(*args[:3]))
    sys.unraisablehook = lambda args: note("An error in a destructor", text_of(*args[:3]))
    try:
        yield errors
    finally:
        sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
        logging.getLogger().removeHandler(handler)


def text_of(kind, error, trace) -> str:
    return "".join(traceback.format_exception(kind, error, trace))


class NotingHandler(logging.Handler):
    """Notes what Python code logs as an error."""

    def __init__(self, note) -> None:
        super().__init__(logging.ERROR)
        self._note = note

    def emit(self, record: logging.LogRecord) -> None:
        trace = "\n" + text_of(*record.exc_info) if record.exc_info else ""
        self._note(f"Logged as {record.levelname.lower()} by {record.name}", record.getMessage() + trace)
