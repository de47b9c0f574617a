"""The figures of patients in, what they say of all patients out: intervals of means, paired tests, corrections."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from MedTranslateLib.core.errors import ConfigError

FEWEST_FOR_AN_INTERVAL = 3
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Interval:
    """Bounds between which the mean of all patients is expected; NaN where too few were measured.

    Args:
        low, high: Lower and upper bound.
    """

    low: float
    high: float


@dataclass(frozen=True)
class PairedTest:
    """Whether two methods differ on the patients that both have.

    Args:
        pairs: Patients with a figure of both.
        p: Two-sided p-value; NaN without a single pair.
        smallest_p: What p would be if all pairs that differ did so in the same way: 2 / 2**n for n of them, so that
            five pairs cannot get below 0.05.
    """

    pairs: int
    p: float
    smallest_p: float

    @property
    def can_reach(self) -> bool:
        """Whether enough pairs differ for p to get below 0.05 at all."""
        return self.smallest_p < SIGNIFICANT


def bootstrap_interval(values: Sequence[float] | npt.NDArray[np.float64], seed: int, level: float = 0.95) -> Interval:
    """Bootstrap interval of the mean, over patients: BCa (Efron 1987), percentile where BCa has no answer.

    Of fewer than about ten patients it is narrower than its level says.

    Args:
        values: One figure a patient; NaN is left out.
        seed: Of the 9999 resamples.
        level: Share of the intervals that hold the true mean, 0 to 1.

    Returns:
        Its bounds; NaN for fewer than three patients and for figures that are not finite.

    Raises:
        ConfigError: If the level is not between 0 and 1.
    """
    if not 0 < level < 1:
        msg = f"The level of an interval is {level}, expected a number between 0 and 1 such as 0.95."
        raise ConfigError(msg)
    figures = np.asarray(values, np.float64)
    figures = figures[~np.isnan(figures)]
    if len(figures) < FEWEST_FOR_AN_INTERVAL or not np.isfinite(figures).all():
        return Interval(np.nan, np.nan)
    interval = _bootstrap(figures, seed, level, "BCa")
    if np.isfinite([interval.low, interval.high]).all():
        return interval
    return _bootstrap(figures, seed, level, "percentile")


def paired_test(first: Mapping[str, float], second: Mapping[str, float]) -> PairedTest:
    """Wilcoxon signed-rank test (1945), two-sided: exact up to 50 pairs, or up to 13 where differences are tied.

    Args:
        first: Figure of each patient; NaN counts as absent.
        second: The same of the other method.

    Returns:
        The test over the patients of both; equal figures count for neither, and all equal give p = 1.
    """
    both = sorted(first.keys() & second.keys())
    pairs = [(first[name], second[name]) for name in both if not np.isnan([first[name], second[name]]).any()]
    # Compared before subtracted: two infinite figures are equal, their difference is not a number.
    differences = [one - other for one, other in pairs if one != other]
    if not differences:
        return PairedTest(len(pairs), 1.0 if pairs else np.nan, smallest_p=1.0)
    p = float(stats.wilcoxon(differences).pvalue)
    return PairedTest(len(pairs), p, smallest_p=2 / 2 ** len(differences))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number (Holm 1979): the k-th smallest of m times m - k + 1, never falling.

    Args:
        p_values: Of all tests of one family, in any order.

    Returns:
        The corrected ones in the same order, at most 1.

    Raises:
        ConfigError: If one is not in 0..1.
    """
    p = np.asarray(p_values, np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        msg = f"The p-values are {list(p_values)}, expected numbers from 0 to 1; leave out tests that were not made."
        raise ConfigError(msg)
    order = np.argsort(p, kind="stable")
    rising = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(rising, 1.0)
    return [float(value) for value in corrected]


def _bootstrap(
    figures: npt.NDArray[np.float64], seed: int, level: float, method: Literal["BCa", "percentile"]
) -> Interval:
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        # Of equal figures BCa divides nothing by nothing and says so.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        found = stats.bootstrap((figures,), np.mean, confidence_level=level, method=method, rng=seed)
    return Interval(float(found.confidence_interval.low), float(found.confidence_interval.high))
