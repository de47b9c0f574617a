"""A study folder in, how far each reader is and all answers out: from outside, whether or not sessions are open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from MedTranslateLib.studies.answers import Answer, standing
from MedTranslateLib.studies.prepare_plan import SEAL, ReadingPlan, check_sealed, read_plan, sha256_of
from MedTranslateLib.studies.session_place import Readings
from MedTranslateLib.studies.session_store import ANSWERS, AnswerStore, Event


@dataclass(frozen=True)
class ReaderProgress:
    """How far a reader is, seen from outside.

    Args:
        reader: Name.
        done: Cases answered.
        total: All cases of this reader.
        answers: Answers that stand, practice included.
        superseded: Answers that others took the place of.
        last_utc: When the last answer was given; None where there is none.
        may_go_on_utc: When the washout ends; None where nothing is waited for.
    """

    reader: str
    done: int
    total: int
    answers: int
    superseded: int
    last_utc: datetime | None
    may_go_on_utc: datetime | None

    @property
    def finished(self) -> bool:
        """Whether everything is answered."""
        return self.done == self.total


@dataclass(frozen=True)
class StudyRecord:
    """A study folder whose files are the ones that were sealed, and what was said in it.

    Args:
        plan: The plan.
        answers: All answers in their order, superseded ones as well.
        events: All events in their order.
    """

    plan: ReadingPlan
    answers: tuple[Answer, ...]
    events: tuple[Event, ...]

    def progress(self) -> tuple[ReaderProgress, ...]:
        """How far each reader is, in the order of the plan.

        Raises:
            StudyChangedError: If there are answers to what a reader was never asked.
        """
        return tuple(self._progress_of(reader) for reader in self.plan.orders)

    def _progress_of(self, reader: str) -> ReaderProgress:
        answers = tuple(answer for answer in self.answers if answer.reader == reader)
        events = tuple(event for event in self.events if event.reader == reader)
        readings = Readings(self.plan, reader, answers, events)
        valid = standing(answers)
        place = readings.place
        return ReaderProgress(
            reader=reader,
            done=readings.done,
            total=len(readings.turns),
            answers=len(valid),
            superseded=len(answers) - len(valid),
            last_utc=max((answer.answered_utc for answer in answers), default=None),
            may_go_on_utc=None if place is None else readings.may_start_utc(readings.turns[place]),
        )


def read_record(folder: Path) -> StudyRecord:
    """Reads a study and its answers, and changes nothing.

    Args:
        folder: A study folder.

    Raises:
        StudyError: If it holds no study, or the answers are damaged.
        StudyChangedError: If anything was changed since the study was sealed, or answers were edited.
    """
    check_sealed(folder)
    plan = read_plan(folder)
    if not (folder / ANSWERS).is_file():
        return StudyRecord(plan, (), ())
    store = AnswerStore(folder, sha256_of(folder / SEAL), make=False)
    try:
        return StudyRecord(plan, store.answers(), store.events())
    finally:
        store.close()
