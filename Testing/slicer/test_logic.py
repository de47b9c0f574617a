# ruff: noqa: E402  # without Slicer's core the file is skipped before it imports what needs it
"""Runs are queued, watched and loaded; a result comes into the scene whole, and its job folder goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

from MedTranslateLib.core.errors import (
    DeviceError,
    DoubtfulInputError,
    OutputError,
)
from MedTranslateLib.core.messages import Log, Progress
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.job_folder import read_request, read_source
from MedTranslateLib.imaging.phantom import head_phantom
from MedTranslateLib.mrml.conversation import Outcome
from MedTranslateLib.mrml.runs import RunState, TranslationChoice
from MedTranslateLib.mrml.volumes import node_from_volume
from Testing.slicer.translation_bench import CHOICE, GEOMETRY, PATIENT, Bench, finish


def test_a_run_goes_from_waiting_to_done_and_leaves_the_nodes_and_no_file(bench: Bench) -> None:
    seen: list[RunState] = []
    bench.on_change = lambda: seen.append(bench.logic.runs[0].state)
    run = bench.logic.queue(bench.source, CHOICE)
    assert (run.number, run.title) == (1, f"T1 -> FLAIR of {PATIENT}")
    step = Progress(run.folder.name, "translate", 3, 12, 4.5)
    bench.runner.say(step)
    bench.runner.say(Log(run.folder.name, "identity 1.0.0 on cpu"))
    assert (run.progress, run.log) == (step, ["identity 1.0.0 on cpu"])
    finish(bench)
    assert list(dict.fromkeys(seen)) == [RunState.WAITING, RunState.RUNNING, RunState.LOADING, RunState.DONE]
    assert bench.changes == len(seen) == 6
    assert bench.folders() == []
    assert run.nodes is not None
    assert run.nodes.source is bench.source
    assert PATIENT in run.nodes.output.GetName()
    voxels = slicer.util.arrayFromVolume(run.nodes.output)
    expected = head_phantom(GEOMETRY, "").array_kji
    np.testing.assert_allclose(voxels, expected.max() - expected, atol=1e-5)


def test_the_name_that_the_user_gave_is_that_of_the_output(bench: Bench) -> None:
    run = bench.logic.queue(bench.source, replace(CHOICE, output_name="for the board"))
    finish(bench)
    assert run.nodes.output.GetName().startswith("for the board")


def test_the_worker_gets_what_was_chosen_and_no_name_of_a_patient(bench: Bench) -> None:
    choice = TranslationChoice("identity", reverse=True, seed=11, device="cpu", accept_doubtful=True)
    run = bench.logic.queue(bench.source, choice)
    assert run.title == f"FLAIR -> T1 of {PATIENT}"
    request = read_request(run.folder)
    assert (request.bundle, request.source_name) == (str(bench.store.find("identity").folder), "source")
    assert (request.reverse, request.steps, request.samples, request.seed) == (True, None, 1, 11)
    assert (request.device, request.accept_doubtful) == ("cpu", True)
    for path in run.folder.iterdir():
        assert b"DOE" not in path.read_bytes()
    assert "DOE" not in str(run.folder)


def test_later_changes_of_the_source_do_not_reach_a_run_that_was_queued(bench: Bench) -> None:
    bench.logic.queue(bench.source, CHOICE)
    waiting = bench.logic.queue(bench.source, CHOICE)
    slicer.util.arrayFromVolume(bench.source)[:] = -7
    bench.source.SetOrigin(500, 500, 500)
    bench.source.SetName("renamed")
    copied = read_source(waiting.folder)
    np.testing.assert_array_equal(copied.array_kji, head_phantom(GEOMETRY, "").array_kji)
    assert copied.geometry.same_grid(GEOMETRY)


def test_a_source_under_a_linear_transform_is_copied_where_it_lies_and_the_run_says_so(bench: Bench) -> None:
    transform = bench.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "tilt")
    shift = slicer.util.vtkMatrixFromArray(np.array([[1, 0, 0, 5], [0, 1, 0, 0], [0, 0, 1, -3], [0, 0, 0, 1.0]]))
    transform.SetMatrixTransformToParent(shift)
    bench.source.SetAndObserveTransformNodeID(transform.GetID())
    run = bench.logic.queue(bench.source, CHOICE)
    assert "hardened copy" in run.note
    np.testing.assert_allclose(
        read_source(run.folder).geometry.origin_ras, GEOMETRY.origin_ras + np.array([5, 0, -3]), atol=1e-9
    )


def test_runs_go_one_after_another_in_their_order(bench: Bench) -> None:
    runs = [bench.logic.queue(bench.source, replace(CHOICE, seed=seed)) for seed in range(3)]
    expected = [RunState.RUNNING, RunState.WAITING, RunState.WAITING]
    for number in range(3):
        assert bench.states() == expected
        assert bench.runner.folders == [run.folder for run in runs[: number + 1]]
        finish(bench)
        expected[number] = RunState.DONE
        expected[number + 1 : number + 2] = [RunState.RUNNING] * len(expected[number + 1 : number + 2])
    assert bench.states() == [RunState.DONE] * 3
    assert bench.folders() == []
    assert len({run.nodes.output.GetName() for run in runs}) == 3


def test_a_failed_run_makes_room_for_the_next(bench: Bench) -> None:
    failing, waiting = (bench.logic.queue(bench.source, CHOICE) for _ in range(2))
    bench.runner.fail(DeviceError("cuda:0 is not there"))
    assert (failing.state, failing.message, failing.doubtful) == (RunState.FAILED, "cuda:0 is not there", False)
    assert waiting.state is RunState.RUNNING
    assert not failing.folder.exists()


def test_a_doubtful_run_is_marked_and_can_be_asked_for_again(bench: Bench) -> None:
    run = bench.logic.queue(bench.source, CHOICE)
    bench.runner.fail(DoubtfulInputError("Its slices are 15.00 mm apart."))
    assert (run.state, run.doubtful, run.message) == (RunState.FAILED, True, "Its slices are 15.00 mm apart.")
    again = bench.logic.queue(bench.source, replace(run.choice, accept_doubtful=True))
    assert read_request(again.folder).accept_doubtful
    assert bench.node_names() == bench.nodes_before


def test_a_runner_that_cannot_start_fails_each_run_with_its_sentence(bench: Bench) -> None:
    bench.runner.refuses = OutputError("no process")
    for _ in range(3):
        assert bench.logic.queue(bench.source, CHOICE).message == "no process"
    assert bench.states() == [RunState.FAILED] * 3
    assert bench.is_clean()


def test_a_runner_that_answers_before_start_returns_loses_no_run(bench: Bench) -> None:
    bench.logic.queue(bench.source, CHOICE)
    for _ in range(4):
        bench.logic.queue(bench.source, CHOICE)
    start, error = bench.runner.start, OutputError("at once")

    def answer_at_once(folder: Path, on_message: Callable, on_end: Callable) -> None:
        start(folder, on_message, on_end)
        bench.runner.end(Outcome(error=error))

    bench.runner.start = answer_at_once
    bench.runner.fail(error)
    assert bench.states() == [RunState.FAILED] * 5
    assert bench.is_clean()


def test_a_large_volume_is_queued_within_a_second(bench: Bench) -> None:
    large = Geometry((256, 256, 150), np.diag([0.9, 0.9, 1.2, 1.0]))
    noise = np.random.default_rng(1).normal(size=large.shape_kji).astype(np.float32)
    noise[:, :128] = 0  # as around a head
    node = node_from_volume(bench.scene, Volume(noise, large), "large")
    started = time.process_time()  # of this process alone, however busy the machine is
    run = bench.logic.queue(node, CHOICE)
    assert time.process_time() - started < 1.0
    assert (run.folder / "source.nrrd").stat().st_size > noise.nbytes  # to compress it would take a second by itself
