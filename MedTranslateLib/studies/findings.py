"""An opened study in; everything that its report says, question by question, out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from MedTranslateLib.core.errors import StudyError
from MedTranslateLib.studies.agreement import (
    Agreement,
    Weighting,
    cohen_kappa,
    fleiss_kappa,
    icc_2_1,
    icc_3_1,
    same_answers,
)
from MedTranslateLib.studies.choices import ForcedChoice, Preference, forced_choices, preferences
from MedTranslateLib.studies.grades import MeanGrade, mean_grades
from MedTranslateLib.studies.key import Key
from MedTranslateLib.studies.marks import MarkCounts, count_marks, marked_images
from MedTranslateLib.studies.ratings import Joined, Rating, of_question, table
from MedTranslateLib.studies.roc_study import RocFindings, roc_findings
from MedTranslateLib.studies.study import Question, QuestionKind
from MedTranslateLib.studies.times import ReadingTime, reading_times
from MedTranslateLib.studies.turing import ReaderAccuracy, turing_accuracy

ORDERED = (QuestionKind.GRADE, QuestionKind.PREFERENCE)
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BetweenReaders:
    """How far readers agree.

    Args:
        together: Coefficients over all readers.
        pairs: Cohen's kappa of each two readers, under both names; empty for confidences.
    """

    together: tuple[Agreement, ...]
    pairs: dict[tuple[str, str], Agreement]


@dataclass(frozen=True)
class WithinReader:
    """How far a reader agrees with himself.

    Args:
        reader: Name.
        items: Read twice.
        same: Share of equal answers.
        coefficient: Kappa, weighted for grades; ICC(2,1) for confidences. None for fewer than two items.
    """

    reader: str
    items: int
    same: float
    coefficient: Agreement | None


@dataclass(frozen=True)
class QuestionFindings:
    """All about one question; what does not belong to its kind is empty.

    Args:
        question: What was asked.
        ratings: First readings that count.
        turing: For `turing`.
        grades: For `grade`.
        forced: For `forced_choice`.
        preferences: For `preference`.
        roc: For `confidence`.
        marks: For `marks`: of each reader, and of all under an empty name.
        between: Agreement of readers; None with one reader or for marks.
        within: Of each reader with second readings.
        notes: What could not be computed and why, and what a reader of the figures should know.
        failed: Why nothing could be computed; empty where something was.
    """

    question: Question
    ratings: int
    turing: tuple[ReaderAccuracy, ...] = ()
    grades: tuple[MeanGrade, ...] = ()
    forced: tuple[ForcedChoice, ...] = ()
    preferences: tuple[Preference, ...] = ()
    roc: RocFindings | None = None
    marks: tuple[tuple[str, MarkCounts], ...] = ()
    between: BetweenReaders | None = None
    within: tuple[WithinReader, ...] = ()
    notes: tuple[str, ...] = ()
    failed: str = ""


@dataclass(frozen=True)
class Findings:
    """All that a study found.

    Args:
        questions: In the order of the study.
        times: How long readers looked.
        notes: What holds for all questions.
    """

    questions: tuple[QuestionFindings, ...]
    times: tuple[ReadingTime, ...]
    notes: tuple[str, ...] = ()


def analyse(joined: Joined, key: Key) -> Findings:
    """Everything.

    Args:
        joined: Ratings that count.
        key: Opened; its seed, questions and nonce are used.

    Returns:
        The findings. A question that cannot be analysed, such as one about lesions without a stated truth, says why.

    Raises:
        StudyError: If there is no answer at all, or no question can be analysed.
    """
    if not joined.ratings:
        msg = (
            "There are no answers to analyse: none was given, or only to practice cases. Let the readers read "
            "(`medtranslate study run`) first."
        )
        raise StudyError(msg)
    questions = tuple(_question(one, of_question(joined.ratings, one.id), key) for one in key.study.questions)
    failed = [one.failed for one in questions if one.failed]
    if len(failed) == sum(one.ratings > 0 for one in questions):
        raise StudyError(failed[0])
    readers = sorted({one.reader for one in joined.ratings})
    alone = (
        f"Only {readers[0]} answered: nothing is known about how readers differ, and all intervals hold for this "
        "reader alone."
    )
    return Findings(questions, reading_times(joined.ratings), (alone,) if len(readers) == 1 else ())


def _question(question: Question, ratings: Sequence[Rating], key: Key) -> QuestionFindings:
    first = [one for one in ratings if one.repeat == 0]
    if not first:
        return QuestionFindings(question, 0, notes=("Nobody answered this question.",))
    try:
        return _analysed(question, ratings, key)
    except StudyError as error:
        return QuestionFindings(question, len(first), failed=str(error))


def _analysed(question: Question, ratings: Sequence[Rating], key: Key) -> QuestionFindings:
    first = [one for one in ratings if one.repeat == 0]
    seed, kind = key.study.seed, question.kind
    notes = _notes(question, first)
    if kind is QuestionKind.MARKS:
        return QuestionFindings(question, len(first), marks=_marks(first), notes=notes)
    return QuestionFindings(
        question,
        len(first),
        turing=turing_accuracy(first, key.nonce, seed) if kind is QuestionKind.TURING else (),
        grades=mean_grades(first, question, seed) if kind is QuestionKind.GRADE else (),
        forced=forced_choices(first, key.nonce, seed) if kind is QuestionKind.FORCED_CHOICE else (),
        preferences=preferences(first, seed) if kind is QuestionKind.PREFERENCE else (),
        roc=roc_findings(first, seed) if kind is QuestionKind.CONFIDENCE else None,
        between=_between(question, first),
        within=_within(question, ratings),
        notes=notes,
    )


def _marks(ratings: Sequence[Rating]) -> tuple[tuple[str, MarkCounts], ...]:
    readers = sorted({one.reader for one in ratings})
    each = [(name, count_marks(marked_images([one for one in ratings if one.reader == name]))) for name in readers]
    return (*each, ("", count_marks(marked_images(ratings))))


def _notes(question: Question, first: Sequence[Rating]) -> tuple[str, ...]:
    notes = []
    if question.kind is QuestionKind.MARKS:
        if not any(one.regions for one in first):
            notes.append("The study states no regions, so every mark counts as one that hit nothing.")
        return tuple(notes)
    for name in sorted({one.reader for one in first}):
        given = [one.value for one in first if one.reader == name]
        if len(given) > 1 and len(set(given)) == 1:
            notes.append(f"{name} gave the same answer ({given[0]:g}) to all {len(given)} items.")
    return tuple(notes)


def _between(question: Question, first: Sequence[Rating]) -> BetweenReaders | None:
    answers = table(first)
    complete = answers.complete
    if complete.shape[1] < 2 or complete.shape[0] < 2:
        return None
    if question.kind is QuestionKind.CONFIDENCE:
        return BetweenReaders((icc_2_1(complete), icc_3_1(complete)), {})
    scale = _scale(question)
    together = [fleiss_kappa(answers.values.T, scale)]
    if question.kind is QuestionKind.GRADE:
        together += [icc_2_1(complete), icc_3_1(complete)]
    pairs = {}
    for one, other in combinations(range(len(answers.readers)), 2):
        both = answers.values[[one, other]][:, np.isfinite(answers.values[[one, other]]).all(axis=0)]
        if both.shape[1]:
            names = (answers.readers[one], answers.readers[other])
            pairs[names] = cohen_kappa(both[0], both[1], _weighting(question), scale)
    return BetweenReaders(tuple(together), pairs)


def _within(question: Question, ratings: Sequence[Rating]) -> tuple[WithinReader, ...]:
    first = {(one.reader, one.item): one.number for one in ratings if one.repeat == 0}
    twice: dict[str, list[tuple[float, float]]] = {}
    for one in ratings:
        if one.repeat == 1 and (one.reader, one.item) in first:
            twice.setdefault(one.reader, []).append((first[one.reader, one.item], one.number))
    return tuple(_agreement_with_oneself(question, name, np.array(twice[name])) for name in sorted(twice))


def _agreement_with_oneself(question: Question, reader: str, answers: FloatArray) -> WithinReader:
    coefficient = None
    if len(answers) > 1:
        coefficient = (
            icc_2_1(answers)
            if question.kind is QuestionKind.CONFIDENCE
            else cohen_kappa(answers[:, 0], answers[:, 1], _weighting(question), _scale(question))
        )
    return WithinReader(reader, len(answers), same_answers(answers[:, 0], answers[:, 1]), coefficient)


def _weighting(question: Question) -> Weighting:
    return Weighting.QUADRATIC if question.kind in ORDERED else Weighting.NONE


def _scale(question: Question) -> FloatArray:
    """All answers that can be given, in their order."""
    if question.kind is QuestionKind.PREFERENCE:
        return np.array([0.0, 0.5, 1.0])
    return np.arange(question.low, question.high + 1, dtype=np.float64)
