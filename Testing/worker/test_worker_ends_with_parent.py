"""A worker that is told to ends with its parent, in the middle of a job and with its children."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from MedTranslateLib.core.messages import Done, from_line
from MedTranslateLib.core.request import TranslationRequest
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.imaging.job_folder import Job, read_result, write_job
from MedTranslateLib.inference.runner import WORKING_FOLDER

WORKER = [sys.executable, "-m", "MedTranslateLib.inference.worker"]
SERVE = [*WORKER, "--serve"]
WATCHED = [*SERVE, "--end-with-parent"]
ENDS_WITHIN_S = 2.0
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="waits for the end of processes as Linux offers it")
MIDDLEMAN = """
import subprocess, sys
worker = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
print(worker.pid, flush=True)
worker.stdin.write(sys.argv[1] + "\\n")
worker.stdin.flush()
for line in worker.stdout:
    print(line, end="", flush=True)
"""
"""A stand-in for Slicer: starts a worker, says its number, gives it a job and repeats what it says."""
WITH_A_CHILD = """
import subprocess, sys
from MedTranslateLib.inference.standard_input import lines_while_parent_lives
for line in lines_while_parent_lives():
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], stdin=subprocess.DEVNULL)
    print(child.pid, flush=True)
"""


def write(folder: Path, source: Volume, bundle: Path | str, **options: object) -> Path:
    write_job(folder, Job(TranslationRequest(str(bundle), source.name, source.modality, **options), source))
    return folder


@pytest.fixture
def long_job(tmp_path, oblique_head, make_bundle) -> Path:
    """Takes several seconds, each batch of slices a good part of one."""
    options = {"channels": [32, 64, 128, 192]}
    bundle = make_bundle("bidpm", "bidpm", options, size_hw=(320, 320), spacing_mm=0.65)
    return write(tmp_path / "job", oblique_head, bundle)


@contextmanager
def process_of(*command: str, **options: object) -> Iterator[subprocess.Popen[str]]:
    """A process that does not outlive the test, also where the test fails."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=WORKING_FOLDER, stdin=pipe, stdout=pipe, text=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def ends_of(*processes: int) -> list[tuple[int, int]]:
    """Something to wait with for the end of each process, whoever its parent is by then."""
    return [(process, os.pidfd_open(process)) for process in processes]


def all_end_in_time(ends: list[tuple[int, int]]) -> bool:
    """Waits for their ends, all together no longer than the limit."""
    deadline = time.monotonic() + ENDS_WITHIN_S
    in_time = True
    for process, descriptor in ends:
        left = max(0.0, deadline - time.monotonic())
        if not select.select([descriptor], [], [], left)[0]:
            in_time = False
            os.kill(process, signal.SIGKILL)
        os.close(descriptor)
    return in_time


def lines_until(lines: Iterator[str], stage: str) -> list[dict]:
    """Reads messages up to the first one of a stage."""
    seen = []
    for line in lines:
        seen.append(json.loads(line))
        if seen[-1].get("stage") == stage:
            return seen
        if seen[-1]["event"] not in ("progress", "log"):
            break
    pytest.fail(f"no message of stage {stage}: {seen[-3:]}")


@on_linux
@pytest.mark.parametrize("stage", ["read", "translate"])
def test_a_worker_ends_at_once_in_the_middle_of_a_job_when_its_input_closes(long_job, stage):
    with process_of(*WATCHED) as process:
        process.stdin.write(f"{long_job}\n")
        process.stdin.flush()
        lines_until(process.stdout, stage)  # "read" is said before torch is imported, which takes seconds
        ends = ends_of(process.pid)
        process.stdin.close()
        assert all_end_in_time(ends)
    assert process.returncode == -signal.SIGKILL
    assert not (long_job / "result.json").exists()


@on_linux
def test_a_worker_ends_at_once_in_the_middle_of_a_job_when_its_parent_is_killed(long_job):
    with process_of(sys.executable, "-c", MIDDLEMAN, str(long_job), *WATCHED) as middleman:
        worker = int(middleman.stdout.readline())
        lines_until(middleman.stdout, "translate")
        ends = ends_of(worker)
        middleman.kill()
        assert all_end_in_time(ends)
    assert not (long_job / "result.json").exists()


@on_linux
def test_the_children_of_a_worker_end_with_it_and_its_parents_group_does_not():
    with (
        process_of(sys.executable, "-c", "import signal; signal.pause()") as bystander,
        process_of(sys.executable, "-c", MIDDLEMAN, "go", sys.executable, "-c", WITH_A_CHILD) as middleman,
    ):
        worker, child = int(middleman.stdout.readline()), int(middleman.stdout.readline())
        ends = ends_of(worker, child)
        assert os.getpgid(bystander.pid) == os.getpgid(0)
        assert os.getpgid(worker) == os.getpgid(child) == os.getsid(worker) == worker
        middleman.kill()
        assert all_end_in_time(ends)
        assert bystander.poll() is None


def test_without_the_option_a_worker_finishes_the_jobs_it_was_given_before_its_input_closed(
    tmp_path, oblique_head, make_bundle
):
    bundle = make_bundle("identity", size_hw=(32, 32), spacing_mm=6.0)
    jobs = [write(tmp_path / name, oblique_head, bundle) for name in ("first", "job of \u00fc")]
    given = "\r\n\r\n".join(map(str, jobs))  # the last line without an end
    done = subprocess.run(
        SERVE,
        cwd=WORKING_FOLDER,
        input=given.encode(),
        capture_output=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    assert done.returncode == 0, done.stderr
    last = [message for line in done.stdout.decode().splitlines() if isinstance(message := from_line(line), Done)]
    assert [message.job for message in last] == ["first", "job of \u00fc"]
    for job in jobs:
        read_result(job)
