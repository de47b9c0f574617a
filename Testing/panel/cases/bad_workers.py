"""A worker that misbehaves: whatever it does, there is a clear message and the scene is as it was."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import slicer

from panel_case_files import beside

LIMIT_S = 120
translate = beside(__file__, "translate")


@contextmanager
def worker_that(panels, script: str) -> Iterator[None]:
    """In place of the worker's Python, a script of a few lines; the present worker is ended first."""
    before = os.environ.get("MEDTRANSLATE_PYTHON")
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "python"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        os.environ["MEDTRANSLATE_PYTHON"] = str(program)
        panels.bench.runner.stop()
        try:
            yield
        finally:
            panels.bench.runner.stop()
            if before is None:
                del os.environ["MEDTRANSLATE_PYTHON"]
            else:
                os.environ["MEDTRANSLATE_PYTHON"] = before


def message_after_apply(side, script: str) -> str:
    _node, panels = translate.open_with_source(side)
    nodes = slicer.mrmlScene.GetNumberOfNodes()
    with worker_that(panels, script):
        translate.apply(side, panels)
        side.wait_until(lambda: translate.finished(panels), 20, "the end of the run")
    assert translate.runs_of(panels)[-1].state.value == "failed"
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes
    assert not translate.job_folders()
    assert side.child("applyButton").text == "Apply"
    return panels.messages.text


def check_a_worker_that_prints_garbage_and_fails_is_told(side) -> None:
    script = "read line; echo 'Segmentation fault /home/DOE' >&2; echo '{\"event\": 7}'; exit 3"
    text = message_after_apply(side, script)
    assert "exit code 3" in text, text
    log = side.child("logEdit").toPlainText()
    assert "Segmentation fault PATH" in log, log
    assert "DOE" not in log


def check_a_worker_that_dies_is_told(side) -> None:
    assert "memory" in message_after_apply(side, "read line; kill -9 $$")


def check_a_worker_that_ends_with_0_and_no_result_is_told(side) -> None:
    assert "without a result" in message_after_apply(side, "read line; exit 0")


def check_a_worker_that_says_done_without_a_result_is_not_believed(side) -> None:
    said = '{"event": "done", "job": "\'$(basename $line)\'", "result": "nowhere", "seconds": 1}'
    text = message_after_apply(side, f"read line; echo '{said}'; read line")
    assert "missing" in text or "no finished" in text, text


def check_a_worker_that_cannot_be_started_is_told(side) -> None:
    _node, panels = translate.open_with_source(side)
    with worker_that(panels, "exit 0"):
        os.environ["MEDTRANSLATE_PYTHON"] = "/nowhere/python"
        translate.apply(side, panels)
        side.wait_until(lambda: translate.finished(panels), 10, "the end of the run")
    assert "could not be started" in panels.messages.text, panels.messages.text


def check_a_worker_that_hangs_is_told_and_can_be_stopped(side) -> None:
    from MedTranslateWidgets import WorkerProcess

    _node, panels = translate.open_with_source(side)
    patience, WorkerProcess.SILENT_AFTER_S = WorkerProcess.SILENT_AFTER_S, 1.0
    try:
        with worker_that(panels, "read line; sleep 600"):
            translate.apply(side, panels)
            side.wait_until(lambda: "said nothing" in panels.messages.text, 10, "the message")
            side.picture("hanging-worker")
            side.mouse.click(side.child("messageButton1"))
            side.wait_until(lambda: translate.finished(panels), 2, "the end of the run")
    finally:
        WorkerProcess.SILENT_AFTER_S = patience
    assert translate.runs_of(panels)[-1].state.value == "cancelled"
    assert not translate.job_folders()
