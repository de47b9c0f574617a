"""A table of readers and cases in, bootstrap intervals of its mean over both out."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from MedTranslateLib.metrics.statistics import Interval

RESAMPLES = 4000
FEWEST_CASES = 3
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Weights:
    """How often each reader and each column is drawn.

    Args:
        readers: Shape (resamples, readers).
        columns: Shape (resamples, columns).
    """

    readers: FloatArray
    columns: FloatArray


def draw(reader_count: int, cases: npt.NDArray[np.intp], strata: npt.NDArray[np.intp], seed: int) -> Weights:
    """Draws readers and cases with replacement, independently of each other (Owen 2007, the pigeonhole bootstrap).

    All columns of a case are drawn together, because images of one patient resemble each other. The number of cases
    in each stratum stays, because the study fixed it. A single reader is kept.

    Args:
        reader_count: At least 1.
        cases: Number of the case of each column.
        strata: Number of the stratum of each case, indexed by the number of the case.
        seed: Of the random numbers.

    Returns:
        Counts, as floating point numbers.
    """
    rng = np.random.default_rng(seed)
    readers = rng.multinomial(reader_count, np.full(reader_count, 1 / reader_count), RESAMPLES)
    drawn = np.zeros((RESAMPLES, len(strata)))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        drawn[:, members] = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), RESAMPLES)
    return Weights(readers.astype(np.float64), drawn[:, cases])


def strata_of(columns: Sequence[Hashable], cases: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Puts cases whose columns have the same labels into one stratum; strata of fewer than three become one.

    Args:
        columns: Label of each column, such as whether it is real.
        cases: Number of the case of each column, from 0 without gaps.

    Returns:
        Number of the stratum of each case.
    """
    held = [frozenset(label for label, case in zip(columns, cases, strict=True) if case == one) for one in _each(cases)]
    names = {labels: number for number, labels in enumerate(dict.fromkeys(held), start=1)}
    strata = np.array([names[labels] for labels in held], np.intp)
    small = np.flatnonzero(np.bincount(strata) < FEWEST_CASES)
    return np.where(np.isin(strata, small), 0, strata).astype(np.intp)


def mean_interval(values: FloatArray, weights: Weights, level: float = 0.95) -> Interval:
    """Percentile interval of the mean of all answers.

    Noise of single answers enters three times over (once with each resampling, once with both), so it is wider than
    its level says unless readers or cases differ a lot; with few readers it is still too narrow for other readers.

    Args:
        values: Shape (readers, columns); NaN where there is no answer.
        weights: From `draw`.
        level: Share of the intervals that hold the true mean.

    Returns:
        NaN for fewer than three columns.
    """
    if values.shape[1] < FEWEST_CASES:
        return Interval(np.nan, np.nan)
    return quantiles(resampled_means(values, weights), level)


def resampled_means(values: FloatArray, weights: Weights) -> FloatArray:
    """Means of all answers, once for each resample.

    Args:
        values: Shape (readers, columns); NaN where there is no answer.
        weights: From `draw`.

    Returns:
        NaN for a resample without an answer.
    """
    known = np.isfinite(values)
    sums = ((weights.readers @ np.where(known, values, 0.0)) * weights.columns).sum(axis=1)
    counts = ((weights.readers @ known.astype(np.float64)) * weights.columns).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums / counts)


def quantiles(figures: FloatArray, level: float = 0.95) -> Interval:
    """The middle part of resampled figures.

    Args:
        figures: One a resample; NaN is left out.
        level: Share of them between the bounds.

    Returns:
        NaN where no figure is finite, or all are equal: then resampling cannot show how much they vary.
    """
    figures = figures[np.isfinite(figures)]
    if not len(figures):
        return Interval(np.nan, np.nan)
    low, high = np.quantile(figures, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high)) if np.ptp(figures) > 0 else Interval(np.nan, np.nan)


def _each(cases: npt.NDArray[np.intp]) -> range:
    return range(int(cases.max()) + 1)
