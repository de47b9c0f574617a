"""A real limit on the worker's memory: the run steps down by itself and finishes with the same output."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from MedTranslateLib.core.errors import WorkerDiedError
from MedTranslateLib.core.messages import Log, Message, Progress, from_line
from MedTranslateLib.core.request import TranslationRequest
from MedTranslateLib.core.schemas import load_schema
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.job_folder import Job, read_result, write_job
from MedTranslateLib.imaging.phantom import head_phantom
from MedTranslateLib.inference.runner import KILLED_MESSAGE, WORKING_FOLDER, run_job

linux = pytest.mark.skipif(sys.platform != "linux", reason="the limit is one of Linux")
LIMITED_WORKER = """
import resource, sys
from pathlib import Path
from MedTranslateLib.inference import job, worker
size = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData:"))
limit = int(size.split()[1]) * 1024 + int(sys.argv[2]) * 1000000
resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.getrlimit(resource.RLIMIT_DATA)[1]))
sys.exit(worker.main([sys.argv[1], "--debug"]))
"""
"""Once all libraries are loaded, so many MB more may be taken, and the system refuses every byte beyond."""
TOO_LITTLE_MB, TIGHT_MB, PLANNED_MB = 60, 300, 430
"""The source alone has 49 MB; less than 300 MB are too little for all at once and enough for slabs. The plan, which is
an upper bound, chooses slabs where 430 MB are left."""


@pytest.fixture(scope="module")
def large_head() -> Volume:
    """320 x 320 x 120 voxels, 49 MB, oblique."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.array([[-0.98, 0.2, 0], [0.2, 0.98, 0], [0, 0, 1.0]]) @ np.diag([1.3, 1.5, 2.6])
    matrix[:3, 3] = [80.0, -140.0, -70.0]
    coarse = head_phantom(Geometry((160, 160, 60), matrix), "large")
    fine = matrix.copy()
    fine[:3, :3] /= 2
    array = coarse.array_kji.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    return Volume(array, Geometry((320, 320, 120), fine), "large", "MR")


def write(folder: Path, source: Volume, bundle: Path, **options: object) -> Path:
    told = {"trust": False, "accept_doubtful": True, "device": "cpu", **options}
    write_job(
        folder, Job(TranslationRequest(str(bundle), source.name, source.modality, **told), source), compress=False
    )
    return folder


def run_limited(job: Path, megabytes: int) -> tuple[int, list[Message]]:
    command = [sys.executable, "-c", LIMITED_WORKER, str(job), str(megabytes)]
    done = subprocess.run(command, cwd=WORKING_FOLDER, capture_output=True, text=True, check=False)
    messages = [from_line(line) for line in done.stdout.splitlines()]
    return done.returncode, [message for message in messages if message is not None]


@linux
def test_a_worker_whose_memory_ends_steps_down_and_finishes_with_the_same_output(tmp_path, large_head, make_bundle):
    bundle = make_bundle("identity", size_hw=(192, 160), spacing_mm=1.2)
    free = run_job(write(tmp_path / "free", large_head, bundle), lambda _message: None).parent
    insisting = write(tmp_path / "limited", large_head, bundle, batch_size=4, slab=0)  # all at once, whatever the plan
    code, messages = run_limited(insisting, TIGHT_MB)
    logs = [message.message for message in messages if isinstance(message, Log)]
    assert code == 0, messages[-1]
    assert any("May not fit" in line for line in logs)
    assert any("The memory was not enough for batches of 4 slices, on cpu; again in" in line for line in logs)
    record = read_result(insisting).provenance
    jsonschema.validate(dict(record), load_schema("provenance"))
    assert record["memory"]["stepped_down"][0]["batch_size"] == 4
    assert record["memory"]["finished"]["slab"] in (32, 8)
    assert record["run"]["slab"] == record["memory"]["finished"]["slab"]
    assert record["request"]["batch_size"] == 4
    before, after = (read_result(folder).translated.array_kji for folder in (free, insisting))
    assert np.abs(before - after).max() <= 1e-5 * np.ptp(before)


@linux
def test_a_run_that_knows_its_limit_fits_at_the_first_attempt(tmp_path, large_head, make_bundle):
    job = write(tmp_path / "job", large_head, make_bundle("identity", size_hw=(192, 160), spacing_mm=1.2))
    code, messages = run_limited(job, PLANNED_MB)
    assert code == 0, messages[-1]
    memory = read_result(job).provenance["memory"]
    assert memory["stepped_down"] == []
    assert memory["plan"]["slab"] in (32, 8)


@linux
@pytest.mark.slow
def test_where_even_the_smallest_plan_is_too_large_the_error_says_so_and_no_result_is_left(
    tmp_path, large_head, make_bundle
):
    job = write(tmp_path / "job", large_head, make_bundle("identity", size_hw=(192, 160), spacing_mm=1.2))
    code, messages = run_limited(job, TOO_LITTLE_MB)
    assert code == 1
    assert messages[-1].code == "memory"
    assert "not enough memory" in messages[-1].message
    assert not (job / "result.json").exists()


def kill_children() -> None:
    """As the system does when memory ends: without a word."""
    for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)


@linux
def test_a_worker_that_the_system_kills_is_run_once_more_with_the_smallest_plan(tmp_path, oblique_head, make_bundle):
    job = write(tmp_path / "job", oblique_head, make_bundle("identity", size_hw=(32, 32), spacing_mm=6.0))
    told: list[str] = []

    def listen(message: Message) -> None:
        if isinstance(message, Log):
            told.append(message.message)
        if isinstance(message, Progress) and message.stage == "prepare" and KILLED_MESSAGE not in told:
            kill_children()

    run_job(job, listen)
    assert told.count(KILLED_MESSAGE) == 1
    record = read_result(job).provenance
    assert record["memory"]["after_kill"] is True
    assert record["memory"]["finished"] == {"device": "cpu", "batch_size": 1, "slab": 8}


@linux
@pytest.mark.slow
def test_a_worker_that_is_killed_twice_is_given_up(tmp_path, oblique_head, make_bundle):
    job = write(tmp_path / "job", oblique_head, make_bundle("identity", size_hw=(32, 32), spacing_mm=6.0))
    starts: list[int] = []

    def listen(message: Message) -> None:
        if isinstance(message, Progress) and message.stage == "prepare":
            starts.append(message.done)
            kill_children()

    with pytest.raises(WorkerDiedError, match="exit code -9"):
        run_job(job, listen)
    assert len(starts) == 2
    assert not (job / "result.json").exists()


@linux
def test_a_run_that_is_cancelled_is_not_run_again(tmp_path, oblique_head, make_bundle):
    job = write(tmp_path / "job", oblique_head, make_bundle("identity", size_hw=(32, 32), spacing_mm=6.0))
    heard: list[Message] = []

    def cancel(message: Message) -> None:
        heard.append(message)
        if isinstance(message, Progress) and message.stage == "prepare":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_job(job, cancel)
    assert [message for message in heard if isinstance(message, Log) and message.message == KILLED_MESSAGE] == []
    assert sum(isinstance(message, Progress) and message.stage == "read" for message in heard) == 1


@pytest.mark.gpu
def test_on_a_card_with_too_little_the_batches_are_halved_until_they_fit(tmp_path, oblique_head):
    code = (
        "import sys, torch; torch.cuda.set_per_process_memory_fraction(float(sys.argv[2]), 0); "
        "from MedTranslateLib.inference import worker; sys.exit(worker.main([sys.argv[1]]))"
    )
    bundle = "bidpm-brain-t1-flair"
    free = write(tmp_path / "free", oblique_head, bundle, device="cuda:0", batch_size=32)
    run_job(free, lambda _message: None)
    tight = write(tmp_path / "tight", oblique_head, bundle, device="cuda:0", batch_size=32)
    import torch

    share = 260e6 / torch.cuda.get_device_properties(0).total_memory  # a batch of 32 slices takes about 450 MB
    done = subprocess.run([sys.executable, "-c", code, str(tight), str(share)], cwd=WORKING_FOLDER, check=False)
    assert done.returncode == 0
    memory = read_result(tight).provenance["memory"]
    assert memory["stepped_down"][0]["batch_size"] == 32
    assert (memory["finished"]["batch_size"], memory["finished"]["device"]) < (32, "cuda:1")
    before, after = (read_result(folder).translated.array_kji for folder in (free, tight))
    assert np.abs(before - after).mean() < 0.002  # half precision: algorithms may change with the batch
