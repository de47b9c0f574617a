"""What a reader said about an item, when, and how it was looked at; and which answers stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from MedTranslateLib.studies.study import Point


@dataclass(frozen=True)
class Viewing:
    """How an item was looked at, as far as the study allows to keep it.

    Args:
        window: Grey levels shown as black and as white when the answer was given; None where unknown.
        slices_visited: Slices (k) in the order in which they came into view.
        trace: Cursor positions: seconds since the item was shown, and R, A, S in mm.
    """

    window: tuple[float, float] | None = None
    slices_visited: tuple[int, ...] = ()
    trace: tuple[tuple[float, float, float, float], ...] = ()


@dataclass(frozen=True)
class Answer:
    """One answer, as it stands on disk; it is never edited.

    Args:
        reader: Name of the reader.
        item: Blinded name of the item.
        question: Id of the question.
        value: See `QuestionKind`; None for marks.
        marks: Points in RAS mm of the item.
        started_utc: When the question came up (aware, UTC).
        answered_utc: When the answer was given (aware, UTC).
        seconds: How long the question was open, pauses left out, by a clock that is never set.
        window: Grey levels shown as black and white; None where unknown.
        slices_visited: Slices (k) in the order in which they came into view.
        repeat: 0 where the item was shown for the first time, 1 for the second.
        practice: Whether the item was there to practise.
        supersedes: Number of the answer that this one takes the place of; None where it is the first.
        number: Number in the order of the study's answers, from 1.
        trace: Cursor positions: seconds since the item was shown, and R, A, S in mm.
    """

    reader: str
    item: str
    question: str
    value: float | None
    marks: tuple[Point, ...]
    started_utc: datetime
    answered_utc: datetime
    seconds: float
    window: tuple[float, float] | None
    slices_visited: tuple[int, ...]
    repeat: int
    practice: bool
    supersedes: int | None
    number: int
    trace: tuple[tuple[float, float, float, float], ...] = ()


def standing(answers: Sequence[Answer]) -> tuple[Answer, ...]:
    """The answers that no later one takes the place of, in their order."""
    gone = {answer.supersedes for answer in answers}
    return tuple(answer for answer in answers if answer.number not in gone)
