"""Judgements of the same images by several readers, or by one reader twice, in; coefficients of agreement out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt
from scipy import stats

from MedTranslateLib.core.errors import StudyError
from MedTranslateLib.metrics.statistics import Interval

LEVEL = 0.95
FEWEST_SUBJECTS = 2
NO_INTERVAL = Interval(np.nan, np.nan)
FloatArray = npt.NDArray[np.float64]


class Weighting(Enum):
    """How much a disagreement between two categories counts."""

    NONE = "none"
    LINEAR = "linear"
    QUADRATIC = "quadratic"


@dataclass(frozen=True)
class Agreement:
    """A coefficient of agreement.

    Args:
        name: Such as "Fleiss' kappa".
        value: 1 is full agreement, 0 what chance would give; NaN where it is not defined, such as when everybody gave
            the same answer everywhere.
        interval: Of the value; NaN where there is none.
        observed: Share of agreeing pairs of answers, with weights where the coefficient has some; NaN for an ICC.
        subjects: Number of images.
        raters: Number of readers, or of readings by one reader.
    """

    name: str
    value: float
    interval: Interval
    observed: float
    subjects: int
    raters: int


@dataclass(frozen=True)
class _Squares:
    """Mean squares of a two-way table: between subjects, between raters, and what is left."""

    subjects: float
    raters: float
    rest: float


def cohen_kappa(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    weighting: Weighting = Weighting.NONE,
    categories: npt.ArrayLike | None = None,
) -> Agreement:
    """Cohen's kappa (1960), with weights (1968), and the interval of Fleiss, Cohen and Everitt (1969).

    Args:
        first: Answers.
        second: Answers to the same images, in the same order.
        weighting: How much a disagreement counts.
        categories: All possible answers in their order; default those that were given. Weights count steps along them.

    Raises:
        StudyError: If the numbers of answers differ or there is none.
    """
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if one.shape != other.shape or one.ndim != 1 or not len(one):
        msg = f"Cohen's kappa compares two answers to each image, got {one.shape} and {other.shape} answers."
        raise StudyError(msg)
    known = np.unique(np.concatenate([one, other]) if categories is None else np.asarray(categories, np.float64))
    shares = _joint_shares(one, other, known)
    weights = _weights(len(known), weighting)
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    observed, expected = float((weights * shares).sum()), float(rows @ weights @ columns)
    name = "Cohen's kappa" + ("" if weighting is Weighting.NONE else f", {weighting.value} weights")
    if 1 - expected < 1e-12:
        return Agreement(name, np.nan, NO_INTERVAL, observed, len(one), 2)
    kappa = (observed - expected) / (1 - expected)
    mean_weights = (weights @ columns)[:, None] + (rows @ weights)[None, :]
    spread = (shares * (weights - mean_weights * (1 - kappa)) ** 2).sum() - (kappa - expected * (1 - kappa)) ** 2
    error = np.sqrt(max(spread, 0.0) / len(one)) / (1 - expected)
    return Agreement(name, kappa, _around(kappa, error, float(stats.norm.ppf((1 + LEVEL) / 2))), observed, len(one), 2)


def fleiss_kappa(table: npt.ArrayLike, categories: npt.ArrayLike | None = None) -> Agreement:
    """Fleiss' kappa (1971) with Gwet's interval (2021, Educ. Psychol. Meas. 81(4)), which does not assume kappa = 0.

    Args:
        table: Shape (images, readers), the answers; NaN where a reader gave none. Images with fewer than two answers
            do not count for the agreement.
        categories: All possible answers; default those that were given.

    Raises:
        StudyError: If no image has two answers.
    """
    answers = np.asarray(table, np.float64)
    known = np.unique(answers[np.isfinite(answers)] if categories is None else np.asarray(categories, np.float64))
    counts = (answers[:, :, None] == known).sum(axis=1).astype(np.float64)
    counts = counts[counts.sum(axis=1) >= 2]
    if not len(counts):
        msg = "Fleiss' kappa needs images that at least two readers have answered; there is none."
        raise StudyError(msg)
    return _fleiss(counts, answers.shape[1])


def fleiss_kappa_of_counts(counts: npt.ArrayLike) -> Agreement:
    """The same from the form in which such tables are printed.

    Args:
        counts: Shape (images, categories), how many readers chose which; at least two for each image.
    """
    numbers = np.asarray(counts, np.float64)
    return _fleiss(numbers, int(numbers.sum(axis=1).max()))


def icc_2_1(table: npt.ArrayLike) -> Agreement:
    """ICC(2,1), absolute agreement of single readers drawn from many (Shrout and Fleiss 1979), with its F interval.

    Args:
        table: Shape (images, readers), without gaps.

    Raises:
        StudyError: If there are gaps, or fewer than two images or readers.
    """
    values = _complete(table)
    n, k = values.shape
    squares = _squares(values)
    bottom = squares.subjects + (k - 1) * squares.rest + k * (squares.raters - squares.rest) / n
    if not bottom > 0:
        return Agreement("ICC(2,1)", np.nan, NO_INTERVAL, np.nan, n, k)
    value = (squares.subjects - squares.rest) / bottom
    return Agreement("ICC(2,1)", value, _interval_2_1(squares, value, n, k), np.nan, n, k)


def icc_3_1(table: npt.ArrayLike) -> Agreement:
    """ICC(3,1), consistency of these very readers (Shrout and Fleiss 1979), with its F interval.

    Args:
        table: Shape (images, readers), without gaps.

    Raises:
        StudyError: If there are gaps, or fewer than two images or readers.
    """
    values = _complete(table)
    n, k = values.shape
    squares = _squares(values)
    bottom = squares.subjects + (k - 1) * squares.rest
    if not bottom > 0:
        return Agreement("ICC(3,1)", np.nan, NO_INTERVAL, np.nan, n, k)
    value = (squares.subjects - squares.rest) / bottom
    if squares.rest == 0:
        return Agreement("ICC(3,1)", value, NO_INTERVAL, np.nan, n, k)
    ratio, freedom = squares.subjects / squares.rest, (n - 1, (n - 1) * (k - 1))
    low = ratio / stats.f.ppf((1 + LEVEL) / 2, *freedom)
    high = ratio * stats.f.ppf((1 + LEVEL) / 2, *freedom[::-1])
    bounds = Interval(float((low - 1) / (low + k - 1)), float((high - 1) / (high + k - 1)))
    return Agreement("ICC(3,1)", value, bounds, np.nan, n, k)


def same_answers(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Share of equal answers.

    Args:
        first: Answers.
        second: Answers to the same images.

    Returns:
        NaN without one.
    """
    equal = np.asarray(first, np.float64) == np.asarray(second, np.float64)
    return float(equal.mean()) if equal.size else np.nan


def _joint_shares(one: FloatArray, other: FloatArray, known: FloatArray) -> FloatArray:
    rows, columns = np.searchsorted(known, one), np.searchsorted(known, other)
    if max(rows.max(), columns.max()) >= len(known) or (known[rows] != one).any() or (known[columns] != other).any():
        msg = f"An answer is not one of the categories {known.tolist()}."
        raise StudyError(msg)
    shares = np.zeros((len(known), len(known)))
    np.add.at(shares, (rows, columns), 1.0 / len(one))
    return shares


def _weights(count: int, weighting: Weighting) -> FloatArray:
    steps = np.abs(np.arange(count)[:, None] - np.arange(count)[None, :]) / max(count - 1, 1)
    lost: dict[Weighting, Callable[[FloatArray], FloatArray]] = {
        Weighting.NONE: lambda distance: (distance > 0).astype(np.float64),
        Weighting.LINEAR: lambda distance: distance,
        Weighting.QUADRATIC: lambda distance: distance**2,
    }
    return 1.0 - lost[weighting](steps)


def _fleiss(counts: FloatArray, raters: int) -> Agreement:
    given = counts.sum(axis=1)
    shares = (counts / given[:, None]).mean(axis=0)
    agreeing = (counts * (counts - 1)).sum(axis=1) / (given * (given - 1))
    observed, expected = float(agreeing.mean()), float((shares**2).sum())
    name, n = "Fleiss' kappa", len(counts)
    if 1 - expected < 1e-12:
        return Agreement(name, np.nan, NO_INTERVAL, observed, n, raters)
    kappa = (observed - expected) / (1 - expected)
    if n < FEWEST_SUBJECTS:
        return Agreement(name, kappa, NO_INTERVAL, observed, n, raters)
    by_chance = (counts @ shares) / given
    single = (agreeing - expected - 2 * (1 - kappa) * (by_chance - expected)) / (1 - expected)
    error = float(np.sqrt(((single - kappa) ** 2).sum() / (n * (n - 1))))
    bounds = _around(kappa, error, float(stats.t.ppf((1 + LEVEL) / 2, n - 1)))
    return Agreement(name, kappa, bounds, observed, n, raters)


def _around(value: float, error: float, quantile: float) -> Interval:
    """The value and so many errors to both sides, cut at -1 and 1; without an error there is no interval."""
    if not error > 1e-12:
        return NO_INTERVAL
    return Interval(float(max(-1.0, value - quantile * error)), float(min(1.0, value + quantile * error)))


def _complete(table: npt.ArrayLike) -> FloatArray:
    values = np.asarray(table, np.float64)
    if values.ndim != 2 or min(values.shape) < 2 or not np.isfinite(values).all():
        msg = (
            f"An ICC needs at least two images that at least two readers have all answered, got a table of "
            f"{values.shape} with {int(np.isnan(values).sum())} gaps."
        )
        raise StudyError(msg)
    return values


def _squares(values: FloatArray) -> _Squares:
    n, k = values.shape
    middle = values.mean()
    rows, columns = values.mean(axis=1), values.mean(axis=0)
    left = values - rows[:, None] - columns[None, :] + middle
    rest = float((left**2).sum() / ((n - 1) * (k - 1)))
    subjects = float(k * ((rows - middle) ** 2).sum() / (n - 1))
    raters = float(n * ((columns - middle) ** 2).sum() / (k - 1))
    size = max(float(np.abs(values).max()) ** 2, 1e-300)
    return _Squares(*(0.0 if one < 1e-20 * size else one for one in (subjects, raters, rest)))


def _interval_2_1(squares: _Squares, value: float, n: int, k: int) -> Interval:
    """Shrout and Fleiss 1979, the interval of ICC(2,1), with Satterthwaite's degrees of freedom."""
    if squares.rest == 0:
        return NO_INTERVAL
    ratio = squares.raters / squares.rest
    top = (k - 1) * (n - 1) * (k * value * ratio + n * (1 + (k - 1) * value) - k * value) ** 2
    bottom = (n - 1) * k**2 * value**2 * ratio**2 + (n * (1 + (k - 1) * value) - k * value) ** 2
    freedom = top / bottom
    high_f = stats.f.ppf((1 + LEVEL) / 2, n - 1, freedom)
    low_f = stats.f.ppf((1 + LEVEL) / 2, freedom, n - 1)
    others = k * squares.raters + (k * n - k - n) * squares.rest
    low = n * (squares.subjects - high_f * squares.rest) / (high_f * others + n * squares.subjects)
    high = n * (low_f * squares.subjects - squares.rest) / (others + n * low_f * squares.subjects)
    return Interval(float(low), float(high))
