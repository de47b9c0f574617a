"""The score-based methods sample what a perfect network knows, see what they are told to see, learn from one side."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.methods.catalogue import build_method
from MedTranslateLib.methods.contract import Direction, SliceBatch, TrainingBatch
from MedTranslateLib.methods.lmi import local_mutual_information
from MedTranslateLib.methods.midiffusion import NOT_GIVEN, MIDiffusion
from MedTranslateLib.methods.random_contrast import RandomContrast
from MedTranslateLib.methods.score import NoiseRange, Preconditioning, ScoreSampler, sample
from MedTranslateLib.methods.sdedit import SdEdit
from MedTranslateLib.methods.slice_noise import SliceNoise

SMALL = {"channels": [16, 16], "largest_deviation": 10.0}
SAMPLERS = list(ScoreSampler)


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def head(count: int = 2, side: int = 32) -> Tensor:
    """Discs of two levels in [-1, 1]."""
    place = torch.linspace(-1, 1, side)
    radius = (place[:, None].square() + place[None].square()).sqrt()
    return torch.stack([torch.where(radius < 0.8 - 0.1 * n, 0.6 - (radius < 0.4) * 0.8, -1.0) for n in range(count)])[
        :, None
    ]


def walked(method: MIDiffusion | SdEdit, images: Tensor, steps: int = 4, seed: int = 0) -> Tensor:
    noise = SliceNoise(chance(seed), torch.arange(len(images)) * 10.0)
    return method.eval().translate(SliceBatch(images), Direction.FORWARD, steps, noise, lambda _done, _total: None)


def midiffusion(**options: object) -> MIDiffusion:
    torch.manual_seed(0)
    method = build_method("midiffusion", {**SMALL, **options})
    assert isinstance(method, MIDiffusion)
    with torch.no_grad():  # the untrained last layer is zero, which would hide what the network sees
        method.network.unet.out[2].conv.weight.normal_(std=0.3, generator=chance(1))
    return method


class Recorder(nn.Module):
    """Notes what a network is given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []
        self.times: list[Tensor] = []
        self.offsets: list[tuple[int, int]] = []

    def forward(self, image: Tensor, time: Tensor, offset: tuple[int, int] = (0, 0)) -> Tensor:
        self.seen.append(image)
        self.times.append(time)
        self.offsets.append(offset)
        return torch.zeros_like(image[:, :1])


def test_levels_follow_the_curve_of_karras_and_end_at_zero():
    levels = NoiseRange(0.002, 80.0).chain(18)
    expected = [(80 ** (1 / 7) + i / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7 for i in range(18)]  # EDM, Eq. 5
    assert levels[:-1] == pytest.approx(expected)
    assert levels[-1] == 0
    assert NoiseRange(0.002, 80.0).chain(5, start=1.5)[0] == pytest.approx(1.5)
    assert NoiseRange(0.002, 80.0).chain(1) == pytest.approx([80.0, 0.0])


def test_the_preconditioning_is_that_of_edm():
    """Table 1 of Karras et al. 2022 with numbers put in by hand: sigma 0.6, sigma_data 0.8, so the root is 1."""
    scale = Preconditioning(torch.tensor(0.1), torch.tensor(0.8))
    noisy, sigma = torch.full((1, 1, 1, 1), 1.1), torch.full((1, 1, 1, 1), 0.6)
    assert float(scale.network_input(noisy, sigma)) == pytest.approx(1.0)
    assert float(scale.denoised(noisy, sigma, torch.tensor(0.5))) == pytest.approx(0.1 + 0.64 * 1.0 + 0.48 * 0.5)
    wanted = scale.target_output(noisy, sigma, torch.full((1, 1, 1, 1), 0.3))
    assert float(scale.denoised(noisy, sigma, wanted)) == pytest.approx(0.3)


def gaussian_denoiser(mean: float, spread: float):
    """The perfect network for independent pixels of a normal distribution."""

    def denoise(image: Tensor, sigma: float, _number: int) -> Tensor:
        return mean + spread**2 / (spread**2 + sigma**2) * (image - mean)

    return denoise


@pytest.mark.parametrize(("sampler", "steps"), [(ScoreSampler.EULER_MARUYAMA, 400), (ScoreSampler.DPM_SOLVER, 20)])
def test_samples_of_a_gaussian_have_its_mean_and_spread(sampler, steps):
    levels = NoiseRange(0.01, 20.0).chain(steps)
    noise = SliceNoise.alike(chance(), 1)
    start = levels[0] * noise.draw(torch.zeros(1, 1, 200, 200))
    made = sample(start, levels, gaussian_denoiser(0.2, 0.3), sampler, noise)
    assert float(made.mean()) == pytest.approx(0.2, abs=0.01)
    assert float(made.std()) == pytest.approx(0.3, rel=0.03)


def test_the_solver_is_of_second_order():
    """Of a Gaussian the probability-flow ODE is known: distances from the mean shrink as sqrt(s^2 + sigma^2)."""
    errors = []
    for steps in (20, 40):
        levels = NoiseRange(0.01, 5.0).chain(steps)
        start = torch.full((1, 1, 1, 1), 3.0, dtype=torch.float64)
        made = sample(
            start, [*levels[:-1]], gaussian_denoiser(0.0, 0.5), ScoreSampler.DPM_SOLVER, SliceNoise.alike(chance(), 1)
        )
        exact = 3.0 * math.sqrt(0.25 + levels[-2] ** 2) / math.sqrt(0.25 + 25.0)
        errors.append(abs(float(made) - exact))
    assert errors[0] < 0.02 * exact
    assert errors[1] < errors[0] / 3  # four in the limit, two for a solver of first order


@pytest.mark.parametrize("sampler", [sampler.value for sampler in SAMPLERS])
def test_a_lower_temperature_draws_closer_to_the_mean_and_none_is_certain(sampler):
    images, spreads = head(1, 48), []
    for temperature in (1.0, 0.5, 0.0):
        method = midiffusion(sampler=sampler, temperature=temperature)
        made = torch.stack([walked(method, images, steps=6, seed=seed) for seed in range(8)])
        spreads.append(float(made.std(dim=0).mean()))
    assert spreads[0] > spreads[1] > spreads[2] == 0


def test_one_step_of_euler_maruyama_is_algorithm_1_as_printed():
    image, clean = torch.full((1, 1, 4, 4), 2.0), torch.full((1, 1, 4, 4), 0.5)
    drawn = SliceNoise.alike(chance(7), 1).draw(image)
    got = sample(
        image,
        [2.0, 1.0, 0.0],
        lambda seen, sigma, n: clean if n == 0 else seen,
        ScoreSampler.EULER_MARUYAMA,
        SliceNoise.alike(chance(7), 1),
    )
    epsilon, score = 2.0**2 - 1.0**2, (0.5 - 2.0) / 2.0**2
    torch.testing.assert_close(got, image + epsilon * score + math.sqrt(epsilon) * drawn)


@pytest.mark.parametrize("sampler", [sampler.value for sampler in SAMPLERS])
def test_a_slice_is_translated_alike_in_any_batch_and_each_step_is_told(sampler):
    method, images = midiffusion(sampler=sampler), head(3)
    together = walked(method, images)
    angles = torch.arange(3) * 10.0
    told: list[tuple[int, int]] = []
    for n in range(3):
        noise = SliceNoise(chance(), angles[n : n + 1])
        alone = method.translate(
            SliceBatch(images[n : n + 1]), Direction.FORWARD, 4, noise, lambda *step: told.append(step)
        )
        torch.testing.assert_close(alone[0], together[n], rtol=0, atol=1e-5)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)] * 3
    assert not torch.equal(walked(method, images, seed=1), together)


def test_the_network_sees_the_scaled_slice_and_the_maps_of_the_source():
    method, images = midiffusion(bandwidths=[0.06, 0.02], start_deviation=1.0, steps=3), head()
    method.measure(images[:0], images)
    method.network = recorder = Recorder()
    walked(method, images, steps=3)
    guide = (images + 1) / 2
    first = recorder.seen[0]
    for channel, bandwidth in ((2, 0.06), (3, 0.02)):
        torch.testing.assert_close(first[:, channel : channel + 1], local_mutual_information(guide, guide, bandwidth))
    spread = images.std()
    noisy = images + SliceNoise(chance(), torch.arange(2) * 10.0).draw(images)
    torch.testing.assert_close(first[:, :1], (noisy - images.mean()) / (1 + spread**2).sqrt())
    shrunk = (noisy + 1) / 2 * spread / (1 + spread**2).sqrt()
    torch.testing.assert_close(first[:, 1:2], local_mutual_information(guide, shrunk, 0.06))
    assert all(torch.equal(first[:, 2:], seen[:, 2:]) for seen in recorder.seen)
    assert float(recorder.times[0][0]) == pytest.approx(math.log(1.0 / 0.01) / math.log(10.0 / 0.01))
    assert recorder.offsets == [(0, 0), (1, 0), (0, 1)]


@pytest.mark.parametrize(("guidance", "given"), [("picture", "csp"), ("both", "cs"), ("self", "s"), ("none", "")])
def test_guidance_that_is_left_out_is_marked_as_such(guidance, given):
    method = midiffusion(guidance=guidance, picture=True, contrast=1.0)
    method.network = recorder = Recorder()
    walked(method, head(1), steps=2)
    for seen in recorder.seen:
        for name, channel in zip("csp", seen[0, 1:], strict=True):
            assert bool((channel == NOT_GIVEN).all()) == (name not in given)


def test_the_cross_map_at_no_noise_is_the_self_map():
    method = midiffusion()
    images = head()
    method.measure(images[:0], images)
    cross = method.cross_map((images + 1) / 2, images, torch.zeros(2, 1, 1, 1))
    torch.testing.assert_close(cross, method.self_maps((images + 1) / 2))


def test_training_leaves_maps_out_as_often_as_its_options_say():
    options = {"leave_out": 0.2, "leave_out_cross": 0.3, "leave_out_picture": 0.1}
    method = midiffusion(**options, picture=True, contrast=1.0, guidance="picture")
    many = head(1, 16).expand(600, -1, -1, -1)
    maps = method.maps_of_target(many, chance())(many, torch.ones(600, 1, 1, 1))
    absent = (maps == NOT_GIVEN).flatten(2).all(-1).float().mean(0).tolist()
    assert absent == pytest.approx([0.5, 0.2, 0.6], abs=0.06)  # cross, self, picture


@pytest.mark.parametrize("name", ["midiffusion", "sdedit"])
def test_the_loss_of_a_perfect_network_is_nothing_and_grows_with_its_error(name):
    """All clean slices are alike, so the network can know the clean slice from the noisy one and its level."""
    method = build_method(name, SMALL)
    clean = head(1).expand(4, -1, -1, -1)
    method.measure(clean[:0], clean)
    scale = Preconditioning(method.mean, method.deviation)

    class Perfect(nn.Module):
        error = 0.0

        def forward(self, image: Tensor, time: Tensor, offset: tuple[int, int] = (0, 0)) -> Tensor:
            sigma = (0.01 * (time * math.log(10 / 0.01)).exp()).view(-1, 1, 1, 1)
            noisy = image[:, :1] * (sigma.square() + scale.deviation**2).sqrt() + scale.mean
            return scale.target_output(noisy, sigma, clean) + self.error

    method.network = perfect = Perfect()
    batch = TrainingBatch(clean[:0], clean, torch.zeros(4, dtype=torch.bool))
    assert float(method.training_loss(batch, torch.dist, chance()).total) < 1e-5
    perfect.error = 0.5
    assert float(method.training_loss(batch, torch.dist, chance()).total) == pytest.approx(0.25, rel=1e-3)


@pytest.mark.parametrize("name", ["midiffusion", "sdedit"])
def test_a_slice_of_air_stays_air(name):
    method = build_method(name, SMALL)
    images = torch.cat([head(1), torch.full((1, 1, 32, 32), -0.99)])
    assert (walked(method, images)[1] == -1).all()


def test_above_the_vertex_nothing_is_drawn_around_a_cap_of_a_head():
    """A disc of 5 pixels: beyond the reach of the smoothing and of the margin, 5 + (2 + 4) sqrt 2 pixels, lies air."""
    place = torch.arange(64.0) - 32
    radius = (place[:, None].square() + place[None].square()).sqrt()
    cap, noise_alone = torch.where(radius < 5, 0.5, -1.0), -1 + 0.06 * torch.rand(64, 64, generator=chance())
    whole = torch.where(radius < 24, 0.5, -1.0)
    made = walked(midiffusion(), torch.stack([cap, noise_alone, whole])[:, None])
    assert (made[0, 0][radius > 13.5] == -1).all()
    assert (made[0, 0][radius < 5] != -1).any()
    assert (made[1] == -1).all()
    assert (made[2, 0][radius > 30] != -1).any()  # a whole slice is left to the network


def test_sdedit_starts_from_the_noised_source_and_sees_no_maps():
    method = build_method("sdedit", {**SMALL, "start_deviation": 0.5})
    assert isinstance(method, SdEdit)
    method.measure(head()[:0], head())
    method.network = recorder = Recorder()
    walked(method, head(1), steps=2)
    noisy = head(1) + 0.5 * SliceNoise(chance(), torch.zeros(1)).draw(head(1))
    expected = (noisy - method.mean) / (0.25 + method.deviation**2).sqrt()
    torch.testing.assert_close(recorder.seen[0], expected)


def test_redrawn_slices_keep_their_anatomy_and_their_range():
    images = (head(4, 48) + 1) / 2
    redrawn = RandomContrast(share=1.0).redraw(images, chance())
    assert float(redrawn.min()) >= 0
    assert float(redrawn.max()) <= 1
    assert not torch.equal(redrawn, images)
    for n in range(4):  # the places where the levels change are still where the picture changes most
        edges = [torch.diff(picture[n, 0], dim=1).abs() for picture in (images, redrawn)]
        assert edges[1][edges[0] > 0].mean() > 2 * edges[1][edges[0] == 0].mean()
    assert torch.equal(RandomContrast(share=0.0).redraw(images, chance()), images)
    untouched = (
        (RandomContrast(share=0.5).redraw(images.repeat(50, 1, 1, 1), chance()) == images.repeat(50, 1, 1, 1))
        .flatten(1)
        .all(1)
    )
    assert float(untouched.float().mean()) == pytest.approx(0.5, abs=0.12)


def test_added_structure_lies_in_the_body_alone():
    body = torch.zeros(1, 1, 64, 64)
    body[..., 16:48, 16:48] = 0.5
    plain, structured = (RandomContrast(1.0, share).redraw(body.repeat(20, 1, 1, 1), chance(4)) for share in (0.0, 1.0))

    def steps(images: Tensor, rows: slice) -> float:
        """Share of neighbouring pixels that differ by more than noise does."""
        return float((images[..., rows, 18:46].diff(dim=-1).abs() > 0.15).float().mean())

    assert steps(structured, slice(18, 46)) > 3 * steps(plain, slice(18, 46))
    assert steps(structured, slice(0, 14)) == pytest.approx(steps(plain, slice(0, 14)), abs=0.01)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("midiffusion", {"steps": 0}, "steps"),
        ("midiffusion", {"sampler": "heun"}, "sampler"),
        ("midiffusion", {"guidance": "all"}, "guidance"),
        ("midiffusion", {"guidance": "picture"}, "not what this network learns"),
        ("midiffusion", {"guidance": "none", "leave_out": 0.0}, "not what this network learns"),
        ("midiffusion", {"guidance": "self", "leave_out_cross": 0.0}, "both, none"),
        ("midiffusion", {"steps": 2.5}, "steps must be int"),
        ("midiffusion", {"start_deviation": float("nan")}, "start_deviation must be float"),
        ("midiffusion", {"start_deviation": "much"}, "start_deviation must be float"),
        ("midiffusion", {"picture": "false"}, "picture must be bool"),
        ("midiffusion", {"start_deviation": 0.01}, "above 0.01"),
        ("midiffusion", {"picture": True, "contrast": 0.5, "guidance": "picture"}, "copy"),
        ("midiffusion", {"bandwidths": []}, "bandwidths"),
        ("midiffusion", {"radius": 4}, "radius"),
        ("midiffusion", {"leave_out": 0.9, "leave_out_cross": 0.2}, "leave_out"),
        ("midiffusion", {"contrast": 1.5}, "shares"),
        ("midiffusion", {"temperature": 2.0}, "temperature"),
        ("midiffusion", {"channels": [20]}, "multiples"),
        ("midiffusion", {"smallest_deviation": 1.0}, "rise"),
        ("midiffusion", {"start_deviation": 100.0}, "start_deviation"),
        ("sdedit", {"start_deviation": 0.0}, "noised source"),
        ("sdedit", {"bandwidths": [0.1]}, "bandwidths"),
    ],
)
def test_wrong_options_are_answered_with_their_name(name, options, words):
    with pytest.raises(ConfigError, match=words):
        build_method(name, options)
