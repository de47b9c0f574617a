"""DDIB joins two models by their noise: between Gaussian modalities that is an affine map, and it comes back."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.methods.catalogue import build_method
from MedTranslateLib.methods.contract import Direction, SliceBatch, TrainingBatch
from MedTranslateLib.methods.ddib import Ddib, solve_ode
from MedTranslateLib.methods.slice_noise import SliceNoise

SMALL = {"channels": [16, 16]}
SOURCE, TARGET = (-0.4, 0.3), (0.2, 0.6)  # mean and standard deviation of the pixels of either modality


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pixels_of(mean: float, deviation: float) -> Tensor:
    """Slices whose pixels have exactly that mean and (n - 1) standard deviation."""
    drawn = torch.randn(4, 1, 32, 32, generator=chance(3), dtype=torch.float64)
    return (mean + deviation * (drawn - drawn.mean()) / drawn.std()).float()


def between_gaussians(**options: object) -> Ddib:
    """Untrained networks say exactly 0, and then each denoiser is the perfect one of Gaussian pixels."""
    method = build_method("ddib", {**SMALL, **options}).eval()
    assert isinstance(method, Ddib)
    method.measure(pixels_of(*SOURCE), pixels_of(*TARGET))
    return method


def walked(method: Ddib, images: Tensor, steps: int, direction: Direction = Direction.FORWARD) -> Tensor:
    noise = SliceNoise.alike(chance(), len(images))
    return method.translate(SliceBatch(images), direction, steps, noise, lambda _done, _total: None)


def ramp() -> Tensor:
    """Pixel values up to three deviations from the mean of the source."""
    return torch.linspace(-1.3, 0.5, 64).view(1, 1, 8, 8)


def test_both_sides_are_measured():
    method = build_method("ddib", SMALL)
    method.measure(torch.tensor([0.0, 1.0]).view(2, 1, 1, 1), torch.tensor([-1.0, 0.0, 0.4]).view(3, 1, 1, 1))
    assert float(method.source_model.mean) == pytest.approx(0.5)
    assert float(method.source_model.deviation) == pytest.approx(math.sqrt(0.5))
    assert float(method.target_model.mean) == pytest.approx(-0.2)
    assert float(method.target_model.deviation) == pytest.approx(math.sqrt((0.8**2 + 0.2**2 + 0.6**2) / 2))


@pytest.mark.parametrize("direction", list(Direction))
def test_between_gaussian_pixels_the_translation_is_the_affine_map_of_optimal_transport(direction):
    (m0, s0), (m1, s1) = (SOURCE, TARGET) if direction is Direction.FORWARD else (TARGET, SOURCE)
    method = between_gaussians(smallest_deviation=0.001, largest_deviation=200.0)
    images = m0 + s0 * torch.linspace(-3, 3, 64).view(1, 1, 8, 8)
    made = walked(method, images, 100, direction)
    torch.testing.assert_close(made, m1 + s1 / s0 * (images - m0), rtol=0, atol=0.01 * s1)


def exact(images: Tensor, smallest: float, largest: float) -> Tensor:
    """The same in closed form at any noise levels: an ODE keeps (x - m) / sqrt(s^2 + sigma^2), and a last denoising."""
    (m0, s0), (m1, s1) = SOURCE, TARGET
    code = m0 + (images - m0) * math.sqrt((s0**2 + largest**2) / (s0**2 + smallest**2))
    noisy = m1 + (code - m1) * math.sqrt((s1**2 + smallest**2) / (s1**2 + largest**2))
    return m1 + s1**2 / (s1**2 + smallest**2) * (noisy - m1)


class Counter(nn.Module):
    """A network that says 0 and counts how often it is asked."""

    asked = 0

    def forward(self, image: Tensor, time: Tensor, offset: tuple[int, int] = (0, 0)) -> Tensor:
        self.asked += 1
        return torch.zeros_like(image[:, :1])


def test_the_error_falls_fourfold_when_the_steps_double():
    method, images = between_gaussians(), ramp().double()
    method.source_model.network, method.target_model.network = Counter(), Counter()  # any type of number
    wanted = exact(images, 0.01, 20.0)
    errors = [float((walked(method, images, steps) - wanted).abs().max()) for steps in (80, 160, 320)]
    assert errors[0] < 0.001
    for coarse, fine in pairwise(errors):
        assert 3.3 < coarse / fine < 4.5  # two for a method of first order


def test_heun_takes_the_mean_of_the_slopes_at_both_ends():
    # dx / dsigma = 2 sigma: one step from 1 to 3 has slopes 2 and 6, mean 4; exact too, as for any straight slope
    told: list[int] = []
    made = solve_ode(torch.zeros(1, 1, 1, 1), [1.0, 3.0], lambda image, sigma: 2 * sigma + 0 * image, told.append)
    assert float(made) == pytest.approx(8.0)
    # dx / dsigma = x: 1 + h (1 + (1 + h)) / 2 with h = 0.5
    made = solve_ode(torch.ones(1, 1, 1, 1), [0.5, 1.0], lambda image, _sigma: image, told.append)
    assert float(made) == pytest.approx(1.625)
    assert told == [1, 1]


def test_there_and_back_again_is_where_it_started():
    method = between_gaussians()
    there = walked(method, ramp(), 50)
    assert float((there - ramp()).abs().max()) > 0.5
    torch.testing.assert_close(walked(method, there, 50, Direction.REVERSE), ramp(), rtol=0, atol=0.01)


def test_steps_are_counted_both_ways_and_cost_two_evaluations_each():
    method, told = between_gaussians(steps=3), []
    method.source_model.network, method.target_model.network = up, down = Counter(), Counter()
    noise = SliceNoise.alike(chance(), 1)
    method.translate(SliceBatch(ramp()), Direction.FORWARD, 3, noise, lambda *step: told.append(step))
    assert told == [(n, 6) for n in range(1, 7)]
    assert (up.asked, down.asked) == (6, 7)  # the last one takes away the noise that is left
    assert method.default_steps == 3
    assert 2000 in method.supported_steps
    assert 2001 not in method.supported_steps


def gradients(method: Ddib, source: Tensor, target: Tensor) -> dict[str, Tensor]:
    method.zero_grad()
    batch = TrainingBatch(source, target, torch.ones(len(source), dtype=torch.bool))
    method.training_loss(batch, torch.dist, chance(4)).total.backward()
    return {name: value.grad.clone() for name, value in method.named_parameters() if value.grad is not None}


def test_either_model_learns_from_its_own_modality_alone():
    method = between_gaussians()
    source, target = pixels_of(*SOURCE), pixels_of(*TARGET)
    before = gradients(method, source, target)
    for changed, same in (("source_model", "target_model"), ("target_model", "source_model")):
        sides = (source * 0.5, target) if changed == "source_model" else (source, target * 0.5)
        after = gradients(method, *sides)
        for name, value in after.items():
            assert not name.startswith(same) or torch.equal(value, before[name]), name
        moved = [name for name, value in after.items() if not torch.allclose(value, before[name])]
        assert moved
        assert all(name.startswith(changed) for name in moved)


def test_the_loss_is_the_sum_of_both_and_does_not_know_pairs():
    method, slices = between_gaussians(), (pixels_of(*SOURCE), pixels_of(*TARGET))
    paired, apart = (torch.full((4,), fill_value=truth) for truth in (True, False))
    loss = method.training_loss(TrainingBatch(*slices, paired), torch.dist, chance())
    total = float(loss.total.detach())
    assert total == pytest.approx(loss.parts["source"] + loss.parts["target"], rel=1e-5)
    # a network that says 0 is right about Gaussian pixels but for what cannot be known: a variance of 1 (EDM, Eq. 8)
    for part in loss.parts.values():
        assert part == pytest.approx(1.0, abs=0.1)
    assert method.training_loss(TrainingBatch(*slices, apart), torch.dist, chance()).total.item() == total


def test_what_was_measured_is_stored_with_the_weights():
    method = between_gaussians()
    other = build_method("ddib", SMALL)
    other.load_weights_of_use(method.weights_of_use())
    torch.testing.assert_close(walked(other.eval(), ramp(), 5), walked(method, ramp(), 5))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 0}, "whole number from 1 to 2000"),
        ({"smallest_deviation": 0.0}, "must rise from smallest over typical to largest"),
        ({"channels": [24]}, "multiples of 16"),
        ({"models": 2}, "Unknown key 'models' for DdibOptions"),
    ],
)
def test_wrong_options_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        build_method("ddib", options)
