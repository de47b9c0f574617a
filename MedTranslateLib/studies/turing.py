"""Ratings of a Turing test in; how often each reader told real from synthetic, and whether that is guessing, out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from MedTranslateLib.core.errors import StudyError
from MedTranslateLib.metrics.statistics import Interval
from MedTranslateLib.studies.accuracy import (
    ChanceTest,
    Proportion,
    TruthTable,
    binomial_test,
    independence_test,
    proportion,
    right_answers,
    sealed_lot,
)
from MedTranslateLib.studies.ratings import Rating, Table, table
from MedTranslateLib.studies.resampling import Weights, draw, mean_interval, quantiles, resampled_means, strata_of
from MedTranslateLib.studies.study import REAL

POOLED = ""
"""The name of all readers together."""
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ReaderAccuracy:
    """How often one reader, or all together, were right.

    Args:
        reader: Name; empty for all together.
        counts: Right answers to real and to synthetic images.
        share: All right answers, with the exact interval.
        against_chance: Binomial test against one half; None where real and synthetic images are not equally many, as
            then guessing is not right half of the time.
        leaning_free: Fisher's test, which holds whatever answer the reader leans to.
        by_treatment: Right answers to the images of each treatment.
        resampled: Interval of the share over readers and cases, for all together; NaN for one reader.
        resampled_discrimination: The same of `discrimination`.
    """

    reader: str
    counts: TruthTable
    share: Proportion
    against_chance: ChanceTest | None
    leaning_free: ChanceTest
    by_treatment: dict[str, Proportion]
    resampled: Interval
    resampled_discrimination: Interval

    @property
    def discrimination(self) -> float:
        """Share of synthetic images judged synthetic minus that of real ones judged so: 0 is guessing."""
        counts = self.counts
        if not counts.real_asked or not counts.synthetic_asked:
            return np.nan
        return counts.synthetic_right / counts.synthetic_asked + counts.real_right / counts.real_asked - 1

    @property
    def test(self) -> ChanceTest:
        """The test that decides: against one half where that is what guessing gives, else Fisher's."""
        return self.against_chance or self.leaning_free


def turing_accuracy(ratings: Sequence[Rating], secret: str, seed: int) -> tuple[ReaderAccuracy, ...]:
    """One result for each reader, in alphabetical order, and the last one for all together.

    Args:
        ratings: Of one question of the kind `turing`; second readings are left out.
        secret: Nonce of the key, for the lots.
        seed: Of the resampling.

    Raises:
        StudyError: If there are no answers, or only real or only synthetic images.
    """
    answers = table(ratings)
    synthetic = np.array([name != REAL for name in answers.treatments])
    if synthetic.all() or not synthetic.any():
        msg = f"All images of the Turing test are {'synthetic' if synthetic.any() else 'real'}; it needs both."
        raise StudyError(msg)
    question = ratings[0].question
    each = [
        _accuracy(
            replace(answers, readers=(reader,), values=answers.values[[row]]), sealed_lot(secret, question, reader)
        )
        for row, reader in enumerate(answers.readers)
    ]
    lot = sealed_lot(secret, question, POOLED)
    weights = draw(len(answers.readers), answers.subjects, strata_of(synthetic.tolist(), answers.subjects), seed)
    hits = np.where(np.isfinite(answers.values), (answers.values == 1) == synthetic, np.nan)
    together = replace(
        _accuracy(answers, lot),
        reader=POOLED,
        resampled=mean_interval(hits, weights),
        resampled_discrimination=quantiles(_means(hits, weights, synthetic) + _means(hits, weights, ~synthetic) - 1),
    )
    return (*each, together)


def _accuracy(answers: Table, lot: float) -> ReaderAccuracy:
    """Of all readers of the table, under the name of the first."""
    known, names = np.isfinite(answers.values), np.array(answers.treatments)
    truth = np.broadcast_to(names != REAL, known.shape)
    hits = ((answers.values == 1) == truth) & known
    counts = right_answers(truth[known].tolist(), (answers.values[known] == 1).tolist())
    right, asked = int(hits.sum()), int(known.sum())
    by_treatment = {
        name: proportion(int(hits[:, names == name].sum()), int(known[:, names == name].sum()))
        for name in sorted(set(answers.treatments), key=lambda name: (name != REAL, name))
    }
    against_chance = binomial_test(right, asked, lot) if counts.balanced else None
    share, nothing = proportion(right, asked), Interval(np.nan, np.nan)
    return ReaderAccuracy(
        answers.readers[0], counts, share, against_chance, independence_test(counts), by_treatment, nothing, nothing
    )


def _means(hits: FloatArray, weights: Weights, columns: npt.NDArray[np.bool_]) -> FloatArray:
    """Resampled shares of right answers to some of the images."""
    return resampled_means(hits[:, columns], Weights(weights.readers, weights.columns[:, columns]))
