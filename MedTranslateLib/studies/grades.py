"""Grades in; their means with intervals, for each reader and treatment and for all together, out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from MedTranslateLib.metrics.statistics import Interval, bootstrap_interval
from MedTranslateLib.studies.ratings import Rating, Table, table, treatments
from MedTranslateLib.studies.resampling import draw, mean_interval
from MedTranslateLib.studies.study import Question

ALL = ""
"""The name of all readers, or of all treatments."""


@dataclass(frozen=True)
class MeanGrade:
    """Mean of some grades.

    Args:
        reader: Name; empty for all.
        treatment: Name; empty for all.
        mean: Of the answers.
        interval: Bootstrap: of one reader over cases (BCa where each patient has one image, else percentile); of all
            readers over readers and cases. NaN for fewer than three cases.
        counts: How often each grade was given, from the lowest to the highest.
    """

    reader: str
    treatment: str
    mean: float
    interval: Interval
    counts: tuple[int, ...]

    @property
    def answers(self) -> int:
        """How many grades the mean is of."""
        return sum(self.counts)


def mean_grades(ratings: Sequence[Rating], question: Question, seed: int) -> tuple[MeanGrade, ...]:
    """Means of each treatment and of all, each for every reader and for all.

    Args:
        ratings: Of this question; second readings are left out.
        question: A grade.
        seed: Of the resampling.

    Returns:
        By treatment (real first, all last), then by reader (all last).

    Raises:
        StudyError: If there are no answers.
    """
    given = table(ratings)
    names = treatments(ratings)
    columns = {name: np.array([one == name for one in given.treatments]) for name in names}
    if len(names) > 1:
        columns[ALL] = np.ones(len(given.items), bool)
    found = []
    for name, chosen in columns.items():
        for row, reader in enumerate(given.readers):
            found.append(_mean(_part(given, slice(row, row + 1), chosen), (reader, name), question, seed))
        found.append(_mean(_part(given, slice(None), chosen), (ALL, name), question, seed))
    return tuple(found)


def _part(given: Table, rows: slice, chosen: npt.NDArray[np.bool_]) -> Table:
    """Some readers and items; only values and patients are kept in step."""
    return replace(given, values=given.values[rows, chosen], subjects=given.subjects[chosen])


def _mean(part: Table, names: tuple[str, str], question: Question, seed: int) -> MeanGrade:
    answered = part.values[np.isfinite(part.values)]
    counts = tuple(int((answered == grade).sum()) for grade in range(question.low, question.high + 1))
    mean = float(answered.mean()) if len(answered) else np.nan
    return MeanGrade(*names, mean, _interval(part.values, part.subjects, seed, alone=names[0] != ALL), counts)


def _interval(values: npt.NDArray[np.float64], subjects: npt.NDArray[np.intp], seed: int, *, alone: bool) -> Interval:
    if len(np.unique(values[np.isfinite(values)])) < 2:
        return Interval(np.nan, np.nan)  # of equal grades a bootstrap would claim to know the mean exactly
    if alone and len(set(subjects.tolist())) == len(subjects):
        return bootstrap_interval(values[0], seed)
    own = np.unique(subjects, return_inverse=True)[1].astype(np.intp)
    return mean_interval(values, draw(len(values), own, np.zeros(int(own.max()) + 1, np.intp), seed))
