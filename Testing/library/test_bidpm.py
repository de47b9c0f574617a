"""Bi-DPM takes the steps of Algorithm 2, is trained on Eq. 6 to 9, and learns a map whose answer is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.methods.bidpm import BiDpm, BiDpmOptions
from MedTranslateLib.methods.catalogue import build_method
from MedTranslateLib.methods.contract import Direction, SliceBatch, TrainingBatch
from MedTranslateLib.methods.distances import maximum_mean_discrepancy
from MedTranslateLib.methods.slice_noise import SliceNoise

ALL_PAIRED = torch.ones(4, dtype=torch.bool)


class TimeVelocity(nn.Module):
    """u(x, t) = 2t: its integral is known, and a wrong time grid shows."""

    def forward(self, image: Tensor, time: Tensor) -> Tensor:
        return torch.ones_like(image) * 2 * time.view(-1, 1, 1, 1).to(image)


def with_velocity(velocity: nn.Module, steps: int) -> BiDpm:
    method = BiDpm(BiDpmOptions(steps=steps, channels=(16, 16)))
    method.velocity = velocity
    return method


def ignore(_done: int, _total: int) -> None:
    pass


class LeftHalfVelocity(nn.Module):
    """Adds 0.4 to the left half of a picture only."""

    def forward(self, image: Tensor, time: Tensor) -> Tensor:
        velocity = torch.zeros_like(image)
        velocity[..., : image.shape[-1] // 2] = 0.4
        return velocity


def no_chance() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def no_noise() -> SliceNoise:
    return SliceNoise.alike(no_chance(), 1)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_forward_steps_are_the_left_riemann_sum_and_reverse_steps_the_right_one(steps):
    source = torch.tensor([[[[0.0, 2.0], [5.0, -1.0]]]], dtype=torch.float64)
    method = with_velocity(TimeVelocity(), steps)
    there = method.translate(SliceBatch(source), Direction.FORWARD, steps, no_noise(), ignore)
    torch.testing.assert_close(there, source + (1 - 1 / steps))  # sum of 2(k/N)(1/N), k = 0..N-1
    back = method.translate(SliceBatch(source), Direction.REVERSE, steps, no_noise(), ignore)
    torch.testing.assert_close(back, source - (1 + 1 / steps))  # sum of 2(k/N)(1/N), k = 1..N


def test_progress_counts_every_network_evaluation():
    told = []
    method = with_velocity(TimeVelocity(), 3)
    method.translate(SliceBatch(torch.zeros(1, 1, 2, 2)), Direction.FORWARD, 3, no_noise(), lambda *a: told.append(a))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_mirror_averaging_treats_left_and_right_alike():
    method = BiDpm(BiDpmOptions(channels=(16, 16), mirror=True))
    method.velocity = LeftHalfVelocity()
    source = torch.tensor([[[[0.1, 0.2, 0.3, 0.9]]]])
    told = []
    made = method.translate(SliceBatch(source), Direction.FORWARD, 1, no_noise(), lambda *a: told.append(a))
    # left half: (x + 0.4 + x) / 2; the right half of the picture is the left half of its mirror image, 1.3 is cut to 1
    torch.testing.assert_close(made, torch.tensor([[[[0.3, 0.4, 0.5, 0.95]]]]))
    assert len(told) == 2


class ConstantVelocity(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, image: Tensor, time: Tensor) -> Tensor:
        return torch.full_like(image, self.value)


def squared(first: Tensor, second: Tensor) -> Tensor:
    return (first - second).square().mean()


@pytest.mark.parametrize(("steps", "weights"), [(1, [1, 1]), (2, [1, 0.5, 1]), (4, [1, 0.5, 0.5, 0.5, 1])])
def test_the_paired_loss_weighs_both_ends_with_one_and_what_lies_between_with_a_half(steps, weights):
    # u = 3, x = 0, z = 5: forward states 3n/N, backward states 5 - 3(1 - n/N): they differ by 2 at every n
    batch = TrainingBatch(torch.zeros(4, 1, 8, 8), torch.full((4, 1, 8, 8), 5.0), ALL_PAIRED)
    loss = with_velocity(ConstantVelocity(3.0), steps).training_loss(batch, squared, no_chance())
    assert loss.total.item() == pytest.approx(4 * sum(weights), rel=1e-5)
    assert loss.parts["unpaired"] == 0


def test_the_true_velocity_has_no_paired_loss():
    batch = TrainingBatch(torch.zeros(4, 1, 8, 8), torch.full((4, 1, 8, 8), 5.0), ALL_PAIRED)
    assert with_velocity(ConstantVelocity(5.0), 2).training_loss(batch, squared, no_chance()).total.item() < 1e-10


def test_unpaired_rows_enter_by_mmd_with_the_weight_of_equation_9():
    source = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    batch = TrainingBatch(source, source + 5, torch.tensor([True, True, False, False]))
    method = with_velocity(ConstantVelocity(1.0), 1)
    loss = method.training_loss(batch, squared, no_chance())
    assert loss.parts["paired"] == pytest.approx(2 * 16, rel=1e-4)
    # by hand from Eq. 8: unpaired rows of one side against all rows of the other, both ways, at n = 0 and n = 1
    expected = 0.0
    for f, b in ((source, source + 4), (source + 1, source + 5)):
        expected += (maximum_mean_discrepancy(f[2:], b) + maximum_mean_discrepancy(f, b[2:])).item() / 2
    assert loss.total.item() == pytest.approx(32 + 0.2 * expected, rel=1e-4)


def test_the_loss_reaches_every_layer_of_the_network():
    method = build_method("bidpm", {"channels": [16, 16]})
    for parameter in method.parameters():  # the last layer starts at zero, which would stop the gradient there
        torch.nn.init.normal_(parameter, std=0.1, generator=no_chance())
    batch = TrainingBatch(torch.rand(2, 1, 16, 16), torch.rand(2, 1, 16, 16), torch.ones(2, dtype=torch.bool))
    method.training_loss(batch, squared, no_chance()).total.backward()
    gradients = [parameter.grad for parameter in method.parameters() if parameter.requires_grad]
    assert all(g is not None and bool(g.any()) for g in gradients)


class Affine(nn.Module):
    """A velocity with two parameters a side, so that a fit has a known answer."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.zeros(2))
        self.end = nn.Parameter(torch.zeros(2))

    def forward(self, image: Tensor, time: Tensor) -> Tensor:
        t = time.view(-1, 1, 1, 1)
        scale = self.start[0] * (1 - t) + self.end[0] * t
        return scale * image + self.start[1] * (1 - t) + self.end[1] * t


def test_one_step_training_finds_a_known_intensity_map_and_its_inverse():
    # z = 0.5 - 0.8 x, so u(x, 0) = z - x = 0.5 - 1.8 x and u(z, 1) = z - x = 2.25 z - 0.625
    method = with_velocity(Affine(), 1)
    optimiser = torch.optim.Adam(method.velocity.parameters(), lr=0.1)
    generator = torch.Generator().manual_seed(2)
    for _ in range(300):
        source = torch.rand(8, 1, 4, 4, generator=generator) * 2 - 1
        batch = TrainingBatch(source, 0.5 - 0.8 * source, torch.ones(8, dtype=torch.bool))
        loss = method.training_loss(batch, squared, generator).total
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    torch.testing.assert_close(method.velocity.start.detach(), torch.tensor([-1.8, 0.5]), atol=0.02, rtol=0)
    torch.testing.assert_close(method.velocity.end.detach(), torch.tensor([2.25, -0.625]), atol=0.02, rtol=0)


@pytest.mark.parametrize("size", [(32, 32), (31, 45), (20, 33)])
def test_any_slice_size_comes_back_with_its_own_size(size):
    method = build_method("bidpm", {"channels": [16, 16, 16]}).eval()
    made = method.translate(SliceBatch(torch.rand(2, 1, *size)), Direction.FORWARD, 1, no_noise(), ignore)
    assert made.shape == (2, 1, *size)
    assert method.predicted_velocity(torch.rand(2, 1, *size)) is None


def test_slices_do_not_influence_each_other_within_a_batch():
    torch.manual_seed(0)
    method = build_method("bidpm", {"channels": [16, 16]}).eval()
    batch = torch.rand(3, 1, 16, 16)
    together = method.translate(SliceBatch(batch), Direction.FORWARD, 1, no_noise(), ignore)
    alone = method.translate(SliceBatch(batch[1:2]), Direction.FORWARD, 1, no_noise(), ignore)
    torch.testing.assert_close(together[1:2], alone, atol=1e-5, rtol=1e-5)


def test_an_unknown_option_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"Unknown key 'stepps' for BiDpmOptions; known are steps"):
        build_method("bidpm", {"stepps": 2})


def test_an_unknown_method_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"Unknown method 'magic'; known are bidpm, .*, sdedit"):
        build_method("magic", {})
