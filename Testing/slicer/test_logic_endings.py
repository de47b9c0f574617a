# ruff: noqa: E402  # without Slicer's core the file is skipped before it imports what needs it
"""However a run ends, the scene and the disk hold only whole results."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

from MedTranslateLib.core.errors import (
    DeviceError,
    OutputError,
)
from MedTranslateLib.core.messages import Progress
from MedTranslateLib.mrml.conversation import Outcome
from MedTranslateLib.mrml.runs import RunState
from Testing.slicer.translation_bench import ACTIONS, CHOICE, Bench, finish


def test_cancelling_a_waiting_run_leaves_the_running_one_alone(bench: Bench) -> None:
    running, waiting, last = (bench.logic.queue(bench.source, CHOICE) for _ in range(3))
    bench.logic.cancel(waiting)
    assert bench.states() == [RunState.RUNNING, RunState.CANCELLED, RunState.WAITING]
    assert bench.runner.stops == 0
    assert not waiting.folder.exists()
    finish(bench)
    assert (running.state, last.state) == (RunState.DONE, RunState.RUNNING)


def test_cancelling_the_running_one_stops_the_process_and_starts_the_next(bench: Bench) -> None:
    running, waiting = (bench.logic.queue(bench.source, CHOICE) for _ in range(2))
    on_message, on_end = bench.runner.job
    bench.logic.cancel(running)
    assert bench.states() == [RunState.CANCELLED, RunState.RUNNING]
    assert bench.runner.stops == 1
    assert bench.folders() == [waiting.folder.name]
    on_message(Progress(running.folder.name, "write", 1, 1))  # a runner that goes on talking is not listened to
    on_end(Outcome(error=DeviceError("late")))
    assert (running.state, running.progress, running.message) == (RunState.CANCELLED, None, "Cancelled.")


def test_cancelling_all_starts_nothing(bench: Bench) -> None:
    for _ in range(3):
        bench.logic.queue(bench.source, CHOICE)
    bench.logic.cancel_all()
    assert bench.states() == [RunState.CANCELLED] * 3
    assert len(bench.runner.folders) == 1
    assert bench.is_clean()


def at_state(bench: Bench, state: RunState, act: Callable[[], None]) -> None:
    """Does something once, as soon as the first run is told to be in a state."""

    def look() -> None:
        if bench.logic.runs and bench.logic.runs[0].state is state:
            bench.on_change = lambda: None
            act()

    bench.on_change = look


UNFINISHED = [RunState.WAITING, RunState.RUNNING, RunState.LOADING]


@pytest.mark.parametrize("state", UNFINISHED)
@pytest.mark.parametrize("action", ACTIONS)
def test_ending_a_run_in_any_state_leaves_no_node_and_no_file(bench: Bench, state: RunState, action: str) -> None:
    at_state(bench, state, lambda: ACTIONS[action](bench))
    run = bench.logic.queue(bench.source, CHOICE)
    if bench.runner.job is not None:
        finish(bench)
    assert run.state is RunState.CANCELLED
    assert run.message
    assert run.nodes is None
    assert bench.folders() == []
    assert not [name for name in bench.node_names() if "FLAIR" in name]


@pytest.mark.parametrize("action", ACTIONS)
def test_ending_a_run_that_is_done_changes_nothing_of_it(bench: Bench, action: str) -> None:
    run = bench.logic.queue(bench.source, CHOICE)
    finish(bench)
    ACTIONS[action](bench)
    assert run.state is RunState.DONE
    assert run.message == ""


def test_a_run_whose_source_is_deleted_is_cancelled_and_the_next_of_another_source_starts(bench: Bench) -> None:
    other = bench.add_source("another patient")
    doomed = [bench.logic.queue(bench.source, CHOICE) for _ in range(2)]
    kept = bench.logic.queue(other, CHOICE)
    bench.scene.RemoveNode(bench.source)
    assert [run.state for run in doomed] == [RunState.CANCELLED] * 2
    assert "source volume was deleted" in doomed[0].message
    assert kept.state is RunState.RUNNING
    assert bench.runner.folders == [doomed[0].folder, kept.folder]
    finish(bench)
    assert kept.nodes.source is other


def test_deleting_another_node_disturbs_no_run(bench: Bench) -> None:
    other = bench.add_source("another patient")
    run = bench.logic.queue(bench.source, CHOICE)
    bench.scene.RemoveNode(other)
    assert run.state is RunState.RUNNING


def test_a_node_with_the_identifier_of_a_source_before_the_scene_was_closed_gets_no_result(bench: Bench) -> None:
    run = bench.logic.queue(bench.source, CHOICE)
    waiting = bench.logic.queue(bench.source, CHOICE)
    bench.scene.Clear(0)
    again = bench.add_source("a new patient")
    assert again.GetID() == run.source_id  # Slicer counts from the beginning again
    assert bench.states() == [RunState.CANCELLED] * 2
    assert "scene was closed" in waiting.message
    assert bench.runner.job is None


def test_a_source_that_was_moved_during_the_run_gets_no_result(bench: Bench) -> None:
    run = bench.logic.queue(bench.source, CHOICE)
    bench.source.SetOrigin(6.0, 0.0, 0.0)
    finish(bench)
    assert run.state is RunState.FAILED
    assert "was moved during the run" in run.message
    assert bench.is_clean()


def test_nodes_that_leave_the_scene_are_not_kept_in_memory(bench: Bench) -> None:
    first, second = (bench.logic.queue(bench.source, CHOICE) for _ in range(2))
    finish(bench)
    finish(bench)
    bench.scene.RemoveNode(first.nodes.forward)
    assert first.nodes is None
    assert second.nodes is not None
    bench.scene.Clear(0)
    assert second.nodes is None


def test_a_result_that_was_changed_on_disk_is_refused_and_leaves_no_node(bench: Bench) -> None:
    run = bench.logic.queue(bench.source, CHOICE)

    def damage() -> None:
        (run.folder / "inverse_field.nrrd").write_bytes(b"changed")

    at_state(bench, RunState.LOADING, damage)
    finish(bench)
    assert run.state is RunState.FAILED
    assert "inverse_field" in run.message
    assert bench.is_clean()


@pytest.mark.parametrize("error", [MemoryError(), OSError("gone"), RuntimeError("ITK"), DeviceError("x")])
def test_an_error_while_the_nodes_are_made_leaves_none_of_them(
    bench: Bench, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise error

    run, waiting = (bench.logic.queue(bench.source, CHOICE) for _ in range(2))
    monkeypatch.setattr("MedTranslateLib.mrml.scene._set_references", fail)
    finish(bench)
    assert (run.state, waiting.state) == (RunState.FAILED, RunState.RUNNING)
    assert run.message
    assert bench.node_names() == bench.nodes_before


def test_a_bundle_that_is_removed_while_a_run_waits_fails_that_run_by_name(bench: Bench) -> None:
    running, waiting = (bench.logic.queue(bench.source, CHOICE) for _ in range(2))
    shutil.rmtree(bench.store.find("identity").folder)
    finish(bench)
    assert (running.state, waiting.state) == (RunState.DONE, RunState.FAILED)
    assert "There is no bundle 'identity'" in waiting.message
    assert bench.folders() == []


def test_closing_stops_the_process_and_calls_nobody(bench: Bench) -> None:
    for _ in range(2):
        bench.logic.queue(bench.source, CHOICE)
    before = bench.changes
    bench.logic.close()
    assert bench.states() == [RunState.CANCELLED] * 2
    assert bench.runner.stops >= 1
    bench.scene.RemoveNode(bench.source)
    bench.scene.Clear(0)
    bench.logic.close()
    assert bench.changes == before
    assert bench.folders() == []


def test_a_copy_that_cannot_be_written_is_an_error_and_no_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object, **_options: object) -> None:
        msg = "the disk is full"
        raise OutputError(msg)

    monkeypatch.setattr("MedTranslateLib.mrml.logic.write_job", full)
    with pytest.raises(OutputError, match="disk is full"):
        bench.logic.queue(bench.source, CHOICE)
    assert bench.logic.runs == ()
    assert bench.is_clean()
