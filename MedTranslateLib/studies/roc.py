"""Ratings of cases without and with a finding in; ROC curves, areas and their intervals out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from MedTranslateLib.core.errors import StudyError
from MedTranslateLib.metrics.statistics import Interval
from MedTranslateLib.studies.accuracy import LEVEL, Proportion, proportion

FEWEST_PER_CLASS = 2
NO_INTERVAL = Interval(np.nan, np.nan)
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Placements:
    """For each case the share of the other class that is rated on its wrong side (DeLong et al. 1988, equation 4).

    Args:
        with_finding: For each case with the finding, the share of those without that are rated lower, ties half.
        without_finding: For each case without it, the share of those with it that are rated higher, ties half.
    """

    with_finding: FloatArray
    without_finding: FloatArray

    @property
    def area(self) -> float:
        """The area under the empirical ROC curve: the Mann-Whitney statistic over the number of pairs."""
        return float(self.with_finding.mean())


@dataclass(frozen=True)
class Area:
    """An area under an ROC curve.

    Args:
        auc: 0 to 1; 0.5 is guessing.
        standard_error: DeLong's; NaN with fewer than two cases in a class.
        interval: On the logit scale, which never leaves 0 to 1 and keeps its level better near 1 (Pepe 2003, section
            5.2.5); NaN where all pairs are ordered, as DeLong's variance is then 0 and says nothing.
        plain_interval: `auc` plus and minus 1.96 standard errors, cut at 0 and 1, as most papers print it.
        without_finding, with_finding: Number of cases.
    """

    auc: float
    standard_error: float
    interval: Interval
    plain_interval: Interval
    without_finding: int
    with_finding: int


@dataclass(frozen=True)
class AreaDifference:
    """Two areas of the same reader on the same cases.

    Args:
        difference: First minus second.
        standard_error: DeLong's, with the covariance of the two.
        interval: Of the difference.
        p: Two-sided, of no difference; 1 where the two never differ, NaN where the variance says nothing.
    """

    difference: float
    standard_error: float
    interval: Interval
    p: float


@dataclass(frozen=True)
class Curve:
    """An empirical ROC curve.

    Args:
        thresholds: Falling; a case counts as positive from the threshold on. The first is infinite.
        sensitivity: At each threshold.
        specificity: At each threshold.
    """

    thresholds: FloatArray
    sensitivity: FloatArray
    specificity: FloatArray


@dataclass(frozen=True)
class OperatingPoint:
    """What a threshold would give.

    Args:
        threshold: A case counts as positive from here on.
        sensitivity: Share of the cases with the finding that are positive.
        specificity: Share of those without that are negative.
    """

    threshold: float
    sensitivity: Proportion
    specificity: Proportion


def placements(without_finding: npt.ArrayLike, with_finding: npt.ArrayLike) -> Placements:
    """Ranks in, placements out: exact with ties (Sun and Xu 2014).

    Args:
        without_finding: Ratings of cases without it; higher means more certain of the finding.
        with_finding: Ratings of cases with it.

    Raises:
        StudyError: If a class has no case or a rating is not finite.
    """
    negative, positive = (np.asarray(values, np.float64) for values in (without_finding, with_finding))
    if not len(negative) or not len(positive):
        msg = (
            f"There are {len(positive)} ratings of cases with the finding and {len(negative)} of cases without it. An "
            "ROC curve needs both: state the truth of each case in the study file."
        )
        raise StudyError(msg)
    if not (np.isfinite(negative).all() and np.isfinite(positive).all()):
        msg = "A rating is not a finite number, expected 0 to 100."
        raise StudyError(msg)
    joined = stats.rankdata(np.concatenate([positive, negative]))
    split = len(positive)
    below = (joined[:split] - stats.rankdata(positive)) / len(negative)
    above = 1.0 - (joined[split:] - stats.rankdata(negative)) / len(positive)
    return Placements(below, above)


def area(without_finding: npt.ArrayLike, with_finding: npt.ArrayLike, level: float = LEVEL) -> Area:
    """The area under the ROC curve with DeLong's interval.

    Args:
        without_finding: Ratings of cases without it; higher means more certain of the finding.
        with_finding: Ratings of cases with it.
        level: Share of the intervals that hold the true area.

    Raises:
        StudyError: If a class has no case or a rating is not finite.
    """
    placed = placements(without_finding, with_finding)
    auc, error = placed.area, float(np.sqrt(_covariance(placed, placed)))
    z = float(stats.norm.ppf((1 + level) / 2))
    plain = Interval(max(0.0, auc - z * error), min(1.0, auc + z * error)) if error > 0 else NO_INTERVAL
    counts = (len(placed.without_finding), len(placed.with_finding))
    return Area(auc, error, _logit_interval(auc, z * error), plain, *counts)


def paired_difference(first: Placements, second: Placements, level: float = LEVEL) -> AreaDifference:
    """Whether one reader does better with one treatment than with the other, on the same cases in the same order.

    Args:
        first: Placements with one treatment.
        second: With the other.
        level: Of the interval.

    Raises:
        StudyError: If the numbers of cases differ.
    """
    if first.with_finding.shape != second.with_finding.shape or (
        first.without_finding.shape != second.without_finding.shape
    ):
        msg = "The two treatments have different numbers of cases; compare only cases that were read with both."
        raise StudyError(msg)
    difference = first.area - second.area
    variance = _covariance(first, first) + _covariance(second, second) - 2 * _covariance(first, second)
    error = float(np.sqrt(max(variance, 0.0))) if np.isfinite(variance) else np.nan
    if not error > 1e-12:  # equal placements leave rounding errors
        same = np.isfinite(error) and abs(difference) < 1e-12
        return AreaDifference(difference, error, NO_INTERVAL, 1.0 if same else np.nan)
    z = float(stats.norm.ppf((1 + level) / 2))
    p = float(2 * stats.norm.sf(abs(difference) / error))
    bounds = Interval(max(-1.0, difference - z * error), min(1.0, difference + z * error))
    return AreaDifference(difference, error, bounds, p)


def curve(without_finding: npt.ArrayLike, with_finding: npt.ArrayLike) -> Curve:
    """The empirical ROC curve, from nothing positive to everything positive.

    Args:
        without_finding: Ratings of cases without it; higher means more certain of the finding.
        with_finding: Ratings of cases with it.

    Raises:
        StudyError: If a class has no case or a rating is not finite.
    """
    placements(without_finding, with_finding)  # checks both
    negative, positive = (np.asarray(values, np.float64) for values in (without_finding, with_finding))
    thresholds = np.concatenate([[np.inf], np.unique(np.concatenate([negative, positive]))[::-1]])
    sensitivity = (positive[None, :] >= thresholds[:, None]).mean(axis=1)
    specificity = (negative[None, :] < thresholds[:, None]).mean(axis=1)
    return Curve(thresholds, sensitivity, specificity)


def operating_point(without_finding: npt.ArrayLike, with_finding: npt.ArrayLike, threshold: float) -> OperatingPoint:
    """Sensitivity and specificity at a threshold that was chosen without looking at these ratings.

    Args:
        without_finding: Ratings of cases without it; higher means more certain of the finding.
        with_finding: Ratings of cases with it.
        threshold: A case counts as positive from here on.
    """
    negative, positive = (np.asarray(values, np.float64) for values in (without_finding, with_finding))
    return OperatingPoint(
        threshold,
        proportion(int((positive >= threshold).sum()), len(positive)),
        proportion(int((negative < threshold).sum()), len(negative)),
    )


def _covariance(first: Placements, second: Placements) -> float:
    """Covariance of two areas (DeLong et al. 1988, equations 5 and 6)."""
    if min(len(first.with_finding), len(first.without_finding)) < FEWEST_PER_CLASS:
        return np.nan
    with_finding = np.cov(first.with_finding, second.with_finding)[0, 1] / len(first.with_finding)
    without = np.cov(first.without_finding, second.without_finding)[0, 1] / len(first.without_finding)
    return float(with_finding + without)


def _logit_interval(auc: float, half_width: float) -> Interval:
    if not (0 < auc < 1 and half_width > 0):
        return NO_INTERVAL
    middle, reach = np.log(auc / (1 - auc)), half_width / (auc * (1 - auc))
    low, high = 1 / (1 + np.exp(-(middle - reach))), 1 / (1 + np.exp(-(middle + reach)))
    return Interval(float(low), float(high))
