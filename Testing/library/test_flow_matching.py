"""The flows follow their paths, join what they should, and carry eight Gaussians to eight others as Bi-DPM says."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import permutations

import pytest
import torch
from torch import Tensor, nn

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.methods.bidpm import BiDpm, BiDpmOptions
from MedTranslateLib.methods.catalogue import build_method
from MedTranslateLib.methods.contract import Direction, SliceBatch, TrainingBatch
from MedTranslateLib.methods.flow_matching import (
    FlowMatching,
    FlowMatchingOptions,
    FlowPath,
    path_point,
    transport_plan,
)
from MedTranslateLib.methods.slice_noise import SliceNoise

PATHS = [path.value for path in FlowPath]
NOISY = [path for path in PATHS if path != "rectified-flow"]


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ignore(_done: int, _total: int) -> None:
    pass


def flow_with(velocity: nn.Module, **options: object) -> FlowMatching:
    method = FlowMatching(FlowMatchingOptions(channels=(16, 16), **options))
    method.velocity = velocity
    return method


def carried(
    method: FlowMatching | BiDpm, images: Tensor, steps: int, direction: Direction = Direction.FORWARD
) -> Tensor:
    return method.translate(SliceBatch(images), direction, steps, SliceNoise.alike(chance(), len(images)), ignore)


def no_distance(first: Tensor, second: Tensor) -> Tensor:
    message = "The flows have a loss of their own."
    raise AssertionError(message)


def batch_of(source: Tensor, target: Tensor, paired: int = 0) -> TrainingBatch:
    return TrainingBatch(source, target, torch.arange(len(source)) < paired)


class Recorder(nn.Module):
    """Says that nothing moves, and notes where and when it was asked."""

    def forward(self, image: Tensor, time: Tensor) -> Tensor:
        self.places, self.times = image, time
        return torch.zeros_like(image)


class TimeVelocity(nn.Module):
    """u(x, t) = 2t: its integral is known, and a wrong time grid shows."""

    def forward(self, image: Tensor, time: Tensor) -> Tensor:
        return torch.ones_like(image) * 2 * time.view(-1, 1, 1, 1).to(image)


@pytest.mark.parametrize("path", PATHS)
def test_places_and_velocities_at_start_middle_and_end_are_those_of_the_papers(path):
    source, target = torch.full((3, 1, 1, 1), 1.0), torch.full((3, 1, 1, 1), 5.0)
    places, velocities = [1.0, 3.0, 5.0], [4.0, 4.0, 4.0]
    if path == "vp-cfm":  # cos and sin of 0, 45 and 90 degrees
        places = [1.0, 6.0 / math.sqrt(2), 5.0]
        velocities = [math.pi / 2 * 5.0, math.pi / 2 * 4.0 / math.sqrt(2), -math.pi / 2 * 1.0]
    point = path_point(FlowPath(path), source, target, torch.tensor([0.0, 0.5, 1.0]))
    torch.testing.assert_close(point.place.flatten(), torch.tensor(places))
    torch.testing.assert_close(point.velocity.flatten(), torch.tensor(velocities))


@pytest.mark.parametrize("path", PATHS)
def test_the_velocity_is_the_derivative_of_the_place(path):
    source, target = torch.randn(2, 7, 1, 3, 2, generator=chance(), dtype=torch.float64)
    time, h = torch.linspace(0.1, 0.9, 7, dtype=torch.float64), 1e-5
    ahead, behind = (path_point(FlowPath(path), source, target, time + step).place for step in (h, -h))
    velocity = path_point(FlowPath(path), source, target, time).velocity
    torch.testing.assert_close((ahead - behind) / (2 * h), velocity, rtol=0, atol=1e-8)


@pytest.mark.parametrize("noise", [0.1, 0.3])
@pytest.mark.parametrize("path", PATHS)
def test_rectified_flow_has_no_noise_and_the_others_have_that_of_their_options(path, noise):
    method = flow_with(recorder := Recorder(), path=path, noise=noise)
    nothing = torch.zeros(100, 1, 10, 10)
    method.training_loss(batch_of(nothing, nothing), no_distance, chance(3))
    if path == "rectified-flow":
        assert not recorder.places.any()
        return
    # 10 000 draws: the standard error of a deviation is that over sqrt(20 000), of a mean that over 100
    assert float(recorder.places.std()) == pytest.approx(noise, rel=4 / math.sqrt(20_000))
    assert abs(float(recorder.places.mean())) < 4 * noise / 100


def test_times_are_uniform_and_each_slice_has_its_own():
    method = flow_with(recorder := Recorder())
    slices = torch.zeros(3000, 1, 1, 1)
    method.training_loss(batch_of(slices, slices), no_distance, chance(1))
    shares = torch.histc(recorder.times, bins=5, min=0, max=1) / 3000
    torch.testing.assert_close(shares, torch.full((5,), 0.2), rtol=0, atol=4 * math.sqrt(0.2 * 0.8 / 3000))


def test_the_loss_is_the_mean_squared_error_of_the_velocity():
    source, target = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1), torch.tensor([3.0, 2.0]).view(2, 1, 1, 1)
    loss = flow_with(Recorder()).training_loss(batch_of(source, target), no_distance, chance())
    assert float(loss.total) == pytest.approx((9 + 1) / 2)  # it says 0 where 3 and 1 are right
    assert loss.parts == {"velocity": pytest.approx(5.0)}


@pytest.mark.parametrize("seed", range(5))
def test_the_transport_plan_is_the_best_of_all_permutations(seed):
    source, target = torch.randn(2, 5, 1, 2, 3, generator=chance(seed))
    costs = {order: float((source - target[list(order)]).square().sum()) for order in permutations(range(5))}
    assert tuple(transport_plan(source, target).tolist()) == min(costs, key=costs.__getitem__)


@pytest.mark.parametrize("paired", [0, 2, 5])
def test_paths_of_ot_cfm_are_as_short_as_the_best_assignment_and_those_of_the_others_as_they_are_given(paired):
    source, target = torch.randn(2, 5, 1, 1, 2, generator=chance(7))
    lengths = [float((source - target[list(order)]).square().mean()) for order in permutations(range(5))]
    given = float((source - target).square().mean())
    assert min(lengths) < 0.8 * given
    for path, expected in (("ot-cfm", min(lengths)), ("i-cfm", given), ("rectified-flow", given)):
        loss = flow_with(Recorder(), path=path).training_loss(batch_of(source, target, paired), no_distance, chance())
        assert float(loss.total) == pytest.approx(expected, rel=1e-5), path


@pytest.mark.parametrize("path", PATHS)
def test_pairs_only_leaves_the_other_rows_out(path):
    source = torch.arange(4.0).view(4, 1, 1, 1)
    target = source + torch.tensor([10.0, 20.0, 1000.0, 3000.0]).view(4, 1, 1, 1)
    method = flow_with(recorder := Recorder(), path=path, noise=0.0, pairs_only=True)
    loss = method.training_loss(batch_of(source, target, paired=2), no_distance, chance()).total
    assert len(recorder.places) == 2
    if path != "vp-cfm":  # 0 -> 10 and 1 -> 21, also the shortest of both ways
        assert float(loss) == pytest.approx((10**2 + 20**2) / 2)


def test_pairs_only_says_so_where_there_are_no_pairs():
    slices = torch.zeros(4, 1, 1, 1)
    with pytest.raises(ConfigError, match="pairs_only = true, but the training data have no pairs"):
        flow_with(Recorder(), pairs_only=True).training_loss(batch_of(slices, slices), no_distance, chance())


@pytest.mark.parametrize("steps", [1, 4, 25])
def test_forward_steps_are_the_left_riemann_sum_and_reverse_steps_the_right_one(steps):
    source = torch.tensor([[[[0.0, 2.0], [5.0, -1.0]]]], dtype=torch.float64)
    method = flow_with(TimeVelocity())
    torch.testing.assert_close(carried(method, source, steps), source + (1 - 1 / steps))  # sum of 2(k/N)(1/N), k < N
    back = carried(method, source, steps, Direction.REVERSE)
    torch.testing.assert_close(back, source - (1 + 1 / steps))  # the same sum, k = 1..N


def test_progress_counts_every_step_and_the_options_say_how_many_there_are():
    method, told = flow_with(TimeVelocity(), steps=3), []
    noise = SliceNoise.alike(chance(), 1)
    method.translate(SliceBatch(torch.zeros(1, 1, 2, 2)), Direction.FORWARD, 3, noise, lambda *step: told.append(step))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert method.default_steps == 3
    assert 1000 in method.supported_steps
    assert 1001 not in method.supported_steps


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"path": "straight"}, r"'straight' is unknown; choose rectified-flow, i-cfm, ot-cfm, vp-cfm"),
        ({"steps": 0}, "steps must be 1 to 1000"),
        ({"noise": -0.1}, "noise 0 or more"),
        ({"noise": "much"}, "noise must be float"),
        ({"channels": [20]}, "multiples of 16"),
        ({"sigma": 0.1}, "Unknown key 'sigma' for FlowMatchingOptions"),
    ],
)
def test_what_is_no_flow_is_refused_by_name(options, words):
    with pytest.raises(ConfigError, match=words):
        build_method("flow-matching", options)


# The toy of Bi-DPM, Figure 2: eight Gaussians on a circle, and eight on an ellipse. A point is a slice of two pixels.
ANGLES = torch.arange(8) * math.pi / 4
CIRCLE = torch.stack([ANGLES.cos(), ANGLES.sin()], dim=1)
ELLIPSE = torch.stack([2 * (ANGLES + 0.1).cos(), 3 * (ANGLES + 0.1).sin()], dim=1)
NARROW, WIDE = 0.1, 0.2
STARS, PARTNERS = CIRCLE.view(8, 1, 1, 2), ELLIPSE.roll(-3, 0).view(8, 1, 1, 2)
Draw = Callable[[torch.Generator], TrainingBatch]


class PointVelocity(nn.Module):
    """A small network from a point and a time to a velocity."""

    def __init__(self) -> None:
        super().__init__()
        layers = [nn.Linear(3, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(64, 2))

    def forward(self, points: Tensor, time: Tensor) -> Tensor:
        return self.layers(torch.cat([points.flatten(1), time[:, None]], dim=1)).view_as(points)


def gaussians(means: Tensor, deviation: float, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Points and which of the eight each belongs to: as many of each, in random order."""
    modes = (torch.arange(count) % 8)[torch.randperm(count, generator=generator)]
    return (means[modes] + deviation * torch.randn(count, 2, generator=generator)).view(-1, 1, 1, 2), modes


def unpaired(count: int) -> Draw:
    def draw(generator: torch.Generator) -> TrainingBatch:
        source, target = (gaussians(*ring, count, generator)[0] for ring in ((CIRCLE, NARROW), (ELLIPSE, WIDE)))
        return batch_of(source, target)

    return draw


def with_paired_stars(generator: torch.Generator) -> TrainingBatch:
    """The eight means with their partners three places on, and 24 points of each side that nobody paired."""
    rest = unpaired(24)(generator)
    return batch_of(torch.cat([STARS, rest.source]), torch.cat([PARTNERS, rest.target]), paired=8)


def squared(first: Tensor, second: Tensor) -> Tensor:
    return (first - second).square().mean()


def train(method: FlowMatching | BiDpm, draw: Draw, iterations: int) -> None:
    torch.manual_seed(0)
    method.velocity = PointVelocity()
    optimiser = torch.optim.Adam(method.velocity.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, iterations)
    generator = chance(1)
    for _ in range(iterations):
        loss = method.training_loss(draw(generator), squared, generator).total
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


def nearest_mode(points: Tensor) -> tuple[Tensor, Tensor]:
    distances = torch.cdist(points.view(-1, 2), ELLIPSE)
    return distances.amin(1), distances.argmin(1)


@pytest.mark.parametrize(
    ("path", "count", "iterations"),
    [("rectified-flow", 256, 1000), ("i-cfm", 256, 1000), ("vp-cfm", 256, 1000), ("ot-cfm", 64, 800)],
)
def test_a_trained_flow_carries_each_of_eight_gaussians_to_its_share_of_the_others(path, count, iterations):
    method = flow_with(nn.Identity(), path=path, noise=0.05)
    train(method, unpaired(count), iterations)
    points, modes = gaussians(CIRCLE, NARROW, 500, chance(5))
    ends = carried(method, points, 50)
    distance, reached = nearest_mode(ends)
    # the noise of the path widens the target; 98.9 % of a perfect flow would lie within three deviations
    assert float((distance < 3 * math.hypot(WIDE, 0.05)).float().mean()) > 0.9
    shares = torch.bincount(reached, minlength=8) / 500
    torch.testing.assert_close(shares, torch.full((8,), 0.125), rtol=0, atol=4 * math.sqrt(0.125 * 0.875 / 500))
    centres = torch.stack([ends.view(-1, 2)[reached == mode].mean(0) for mode in range(8)])
    assert (centres - ELLIPSE).norm(dim=1).max() < WIDE
    assert (centres - ELLIPSE).norm(dim=1).mean() < WIDE / 2
    if path == "ot-cfm":  # the plan joins each Gaussian with the one that lies ahead of it, and paths do not cross
        assert float((reached == modes).float().mean()) > 0.98


def followed(method: FlowMatching | BiDpm, steps: int) -> tuple[float, float]:
    """Mean distance of the stars from their partners; share of points whose Gaussian follows its star."""
    missed = (carried(method, STARS, steps) - PARTNERS).flatten(1).norm(dim=1).mean()
    points, modes = gaussians(CIRCLE, NARROW, 400, chance(5))
    reached = nearest_mode(carried(method, points, steps))[1]
    return float(missed), float((reached == (modes + 3) % 8).float().mean())


def test_bidpm_follows_paired_stars_where_rectified_flow_and_cfm_do_not():
    """Bi-DPM, Figure 2: only the means are paired, and each with the Gaussian three places on."""
    others = []
    for path in ("rectified-flow", "i-cfm"):
        flow = flow_with(nn.Identity(), path=path, noise=0.05)
        train(flow, with_paired_stars, 600)
        others.append(followed(flow, 10))
    for steps, bound, share in ((1, 0.05, 0.95), (2, 0.3, 0.75)):  # neighbours on the ellipse are 1.6 apart or more
        method = BiDpm(BiDpmOptions(steps=steps, channels=(16, 16)))
        train(method, with_paired_stars, 300)
        missed, following = followed(method, steps)
        assert missed < bound
        assert following > share
        assert all(missed < other / 2 and following > 2 * lost for other, lost in others)
    assert all(other > 3 and lost < 0.1 for other, lost in others)  # they go straight on instead
