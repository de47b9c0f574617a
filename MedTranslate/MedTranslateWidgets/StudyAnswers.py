"""A question of a study in, what a reader can press for an answer out: the key, the words, the value."""

from __future__ import annotations

from dataclasses import dataclass

from slicer.i18n import tr as _

from MedTranslateLib.studies.study import Question, QuestionKind

WORDS = {
    QuestionKind.TURING: ("Real", "Synthetic"),
    QuestionKind.FORCED_CHOICE: ("Left", "Right"),
    QuestionKind.PREFERENCE: ("Left", "Right"),
}


@dataclass(frozen=True)
class Choice:
    """A button.

    Args:
        key: Key that stands for it.
        label: Its words.
        value: See `QuestionKind`.
    """

    key: str
    label: str
    value: float


def choicesOf(question: Question) -> tuple[Choice, ...]:
    """The buttons of a question, from left to right; none where it is answered in another way."""
    if question.kind is QuestionKind.GRADE:
        return _grades(question)
    if question.kind not in WORDS:
        return ()
    first, second = question.labels or tuple(map(_, WORDS[question.kind]))
    if question.kind is QuestionKind.PREFERENCE:
        words = ((first, 0.0), (_("No difference"), 0.5), (second, 1.0))
    else:
        words = ((first, 0.0), (second, 1.0))
    return tuple(Choice(str(place), f"{word}  ({place})", value) for place, (word, value) in enumerate(words, start=1))


def _grades(question: Question) -> tuple[Choice, ...]:
    values = range(question.low, question.high + 1)
    labels = question.labels or ("",) * len(values)
    return tuple(
        Choice(str(value), f"{value}\n{label}" if label else str(value), float(value))
        for value, label in zip(values, labels, strict=True)
    )
