"""Areas, their intervals and differences agree with counting pairs, a published table, and closed forms."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from MedTranslateLib.core.errors import StudyError
from MedTranslateLib.studies.roc import area, curve, operating_point, paired_difference, placements

# Hanley and McNeil 1982 (Radiology 143), table I: CT ratings 1 to 5 of 58 normal and 51 abnormal patients.
NORMAL = np.repeat([1, 2, 3, 4, 5], [33, 6, 6, 11, 2])
ABNORMAL = np.repeat([1, 2, 3, 4, 5], [3, 2, 2, 11, 33])


def counted(negative, positive) -> float:
    """Mann-Whitney by counting all pairs."""
    wins = [(p > n) + 0.5 * (p == n) for p, n in itertools.product(positive, negative)]
    return sum(wins) / len(wins)


def jackknifed_structure(negative, positive) -> float:
    """DeLong's variance from the areas that each case alone has, by loops."""
    v10 = [counted(negative, [p]) for p in positive]
    v01 = [counted([n], positive) for n in negative]
    return np.var(v10, ddof=1) / len(v10) + np.var(v01, ddof=1) / len(v01)


def tied_ratings(seed: int, cases: int, shift: float) -> np.ndarray:
    return np.round(np.random.default_rng(seed).normal(50 + shift, 20, cases) / 10) * 10


def test_the_area_of_hanley_and_mcneils_patients_has_the_published_interval():
    found = area(NORMAL, ABNORMAL)
    # Stata Base Reference Manual, roctab, example 1: ROC area 0.8932, std. err. 0.0307, 95 % 0.83295 to 0.95339.
    assert found.auc == pytest.approx(0.8932, abs=5e-5)
    assert found.standard_error == pytest.approx(0.0307, abs=5e-5)
    assert found.plain_interval.low == pytest.approx(0.83295, abs=5e-6)
    assert found.plain_interval.high == pytest.approx(0.95339, abs=5e-6)
    assert (found.without_finding, found.with_finding) == (58, 51)


def test_the_logit_interval_is_the_plain_one_of_the_log_odds():
    found = area(NORMAL, ABNORMAL)
    odds = np.log(found.auc / (1 - found.auc))
    low, high = (np.log(p / (1 - p)) for p in (found.interval.low, found.interval.high))
    assert (low + high) / 2 == pytest.approx(odds, abs=1e-12)
    slope = 1 / (found.auc * (1 - found.auc))  # delta method
    assert (high - low) / 2 == pytest.approx(1.959964 * found.standard_error * slope, rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_area_and_variance_are_those_of_counting_pairs(seed):
    negative, positive = tied_ratings(seed, 17, 0), tied_ratings(seed + 100, 11, 15)
    found = area(negative, positive)
    assert found.auc == pytest.approx(counted(negative, positive), abs=1e-12)
    assert found.standard_error**2 == pytest.approx(jackknifed_structure(negative, positive), rel=1e-10)


def test_the_paired_difference_is_that_of_a_matrix_made_by_loops():
    negative = [tied_ratings(seed, 14, 0) for seed in (1, 2)]
    positive = [tied_ratings(seed, 9, shift) for seed, shift in ((3, 30), (4, 10))]
    negative[1] += negative[0] / 2  # read by the same reader: correlated
    positive[1] += positive[0] / 2
    v10 = [[counted(negative[i], [p]) for p in positive[i]] for i in (0, 1)]
    v01 = [[counted([n], positive[i]) for n in negative[i]] for i in (0, 1)]
    matrix = np.cov(v10) / 9 + np.cov(v01) / 14
    contrast = np.array([1, -1])
    found = paired_difference(*(placements(negative[i], positive[i]) for i in (0, 1)))
    assert found.difference == pytest.approx(np.mean(v10[0]) - np.mean(v10[1]), abs=1e-12)
    assert found.standard_error**2 == pytest.approx(contrast @ matrix @ contrast, rel=1e-10)
    z = abs(found.difference) / found.standard_error
    assert found.interval.high - found.interval.low == pytest.approx(2 * 1.959964 * found.standard_error, rel=1e-6)
    assert (found.p < 0.05) == (z > 1.959964)


def test_a_paired_comparison_agrees_with_another_program():
    first = placements([10, 20, 35, 5, 60, 40, 25, 15], [70, 45, 90, 30, 85, 65])
    second_ratings = [20, 30, 35, 55, 50, 40, 45, 10], [60, 35, 80, 50, 75, 20]
    found = paired_difference(first, placements(*second_ratings))
    # R, pROC 1.18.0: roc.test(a, b, paired = TRUE, method = "delong"), ci.auc(b)
    assert first.area == pytest.approx(0.916666666667, abs=1e-12)
    assert found.p == pytest.approx(0.277747094638, abs=1e-11)
    assert found.difference / found.standard_error == pytest.approx(1.085394212404, abs=1e-11)
    assert area(*second_ratings).plain_interval.low == pytest.approx(0.437587801918, abs=1e-11)


def test_a_treatment_does_not_differ_from_itself():
    placed = placements(NORMAL, ABNORMAL)
    found = paired_difference(placed, placed)
    assert (found.difference, found.p) == (0.0, 1.0)
    assert np.isnan(found.interval.low)


def test_perfect_order_has_an_area_of_one_and_claims_no_interval():
    found = area([1, 2, 3], [4, 5])
    assert found.auc == 1.0
    assert np.isnan([found.interval.low, found.interval.high, found.plain_interval.low]).all()


def test_one_case_with_a_finding_has_an_area_without_an_interval():
    found = area([1, 2, 6], [5])
    assert found.auc == pytest.approx(2 / 3)
    assert np.isnan(found.standard_error)
    assert np.isnan(found.interval.low)


def test_equal_ratings_everywhere_are_guessing():
    found = area([50] * 4, [50] * 6)
    assert found.auc == 0.5
    assert np.isnan(found.interval.low)


def test_the_curve_runs_from_nothing_to_everything_and_holds_the_area():
    negative, positive = tied_ratings(7, 13, 0), tied_ratings(8, 8, 25)
    found = curve(negative, positive)
    assert (found.sensitivity[0], found.specificity[0]) == (0, 1)
    assert (found.sensitivity[-1], found.specificity[-1]) == (1, 0)
    under = np.trapezoid(found.sensitivity, 1 - found.specificity)
    assert under == pytest.approx(counted(negative, positive), abs=1e-12)


def test_a_rating_on_the_threshold_counts_as_positive():
    found = operating_point([10, 50, 49], [50, 20, 90, 51], 50)
    assert (found.sensitivity.right, found.sensitivity.asked) == (3, 4)
    assert (found.specificity.right, found.specificity.asked) == (2, 3)


@pytest.mark.parametrize(("negative", "positive"), [([], [1.0]), ([1.0], [])])
def test_one_class_alone_is_refused_with_what_to_do(negative, positive):
    with pytest.raises(StudyError, match="state the truth of each case"):
        area(negative, positive)


def test_ratings_that_are_not_numbers_are_refused():
    with pytest.raises(StudyError, match="not a finite number"):
        area([1.0, np.nan], [2.0])


def test_different_cases_are_not_compared_as_if_they_were_the_same():
    with pytest.raises(StudyError, match="different numbers of cases"):
        paired_difference(placements([1, 2], [3, 4]), placements([1, 2, 3], [3, 4]))
