# ruff: noqa: E402  # without Slicer's core the file is skipped before it imports what needs it
"""The logic with real processes: the worker itself, and some that misbehave."""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

from MedTranslateLib.core.correspondence import Correspondence
from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.imaging.job_folder import write_result
from MedTranslateLib.mrml.runs import RunState, TranslationChoice
from Testing.slicer.translation_bench import ACTIONS, CHOICE, GEOMETRY, PATIENT, SERVE, STAND_IN, Bench, ProcessRunner


def ran(runner: ProcessRunner, run: object) -> None:
    """Listens until a run has ended."""
    while not run.state.is_final:
        assert runner.hear(), "nothing came from the worker for a minute"


posix_only = pytest.mark.skipif(os.name == "nt", reason="the runner of these tests is for POSIX")


@posix_only
def test_the_real_worker_translates_two_volumes_in_one_process(on_bench: Callable[..., Bench]) -> None:
    runner = ProcessRunner(SERVE)
    bench = on_bench(runner)
    first, second = (bench.logic.queue(bench.source, CHOICE) for _ in range(2))
    ran(runner, first)
    ran(runner, second)
    assert (first.message, second.message) == ("", "")
    assert bench.states() == [RunState.DONE] * 2
    assert len(runner.every_process) == 1
    bundle, memory = first.log
    assert bundle == "identity 1.0.0 on cpu"
    assert "needs about" in memory
    assert "DOE" not in "".join(first.log)
    assert first.nodes.output.GetAttribute("MedTranslate.source.name") == "source"
    provenance = json.loads(first.nodes.provenance.GetText())
    assert provenance["source"]["name"] == "source"
    assert "DOE" not in json.dumps(provenance)
    voxels = slicer.util.arrayFromVolume(first.nodes.output)
    source = slicer.util.arrayFromVolume(bench.source)
    assert np.corrcoef(voxels.ravel(), source.ravel())[0, 1] > 0.9  # the identity, on a coarser grid and back
    assert bench.folders() == []


@posix_only
def test_the_real_worker_finds_a_thick_volume_doubtful_and_translates_it_when_told_so(
    on_bench: Callable[..., Bench], make_bundle: Callable[..., Path]
) -> None:
    make_bundle("thin", size_hw=(32, 32), spacing_mm=6.0, slice_spacing_mm=(0.5, 2.0))
    runner = ProcessRunner(SERVE)
    bench = on_bench(runner)
    run = bench.logic.queue(bench.source, TranslationChoice("thin"))
    ran(runner, run)
    assert (run.state, run.doubtful) == (RunState.FAILED, True)
    assert "10.00 mm apart" in run.message
    assert "--" not in run.message
    assert bench.is_clean()
    again = bench.logic.queue(bench.source, replace(run.choice, accept_doubtful=True))
    ran(runner, again)
    assert again.state is RunState.DONE
    assert len(runner.every_process) == 1


@posix_only
def test_a_bundle_that_is_removed_while_the_worker_starts_fails_the_run(on_bench: Callable[..., Bench]) -> None:
    runner = ProcessRunner(SERVE)
    bench = on_bench(runner)
    run = bench.logic.queue(bench.source, CHOICE)
    shutil.rmtree(bench.store.find("identity").folder)
    ran(runner, run)
    assert run.state is RunState.FAILED
    assert "There is no bundle" in run.message
    assert bench.is_clean()


SAY_DONE = """
import json, os
folder = input()
job = {job}
print(json.dumps({{"event": "done", "job": job, "result": folder + "/result.json", "seconds": 1}}), flush=True)
{then}
"""
BAD_WORKERS = {
    "prints garbage and ends": ("print('x' * 5000 + chr(10) + '{}' * 9); input()", "2 lines that are no messages"),
    "ends at once": ("pass", "ended by itself without a result"),
    "ends with an exit code": ("import sys; input(); sys.exit(3)", "exit code 3"),
    "dies": ("import os, signal; input(); os.kill(os.getpid(), signal.SIGKILL)", "ended by the system"),
    "says done without a result": (SAY_DONE.format(job="os.path.basename(folder)", then="input()"), "is missing"),
    "says done for another job": (SAY_DONE.format(job="'other'", then=""), "without a result"),
}


@posix_only
@pytest.mark.parametrize("kind", BAD_WORKERS)
def test_a_bad_worker_fails_the_run_with_a_sentence_and_a_good_one_can_follow(
    on_bench: Callable[..., Bench], finished_job: Path, kind: str
) -> None:
    code, words = BAD_WORKERS[kind]
    runner = ProcessRunner([sys.executable, "-c", code])
    bench = on_bench(runner)
    run = bench.logic.queue(bench.source, CHOICE)
    ran(runner, run)
    assert run.state is RunState.FAILED
    assert words in run.message
    assert bench.is_clean()
    runner.stop()
    runner.command = stand_in(finished_job)
    following = bench.logic.queue(bench.source, CHOICE)
    ran(runner, following)
    assert following.state is RunState.DONE


@posix_only
def test_a_worker_that_hangs_can_be_cancelled_and_the_next_run_gets_a_new_one(on_bench: Callable[..., Bench]) -> None:
    runner = ProcessRunner([sys.executable, "-c", "import signal; print('alive', flush=True); signal.pause()"])
    bench = on_bench(runner)
    run = bench.logic.queue(bench.source, CHOICE)
    assert runner.hear()
    bench.logic.cancel(run)
    bench.logic.queue(bench.source, CHOICE)
    assert len(set(runner.every_process)) == 2
    bench.logic.close()
    assert not any(is_alive(process) for process in runner.every_process)
    assert bench.is_clean()


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def processes_left(runner: ProcessRunner) -> list[str]:
    """Command lines of what the runner has started, child processes included, and has not ended; not its current one.

    Known by the process group that a worker leads, and by a word in its command that only it has.
    """
    current = runner.process.pid if runner.process is not None else None
    groups = set(runner.every_process) - {current}
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _parent, group = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            command = (folder / "cmdline").read_bytes().decode().replace("\0", " ")
        except OSError:  # it has just ended
            continue
        mine = int(group) in groups or (runner.word and runner.word in command and int(group) != current)
        if state not in "ZX" and mine:
            found.append(command)
    return found


@pytest.fixture(scope="module")
def finished_job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of a finished job on the phantom's grid."""
    folder = tmp_path_factory.mktemp("finished")
    output = Volume(np.random.default_rng(2).normal(size=GEOMETRY.shape_kji), GEOMETRY)
    identity, mask = Correspondence.identity(GEOMETRY), np.ones(GEOMETRY.shape_kji, np.uint8)
    provenance = {"bundle": {"name": "identity"}}
    write_result(folder, TranslationResult(output, identity, mask, None, provenance, "FLAIR", "MR"))
    return folder


def stand_in(finished_job: Path) -> list[str]:
    return [sys.executable, "-c", STAND_IN, str(finished_job)]


def cycle(bench: Bench, runner: ProcessRunner, chance: random.Random, wait_s: float) -> str:
    """Queues up to three runs, listens for a while, then does one thing to them."""
    if bench.scene.GetNodeByID(bench.source.GetID()) is not bench.source:
        bench.source = bench.add_source(PATIENT)
    runs = [bench.logic.queue(bench.source, replace(CHOICE, seed=seed)) for seed in range(chance.randint(1, 3))]
    for _ in range(chance.randrange(14)):
        runner.hear(chance.uniform(0, wait_s), size=chance.choice([7, 60, 65536]))
    action = chance.choice(["wait", "cancel", "cancel all", "delete the source", "close the scene"])
    if action == "wait":
        ran(runner, runs[-1])
        assert [run.state for run in runs] == [RunState.DONE] * len(runs), [run.message for run in runs]
    elif action == "cancel":
        for run in chance.sample(runs, len(runs)):
            bench.logic.cancel(run)
    else:
        ACTIONS[action](bench)
    return action


def run_cycles(bench: Bench, runner: ProcessRunner, count: int, wait_s: float) -> None:
    chance = random.Random(17)
    actions = []
    for _ in range(count):
        before = outputs_in(bench.scene)
        actions.append(cycle(bench, runner, chance, wait_s))
        assert all(run.state.is_final for run in bench.logic.runs)
        assert bench.folders() == []
        done = sum(run.state is RunState.DONE for run in bench.logic.runs)
        if actions[-1] == "close the scene":
            assert outputs_in(bench.scene) == 0
        else:
            assert outputs_in(bench.scene) - before == done - bench.done_before
        bench.done_before = done
        assert processes_left(runner) == []
    assert len(set(actions)) == 5
    assert bench.done_before > 0
    bench.logic.close()
    assert processes_left(runner) == []
    assert bench.folders() == []


def outputs_in(scene: slicer.vtkMRMLScene) -> int:
    """Number of results, after a check that nothing is there of half a result."""
    roles = [node.GetAttribute("MedTranslate.role") for node in scene.GetNodes()]
    counts = {role: roles.count(role) for role in ("output", "forward", "inverse", "validity", "provenance")}
    assert len(set(counts.values())) == 1, counts
    return counts["output"]


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_thirty_random_cycles_leave_no_folder_no_process_and_no_node_of_a_cancelled_run(
    on_bench: Callable[..., Bench], finished_job: Path
) -> None:
    runner = ProcessRunner(stand_in(finished_job), str(finished_job))
    run_cycles(on_bench(runner), runner, 30, 0.3)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_hundred_and_twenty_random_cycles_of_the_real_worker_leave_nothing(on_bench: Callable[..., Bench]) -> None:
    runner = ProcessRunner(SERVE)
    run_cycles(on_bench(runner), runner, 120, 1.5)
