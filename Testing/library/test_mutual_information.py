"""Normalised mutual information equals scikit-image's on whole bins, and its gradient equals finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.metrics import normalized_mutual_information

from MedTranslateLib.methods.mutual_information import joint_histogram, normalised_mutual_information

BINS = 8


def shades(seed: int, shape: tuple[int, ...] = (30, 41)) -> np.ndarray:
    """Whole bin numbers with structure: a unique mixture of position and chance."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return (rows * 3 + columns + np.random.default_rng(seed).integers(0, 6, shape)) // 7 % BINS


def as_slice(numbers: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(numbers / (BINS - 1) * 2 - 1)[None, None].double()


def test_on_whole_bins_it_is_that_of_scikit_image():
    first, second = shades(0), (shades(0) * 5 + shades(1)) % BINS
    expected = normalized_mutual_information(first, second, bins=BINS)
    got = normalised_mutual_information(as_slice(first), as_slice(second), BINS)
    assert float(got) == pytest.approx(expected, abs=1e-5)
    assert 1.0 < expected < 2.0


def test_images_that_determine_each_other_reach_two_whatever_their_shades():
    first = shades(2)
    other = np.array([5, 2, 7, 0, 3, 1, 6, 4])[first]
    assert float(normalised_mutual_information(as_slice(first), as_slice(other), BINS)) == pytest.approx(2, abs=1e-4)


def test_between_bins_a_pixel_is_shared_by_nearness():
    first = torch.tensor([[[[-1.0, 1.0]]]])
    second = torch.tensor([[[[-0.5, 1.0]]]])  # a quarter of the way over one bin of width 2
    expected = torch.tensor([[[0.375, 0.125], [0.0, 0.5]]])
    torch.testing.assert_close(joint_histogram(first, second, 2), expected)


def test_the_gradient_equals_finite_differences():
    generator = torch.Generator().manual_seed(5)
    moving = (torch.rand(1, 1, 5, 6, generator=generator, dtype=torch.float64) * 1.6 - 0.8).requires_grad_()
    fixed = torch.rand(1, 1, 5, 6, generator=generator, dtype=torch.float64) * 1.6 - 0.8
    value = normalised_mutual_information(moving, fixed, 6).sum()
    (gradient,) = torch.autograd.grad(value, moving)
    step = 1e-6
    for place in ((0, 0), (2, 3), (4, 5)):
        ends = []
        for sign in (1, -1):
            moved = moving.detach().clone()
            moved[0, 0, place[0], place[1]] += sign * step
            ends.append(float(normalised_mutual_information(moved, fixed, 6)))
        assert float(gradient[0, 0, place[0], place[1]]) == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-7)


def test_half_precision_around_it_does_not_change_it():
    first, second = as_slice(shades(0)).float(), as_slice(shades(3)).float()
    with torch.autocast("cpu", torch.bfloat16):
        inside = normalised_mutual_information(first, second)
    torch.testing.assert_close(inside, normalised_mutual_information(first, second))
