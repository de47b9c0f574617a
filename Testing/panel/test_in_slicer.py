"""The panels inside a real Slicer: one test for each case of `cases`, all in one run of Slicer."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from extension_build import build_extension, install_extension
from panel_cases import Case, cases_in
from slicer_process import SlicerProcess, environment_for, screen

CASES = [pytest.param(case, id=case.name, marks=[pytest.mark.slow] if case.slow else []) for case in cases_in()]
MODULE_FOLDER = Path(__file__).parents[2] / "MedTranslate"
WORKER_ENDS_WITHIN_S = 2.0
NO_SLICER = "needs a Slicer: python3 run.py test --slicer PATH, or the environment variable SLICER"


@pytest.mark.parametrize("panel_case", CASES)
def test_in_slicer(panel_case: Case, running_slicer: SlicerProcess | None) -> None:
    if running_slicer is None:
        pytest.skip(f"{panel_case.name} {NO_SLICER}")
    verdict = running_slicer.verdict(panel_case)
    if verdict.outcome == "skipped":
        pytest.skip(f"{panel_case.name}: {verdict.message}")
    assert verdict.outcome == "passed", verdict.message


def test_slicer_ends_by_itself_and_without_an_error(running_slicer: SlicerProcess | None) -> None:
    if running_slicer is None:
        pytest.skip(f"The end of Slicer {NO_SLICER}")
    expected = 1 if running_slicer.any_failed() else 0
    assert running_slicer.exit_code() == expected


def test_the_module_starts_from_an_install_tree_too(
    slicer_program: Path | None, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if slicer_program is None:
        pytest.skip(f"The module in an install tree {NO_SLICER}")
    installed = install_extension(build_extension(tmp_path))
    folder = request.getfixturevalue("panel_folder") / "from-install-tree"
    folder.mkdir(exist_ok=True)
    cases = [case for case in cases_in() if case.file.stem == "start_up"]
    with screen(environment_for(folder, tmp_path / "home", os.environ)) as environment:
        process = SlicerProcess(slicer_program, cases, folder, environment, installed)
        verdicts = {case.name: process.verdict(case) for case in cases}
        process.exit_code()
    assert [f"{name}: {verdict.message}" for name, verdict in verdicts.items() if verdict.outcome != "passed"] == []


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_slicer_that_is_killed_during_a_run_takes_its_worker_along(
    slicer_program: Path | None, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if slicer_program is None:
        pytest.skip(f"The end of a worker {NO_SLICER}")
    folder = request.getfixturevalue("panel_folder") / "killed"
    folder.mkdir(exist_ok=True)
    script = Path(__file__).with_name("killed_in_a_run.py")
    options = ["--no-splash", "--ignore-slicerrc", "--testing", "--additional-module-paths", str(MODULE_FOLDER)]
    with screen(environment_for(folder, tmp_path / "home", os.environ)) as environment:
        command = [str(slicer_program), *options, "--python-script", str(script)]
        done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, check=False, timeout=300)
    note = folder / "worker.txt"
    assert note.is_file(), done.stdout[-2000:] + done.stderr[-2000:]
    worker, deadline = Path("/proc") / note.read_text(), time.monotonic() + WORKER_ENDS_WITHIN_S
    while worker.exists() and time.monotonic() < deadline:
        os.sched_yield()
    assert not worker.exists()
