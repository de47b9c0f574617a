"""Plasticine refines as Algorithm 1 says, its picture follows its field, and it is trained on Eq. 1, 6 and 7."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.methods.catalogue import build_method
from MedTranslateLib.methods.contract import Direction, SliceBatch, TrainingBatch
from MedTranslateLib.methods.deformation import STEEPEST, deformation_terms
from MedTranslateLib.methods.fields import compose, fade_at_border, integrate, jacobian_determinant, limit_slope
from MedTranslateLib.methods.noise_schedule import NoiseSchedule
from MedTranslateLib.methods.plasticine import Plasticine, PlasticineOptions
from MedTranslateLib.methods.slice_noise import SliceNoise

SMALL = {"channels": [16, 16], "velocity_channels": 8, "velocity_patch": 2, "velocity_levels": 2, "border_px": 4}
SAMPLERS = ["algorithm-1", "posterior", "deterministic"]


def ignore(_done: int, _total: int) -> None:
    pass


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def method_with(noise: nn.Module, **options: object) -> Plasticine:
    method = build_method("plasticine", {**SMALL, **options})
    assert isinstance(method, Plasticine)
    method.noise = noise
    return method.eval()


def translated(method: Plasticine, images: Tensor, steps: int, velocity: Tensor | None = None, seed: int = 0) -> Tensor:
    noise = SliceNoise(chance(seed), torch.arange(len(images)) * 10.0)
    return method.translate(SliceBatch(images, velocity), Direction.FORWARD, steps, noise, ignore)


class NoiseOfOneImage(nn.Module):
    """The perfect network where every target image is the same: it says exactly what noise was added to it."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.image = image

    def forward(self, seen: Tensor, level: Tensor, offset: tuple[int, int] = (0, 0)) -> Tensor:
        root = level.view(-1, 1, 1, 1)
        return (seen[:, :1] - root * self.image) / (1 - root.square()).sqrt()


class NoiseOfGaussianImages(nn.Module):
    """The perfect network where target pixels are independent, with mean 0 and a known spread."""

    def __init__(self, spread: float) -> None:
        super().__init__()
        self.spread = spread

    def forward(self, seen: Tensor, level: Tensor, offset: tuple[int, int] = (0, 0)) -> Tensor:
        gamma = level.square().view(-1, 1, 1, 1)
        return seen[:, :1] * (1 - gamma).sqrt() / (gamma * self.spread**2 + 1 - gamma)


class Condition(nn.Module):
    """Keeps what the network is shown as its condition, and finds no noise."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, seen: Tensor, level: Tensor, offset: tuple[int, int] = (0, 0)) -> Tensor:
        self.seen.append(seen.clone())
        return seen[:, :1] * 0


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 2, 13])
def test_with_a_perfect_network_the_only_target_image_comes_out(sampler, steps):
    wanted = torch.rand(1, 1, 8, 12, generator=chance()) * 1.6 - 0.8
    method = method_with(NoiseOfOneImage(wanted), sampler=sampler)
    made = translated(method, torch.rand(2, 1, 8, 12, generator=chance(1)), steps)
    torch.testing.assert_close(made, wanted.expand(2, -1, -1, -1), atol=2e-3, rtol=0)


@pytest.mark.parametrize(("sampler", "steps"), [("algorithm-1", 2000), ("posterior", 1000), ("deterministic", 200)])
def test_samples_of_a_known_distribution_have_its_spread(sampler, steps):
    method = method_with(NoiseOfGaussianImages(0.2), sampler=sampler)
    made = translated(method, torch.zeros(3, 1, 32, 32), steps)
    assert float(made.std()) == pytest.approx(0.2, rel=0.05)
    assert float(made.mean()) == pytest.approx(0.0, abs=0.01)


def test_few_steps_of_algorithm_1_as_printed_leave_noise_that_the_posterior_does_not():
    spreads = {}
    for sampler in ("algorithm-1", "posterior"):
        method = method_with(NoiseOfGaussianImages(0.2), sampler=sampler)
        spreads[sampler] = float(translated(method, torch.zeros(3, 1, 32, 32), 10).std())
    assert spreads["algorithm-1"] > 1.1 * spreads["posterior"]


def test_two_steps_of_algorithm_1_are_equation_5_by_hand():
    source = torch.full((1, 1, 4, 4), 0.3)
    method = method_with(NoiseOfGaussianImages(0.3), sampler="algorithm-1")
    made = translated(method, source, 2, seed=5)
    gamma = [1.0, *(float(NoiseSchedule.gammas()[k]) for k in (1000, 2000))]
    noise = SliceNoise(chance(5), torch.zeros(1))
    image = math.sqrt(gamma[2]) * source + math.sqrt(1 - gamma[2]) * noise.draw(source)
    for k in (2, 1):
        alpha = gamma[k] / gamma[k - 1]
        estimate = method.noise(image, torch.tensor([math.sqrt(gamma[k])]))
        mean = (image - (1 - alpha) / math.sqrt(1 - gamma[k]) * estimate) / math.sqrt(alpha)
        image = mean + (math.sqrt(1 - alpha) * noise.draw(source) if k > 1 else 0)
    torch.testing.assert_close(made, image, atol=1e-5, rtol=1e-4)


def test_the_network_is_shown_the_structure_of_the_source_carried_along_the_field():
    source = torch.full((1, 1, 24, 32), -0.9)
    source[..., 8:16, 12:20] = 0.7
    velocity = torch.zeros(1, 2, 24, 32)
    velocity[:, 0], velocity[:, 1] = 3.0, -5.0  # output (r, c) comes from source (r + 3, c - 5)
    watcher = Condition()
    translated(method_with(watcher), source, 2, velocity)
    for seen in watcher.seen:
        assert (seen[0, 1, 5:13, 17:25] == 1).all()
        assert int((seen[0, 1] == 1).sum()) == 64


def test_what_survives_of_the_source_is_the_surviving_share_of_its_contrast():
    method = method_with(NoiseOfGaussianImages(0.2), noise_strength=0.2)
    bright, dark = (translated(method, torch.full((1, 1, 8, 8), value), 1) for value in (0.5, -0.5))
    gamma = float(NoiseSchedule.gammas()[400])
    gain = gamma * 0.2**2 / (gamma * 0.2**2 + 1 - gamma)  # what the perfect network believes of one pixel
    torch.testing.assert_close(bright - dark, torch.full_like(bright, gain), atol=1e-4, rtol=1e-3)


def test_the_pixel_blocks_of_the_network_lie_elsewhere_at_every_step():
    class Offsets(Condition):
        def forward(self, seen: Tensor, level: Tensor, offset: tuple[int, int] = (0, 0)) -> Tensor:
            self.seen.append(torch.tensor(offset))
            return seen[:, :1] * 0

    watcher = Offsets()
    translated(method_with(watcher, patch=2), torch.zeros(1, 1, 8, 8), 5)
    assert [tuple(offset.tolist()) for offset in watcher.seen] == [(0, 0), (1, 0), (0, 1), (1, 1), (0, 0)]
    network = build_method("plasticine", SMALL).noise
    nn.init.normal_(network.unet.out[-1].conv.weight, std=0.5)
    picture, level = torch.rand(1, 2, 16, 24, generator=chance()), torch.tensor([0.5])
    moved = network(torch.roll(picture, (1, 1), (2, 3)), level)
    torch.testing.assert_close(network(picture, level, (1, 1)), torch.roll(moved, (-1, -1), (2, 3)))
    assert not torch.allclose(network(picture, level, (1, 1)), network(picture, level))


def test_progress_counts_every_network_evaluation():
    told = []
    method = method_with(NoiseOfGaussianImages(0.2))
    noise = SliceNoise.alike(chance(), 1)
    method.translate(SliceBatch(torch.zeros(1, 1, 8, 8)), Direction.FORWARD, 3, noise, lambda *a: told.append(a))
    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("size", [(32, 32), (29, 43)])
def test_the_velocity_is_at_rest_at_the_border_and_its_flow_can_be_inverted(size):
    torch.manual_seed(2)
    method = build_method("plasticine", SMALL).eval()
    nn.init.normal_(method.deformation.forward_head.weight, std=4.0)  # an untrained head says nearly nothing
    velocity = method.predicted_velocity(torch.rand(2, 1, *size, generator=chance()) * 2 - 1)
    assert velocity.shape == (2, 2, *size)
    assert velocity.abs().max() > 0.5
    for edge in (velocity[..., 0], velocity[..., -1], velocity[..., 0, :], velocity[..., -1, :]):
        assert (edge == 0).all()
    there, back = integrate(velocity), integrate(-velocity)
    assert min(jacobian_determinant(there).min(), jacobian_determinant(back).min()) > 0.2
    for one, other in ((there, back), (back, there)):
        round_trip = compose(one, other).norm(dim=1).flatten()
        assert float(round_trip.mean()) < 0.05
        assert float(round_trip.quantile(0.999)) < 0.3


@pytest.mark.parametrize("period", [12, 16, 24, 48])
def test_the_steepest_velocity_that_is_let_through_still_has_the_required_round_trip(period):
    """Waves that draw together from all sides: the worst that a slope limit allows."""
    places = torch.arange(96.0) * (2 * math.pi / period)
    waves = torch.stack([places.sin().view(-1, 1).expand(96, 96), places.sin().view(1, -1).expand(96, 96)])[None] * 99
    velocity = limit_slope(fade_at_border(waves, 12), STEEPEST)
    assert velocity.diff(dim=-1).abs().max() == pytest.approx(STEEPEST, rel=1e-3)
    there, back = integrate(velocity), integrate(-velocity)
    round_trip = compose(back, there).norm(dim=1).flatten()
    assert float(round_trip.mean()) <= 0.05
    assert float(round_trip.quantile(0.999)) <= 0.5
    assert min(jacobian_determinant(there).min(), jacobian_determinant(back).min()) > 0.9 * math.exp(-2 * STEEPEST)


def test_a_slice_of_air_stays_air_and_a_dark_body_does_not():
    air = torch.rand(1, 1, 16, 24, generator=chance(3)) * 0.08 - 1.0
    dark = air.clone()
    dark[..., 4:12, 6:18] += 0.3
    method = method_with(NoiseOfGaussianImages(0.2))
    made = translated(method, torch.cat([air, dark]), 3)
    assert (made[0] == -1).all()
    assert (made[1] > -1).any()
    structure = method._start(SliceBatch(torch.cat([air, dark])))[1]
    assert (structure[0] == -1).all()
    assert (structure[1, 0, 4:12, 6:18] == 1).float().mean() > 0.9


def test_the_record_of_a_run_says_how_much_of_the_source_survives():
    facts = build_method("plasticine", {**SMALL, "noise_strength": 0.5, "sampler": "deterministic"}).facts
    assert facts["surviving_variance"] == pytest.approx(float(NoiseSchedule.gammas()[1000]))
    assert facts["sampler"] == "deterministic"


def batch_of(paired: bool, count: int = 3) -> TrainingBatch:
    images = torch.rand(2, count, 1, 24, 32, generator=chance(7)) * 1.8 - 0.9
    return TrainingBatch(images[0], images[1], torch.full((count,), paired))


def no_distance(_first: Tensor, _second: Tensor) -> Tensor:
    msg = "Plasticine has a loss of its own"
    raise AssertionError(msg)


@pytest.mark.parametrize("inverse", ["negated", "predicted"])
def test_the_loss_reaches_every_parameter_that_is_used(inverse):
    torch.manual_seed(1)
    method = build_method("plasticine", {**SMALL, "inverse": inverse})
    for parameter in method.parameters():  # MONAI starts some layers at zero, which would hide what lies before them
        nn.init.normal_(parameter, std=0.1)
    loss = method.training_loss(batch_of(paired=False), no_distance, chance())
    loss.total.backward()
    silent = [name for name, p in method.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    expected = ["deformation.backward_head.weight", "deformation.backward_head.bias"] if inverse == "negated" else []
    assert silent == expected
    assert loss.parts["noise"] > 0
    assert -4 <= loss.parts["nmi"] <= -2  # two normalised mutual informations, each 1 to 2, to be maximised


def test_the_alignment_teaches_the_source_alone_and_never_the_target_stream():
    torch.manual_seed(1)
    method = build_method("plasticine", {**SMALL, "student_weight": 0.0})
    batch = batch_of(paired=False)
    taught = method.deformation.taught(batch.source, batch.target, torch.zeros_like(batch.target))
    terms = deformation_terms(method.deformation, batch, torch.zeros_like(batch.target), method.options.deforming())
    features = method.deformation.alone(batch.source).features
    torch.testing.assert_close(terms["alignment"], (features - taught.features).square().mean())
    terms["alignment"].backward()
    assert method.deformation.target_stream.weight.grad is None
    assert method.deformation.aligned_stream[0].weight.grad.abs().sum() > 0


def test_pairs_are_conditioned_on_the_source_and_others_on_the_target():
    watcher = Condition()
    method = method_with(watcher)
    batch = batch_of(paired=False)
    mixed = TrainingBatch(batch.source, batch.target, torch.tensor([True, False, False]))
    method.training_loss(mixed, no_distance, chance())
    from_source = method._start(SliceBatch(batch.source, method.predicted_velocity(batch.source)))[1]
    from_target = method._start(SliceBatch(batch.target))[1]
    condition = watcher.seen[0][:, 1:]
    torch.testing.assert_close(condition[0], from_source[0])
    torch.testing.assert_close(condition[1:], from_target[1:])


def discs(radius: float, shift: tuple[float, float], count: int, seed: int) -> Tensor:
    """Slices (N, 1, 32, 32) with one bright disc, its middle moved a little by chance."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:32, :32]
    middles = 15.5 + np.array(shift) + rng.uniform(-0.5, 0.5, (count, 2))
    far = [np.hypot(rows - r, columns - c) for r, c in middles]
    return torch.from_numpy(np.stack([np.clip(radius + 0.5 - d, 0, 1) * 1.6 - 0.8 for d in far]))[:, None].float()


def test_from_the_source_alone_it_learns_what_distinguishes_the_domains():
    """Source discs have radius 5, target discs 8: at the target's rim the source lies 3 px further inside."""
    torch.manual_seed(0)
    options = {**SMALL, "channels": [16], "velocity_channels": 16, "velocity_levels": 3, "smoothness": 0.02}
    method = build_method("plasticine", options)
    optimiser = torch.optim.Adam(method.parameters(), lr=3e-3)
    for step in range(90):
        batch = TrainingBatch(discs(5, (0, 0), 6, 2 * step), discs(8, (0, 0), 6, 2 * step + 1), torch.zeros(6).bool())
        optimiser.zero_grad()
        method.training_loss(batch, no_distance, chance(step)).total.backward()
        optimiser.step()
    velocity = method.eval().deformation.alone(discs(5, (0, 0), 4, 999)).forward.detach()
    moves = integrate(fade_at_border(velocity, 4))
    # at the four ends of the target's disc, the way to the source: towards the middle, by about 3 px
    inwards = [moves[:, 0, 8, 16], -moves[:, 0, 23, 16], moves[:, 1, 16, 8], -moves[:, 1, 16, 23]]
    for way in inwards:
        assert float(way.mean()) == pytest.approx(3.0, abs=1.2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"sampler": "fast"},
        {"inverse": "guessed"},
        {"channels": [20]},
        {"levels": 9},
        {"noise_strength": 1.5},
        {"velocity_levels": 1},
        {"smoothness": -1.0},
        {"unheard": 1},
    ],
)
def test_options_it_is_not_defined_for_are_refused(wrong):
    with pytest.raises(ConfigError):
        build_method("plasticine", wrong)


def test_it_says_that_it_draws_samples_and_has_no_way_back():
    assert Plasticine.stochastic
    assert not Plasticine.reversible
    assert build_method("plasticine", {**SMALL, "steps": 12}).default_steps == 12
    assert PlasticineOptions().steps == 50
