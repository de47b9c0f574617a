"""Right and wrong answers in; shares with exact intervals and tests against guessing out.

A test of counts can only reach certain p-values. At a level of 5 % the exact binomial test therefore accuses fewer than
5 % of readers who guess (4.1 % at 20 images, 2.2 % at 10), and the mid-p test fewer or more. A lot that decides on the
boundary makes the rate exactly 5 % at every number of images (Lehmann and Romano 2005, section 3.2). A lot is fair as
long as nobody can choose it after seeing the answers: here it is computed from the secret of the sealed key, which was
fixed, and its hash published, before the first answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from MedTranslateLib.core.errors import StudyError
from MedTranslateLib.metrics.statistics import Interval

LEVEL = 0.95
SIGNIFICANT = 0.05
TIE = 1e-7
"""Outcomes whose probabilities differ by less than this share are equally likely, as in R's `fisher.test`."""


@dataclass(frozen=True)
class Proportion:
    """A share with its exact interval.

    Args:
        right: Answers that count.
        asked: All answers.
        interval: Clopper and Pearson (1934): it holds the true share in at least 95 % of all studies.
    """

    right: int
    asked: int
    interval: Interval

    @property
    def share(self) -> float:
        """From 0 to 1; NaN without an answer."""
        return self.right / self.asked if self.asked else np.nan


@dataclass(frozen=True)
class ChanceTest:
    """Two-sided tests of whether answers are guesses; NaN where nothing was asked.

    Args:
        exact: Never accuses more than 5 % of those who guess, often fewer.
        mid: Counts the outcome itself by half (Lancaster 1961): nearer to 5 % on average, not bounded by it.
        lot: Counts the outcome itself by the sealed lot: accuses exactly 5 % of those who guess.
        exact_rate: Share of guessing readers that the exact test would accuse at 5 %, for this number of images.
    """

    exact: float
    mid: float
    lot: float
    exact_rate: float

    @property
    def lot_decided(self) -> bool:
        """Whether the outcome lies on the boundary, where the lot alone made it significant or not."""
        below = 2 * self.mid - self.exact  # what p would be if the outcome itself did not count
        return bool(below <= SIGNIFICANT < self.exact)

    @property
    def significant(self) -> bool:
        """Whether the answers are told from guesses at 5 %, by the test with the lot."""
        return bool(self.lot <= SIGNIFICANT)


@dataclass(frozen=True)
class TruthTable:
    """How often real and synthetic images were judged right.

    Args:
        real_right, real_asked: Real images judged real, and all real images.
        synthetic_right, synthetic_asked: Synthetic images judged synthetic, and all synthetic images.
    """

    real_right: int
    real_asked: int
    synthetic_right: int
    synthetic_asked: int

    @property
    def balanced(self) -> bool:
        """Whether always giving the same answer is right half of the time, so that guessing means 50 %."""
        return self.real_asked == self.synthetic_asked


def proportion(right: int, asked: int, level: float = LEVEL) -> Proportion:
    """A share with the interval of Clopper and Pearson.

    Args:
        right: Answers that count, 0 to `asked`.
        asked: All answers.
        level: Share of the intervals that hold the truth at least.

    Raises:
        StudyError: If the counts cannot be.
    """
    _check(right, asked)
    if asked == 0:
        return Proportion(right, asked, Interval(np.nan, np.nan))
    found = stats.binomtest(right, asked).proportion_ci(confidence_level=level, method="exact")
    return Proportion(right, asked, Interval(float(found.low), float(found.high)))


def binomial_test(right: int, asked: int, lot: float, chance: float = 0.5) -> ChanceTest:
    """Whether so many right answers are told from guessing.

    Args:
        right: Right answers, 0 to `asked`.
        asked: All answers, given independently.
        lot: From `sealed_lot`, 0 to 1.
        chance: Probability that a guess is right.

    Raises:
        StudyError: If the counts cannot be.
    """
    _check(right, asked)
    return _test(stats.binom.pmf(np.arange(asked + 1), asked, chance), right, lot)


def independence_test(counts: TruthTable) -> ChanceTest:
    """Whether judgement and truth are independent: Fisher's exact test (1935), whatever answer a reader leans to.

    Unlike the binomial test it holds for unequal numbers of real and synthetic images, where always saying "real" is
    right more or less than half of the time. There is no lot, as it alone would decide about a reader who gives one
    answer only: `lot` is the exact p-value, and fewer than 5 % of those who guess are accused.

    Args:
        counts: Of one reader.

    Raises:
        StudyError: If the counts cannot be.
    """
    _check(counts.real_right, counts.real_asked)
    _check(counts.synthetic_right, counts.synthetic_asked)
    judged_synthetic = counts.synthetic_right + counts.real_asked - counts.real_right
    everything = counts.real_asked + counts.synthetic_asked
    lowest = max(0, judged_synthetic - counts.real_asked)
    possible = np.arange(lowest, min(judged_synthetic, counts.synthetic_asked) + 1)
    probabilities = stats.hypergeom.pmf(possible, everything, counts.synthetic_asked, judged_synthetic)
    return _test(probabilities, counts.synthetic_right - lowest, 1.0)


def sealed_lot(secret: str, *names: str) -> float:
    """A number that nobody could choose: the hash of the sealed key's secret and of what it is drawn for.

    Args:
        secret: The nonce of the key, whose hash was published before the first answer.
        names: Such as question and reader.

    Returns:
        From 0 up to 1, evenly distributed over secrets.
    """
    digest = hashlib.sha256("\0".join(("medtranslate study lot", secret, *names)).encode("utf-8")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def exact_rate(asked: int, chance: float = 0.5) -> float:
    """Share of guessing readers whom the exact binomial test accuses at 5 %.

    Args:
        asked: Number of answers.
        chance: Probability that a guess is right.
    """
    return _exact_rate(stats.binom.pmf(np.arange(asked + 1), asked, chance))


def right_answers(truth_synthetic: Sequence[bool], judged_synthetic: Sequence[bool]) -> TruthTable:
    """Counts the answers of a Turing test.

    Args:
        truth_synthetic: Whether each image is synthetic.
        judged_synthetic: Whether it was judged so.

    Returns:
        The counts.
    """
    truth, judged = np.asarray(truth_synthetic, bool), np.asarray(judged_synthetic, bool)
    return TruthTable(
        real_right=int((~truth & ~judged).sum()),
        real_asked=int((~truth).sum()),
        synthetic_right=int((truth & judged).sum()),
        synthetic_asked=int(truth.sum()),
    )


def _test(probabilities: npt.NDArray[np.float64], seen: int, lot: float) -> ChanceTest:
    if not 0 <= lot <= 1:
        msg = f"The lot is {lot}, expected a number from 0 to 1."
        raise StudyError(msg)
    own = probabilities[seen]
    equal = float(probabilities[np.abs(probabilities - own) <= TIE * own].sum())
    rarer = float(probabilities[probabilities < own * (1 - TIE)].sum())
    p = [min(1.0, rarer + share * equal) for share in (1.0, 0.5, lot)]
    return ChanceTest(p[0], p[1], p[2], _exact_rate(probabilities))


def _exact_rate(probabilities: npt.NDArray[np.float64]) -> float:
    order = np.argsort(probabilities, kind="stable")
    rising = probabilities[order]
    # The p-value of an outcome is the sum up to the last one that is as likely as it.
    last = np.searchsorted(rising, rising * (1 + TIE), side="right") - 1
    return float(rising[np.cumsum(rising)[last] <= SIGNIFICANT].sum())


def _check(right: int, asked: int) -> None:
    if not 0 <= right <= asked:
        msg = f"{right} of {asked} answers are right, expected a number from 0 to {asked}."
        raise StudyError(msg)
