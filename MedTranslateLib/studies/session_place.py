"""A reader's order, answers and events in, the place in the order where the reader goes on out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from MedTranslateLib.core.errors import StudyChangedError
from MedTranslateLib.studies.answers import Answer, standing
from MedTranslateLib.studies.design_order import Turn
from MedTranslateLib.studies.prepare_plan import ReadingPlan
from MedTranslateLib.studies.session_store import Event

TurnKey = tuple[str, int]
"""Item and repeat: which turn of a reader."""
CONFIRMED = "confirmed"


class Readings:
    """What a reader has said so far, turn by turn.

    Args:
        plan: The study.
        reader: Name of the reader.
        answers: The reader's answers, superseded ones as well.
        events: The reader's events.

    Raises:
        StudyChangedError: If there are answers to what this reader was never asked.
    """

    def __init__(self, plan: ReadingPlan, reader: str, answers: Sequence[Answer], events: Sequence[Event]) -> None:
        self.turns = plan.orders[reader]
        self._plan = plan
        self._given: dict[TurnKey, dict[str, Answer]] = {turn_key(turn): {} for turn in self.turns}
        self._confirmed = {
            (str(event.detail["item"]), int(event.detail["repeat"])) for event in events if event.kind == CONFIRMED
        }
        for answer in standing(answers):
            self.note(answer)

    def note(self, answer: Answer) -> None:
        """Takes in an answer that is on disk.

        Raises:
            StudyChangedError: If it belongs to no turn of this reader.
        """
        key = (answer.item, answer.repeat)
        asked = {question.id for question in self._plan.questions_of(self._plan.item(answer.item))}
        if key not in self._given or answer.question not in asked:
            msg = (
                f"Answer {answer.number} is about item {answer.item!r}, question {answer.question!r}, which reader "
                f"{answer.reader!r} was never asked: these answers belong to another study. Put back its files."
            )
            raise StudyChangedError(msg)
        self._given[key][answer.question] = answer

    def confirm(self, turn: Turn) -> None:
        """Takes in that a turn was confirmed."""
        self._confirmed.add(turn_key(turn))

    def given(self, turn: Turn) -> dict[str, Answer]:
        """Answers that stand, by question.

        Args:
            turn: A turn of this reader.
        """
        return self._given[turn_key(turn)]

    def is_answered(self, turn: Turn) -> bool:
        """Whether every question of a turn has an answer.

        Args:
            turn: A turn of this reader.
        """
        return len(self.given(turn)) == len(self._plan.questions_of(self._plan.item(turn.item)))

    def is_done(self, turn: Turn) -> bool:
        """Whether the reader is through with a turn.

        Args:
            turn: A turn of this reader.
        """
        return self.is_answered(turn) and (not self._plan.show.confirm or turn_key(turn) in self._confirmed)

    @property
    def done(self) -> int:
        """Number of turns that the reader is through with."""
        return sum(map(self.is_done, self.turns))

    @property
    def place(self) -> int | None:
        """Index of the first turn that is not done; None where all are."""
        return next((place for place, turn in enumerate(self.turns) if not self.is_done(turn)), None)

    def may_start_utc(self, turn: Turn) -> datetime | None:
        """When the washout of a repeat ends; None for what was not seen before.

        Args:
            turn: A turn of this reader.
        """
        first = self._given.get((turn.item, 0), {}) if turn.repeat else {}
        if not first:
            return None
        return max(answer.answered_utc for answer in first.values()) + timedelta(days=self._plan.washout_days)


def turn_key(turn: Turn) -> TurnKey:
    """What distinguishes a turn from the others of its reader."""
    return (turn.item, turn.repeat)
