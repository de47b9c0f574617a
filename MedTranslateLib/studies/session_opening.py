"""A study that was read and its key in, the opened key out: checked, noted, and from then on no answer is taken."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from MedTranslateLib.core.errors import StudyError
from MedTranslateLib.imaging.files import write_text
from MedTranslateLib.studies.key import KEY, Key, checked_key, opened_key
from MedTranslateLib.studies.prepare_plan import SEAL, sha256_of
from MedTranslateLib.studies.session_clock import Clock, SystemClock, WatchedClock
from MedTranslateLib.studies.session_files import KEY_OPENED
from MedTranslateLib.studies.session_lock import ReaderLock
from MedTranslateLib.studies.session_status import StudyRecord, read_record
from MedTranslateLib.studies.session_store import AnswerStore, Event


@dataclass(frozen=True)
class OpenedStudy:
    """A study whose key is open: all that an analysis needs.

    Args:
        record: The plan, and what was said.
        key: Which item is which, with the whole design.
        unfinished: Readers who had not finished when the key was opened.
    """

    record: StudyRecord
    key: Key
    unfinished: tuple[str, ...]


def open_key(folder: Path, key_file: Path, *, anyway: bool = False, clock: Clock | None = None) -> OpenedStudy:
    """Opens the key: copies it into the study folder, where an analysis finds it.

    Args:
        folder: A study folder.
        key_file: The sealed key.
        anyway: Whether to open it although readers have not finished; that is noted, and they can not go on.
        clock: Tells the time; default this computer's clocks.

    Returns:
        The opened study. Opening it again changes nothing.

    Raises:
        StudyError: If there is no such study or key, or readers have not finished.
        StudyChangedError: If study, answers or key are not the ones that were sealed.
        ReaderBusyError: If a session is open.
        AnswerNotSavedError: If it cannot be noted.
        ClockSetBackError: If the computer's clock was set back.
    """
    clock = clock or SystemClock()
    checked_key(folder, key_file)
    plan = read_record(folder).plan
    with ExitStack() as held:
        for reader in plan.orders:  # a session that is open now could still take answers
            held.callback(ReaderLock(folder, reader, clock.utc()).release)
        record = read_record(folder)
        if not any(event.kind == KEY_OPENED for event in record.events):
            _note(folder, record, clock, anyway=anyway)
        if not (folder / KEY).exists():
            write_text(folder / KEY, key_file.read_text(encoding="utf-8"))
    return opened_study(folder)


def opened_study(folder: Path) -> OpenedStudy:
    """Reads a study whose key is open.

    Args:
        folder: A study folder.

    Raises:
        StudyError: If its key has not been opened by `open_key`.
        StudyChangedError: If study, answers or key are not the ones that were sealed.
    """
    key = opened_key(folder)
    record = read_record(folder)
    opened = [event for event in record.events if event.kind == KEY_OPENED]
    if not opened:
        msg = f"A key lies in {folder}, but nobody opened it; run `medtranslate study open-key` on it."
        raise StudyError(msg)
    return OpenedStudy(record, key, tuple(opened[0].detail["unfinished"]))


def _note(folder: Path, record: StudyRecord, clock: Clock, *, anyway: bool) -> None:
    unfinished = [progress for progress in record.progress() if not progress.finished]
    if unfinished and not anyway:
        said = ", ".join(f"{progress.reader} ({progress.done} of {progress.total})" for progress in unfinished)
        msg = (
            f"Not everybody has finished: {said}. Once the key is open they cannot go on. Wait for them, or give "
            "--anyway; that is noted in the study."
        )
        raise StudyError(msg)
    store = AnswerStore(folder, sha256_of(folder / SEAL))
    try:
        detail = {"unfinished": [progress.reader for progress in unfinished], "anyway": anyway}
        store.add_event(Event("", KEY_OPENED, WatchedClock(clock, store.latest_utc()).utc(), detail))
    finally:
        store.close()
