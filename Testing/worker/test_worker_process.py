"""The worker process keeps its protocol: JSON lines, exit codes, results that are whole or absent."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from MedTranslateLib.cli.main import main
from MedTranslateLib.core.errors import (
    BundleNotFoundError,
    BundleTamperedError,
    CorruptResultError,
    DeviceError,
    DoubtfulInputError,
    InvalidVolumeError,
    OutputError,
    WorkerDiedError,
)
from MedTranslateLib.core.messages import Done, Failure, Log, Progress, from_line
from MedTranslateLib.core.request import TranslationRequest
from MedTranslateLib.core.schemas import load_schema
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.imaging.finished_job import checked_result
from MedTranslateLib.imaging.job_folder import Job, read_result, read_source, write_job
from MedTranslateLib.imaging.writing import write_volume
from MedTranslateLib.inference.progress import ProgressTeller, spans
from MedTranslateLib.inference.runner import WORKING_FOLDER, WarmWorker, run_job

WORKER = [sys.executable, "-m", "MedTranslateLib.inference.worker"]
SERVE = [*WORKER, "--serve"]
WATCHED = [*SERVE, "--end-with-parent"]
ENDS_WITHIN_S = 2.0
DAMAGES = [
    ("files", None),
    ("files", {"translated": "translated.nrrd"}),
    ("files", {"translated": "../elsewhere.nrrd"}),
    ("sha256", {}),
    ("output", {"name": "FLAIR"}),
    ("correspondence", ["model"]),
    ("format", 2),
]
"""Parts of a result's table and what may stand there instead."""


def write(folder: Path, source: Volume, bundle: Path | str, **options: object) -> Path:
    write_job(folder, Job(TranslationRequest(str(bundle), source.name, source.modality, **options), source))
    return folder


def run_worker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*WORKER, *arguments], cwd=WORKING_FOLDER, capture_output=True, text=True, check=False)


def test_a_job_prints_progress_and_done_as_json_lines_and_ends_with_zero(tmp_path, oblique_head, make_bundle):
    bundle = make_bundle("bidpm", "bidpm", {"channels": [16, 16]}, size_hw=(32, 32), spacing_mm=6.0)
    job = write(tmp_path / "job", oblique_head, bundle)
    done = run_worker(str(job))
    lines = [json.loads(line) for line in done.stdout.splitlines()]  # every line is JSON, nothing else is printed
    assert done.returncode == 0, done.stderr
    assert all(line["job"] == "job" for line in lines)
    assert [line["event"] for line in lines[:1]] == ["progress"]
    assert lines[-1]["event"] == "done"
    assert lines[-1]["result"] == str(job / "result.json")
    stages = [line["stage"] for line in lines if line["event"] == "progress"]
    assert list(dict.fromkeys(stages)) == ["read", "prepare", "translate", "assemble", "check", "write"]
    counts = [line["done"] for line in lines if line.get("stage") == "translate"]
    assert counts == sorted(counts)
    assert counts[-1] == 30  # the phantom has 30 slices
    assert any(line.get("eta_s") is not None for line in lines)
    result = read_result(job)
    assert result.translated.geometry.same_grid(oblique_head.geometry)
    jsonschema.validate(dict(result.provenance), load_schema("provenance"))


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"bundle": "no-such-bundle"}, "bundle_not_found", "no-such-bundle"),
        ({"device": "cuda:9"}, "device", "cuda:9"),
        ({"steps": 7}, "request", "steps = 7"),
    ],
)
def test_a_users_mistake_is_an_error_event_with_exit_code_2_and_no_result(
    tmp_path, oblique_head, make_bundle, change, code, words
):
    options = {"bundle": make_bundle("identity"), **change}
    job = write(tmp_path / "job", oblique_head, **options)
    done = run_worker(str(job))
    last = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 2
    assert (last["event"], last["code"]) == ("error", code)
    assert words in last["message"]
    assert "Traceback" not in done.stdout + done.stderr
    assert not (job / "result.json").exists()


def test_debug_shows_the_traceback_on_standard_error(tmp_path, oblique_head):
    job = write(tmp_path / "job", oblique_head, "no-such-bundle")
    done = run_worker(str(job), "--debug")
    assert "Traceback" in done.stderr
    assert "Traceback" not in done.stdout


def test_a_folder_without_a_request_is_an_error_event(tmp_path):
    done = run_worker(str(tmp_path))
    assert done.returncode == 2
    assert json.loads(done.stdout.splitlines()[-1])["code"] == "job_folder"


def test_a_damaged_source_is_an_error_event(tmp_path, oblique_head, make_bundle):
    job = write(tmp_path / "job", oblique_head, make_bundle("identity"))
    (job / "source.nrrd").write_bytes((job / "source.nrrd").read_bytes()[:5000])
    done = run_worker(str(job))
    assert done.returncode == 2
    assert json.loads(done.stdout.splitlines()[-1])["code"] == "source_unreadable"


def test_the_runner_raises_the_error_the_worker_reported(tmp_path, oblique_head, make_bundle):
    with pytest.raises(BundleNotFoundError, match="nothing-there"):
        run_job(write(tmp_path / "job", oblique_head, "nothing-there"), lambda _message: None)
    folder = make_bundle("identity")
    (folder / "weights.safetensors").write_bytes(b"changed")
    with pytest.raises(BundleTamperedError, match="SHA-256"):
        run_job(write(tmp_path / "job", oblique_head, folder), lambda _message: None)


def test_a_warm_worker_goes_on_after_a_failed_job_and_starts_the_next_at_once(tmp_path, oblique_head, make_bundle):
    good = write(tmp_path / "good", oblique_head, make_bundle("identity", size_hw=(32, 32), spacing_mm=6.0))
    bad = write(tmp_path / "bad", oblique_head, make_bundle("other"), device="cuda:9")
    flat = Volume(np.full(oblique_head.geometry.shape_kji, 3.0), oblique_head.geometry, "flat")
    constant = write(tmp_path / "flat", flat, good.parent / "bundles" / "identity")
    with WarmWorker() as worker:
        worker.run(good, lambda _message: None)
        with pytest.raises(DeviceError):
            worker.run(bad, lambda _message: None)
        with pytest.raises(InvalidVolumeError, match="constant"):
            worker.run(constant, lambda _message: None)
        messages = []
        worker.run(good, messages.append)
    assert isinstance(messages[-1], Done)
    assert messages[-1].seconds < 5  # no import of torch: a cold start takes longer than this whole small job
    assert read_result(good).translated.geometry.same_grid(oblique_head.geometry)


@pytest.mark.parametrize("arguments", [[], ["JOB", "--serve"], ["JOB", "--end-with-parent"]])
def test_options_that_do_not_go_together_are_refused(arguments):
    assert run_worker(*arguments).returncode == 2


def test_a_package_that_is_missing_is_an_error_event_that_names_it(tmp_path, oblique_head):
    job = write(tmp_path / "job", oblique_head, "any")
    code = (
        "import sys; sys.modules['torch'] = None; from MedTranslateLib.inference.worker import main; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(job)], cwd=WORKING_FOLDER, capture_output=True, text=True, check=False
    )
    last = from_line(done.stdout.splitlines()[-1])
    assert done.returncode == 2
    assert isinstance(last, Failure)
    assert last.code == "dependency_missing"
    assert "torch" in last.message
    assert "Traceback" not in done.stderr


def test_no_message_of_a_job_that_succeeds_holds_the_name_of_its_source(tmp_path, oblique_head, make_bundle):
    named = Volume(oblique_head.array_kji, oblique_head.geometry, "DOE^JANE 1970")
    job = write(tmp_path / "job", named, make_bundle("identity", size_hw=(32, 32), spacing_mm=6.0))
    done = run_worker(str(job))
    assert done.returncode == 0
    assert "DOE" not in done.stdout + done.stderr
    assert {type(from_line(line)) for line in done.stdout.splitlines()} == {Progress, Log, Done}


def test_a_doubtful_source_is_told_apart_and_says_nothing_of_the_command_line(tmp_path, oblique_head, make_bundle):
    bundle = make_bundle("identity", slice_spacing_mm=(0.5, 2.0))  # the phantom's slices are 4 mm apart
    with pytest.raises(DoubtfulInputError, match=r"4\.00 mm apart") as refused:
        run_job(write(tmp_path / "job", oblique_head, bundle), lambda _message: None)
    assert "--" not in str(refused.value)
    run_job(write(tmp_path / "job", oblique_head, bundle, accept_doubtful=True), lambda _message: None)


def test_the_command_line_adds_how_a_doubtful_source_is_accepted_there(tmp_path, oblique_head, make_bundle, capsys):
    bundle, out = make_bundle("identity", slice_spacing_mm=(0.5, 2.0)), tmp_path / "out"
    write_volume(tmp_path / "head.nrrd", oblique_head)
    arguments = ["translate", str(tmp_path / "head.nrrd"), "--bundle", str(bundle), "--out", str(out), "--no-views"]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert "4.00 mm apart" in said
    assert "Give --accept-doubtful to translate it anyway." in said
    assert main([*arguments, "--accept-doubtful"]) == 0


def test_an_uncompressed_source_is_the_same_source(tmp_path, oblique_head, make_bundle):
    job = tmp_path / "job"
    request = TranslationRequest(str(make_bundle("identity", size_hw=(32, 32), spacing_mm=6.0)))
    write_job(job, Job(request, oblique_head), compress=False)
    source = read_source(job)
    np.testing.assert_array_equal(source.array_kji, oblique_head.array_kji)
    assert source.geometry.same_grid(oblique_head.geometry)
    assert (job / "source.nrrd").stat().st_size > oblique_head.array_kji.nbytes  # a header and every byte
    run_job(job, lambda _message: None)


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are a matter of POSIX")
@pytest.mark.parametrize("missing", [1, 300, 100_000])
def test_an_uncompressed_source_that_was_cut_short_is_an_error_and_leaves_no_file(tmp_path, oblique_head, missing):
    import resource

    whole = tmp_path / "whole.nrrd"
    write_volume(whole, oblique_head, compress=False)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (whole.stat().st_size - missing, limits[1]))
        with pytest.raises(OutputError):
            write_volume(tmp_path / "short.nrrd", oblique_head, compress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert [path.name for path in tmp_path.iterdir()] == ["whole.nrrd"]


def test_success_is_believed_only_with_exit_code_0_and_a_whole_result(tmp_path, oblique_head, make_bundle):
    job = write(tmp_path / "job", oblique_head, make_bundle("identity", size_hw=(32, 32), spacing_mm=6.0))
    with pytest.raises(CorruptResultError, match="is missing"):
        checked_result(job, 0, None)
    assert run_job(job, lambda _message: None) == job / "result.json"
    assert checked_result(job, 0, None) == job / "result.json"
    with pytest.raises(WorkerDiedError, match="exit code -9"):
        checked_result(job, -9, None)
    with pytest.raises(DeviceError, match="no such"):
        checked_result(job, 0, Failure("job", "device", "no such"))
    table = json.loads((job / "result.json").read_text())
    for key, value in DAMAGES:
        (job / "result.json").write_text(json.dumps({**table, key: value}))
        with pytest.raises(CorruptResultError, match=f"damaged .{key}.*again"):
            checked_result(job, 0, None)
    (job / "result.json").write_text(json.dumps(table)[:-20])
    with pytest.raises(CorruptResultError, match=r"damaged.*again"):
        checked_result(job, 0, None)


def test_the_remaining_time_follows_the_share_that_is_done():
    now = iter([0.0, 10.0])
    told: list[Progress] = []
    teller = ProgressTeller("j", told.append, lambda: next(now))
    teller("translate", 1, 2)
    share = sum(spans(0.0)["translate"]) / 2  # 0.48 done in 10 s
    assert told[0].eta_s == pytest.approx(10 * (1 - share) / share, abs=0.05)


@pytest.mark.slow
def test_killing_the_worker_at_30_random_moments_never_leaves_half_a_result(tmp_path, oblique_head, make_bundle):
    options = {"channels": [16, 16]}
    bundle = make_bundle("bidpm", "bidpm", options, size_hw=(64, 64), spacing_mm=3.0)
    job = write(tmp_path / "job", oblique_head, bundle)
    chance = random.Random(11)
    killed = 0
    for _ in range(30):
        with subprocess.Popen([*WORKER, str(job)], cwd=WORKING_FOLDER, stdout=subprocess.PIPE, text=True) as process:
            lines = chance.randrange(1, 13)  # this many messages in, so moments lie in every stage
            for seen, _line in enumerate(process.stdout, start=1):
                if seen == lines:
                    timer = threading.Timer(chance.uniform(0, 0.15), process.kill)
                    timer.start()
            process.wait()
        if process.returncode == 0:
            read_result(job)  # ended before the kill: then it must be whole
        else:
            killed += 1
            if (job / "result.json").exists():
                read_result(job)  # killed after the rename: whole as well
        write(job, oblique_head, bundle)  # a next run always works
        assert not (job / "result.json").exists()
    assert killed >= 15
    run_job(job, lambda _message: None)
    read_result(job)
