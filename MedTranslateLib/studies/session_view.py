"""What a session shows: the case on the screen, how far the reader is, and in which state the session is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from MedTranslateLib.studies.answers import Answer
from MedTranslateLib.studies.study import Question, ShowOptions


class SessionState(str, Enum):
    """What a session waits for."""

    READING = "reading"
    """For answers: `Session.current` is the case to show."""
    PAUSED = "paused"
    """For `Session.resume`; images are hidden, no time counts."""
    WAITING = "waiting"
    """For the end of the washout: `Session.waiting_until`."""
    FINISHED = "finished"
    """For nothing: this reader has answered everything."""


@dataclass(frozen=True)
class Presentation:
    """One case on the screen.

    Args:
        item: Blinded name; no reader needs to see it.
        repeat: 0 for the first time, 1 for the second; must not be shown.
        practice: Whether it is there to practise; may be shown.
        position: Place in this reader's order, from 1.
        total: Number of places.
        images: One image, or two to show side by side, the first on the left.
        sources: The source of each image; empty where sources are not shown.
        questions: All that is asked about it.
        given: Answers that stand, in the order of the questions; None for a question that is open.
        window: Grey levels to show as black and as white.
        show: What the reader may see and do.
    """

    item: str
    repeat: int
    practice: bool
    position: int
    total: int
    images: tuple[Path, ...]
    sources: tuple[Path, ...]
    questions: tuple[Question, ...]
    given: tuple[Answer | None, ...]
    window: tuple[float, float]
    show: ShowOptions

    @property
    def asked(self) -> Question | None:
        """The first open question; None where all are answered and the reader has to confirm."""
        pairs = zip(self.questions, self.given, strict=True)
        return next((question for question, answer in pairs if answer is None), None)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every image of the case: what has to be loaded to show it."""
        return (*self.images, *self.sources)


@dataclass(frozen=True)
class Progress:
    """How far a reader is.

    Args:
        done: Cases answered (and confirmed, where the study wants that), practice and repeats included.
        total: All cases of this reader.
    """

    done: int
    total: int
