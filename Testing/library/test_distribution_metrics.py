"""Distances of two sets equal closed forms and a second computation, also for sets smaller than their features."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.linalg import sqrtm

from MedTranslateLib.core.errors import InvalidVolumeError
from MedTranslateLib.metrics.distribution import (
    bhattacharyya_distance,
    frechet_distance,
    simplified_frechet_distance,
)


def features(count: int, size: int, seed: int) -> np.ndarray:
    """Correlated, off the origin, of different spreads."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, size)) @ rng.normal(size=(size, size)) + rng.normal(size=size)


def by_matrix_root(first: np.ndarray, second: np.ndarray) -> float:
    """The formula of Heusel et al. 2017 as it stands, with scipy's matrix square root."""
    one, other = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    root = np.real(sqrtm(one @ other))
    return float(np.square(first.mean(0) - second.mean(0)).sum() + np.trace(one + other - 2 * root))


def with_moments(mean: list[float], covariance: np.ndarray) -> np.ndarray:
    """Eight points that have exactly this mean and this covariance (ddof 1)."""
    rng = np.random.default_rng(3)
    points = rng.normal(size=(8, len(mean)))
    points -= points.mean(0)
    white = points @ np.linalg.inv(np.linalg.cholesky(np.cov(points, rowvar=False))).T
    return white @ np.linalg.cholesky(covariance).T + mean


def test_the_frechet_distance_is_the_formula_with_a_matrix_root():
    first, second = features(60, 5, 0), features(45, 5, 1)
    assert frechet_distance(first, second) == pytest.approx(by_matrix_root(first, second), rel=1e-6)


def test_the_frechet_distance_of_gaussians_that_commute_is_known_in_closed_form():
    turn = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))[0]
    first = with_moments([0.0, 1.0, 2.0], turn @ np.diag([1.0, 4.0, 9.0]) @ turn.T)
    second = with_moments([2.0, 1.0, 5.0], turn @ np.diag([16.0, 1.0, 4.0]) @ turn.T)
    # |(2, 0, 3)|^2 + (1 - 4)^2 + (2 - 1)^2 + (3 - 2)^2
    assert frechet_distance(first, second) == pytest.approx(13 + 9 + 1 + 1)


def test_sets_smaller_than_their_features_are_measured_exactly():
    """Each set lies on one line of 50 dimensions; the lines are at right angles, then the same."""
    line, across = np.zeros((3, 50)), np.zeros((4, 50))
    line[:, 7] = [-2.0, 0.0, 2.0]  # variance 4
    across[:, 30] = [-3.0, -3.0, 3.0, 3.0]  # variance 12
    assert frechet_distance(line, across) == pytest.approx(4 + 12)
    assert frechet_distance(line, 3 * line + 1) == pytest.approx(50 + (6 - 2) ** 2)
    assert frechet_distance(across, across) == pytest.approx(0.0, abs=1e-9)


def test_few_samples_of_many_features_agree_with_the_reduced_problem():
    """All points of both sets lie in six dimensions of 200; there the plain formula can be used."""
    first, second = features(9, 6, 5), features(8, 6, 6)
    into = np.linalg.qr(np.random.default_rng(7).normal(size=(200, 6)))[0].T
    assert frechet_distance(first @ into, second @ into) == pytest.approx(by_matrix_root(first, second), rel=1e-6)


def test_the_simplified_distance_leaves_out_what_features_share():
    first = with_moments([0.0, 1.0], np.array([[4.0, 1.5], [1.5, 1.0]]))
    second = with_moments([3.0, 1.0], np.array([[25.0, -4.0], [-4.0, 9.0]]))
    assert simplified_frechet_distance(first, second) == pytest.approx(9 + (2 - 5) ** 2 + (1 - 3) ** 2)
    assert simplified_frechet_distance(first, second) < frechet_distance(first, second)


def test_both_frechet_distances_agree_where_nothing_is_shared():
    first = with_moments([0.0, 1.0, 0.5], np.diag([4.0, 1.0, 0.25]))
    second = with_moments([3.0, 1.0, 2.0], np.diag([1.0, 9.0, 6.25]))
    assert simplified_frechet_distance(first, second) == pytest.approx(frechet_distance(first, second))


@pytest.mark.parametrize("distance", [frechet_distance, simplified_frechet_distance])
def test_a_set_of_one_has_no_covariance_and_bad_features_are_refused(distance):
    some = features(6, 4, 0)
    assert math.isnan(distance(some, some[:1]))
    with pytest.raises(InvalidVolumeError, match=r"\(6, 4\) and \(6, 3\)"):
        distance(some, some[:, 1:])
    some[2, 1] = np.nan
    with pytest.raises(InvalidVolumeError, match="not finite"):
        distance(features(6, 4, 1), some)


def test_the_bhattacharyya_distance_is_counted_by_hand():
    first = np.array([[0.1, 0.1, 0.1, 0.9]])  # shares 3/4 and 1/4
    second = np.array([[0.1, 0.9], [0.5, 0.5]])  # 1/4, 1/4 and 1/2 in a third bin
    expected = -math.log(math.sqrt(3 / 16) + math.sqrt(1 / 16))
    assert bhattacharyya_distance(first, second, bins=4) == pytest.approx(expected)
    assert bhattacharyya_distance(second, first, bins=4) == pytest.approx(expected)


def test_the_bhattacharyya_distance_of_normal_intensities_is_that_of_their_densities():
    rng = np.random.default_rng(8)
    first, second = rng.normal(0.4, 0.05, 400_000), rng.normal(0.5, 0.08, 400_000)
    variances = 0.05**2 + 0.08**2  # Kailath 1967: (m1 - m2)^2 / (4 (v1 + v2)) + ln((v1 + v2) / (2 s1 s2)) / 2
    expected = 0.1**2 / (4 * variances) + 0.5 * math.log(variances / (2 * 0.05 * 0.08))
    assert bhattacharyya_distance(first, second) == pytest.approx(expected, rel=0.01)


def test_equal_histograms_have_no_distance_and_disjoint_ones_an_infinite_one():
    values = np.random.default_rng(9).random((3, 8, 9))
    assert bhattacharyya_distance(values, values[::-1]) == pytest.approx(0.0, abs=1e-12)
    assert bhattacharyya_distance(values * 0.4, 0.5 + values * 0.4) == math.inf
    assert math.isnan(bhattacharyya_distance(values, values[:0]))
    with pytest.raises(InvalidVolumeError, match="not finite"):
        bhattacharyya_distance(values, np.array([0.5, np.inf]))


def test_values_beyond_the_range_count_in_the_outermost_bins():
    assert bhattacharyya_distance(np.array([-0.2, 1.3]), np.array([0.0, 1.0])) == pytest.approx(0.0, abs=1e-12)
