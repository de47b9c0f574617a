"""Choices between two images in; how often the synthetic one was found, or which treatment was preferred, out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from MedTranslateLib.core.errors import StudyError
from MedTranslateLib.metrics.statistics import Interval
from MedTranslateLib.studies.accuracy import ChanceTest, Proportion, binomial_test, proportion, sealed_lot
from MedTranslateLib.studies.ratings import Rating, Table, table, treatments
from MedTranslateLib.studies.resampling import draw, mean_interval
from MedTranslateLib.studies.study import REAL

NO_DIFFERENCE = 0.5
POOLED = ""


@dataclass(frozen=True)
class ForcedChoice:
    """How often a reader, or all together, found the synthetic one of two images.

    Args:
        reader: Name; empty for all together.
        share: Right choices, with the exact interval.
        against_chance: Binomial test against one half.
        first_chosen: Share of choices of the first image, which shows a leaning to one side.
        resampled: Interval over readers and pairs, for all together; NaN for one reader.
    """

    reader: str
    share: Proportion
    against_chance: ChanceTest
    first_chosen: float
    resampled: Interval


@dataclass(frozen=True)
class Preference:
    """Which of two treatments a reader, or all together, preferred.

    Args:
        reader: Name; empty for all together.
        first, second: The treatments.
        first_wins, ties, second_wins: Answers.
        p: Sign test, two-sided and exact, without the ties; 1 where all are ties.
        resampled: Interval of `share` over readers and pairs, for all together; NaN for one reader.
        left_chosen: Share of the image shown first among the answers that are no ties; NaN without one.
    """

    reader: str
    first: str
    second: str
    first_wins: int
    ties: int
    second_wins: int
    p: float
    resampled: Interval
    left_chosen: float

    @property
    def share(self) -> float:
        """Share of answers for the first treatment, a tie counting half."""
        asked = self.first_wins + self.ties + self.second_wins
        return (self.first_wins + self.ties / 2) / asked if asked else np.nan


def forced_choices(ratings: Sequence[Rating], secret: str, seed: int) -> tuple[ForcedChoice, ...]:
    """One result for each reader, in alphabetical order, and the last one for all together.

    Args:
        ratings: Of one question of the kind `forced_choice`; second readings are left out.
        secret: Nonce of the key, for the lots.
        seed: Of the resampling.

    Raises:
        StudyError: If there are no answers, or a pair does not have one real and one synthetic image.
    """
    for one in ratings:
        _check_pair(one)
    chosen = table(ratings)
    first_is_synthetic = {one.item: one.synthetic for one in ratings}
    index = np.array([0.0 if first_is_synthetic[item] else 1.0 for item in chosen.items])
    right = replace(chosen, values=np.where(np.isfinite(chosen.values), chosen.values == index, np.nan))
    question, rows = ratings[0].question, range(len(chosen.readers))
    each = [_forced(chosen, right, [row], sealed_lot(secret, question, chosen.readers[row])) for row in rows]
    pooled = _forced(chosen, right, list(rows), sealed_lot(secret, question, POOLED))
    weights = draw(len(chosen.readers), chosen.subjects, np.zeros(chosen.subjects.max() + 1, np.intp), seed)
    return (*each, replace(pooled, reader=POOLED, resampled=mean_interval(right.values, weights)))


def preferences(ratings: Sequence[Rating], seed: int) -> tuple[Preference, ...]:
    """For each two treatments that met: one result for each reader, and one for all together.

    Args:
        ratings: Of one question of the kind `preference`; second readings are left out.
        seed: Of the resampling.

    Raises:
        StudyError: If there are no answers.
    """
    kept = [one for one in ratings if one.repeat == 0]
    if not kept:
        msg = "There are no answers to this question; let a reader answer first (`medtranslate study run`)."
        raise StudyError(msg)
    order = treatments(kept)
    found: list[Preference] = []
    for number, first in enumerate(order):
        for second in order[number:]:
            met = [one for one in kept if {one.treatment, one.second_treatment} == {first, second}]
            readers = sorted({one.reader for one in met})
            found += [_preference([one for one in met if one.reader == name], name, first, second) for name in readers]
            if met:
                found.append(replace(_preference(met, POOLED, first, second), resampled=_resampled(met, first, seed)))
    return tuple(found)


def _check_pair(one: Rating) -> None:
    if one.second_treatment is None or one.synthetic == (one.second_treatment != REAL):
        msg = (
            f"Pair {one.case!r} shows {one.treatment!r} and {one.second_treatment!r}; a forced choice needs "
            "one real and one synthetic image."
        )
        raise StudyError(msg)


def _forced(chosen: Table, right: Table, rows: list[int], lot: float) -> ForcedChoice:
    known = np.isfinite(chosen.values[rows])
    hits, asked = int(np.nansum(right.values[rows])), int(known.sum())
    first = float((chosen.values[rows][known] == 0).mean()) if asked else np.nan
    unknown = Interval(np.nan, np.nan)
    return ForcedChoice(
        chosen.readers[rows[0]], proportion(hits, asked), binomial_test(hits, asked, lot), first, unknown
    )


def _for_first(one: Rating, first: str) -> float:
    """1 where the treatment won, 0 where the other did, 0.5 for no difference; of equal ones the first shown."""
    return 1 - one.number if one.treatment == first else one.number


def _preference(ratings: Sequence[Rating], reader: str, first: str, second: str) -> Preference:
    points = np.array([_for_first(one, first) for one in ratings])
    shown_first = np.array([one.number for one in ratings if one.number != NO_DIFFERENCE]) == 0
    wins, losses = int((points == 1).sum()), int((points == 0).sum())
    p = float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0
    left = float(shown_first.mean()) if len(shown_first) else np.nan
    ties = len(points) - wins - losses
    return Preference(reader, first, second, wins, ties, losses, p, Interval(np.nan, np.nan), left)


def _resampled(ratings: Sequence[Rating], first: str, seed: int) -> Interval:
    points = table([replace(one, value=_for_first(one, first)) for one in ratings])
    weights = draw(len(points.readers), points.subjects, np.zeros(points.subjects.max() + 1, np.intp), seed)
    return mean_interval(points.values, weights)
