"""Readers with known abilities are found to have them, as often as the intervals and tests promise."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from MedTranslateLib.studies.accuracy import binomial_test, sealed_lot

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "study_coverage.py"
NOMINAL = (0.93, 0.97)
SIMULATIONS = 1000


@pytest.fixture(scope="module")
def coverage():
    spec = importlib.util.spec_from_file_location("study_coverage", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    sys.modules["study_coverage"] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("items", [10, 20, 40, 100])
def test_ten_thousand_guessing_readers_are_accused_at_five_percent(items, coverage):
    found = coverage.false_positives(items, 10_000, seed=20 + items)
    assert 0.045 <= found["lot"] <= 0.055
    assert found["exact"] <= 0.05 + 3 * 0.0022  # it is conservative; 0.0022 is the standard error of a rate of 5 %


def test_the_rates_of_the_simulation_are_those_of_the_test_itself(coverage):
    # The same readers, asked one by one.
    right = np.random.default_rng(5).binomial(20, 0.5, 400)
    lots = [sealed_lot("secret 5", "turing", f"reader {number}") for number in range(400)]
    tests = [binomial_test(int(count), 20, lot) for count, lot in zip(right, lots, strict=True)]
    expected = coverage.false_positives(20, 400, seed=5)
    assert np.mean([one.significant for one in tests]) == expected["lot"]
    assert np.mean([one.exact <= 0.05 for one in tests]) == expected["exact"]


@pytest.mark.parametrize(("auc", "cases"), [(0.6, 30), (0.75, 50), (0.9, 100)])
def test_readers_with_a_known_area_are_recovered_at_the_nominal_rate(auc, cases, coverage):
    held = coverage.covered(auc, coverage.area_interval(auc, cases, cases), SIMULATIONS, seed=1)
    assert NOMINAL[0] <= held <= NOMINAL[1]


def test_a_known_difference_between_treatments_is_recovered_at_the_nominal_rate(coverage):
    held = coverage.covered(0.1, coverage.difference_interval(0.85, 0.75, 60), SIMULATIONS, seed=2)
    assert NOMINAL[0] <= held <= NOMINAL[1]


@pytest.mark.parametrize(("kappa", "raters"), [(0.3, 3), (0.6, 5)])
def test_readers_with_a_known_fleiss_kappa_are_recovered_at_the_nominal_rate(kappa, raters, coverage):
    shares = np.array([0.5, 0.3, 0.2])

    def simulate(rng):
        return coverage.fleiss_kappa(coverage.raters_with_kappa(kappa, shares, 100, raters, rng)).interval

    assert NOMINAL[0] <= coverage.covered(kappa, simulate, SIMULATIONS, seed=3) <= NOMINAL[1]


@pytest.mark.parametrize("kappa", [0.4, 0.7])
def test_readers_with_a_known_cohens_kappa_are_recovered_at_the_nominal_rate(kappa, coverage):
    def simulate(rng):
        return coverage.cohen_kappa(*coverage.raters_with_kappa(kappa, np.array([0.5, 0.5]), 150, 2, rng).T).interval

    assert NOMINAL[0] <= coverage.covered(kappa, simulate, SIMULATIONS, seed=4) <= NOMINAL[1]


def test_readers_with_known_iccs_are_recovered_at_the_nominal_rate(coverage):
    spread = (1.0, 0.5, 1.0)  # deviations of images, readers and answers

    def simulate(rng):
        return coverage.icc_2_1(coverage.graded(spread, 40, 6, rng)).interval

    assert NOMINAL[0] <= coverage.covered(1 / (1 + 0.25 + 1), simulate, SIMULATIONS, seed=5) <= NOMINAL[1]


@pytest.mark.slow
def test_the_interval_over_readers_and_cases_holds_its_level_where_readers_and_cases_differ(coverage):
    held = coverage.covered(0.5, coverage.answers_of_differing_readers, 600, seed=6)
    assert 0.91 <= held <= 0.98  # six readers: a percentile bootstrap may be a little narrow


@pytest.mark.slow
def test_the_interval_over_readers_and_cases_is_cautious_where_all_guess(coverage):
    assert coverage.covered(0.5, coverage.answers_of_guessers, 600, seed=7) >= 0.95
