"""Shares, tests against guessing and the sealed lot agree with published numbers, R, and sums made by hand."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from MedTranslateLib.core.errors import StudyError
from MedTranslateLib.studies.accuracy import (
    TruthTable,
    binomial_test,
    exact_rate,
    independence_test,
    proportion,
    right_answers,
    sealed_lot,
)


def tail(n: int, least: int) -> float:
    """Probability of at least so many heads in n tosses, by counting."""
    return sum(math.comb(n, k) for k in range(least, n + 1)) / 2**n


def test_the_interval_of_a_share_is_that_of_clopper_and_pearson():
    # R 4.2.2: binom.test(4, 10)$conf.int and binom.test(0, 20)$conf.int
    assert proportion(4, 10).interval.low == pytest.approx(0.1215523, abs=1e-6)
    assert proportion(4, 10).interval.high == pytest.approx(0.7376219, abs=1e-6)
    # No success in n: 1 - (alpha/2)^(1/n), in closed form.
    assert proportion(0, 20).interval.low == 0
    assert proportion(0, 20).interval.high == pytest.approx(1 - 0.025 ** (1 / 20), abs=1e-12)


def test_the_exact_p_value_adds_everything_as_far_from_half_as_what_was_seen():
    found = binomial_test(15, 20, lot=0.25)
    beyond, itself = 2 * tail(20, 16), 2 * (tail(20, 15) - tail(20, 16))
    assert found.exact == pytest.approx(beyond + itself, rel=1e-12)
    assert found.mid == pytest.approx(beyond + itself / 2, rel=1e-12)
    assert found.lot == pytest.approx(beyond + itself / 4, rel=1e-12)


def test_exactly_half_right_counts_as_no_evidence_at_all():
    found = binomial_test(10, 20, lot=1.0)
    assert found.exact == found.lot == 1.0
    assert found.mid == pytest.approx(1 - math.comb(20, 10) / 2**21, rel=1e-12)


@pytest.mark.parametrize(("asked", "least_right"), [(10, 9), (20, 15), (40, 27)])
def test_the_rate_of_the_exact_test_is_that_of_its_own_critical_values(asked, least_right):
    assert 2 * tail(asked, least_right) <= 0.05 < 2 * tail(asked, least_right - 1)
    assert exact_rate(asked) == pytest.approx(2 * tail(asked, least_right), rel=1e-12)


@pytest.mark.parametrize("asked", [6, 10, 19, 20, 40, 101])
def test_over_all_lots_the_test_accuses_five_percent_of_those_who_guess(asked):
    # The share of lots below which p <= 0.05 follows from the two ends of p; summed over outcomes it must be 0.05.
    rate = 0.0
    for right in range(asked + 1):
        least, most = binomial_test(right, asked, 0.0).lot, binomial_test(right, asked, 1.0).lot
        chance_of_rejection = min(max((0.05 - least) / (most - least), 0.0), 1.0)
        rate += math.comb(asked, right) / 2**asked * chance_of_rejection
    assert rate == pytest.approx(0.05, abs=1e-9)


def test_fishers_test_agrees_with_r():
    # R 4.2.2: fisher.test(matrix(c(3, 1, 1, 3), 2))$p.value, the lady tasting tea, and c(10, 2, 3, 15)
    assert independence_test(TruthTable(3, 4, 3, 4)).exact == pytest.approx(0.4857143, abs=1e-7)
    assert independence_test(TruthTable(10, 12, 15, 18)).exact == pytest.approx(0.0005367241, abs=1e-9)


def test_a_reader_who_always_says_real_is_never_told_from_a_guesser():
    # 14 real and 6 synthetic images: 70 % right without looking.
    found = independence_test(TruthTable(14, 14, 0, 6))
    assert found.exact == 1.0
    assert not found.significant


def test_balance_is_about_the_images_and_not_about_the_answers():
    assert TruthTable(2, 10, 9, 10).balanced
    assert not TruthTable(9, 11, 9, 10).balanced


def test_answers_are_counted_on_the_right_side():
    found = right_answers([False, False, False, True, True], [False, True, True, True, False])
    assert found == TruthTable(real_right=1, real_asked=3, synthetic_right=1, synthetic_asked=2)


def test_lots_are_fixed_by_secret_and_name_and_evenly_spread():
    lots = np.array([sealed_lot(f"secret {number}", "turing", "anna") for number in range(4000)])
    assert sealed_lot("a", "q", "r") == sealed_lot("a", "q", "r") != sealed_lot("a", "q", "s")
    assert sealed_lot("a", "qr", "s") != sealed_lot("a", "q", "rs")
    counts = np.histogram(lots, bins=10, range=(0, 1))[0]
    assert ((counts - 400) ** 2 / 400).sum() < 27.9  # chi-squared with 9 degrees of freedom, p = 0.001


def test_the_lot_decides_on_the_boundary_alone():
    decided = [binomial_test(right, 20, 0.5).lot_decided for right in range(21)]
    assert [right for right, by_lot in enumerate(decided) if by_lot] == [6, 14]
    assert binomial_test(14, 20, 0.1).significant
    assert not binomial_test(14, 20, 0.2).significant


def test_more_right_answers_never_look_more_like_guessing():
    p = [binomial_test(right, 30, 0.4).lot for right in range(15, 31)]
    assert all(later < earlier for earlier, later in pairwise(p))


@pytest.mark.parametrize(("right", "asked"), [(-1, 5), (6, 5)])
def test_impossible_counts_are_refused(right, asked):
    with pytest.raises(StudyError, match="expected a number from 0 to 5"):
        proportion(right, asked)


def test_nothing_asked_gives_no_figure():
    found = proportion(0, 0)
    assert np.isnan(found.share)
    assert np.isnan([found.interval.low, found.interval.high]).all()
