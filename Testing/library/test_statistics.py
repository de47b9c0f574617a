"""Intervals, paired tests and corrections equal what is counted by hand and what others have published."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.metrics.statistics import Interval, bootstrap_interval, holm, paired_test

# Darwin's maize, crossed minus self-fertilised (eighths of an inch), from The Effects of Cross and Self Fertilisation
# (1876); the documentation of scipy.stats.wilcoxon states the two-sided exact p of these differences.
MAIZE = [6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75]
MAIZE_P = 0.041259765625


def named(values):
    return {f"case {number}": float(value) for number, value in enumerate(values)}


def test_the_signed_rank_test_gives_the_published_p_of_darwins_maize():
    test = paired_test(named(MAIZE), named([0] * len(MAIZE)))
    assert test.p == pytest.approx(MAIZE_P, abs=1e-12)
    assert test.pairs == 15
    assert test.can_reach


def test_the_signed_rank_test_with_ties_counts_all_signs():
    differences = [1.0, 1.0, -1.0, 2.0, 3.0, 3.0, 4.0]
    ranks = [2, 2, 2, 4, 5.5, 5.5, 7]
    found = sum(rank for rank, value in zip(ranks, differences, strict=True) if value > 0)
    middle = sum(ranks) / 2
    sums = [
        sum(rank for rank, up in zip(ranks, signs, strict=True) if up)
        for signs in itertools.product([False, True], repeat=len(ranks))
    ]
    expected = np.mean([abs(total - middle) >= abs(found - middle) for total in sums])
    assert paired_test(named(differences), named([0] * 7)).p == pytest.approx(expected, abs=1e-12)


def test_the_smallest_p_is_two_over_two_to_the_number_of_pairs():
    five, six = (paired_test(named(range(1, n + 1)), named([0] * n)) for n in (5, 6))
    assert five.p == pytest.approx(2 / 2**5)
    assert not five.can_reach
    assert six.p == pytest.approx(2 / 2**6)
    assert six.can_reach


def test_only_patients_of_both_are_paired_and_nan_counts_as_absent():
    first = {"a": 1.0, "b": 5.0, "c": math.nan, "d": 2.0, "only here": 9.0}
    second = {"d": 0.0, "b": 1.0, "a": 2.0, "c": 0.0, "only there": 9.0}
    test = paired_test(first, second)
    assert test.pairs == 3
    assert test.p == pytest.approx(0.5)  # ranks 1, 2, 3 with the signs - + +: the sums 1 | 5; 4 of 8 are as far apart


def test_equal_figures_differ_by_chance_alone():
    infinite = named([math.inf, 0.25, 0.5])
    assert paired_test(infinite, infinite).p == 1.0
    assert not paired_test(infinite, infinite).can_reach


def test_pairs_that_are_equal_do_not_help_to_reach_a_small_p():
    test = paired_test(named([1, 2, 3, 4, 5, 0, 0]), named([0] * 7))
    assert test.pairs == 7
    assert test.p == pytest.approx(2 / 2**5)
    assert not test.can_reach


def test_without_a_common_patient_there_is_no_p():
    test = paired_test({"a": 1.0}, {"b": 1.0})
    assert test.pairs == 0
    assert math.isnan(test.p)


def test_holm_multiplies_by_what_is_left_and_never_falls():
    # By hand: 0.01 * 4; 0.02 * 3 = 0.06; 0.022 * 2 = 0.044, raised to 0.06; 0.9 * 1.
    assert holm([0.022, 0.9, 0.01, 0.02]) == pytest.approx([0.06, 0.9, 0.04, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_equals_r():
    # R 4: p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm"), the example of many textbooks.
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])


@pytest.mark.parametrize("wrong", [-0.01, 1.01, math.nan])
def test_holm_refuses_what_is_no_probability(wrong):
    with pytest.raises(ConfigError, match="from 0 to 1"):
        holm([0.5, wrong])


def test_the_interval_of_a_large_normal_sample_is_that_of_the_t_distribution():
    values = np.random.default_rng(3).normal(5.0, 2.0, 400)
    half = 1.9659 * values.std(ddof=1) / math.sqrt(400)  # t of 399 degrees of freedom, 97.5 %
    interval = bootstrap_interval(values, seed=1)
    assert interval.low == pytest.approx(values.mean() - half, abs=0.02)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.02)


def test_the_interval_of_a_skewed_sample_is_shifted_as_efrons_formula_says():
    values = np.array([0.1, 0.2, 0.2, 0.3, 0.4, 0.5, 0.9, 2.5, 4.0, 9.0])
    expected = bca_by_hand(values, seed=11)
    interval = bootstrap_interval(values, seed=5)
    assert interval.low == pytest.approx(expected[0], abs=0.06)
    assert interval.high == pytest.approx(expected[1], abs=0.2)
    percentiles = np.quantile(resampled_means(values, 11), [0.025, 0.975])
    assert interval.high > percentiles[1] + 0.5


def resampled_means(values, seed):
    chance = np.random.default_rng(seed)
    return values[chance.integers(len(values), size=(40000, len(values)))].mean(axis=1)


def bca_by_hand(values, seed):
    """Efron and Tibshirani, An Introduction to the Bootstrap (1993), equations 14.9, 14.10, 14.14 and 14.15."""
    from statistics import NormalDist

    normal, means = NormalDist(), resampled_means(values, seed)
    bias = normal.inv_cdf((np.mean(means < values.mean()) + np.mean(means <= values.mean())) / 2)
    left_out = np.array([np.delete(values, number).mean() for number in range(len(values))])
    away = left_out.mean() - left_out
    speed = (away**3).sum() / (6 * (away**2).sum() ** 1.5)
    shifted = [
        normal.cdf(bias + (bias + normal.inv_cdf(share)) / (1 - speed * (bias + normal.inv_cdf(share))))
        for share in (0.025, 0.975)
    ]
    return np.quantile(means, shifted)


def test_a_lower_level_gives_a_narrower_interval_by_the_ratio_of_the_normal_quantiles():
    values = np.random.default_rng(4).normal(0.0, 1.0, 300)
    wide, narrow = bootstrap_interval(values, 1), bootstrap_interval(values, 1, level=0.5)
    assert (narrow.high - narrow.low) / (wide.high - wide.low) == pytest.approx(0.6745 / 1.96, rel=0.05)


def test_equal_figures_have_an_interval_without_width():
    assert bootstrap_interval([0.5] * 5, seed=0) == Interval(0.5, 0.5)


def test_two_patients_have_no_interval_and_nan_is_no_patient():
    two = bootstrap_interval([0.1, math.nan, 0.9], seed=0)
    assert math.isnan(two.low)
    assert math.isnan(two.high)
    assert bootstrap_interval([0.1, 0.9, 0.4, math.nan], 0) == bootstrap_interval([0.1, 0.9, 0.4], 0)


def test_an_infinite_figure_has_no_interval():
    assert math.isnan(bootstrap_interval([1.0, 2.0, 3.0, math.inf], seed=0).high)


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(0).random(9)
    assert bootstrap_interval(values, 7) == bootstrap_interval(values, 7)
    assert bootstrap_interval(values, 7) != bootstrap_interval(values, 8)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_outside_of_0_to_1_is_refused(level):
    with pytest.raises(ConfigError, match="between 0 and 1"):
        bootstrap_interval([1.0, 2.0, 3.0], seed=0, level=level)
