"""The noise schedule is the paper's, a chain visits its levels, and slices share noise as they lie in the volume."""

from __future__ import annotations

import math

import pytest
import torch

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.methods.noise_schedule import NoiseSchedule
from MedTranslateLib.methods.slice_noise import SliceNoise


def gamma_by_hand(step: int) -> float:
    """The product of 1 - beta, beta rising evenly from 1e-6 to 1e-2 over 2000 steps."""
    return math.prod(1 - (1e-6 + (1e-2 - 1e-6) * k / 1999) for k in range(step))


@pytest.mark.parametrize("step", [0, 1, 700, 2000])
def test_gamma_is_the_product_of_the_alphas(step):
    assert float(NoiseSchedule.gammas()[step]) == pytest.approx(gamma_by_hand(step), rel=1e-9)


def test_almost_nothing_of_the_source_survives_the_whole_schedule():
    assert NoiseSchedule().surviving() == pytest.approx(math.exp(-10), rel=0.05)  # beta is 0.005 on average


@pytest.mark.parametrize("steps", [1, 7, 50])
def test_a_short_chain_ends_at_the_same_noise_and_its_alphas_multiply_to_gamma(steps):
    chain = NoiseSchedule().chain(steps)
    assert len(chain) == steps + 1
    assert float(chain[0]) == 1.0
    assert float(chain[-1]) == pytest.approx(gamma_by_hand(2000), rel=1e-9)
    alphas = chain[1:] / chain[:-1]
    assert float(alphas.prod()) == pytest.approx(gamma_by_hand(2000), rel=1e-9)
    assert (alphas < 1).all()


def test_less_strength_keeps_more_of_the_source():
    assert NoiseSchedule(0.5).surviving() == pytest.approx(gamma_by_hand(1000), rel=1e-9)
    with pytest.raises(ConfigError, match="strength"):
        NoiseSchedule(0.0)


def test_training_levels_lie_between_neighbouring_steps_and_cover_them():
    levels = NoiseSchedule().sample_levels(4000, torch.Generator().manual_seed(1))
    assert float(levels.min()) >= math.sqrt(gamma_by_hand(2000)) * (1 - 1e-6)
    assert float(levels.max()) <= 1.0
    below = (levels < math.sqrt(gamma_by_hand(1000))).float().mean()
    assert float(below) == pytest.approx(0.5, abs=0.03)  # half of the steps lie above the middle one


def draw(angles: torch.Tensor, seed: int = 2) -> torch.Tensor:
    return SliceNoise(torch.Generator().manual_seed(seed), angles).draw(torch.zeros(len(angles), 1, 120, 130))


def test_noise_is_standard_normal_in_every_slice_and_neighbours_are_alike():
    angles = torch.tensor([0.0, 0.3, 1.2, 40.0])
    noise = draw(angles)
    for one in noise:
        assert float(one.mean()) == pytest.approx(0, abs=0.03)
        assert float(one.std()) == pytest.approx(1, abs=0.03)
    for a, b in ((0, 1), (0, 2), (1, 3)):
        expected = math.cos(float(angles[b] - angles[a]))
        assert float((noise[a] * noise[b]).mean()) == pytest.approx(expected, abs=0.04)


def test_the_noise_of_a_slice_does_not_depend_on_its_batch():
    angles = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0])
    torch.testing.assert_close(draw(angles)[3:], draw(angles[3:]))
