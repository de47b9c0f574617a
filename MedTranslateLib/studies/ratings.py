"""Answers and the opened key in, ratings out: what each reader said of which case, made by what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from MedTranslateLib.core.errors import StudyError
from MedTranslateLib.studies.answers import Answer, standing
from MedTranslateLib.studies.key import Key, KeyEntry
from MedTranslateLib.studies.study import REAL, Point, Question, QuestionKind, Region, Study

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rating:
    """One answer that counts, with what the key says about its item.

    Args:
        reader: Name of the reader.
        case: Id of the case, or of the pair.
        item: Blinded name of the item.
        treatment: `real`, or what made the image; of a pair that of the first image.
        question: Id of the question.
        kind: Of the question.
        value: See `QuestionKind`; None for marks.
        truth: 1 where a lesion is there, 0 where none is; None where nobody asked.
        seconds: How long the question was open.
        repeat: 0 for the first reading of an item, 1 for the second.
        subject: Patient; images of one patient resemble each other.
        second_treatment: Of a pair that of the second image.
        marks: Points in RAS mm.
        regions: Where something is, in RAS mm of the item.
    """

    reader: str
    case: str
    item: str
    treatment: str
    question: str
    kind: QuestionKind
    value: float | None
    truth: int | None
    seconds: float
    repeat: int = 0
    subject: str = ""
    second_treatment: str | None = None
    marks: tuple[Point, ...] = ()
    regions: tuple[Region, ...] = ()

    @property
    def synthetic(self) -> bool:
        """Whether the image (of a pair, the first) was made by something else than a scanner."""
        return self.treatment != REAL

    @property
    def number(self) -> float:
        """The value; NaN for marks."""
        return np.nan if self.value is None else self.value


@dataclass(frozen=True)
class Joined:
    """The ratings of a study, and what does not count.

    Args:
        ratings: In the order of the answers.
        practice: Answers to practice items.
        superseded: Answers that a later one took the place of.
        before_washout: Second readings that came before the washout was over.
    """

    ratings: tuple[Rating, ...]
    practice: int
    superseded: int
    before_washout: int


@dataclass(frozen=True)
class Table:
    """First readings of one question, readers against items.

    Args:
        readers: Names of the rows.
        items: Blinded names of the columns.
        values: Shape (readers, items); NaN where there is no answer.
        subjects: Number of the patient of each column, from 0.
        treatments: Treatment of each column.
        truths: Truth of each column; -1 where there is none.
    """

    readers: tuple[str, ...]
    items: tuple[str, ...]
    values: FloatArray
    subjects: npt.NDArray[np.intp]
    treatments: tuple[str, ...]
    truths: npt.NDArray[np.intp]

    @property
    def complete(self) -> FloatArray:
        """The values of the items that every reader answered, shape (items, readers)."""
        return self.values[:, np.isfinite(self.values).all(axis=0)].T


def join(study: Study, answers: Sequence[Answer], key: Key) -> tuple[Rating, ...]:
    """The answers that count; see `join_all` for what was left out.

    Args:
        study: The design.
        answers: All that was stored.
        key: Opened.

    Raises:
        StudyError: If an answer names a reader, an item or a question that the study does not have.
    """
    return join_all(study, answers, key).ratings


def join_all(study: Study, answers: Sequence[Answer], key: Key) -> Joined:
    """Joins answers with the key; superseded and practice answers and too early repeats do not count.

    Args:
        study: The design.
        answers: All that was stored.
        key: Opened.

    Raises:
        StudyError: If an answer names a reader, an item or a question that the study does not have.
    """
    entries = {entry.item: entry for entry in key.entries}
    questions = {question.id: question for question in study.questions}
    stand = standing(answers)
    for answer in stand:
        _check(answer, study, entries, questions)
    scored = [one for one in stand if not (one.practice or entries[one.item].practice)]
    first_seen = _first_seen(scored)
    washout = timedelta(days=study.washout_days)
    kept = [one for one in scored if not _too_early(one, first_seen, washout)]
    ratings = tuple(_rating(one, entries[one.item], questions[one.question]) for one in kept)
    _check_distinct(ratings)
    return Joined(ratings, len(stand) - len(scored), len(answers) - len(stand), len(scored) - len(kept))


def of_question(ratings: Iterable[Rating], question: str) -> tuple[Rating, ...]:
    """The ratings of one question, second readings included.

    Args:
        ratings: Any.
        question: Its id.
    """
    return tuple(one for one in ratings if one.question == question)


def table(ratings: Iterable[Rating]) -> Table:
    """First readings as a table; readers and items in alphabetical order.

    Args:
        ratings: Of one question with values.

    Raises:
        StudyError: If there is none.
    """
    kept = [one for one in ratings if one.repeat == 0 and one.value is not None]
    if not kept:
        msg = "There are no answers to this question; let a reader answer first (`medtranslate study run`)."
        raise StudyError(msg)
    by_item = {one.item: one for one in kept}
    readers, items = sorted({one.reader for one in kept}), sorted(by_item)
    subjects = sorted({one.subject or one.case for one in kept})
    values = np.full((len(readers), len(items)), np.nan)
    rows, columns = ({name: number for number, name in enumerate(names)} for names in (readers, items))
    for one in kept:
        values[rows[one.reader], columns[one.item]] = one.number
    first = [by_item[item] for item in items]
    return Table(
        tuple(readers),
        tuple(items),
        values,
        np.array([subjects.index(one.subject or one.case) for one in first], np.intp),
        tuple(one.treatment for one in first),
        np.array([-1 if one.truth is None else one.truth for one in first], np.intp),
    )


def treatments(ratings: Iterable[Rating]) -> tuple[str, ...]:
    """Treatments in the order of tables: real first, then by name.

    Args:
        ratings: Any; both treatments of a pair count.
    """
    names = {name for one in ratings for name in (one.treatment, one.second_treatment) if name is not None}
    return tuple(sorted(names, key=lambda name: (name != REAL, name)))


def _check(answer: Answer, study: Study, entries: dict[str, KeyEntry], questions: dict[str, Question]) -> None:
    known: tuple[tuple[str, str, Iterable[str]], ...] = (
        ("reader", answer.reader, study.readers),
        ("item", answer.item, entries),
        ("question", answer.question, questions),
    )
    for what, name, names in known:
        if name not in names:
            msg = (
                f"Answer {answer.number} is by or about the {what} {name!r}, which the study does not have: answers "
                "and key do not belong together. Analyse the folder that the study was read in."
            )
            raise StudyError(msg)


def _first_seen(answers: Iterable[Answer]) -> dict[tuple[str, str], datetime]:
    """When each reader last answered something about each item in the first reading."""
    seen: dict[tuple[str, str], datetime] = {}
    for one in answers:
        if one.repeat == 0:
            place = (one.reader, one.item)
            seen[place] = max(one.answered_utc, seen.get(place, one.answered_utc))
    return seen


def _too_early(answer: Answer, first_seen: dict[tuple[str, str], datetime], washout: timedelta) -> bool:
    before = first_seen.get((answer.reader, answer.item))
    return answer.repeat > 0 and before is not None and answer.started_utc - before < washout


def _rating(answer: Answer, entry: KeyEntry, question: Question) -> Rating:
    return Rating(
        answer.reader,
        entry.case,
        entry.item,
        entry.treatment,
        question.id,
        question.kind,
        answer.value,
        entry.truth,
        answer.seconds,
        answer.repeat,
        entry.subject,
        entry.second_treatment,
        answer.marks,
        entry.regions,
    )


def _check_distinct(ratings: Iterable[Rating]) -> None:
    counted = Counter((one.reader, one.item, one.question, one.repeat) for one in ratings)
    for (reader, item, question, repeat), count in counted.items():
        if count > 1:
            msg = (
                f"Reader {reader!r} has {count} answers to {question!r} of item {item!r} (reading {repeat + 1}) of "
                "which none supersedes the other. The answers are damaged; restore them from a backup."
            )
            raise StudyError(msg)
