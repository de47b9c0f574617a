# ruff: noqa: E402  # without Slicer's core the file is skipped before it imports what needs it
"""Whatever a worker process writes and however it ends, a job has one outcome, with a sentence that a user can read."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

from MedTranslateLib.core.correspondence import Correspondence
from MedTranslateLib.core.errors import (
    CorruptResultError,
    DeviceError,
    DoubtfulInputError,
    OutputError,
    WorkerDiedError,
)
from MedTranslateLib.core.messages import Done, Failure, Log, Message, Progress, to_line
from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.imaging.job_folder import write_result
from MedTranslateLib.mrml.conversation import KEPT_LINES, Conversation
from MedTranslateLib.mrml.job_folders import JobFolders, is_running

STEPS = [
    Progress("mt7-abc", "read", 0, 1),
    Log("mt7-abc", "für alle \N{GRINNING FACE}"),
    Progress("mt7-abc", "write", 1, 1),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "mt7-abc"
    made.mkdir()
    return made


@pytest.fixture
def finished(folder: Path, known: SimpleNamespace) -> Path:
    """The job's folder with a whole result in it."""
    source = known.numbered(known.oblique_grid((4, 3, 2)))
    mask = np.ones(source.geometry.shape_kji, np.uint8)
    identity = Correspondence.identity(source.geometry)
    write_result(folder, TranslationResult(source, identity, mask, None, {}, "CT", "CT"))
    return folder


@pytest.fixture
def conversation(folder: Path) -> Conversation:
    made = Conversation()
    made.begin(folder)
    return made


def said(*messages: Message | str) -> bytes:
    lines = [message if isinstance(message, str) else to_line(message) for message in messages]
    return "".join(f"{line}\n" for line in lines).encode()


def done_by(folder: Path) -> Done:
    return Done(folder.name, str(folder / "result.json"), 1.5)


def test_messages_come_in_their_order_however_the_pieces_fall_and_the_job_ends_with_the_last(finished: Path) -> None:
    chance = random.Random(3)
    content = said("Loading...", STEPS[0], Log("another job", "x"), *STEPS[1:], done_by(finished))
    for _ in range(50):
        conversation = Conversation()
        conversation.begin(finished)
        cuts = sorted(chance.randrange(len(content) + 1) for _ in range(9))
        heard = []
        for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True):
            assert (conversation.outcome is None) or heard[-1:] == [done_by(finished)]
            heard += conversation.hear(content[a:b])
        assert heard == [*STEPS, done_by(finished)]
        assert conversation.outcome is not None
        assert (conversation.outcome.result, conversation.outcome.error) == (finished / "result.json", None)


def test_an_error_of_the_worker_is_the_outcome_as_its_class(conversation: Conversation) -> None:
    failure = Failure("mt7-abc", "device", "cuda:9 is not there")
    assert conversation.hear(said(*STEPS, failure)) == [*STEPS, failure]
    assert conversation.outcome is not None
    assert isinstance(conversation.outcome.error, DeviceError)
    assert str(conversation.outcome.error) == "cuda:9 is not there"
    assert conversation.outcome.result is None


def test_a_doubtful_input_can_be_told_apart(conversation: Conversation) -> None:
    conversation.hear(said(Failure("mt7-abc", "input_doubtful", "15 mm apart")))
    assert isinstance(conversation.outcome.error, DoubtfulInputError)


def test_nothing_is_heard_after_the_end_of_the_job(finished: Path) -> None:
    conversation = Conversation()
    conversation.begin(finished)
    assert conversation.hear(said(done_by(finished), Failure("mt7-abc", "device", "late"))) == [done_by(finished)]
    assert conversation.hear(said(STEPS[0])) == []
    assert conversation.process_ended(1, True).result == finished / "result.json"


def test_done_for_another_job_ends_nothing(conversation: Conversation, finished: Path) -> None:
    assert conversation.hear(said(Done("mt7-other", str(finished / "result.json"), 1.0))) == []
    assert conversation.outcome is None
    assert isinstance(conversation.process_ended(0, False).error, WorkerDiedError)


def test_done_without_a_result_is_an_error(conversation: Conversation, folder: Path) -> None:
    conversation.hear(said(done_by(folder)))
    assert isinstance(conversation.outcome.error, CorruptResultError)
    assert "missing" in str(conversation.outcome.error)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 1}', "\x00\xff"])
def test_done_with_a_damaged_result_is_an_error(finished: Path, text: str) -> None:
    (finished / "result.json").write_bytes(text.encode("latin-1"))
    conversation = Conversation()
    conversation.begin(finished)
    conversation.hear(said(done_by(finished)))
    assert isinstance(conversation.outcome.error, CorruptResultError)
    assert str(conversation.outcome.error).endswith("Run the translation again.")


@pytest.mark.parametrize(
    ("exit_code", "crashed", "words"),
    [
        (0, False, "ended by itself without a result"),
        (3, False, "ended with exit code 3"),
        (0, True, "ended by the system"),
        (9, True, "memory"),
    ],
)
def test_a_process_that_ends_without_a_result_is_an_error_whatever_it_returns(
    finished: Path, exit_code: int, crashed: bool, words: str
) -> None:
    conversation = Conversation()  # the result of an earlier run lies there; nobody said that this one is done
    conversation.begin(finished)
    conversation.hear(said(*STEPS))
    outcome = conversation.process_ended(exit_code, crashed)
    assert outcome is conversation.outcome
    assert outcome.result is None
    assert isinstance(outcome.error, WorkerDiedError)
    assert words in str(outcome.error)
    assert "scene was not changed" in str(outcome.error)


def test_a_last_line_without_an_end_still_counts(finished: Path) -> None:
    conversation = Conversation()
    conversation.begin(finished)
    assert conversation.hear(said(done_by(finished))[:-1]) == []
    assert conversation.process_ended(0, False).result == finished / "result.json"


def test_a_process_that_could_not_be_started_says_why(conversation: Conversation) -> None:
    outcome = conversation.not_started("No such file or directory")
    assert isinstance(outcome.error, WorkerDiedError)
    assert "could not be started (No such file or directory)" in str(outcome.error)


def test_garbage_is_counted_and_kept_short_and_without_paths(conversation: Conversation, folder: Path) -> None:
    lines = [f"reading {folder}/source.nrrd", "open '/home/jane doe/scan.nrrd'", r"C:\Users\Jane\scan.dcm is bad"]
    garbage = said(*lines, "x" * (1 << 19), *["y"] * 100, "", " ").replace(b"y", b"\xfe\x00")
    assert conversation.hear(garbage) == []
    assert conversation.strange_count == 104  # an empty line is no garbage
    assert "104 lines" in str(conversation.process_ended(1, False).error)
    kept = conversation.strange_lines
    assert kept[:3] == ("worker said: reading PATH", "worker said: open PATH PATH", "worker said: PATH is bad")
    assert len(kept) == KEPT_LINES
    assert max(map(len, kept)) <= 220


def test_standard_error_is_kept_without_paths_and_is_neither_a_message_nor_a_sign_of_life(folder: Path) -> None:
    now = [0.0]
    conversation = Conversation(lambda: now[0])
    conversation.begin(folder)
    now[0] = 50.0
    conversation.overhear(f"Warning: in /home/DOE/head.nii\n{to_line(Done(folder.name, 'x', 1.0))}\n".encode())
    assert conversation.strange_lines[0] == "worker said: Warning: in PATH"
    assert conversation.outcome is None
    assert conversation.seconds_silent(60.0) == 60.0


def test_an_endless_line_costs_no_memory_and_ends_nothing(conversation: Conversation) -> None:
    for _ in range(64):
        assert conversation.hear(b"z" * (1 << 18)) == []
    assert len(conversation._lines._unfinished) <= 1 << 20
    assert conversation.hear(b"\n" + said(STEPS[0])) == [STEPS[0]]


def test_the_seconds_of_silence_are_those_since_the_last_output_or_the_start(folder: Path) -> None:
    now = [100.0]
    conversation = Conversation(clock=lambda: now[0])
    now[0] = 130.0
    conversation.begin(folder)
    assert conversation.seconds_silent(250.0) == 120.0
    now[0] = 190.0
    conversation.hear(b"no message, but a sign of life\n")
    assert conversation.seconds_silent(250.0) == 60.0
    now[0] = 200.0
    conversation.hear(b"")
    assert conversation.seconds_silent(250.0) == 60.0


def test_a_conversation_begins_anew_with_the_next_job(finished: Path, tmp_path: Path) -> None:
    conversation = Conversation()
    conversation.begin(finished)
    conversation.hear(said("strange", done_by(finished)) + b"half a li")
    (tmp_path / "next").mkdir()
    conversation.begin(tmp_path / "next")
    assert (conversation.outcome, conversation.strange_count, conversation.strange_lines) == (None, 0, ())
    step = Progress("next", "read", 0, 1)
    assert conversation.hear(said(step, done_by(finished))) == [step]
    assert conversation.outcome is None


@pytest.mark.skipif(os.name == "nt", reason="permission bits are a matter of POSIX")
def test_a_job_folder_is_private_short_and_removed_with_all_that_is_in_it(tmp_path: Path) -> None:
    folders = JobFolders(tmp_path / "not there yet")
    first, second = folders.new(), folders.new()
    assert first != second
    assert first.stat().st_mode & 0o777 == 0o700
    assert first.name.startswith(f"mt{os.getpid()}-")
    assert len(first.name) <= len("mt-") + 7 + 8
    (first / "part").mkdir()
    (first / "part" / "source.nrrd").write_text("a patient")
    folders.remove(first)
    folders.remove(first)
    assert list(first.parent.iterdir()) == [second]
    folders.close()
    assert list(first.parent.iterdir()) == []


def test_a_folder_that_was_not_made_here_is_never_removed(tmp_path: Path) -> None:
    folders = JobFolders(tmp_path)
    mine = folders.new()
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    folders.remove(foreign)
    folders.remove(tmp_path)
    folders.close()
    assert foreign.is_dir()
    assert not mine.exists()


def test_a_folder_that_cannot_be_removed_yet_is_tried_again_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = JobFolders(tmp_path)
    held_open = folders.new()
    with monkeypatch.context() as patch:  # as on Windows while another process has a file of it open
        patch.setattr("MedTranslateLib.mrml.job_folders.shutil.rmtree", lambda *_args, **_options: None)
        folders.remove(held_open)
    assert held_open.is_dir()
    folders.close()
    assert not held_open.exists()


def test_a_place_that_cannot_be_written_to_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "in the way").write_text("a file")
    with pytest.raises(OutputError, match="in the way"):
        JobFolders(tmp_path / "in the way").new()


@contextmanager
def living_process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_sweeping_removes_what_a_crashed_slicer_left_and_nothing_else(tmp_path: Path) -> None:
    crashed = subprocess.Popen([sys.executable, "-c", ""])
    crashed.wait()
    own = JobFolders(tmp_path).new()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious").write_text("years of work")
    with living_process() as alive:
        names = {
            "left": f"mt{crashed.pid}-abcdefg7",
            "live": f"mt{alive.pid}-abcdefg7",
            "short": f"mt{crashed.pid}-abc",
            "other": f"mtx{crashed.pid}-abcdefg7",
            "longer": f"mt{crashed.pid}-abcdefg7.bak",
        }
        for name in names.values():
            (tmp_path / name).mkdir()
            (tmp_path / name / "source.nrrd").write_text("a patient")
        (tmp_path / f"mt{crashed.pid}-linklink").symlink_to(tmp_path / "elsewhere")
        (tmp_path / f"mt{crashed.pid}-filefile").write_text("no folder")
        before = {path.name for path in tmp_path.iterdir()}
        assert JobFolders(tmp_path).sweep() == (tmp_path / names["left"],)
        assert before - {path.name for path in tmp_path.iterdir()} == {names["left"]}
        assert own.is_dir()
        assert (tmp_path / "elsewhere" / "precious").is_file()
        assert is_running(alive.pid)
    assert not is_running(alive.pid)
    assert JobFolders(tmp_path / "nowhere").sweep() == ()


def test_in_doubt_a_process_is_taken_to_run() -> None:
    assert is_running(os.getpid())
    assert is_running(9_999_999_999)  # larger than any process number: nothing can be said


def test_the_messages_of_a_conversation_are_those_that_the_worker_writes(finished: Path) -> None:
    line = json.dumps({"event": "done", "job": finished.name, "result": "r", "seconds": 2})
    conversation = Conversation()
    conversation.begin(finished)
    assert conversation.hear(f"{line}\r\n".encode()) == [Done(finished.name, "r", 2)]
