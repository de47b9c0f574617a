"""The training distances against second implementations and values worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.methods.distances import (
    DistanceOptions,
    build_distance,
    feature_distance,
    maximum_mean_discrepancy,
    ms_ssim_distance,
)
from MedTranslateLib.methods.networks.squeezenet import SqueezeNetFeatures

SQUEEZENET = Path(__file__).parents[3] / "shared" / "weights" / "squeezenet1_0.npz"


def smooth_pair(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(4)
    one = np.cumsum(np.cumsum(rng.normal(size=(size, size)), 0), 1)
    one = 2 * (one - one.min()) / np.ptp(one) - 1
    other = np.clip(one + 0.1 * rng.normal(size=one.shape), -1, 1)
    return tuple(torch.from_numpy(a).float()[None, None] for a in (one, other))


def ssim_and_contrast(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Mean SSIM by scikit-image, and its contrast-structure part by the formula with the same window."""
    from scipy.ndimage import correlate

    line = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window = np.outer(line, line) / line.sum() ** 2
    inner = (slice(5, -5),) * 2
    mean = [correlate(a, window)[inner] for a in (one, other)]
    var = [correlate(a * a, window)[inner] - m * m for a, m in zip((one, other), mean, strict=True)]
    cov = correlate(one * other, window)[inner] - mean[0] * mean[1]
    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
    contrast = (2 * cov + c2) / (var[0] + var[1] + c2)
    luminance = (2 * mean[0] * mean[1] + c1) / (mean[0] ** 2 + mean[1] ** 2 + c1)
    return float((contrast * luminance).mean()), float(contrast.mean())


def test_the_reference_formula_agrees_with_scikit_image():
    one, other = (a[0, 0].double().numpy() for a in smooth_pair(64))
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 2.0}
    _, full = structural_similarity(one, other, full=True, **options)
    assert ssim_and_contrast(one, other)[0] == pytest.approx(full[5:-5, 5:-5].mean(), abs=1e-3)


def test_ms_ssim_is_the_product_of_scales_after_wang_2003():
    one, other = smooth_pair(64)  # 64 / 11 allows three scales: 64, 32, 16
    weights = np.array([0.0448, 0.2856, 0.3001]) / (0.0448 + 0.2856 + 0.3001)
    expected, a, b = 1.0, one, other
    for number, weight in enumerate(weights):
        ssim, contrast = ssim_and_contrast(a[0, 0].double().numpy(), b[0, 0].double().numpy())
        expected *= (ssim if number == 2 else contrast) ** weight
        a, b = torch.nn.functional.avg_pool2d(a, 2), torch.nn.functional.avg_pool2d(b, 2)
    assert ms_ssim_distance(one, other).item() == pytest.approx(1 - expected, abs=2e-3)


def test_ms_ssim_of_anticorrelated_slices_still_has_a_finite_gradient():
    one, _ = smooth_pair(48)
    other = (-one).clone().requires_grad_()
    ms_ssim_distance(one, other).backward()
    assert torch.isfinite(other.grad).all()


def test_mmd_of_a_set_with_itself_is_zero():
    samples = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    assert maximum_mean_discrepancy(samples, samples).item() == pytest.approx(0, abs=1e-6)


def test_mmd_of_two_points_is_what_equation_8_gives_by_hand():
    # one point each, squared distance 4, which is also the median: k(x,x) = 1, k(x,z) = mean exp(-1/f)
    value = maximum_mean_discrepancy(torch.zeros(1, 1), torch.full((1, 1), 2.0)).item()
    cross = sum(math.exp(-1 / f) for f in (0.25, 0.5, 1, 2, 4)) / 5
    assert value == pytest.approx(1 + 1 - 2 * cross, abs=1e-6)


def test_mmd_grows_as_two_sets_move_apart():
    samples = torch.randn(40, 2, generator=torch.Generator().manual_seed(1))
    other = torch.randn(40, 2, generator=torch.Generator().manual_seed(2))
    values = [maximum_mean_discrepancy(samples, other + shift).item() for shift in (0.0, 0.5, 1.5)]
    assert values[0] < values[1] < values[2]


def test_feature_distance_compares_directions_and_not_lengths():
    a = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)
    assert feature_distance([a], [7 * a]).item() == pytest.approx(0, abs=1e-12)
    # unit vectors at a right angle: squared difference 2
    assert feature_distance([a], [torch.tensor([-4.0, 3.0]).view(1, 2, 1, 1)]).item() == pytest.approx(2.0)


def test_the_sum_of_a_distance_is_weighted_as_configured():
    one, other = smooth_pair(48)
    total = build_distance(DistanceOptions("ms-ssim", 2.0, l1_weight=3.0), Path())(one, other)
    expected = 2 * ms_ssim_distance(one, other) + 3 * (one - other).abs().mean()
    torch.testing.assert_close(total, expected)


def test_squeezenet_without_a_file_says_what_to_do():
    with pytest.raises(ConfigError, match="needs perceptual_weights"):
        build_distance(DistanceOptions("squeezenet"), Path())
    with pytest.raises(ConfigError, match="do not exist"):
        build_distance(DistanceOptions("squeezenet", perceptual_weights="nowhere.npz"), Path())


def test_an_unknown_distance_lists_the_known_ones():
    with pytest.raises(ConfigError, match="lpips, squeezenet, ms-ssim"):
        DistanceOptions("l3")


@pytest.mark.skipif(not SQUEEZENET.is_file(), reason="SqueezeNet weights are not beside the project")
def test_squeezenet_tells_a_blurred_slice_from_a_shifted_intensity():
    features = SqueezeNetFeatures.from_file(SQUEEZENET)
    one, _ = smooth_pair(64)
    noisy = one + 0.2 * torch.randn(one.shape, generator=torch.Generator().manual_seed(3))
    assert feature_distance(features(one), features(one)).item() < 1e-6
    assert feature_distance(features(one), features(noisy)) > 2 * feature_distance(features(one), features(one + 0.02))
