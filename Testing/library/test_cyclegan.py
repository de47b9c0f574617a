"""CycleGAN is trained on the losses of its paper, leaves its discriminators behind, and learns a known brightness."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_training import config, silent, table
from torch import Tensor, nn
from torch.nn import functional

from MedTranslateLib.bundles.manifest import WEIGHTS
from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.inference.weights import load_bundle
from MedTranslateLib.methods.catalogue import build_method
from MedTranslateLib.methods.contract import Direction, SliceBatch, TrainingBatch
from MedTranslateLib.methods.cyclegan import CycleGan
from MedTranslateLib.methods.slice_noise import SliceNoise
from MedTranslateLib.training.cases import load_cases
from MedTranslateLib.training.config import TrainingConfig
from MedTranslateLib.training.export import export_bundle
from MedTranslateLib.training.loop import CHECKPOINT, Trainer, TrainingRun, fit

CPU = torch.device("cpu")
SMALL = {"channels": [16, 16], "discriminator_channels": 8}
PARTS = ("target_discriminator", "source_discriminator")


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cyclegan(**options: object) -> CycleGan:
    torch.manual_seed(0)
    method = build_method("cyclegan", {**SMALL, **options})
    assert isinstance(method, CycleGan)
    return method


def unpaired(source: Tensor, target: Tensor) -> TrainingBatch:
    return TrainingBatch(source, target, torch.zeros(len(source), dtype=torch.bool))


def translated(method: CycleGan, images: Tensor, direction: Direction = Direction.FORWARD) -> Tensor:
    noise = SliceNoise.alike(chance(), len(images))
    return method.eval().translate(SliceBatch(images), direction, 1, noise, lambda _done, _total: None)


class Adds(nn.Module):
    """A generator that adds a number."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.number = number

    def forward(self, image: Tensor) -> Tensor:
        return image + self.number


class Says(nn.Module):
    """A discriminator that says the same of every picture, after features that are not its verdict."""

    def __init__(self, verdict: float) -> None:
        super().__init__()
        self.verdict = nn.Parameter(torch.tensor(verdict))

    def forward(self, image: Tensor) -> list[Tensor]:
        return [image, self.verdict.expand_as(image)]


class SaysItsBrightness(nn.Module):
    def forward(self, image: Tensor) -> list[Tensor]:
        return [-image, image]


def with_parts(forward: float, reverse: float, *discriminators: nn.Module, **options: object) -> CycleGan:
    method = cyclegan(**options)
    method.forward_generator, method.reverse_generator = Adds(forward), Adds(reverse)
    method.target_discriminator, method.source_discriminator = discriminators
    return method


def test_discriminators_that_always_say_the_same_give_the_least_squares_of_the_paper():
    method = with_parts(0.0, 0.0, Says(0.25), Says(0.5))
    loss = method.training_loss(unpaired(torch.zeros(2, 1, 8, 8), torch.ones(2, 1, 8, 8)), torch.dist, chance())
    assert loss.parts == pytest.approx(
        {
            "adversarial": 0.75**2 + 0.5**2,
            "discriminators": (0.75**2 + 0.25**2) / 2 + (0.5**2 + 0.5**2) / 2,
            "cycle": 0.0,
            "identity": 0.0,
        }
    )


def test_each_discriminator_judges_its_own_modality_and_cycles_and_identities_are_weighed():
    method = with_parts(0.2, -0.1, SaysItsBrightness(), SaysItsBrightness(), cycle_weight=7.0, identity_weight=3.0)
    source, target = torch.full((2, 1, 8, 8), 0.3), torch.full((2, 1, 8, 8), 0.7)
    loss = method.training_loss(unpaired(source, target), torch.dist, chance())
    # made: 0.5 of the target modality, 0.6 of the source; there and back again everything is 0.1 off
    expected = {
        "adversarial": (0.5 - 1) ** 2 + (0.6 - 1) ** 2,
        "discriminators": ((0.7 - 1) ** 2 + 0.5**2) / 2 + ((0.3 - 1) ** 2 + 0.6**2) / 2,
        "cycle": 7 * (0.1 + 0.1),
        "identity": 3 * (0.2 + 0.1),
    }
    assert loss.parts == pytest.approx(expected, rel=1e-5)
    assert float(loss.total) == pytest.approx(sum(expected.values()), rel=1e-5)


def stirred(method: CycleGan) -> CycleGan:
    """Random weights: the last layer of an untrained generator is zero, which hides all before it."""
    with torch.no_grad():
        for value in method.parameters():
            value.normal_(std=0.1, generator=chance(len(value.flatten())))
    return method


def generators_loss(method: CycleGan, source: Tensor, target: Tensor) -> Tensor:
    """Eq. 3 and the identity loss of Zhu et al., as the generators' own step has it."""
    there, back = method.forward_generator, method.reverse_generator
    verdicts = method.target_discriminator(there(source))[-1], method.source_discriminator(back(target))[-1]
    cycle = functional.l1_loss(back(there(source)), source) + functional.l1_loss(there(back(target)), target)
    identity = functional.l1_loss(there(target), target) + functional.l1_loss(back(source), source)
    return sum((verdict - 1).square().mean() for verdict in verdicts) + 10 * cycle + 5 * identity


def discriminators_loss(method: CycleGan, source: Tensor, target: Tensor) -> Tensor:
    """Half the sum of Eq. 1 for either discriminator, as their own step has it."""
    with torch.no_grad():
        made_target, made_source = method.forward_generator(source), method.reverse_generator(target)
    ours, others = method.target_discriminator, method.source_discriminator
    errors = [(ours(target)[-1] - 1), ours(made_target)[-1], (others(source)[-1] - 1), others(made_source)[-1]]
    return sum(error.square().mean() for error in errors) / 2


def test_one_step_of_the_sum_is_the_step_of_either_part_with_the_other_as_a_constant():
    method = stirred(cyclegan())
    source, target = torch.rand(2, 2, 1, 32, 32, generator=chance(1)) * 2 - 1
    loss = method.training_loss(unpaired(source, target), torch.dist, chance()).total
    named = dict(method.named_parameters())
    groups = [[n for n in named if n.startswith(PARTS) is told] for told in (False, True)]
    alone = [generators_loss(method, source, target), discriminators_loss(method, source, target)]
    assert float(loss.detach()) == pytest.approx(float(sum(alone).detach()), rel=1e-5)
    together = torch.autograd.grad(loss, list(named.values()), retain_graph=True)
    of_sum = dict(zip(named, together, strict=True))
    for names, own in zip(groups, alone, strict=True):
        for name, value in zip(names, torch.autograd.grad(own, [named[n] for n in names]), strict=True):
            torch.testing.assert_close(of_sum[name], value, atol=1e-5, rtol=1e-3, msg=name)


def test_an_untrained_generator_leaves_the_slice_alone_and_one_step_is_told():
    method, told = cyclegan().eval(), []
    images = torch.rand(2, 1, 20, 33, generator=chance())
    noise = SliceNoise.alike(chance(), 2)
    made = method.translate(SliceBatch(images), Direction.FORWARD, 1, noise, lambda *step: told.append(step))
    torch.testing.assert_close(made, images)
    assert told == [(1, 1)]
    assert list(method.supported_steps) == [1]


def test_each_way_has_its_own_generator():
    method = with_parts(0.2, -0.1, Says(0.0), Says(0.0))
    images = torch.zeros(1, 1, 4, 4)
    torch.testing.assert_close(translated(method, images), images + 0.2)
    torch.testing.assert_close(translated(method, images, Direction.REVERSE), images - 0.1)


@pytest.fixture
def discs_on_disk(tmp_path: Path) -> Path:
    """Two patients with 32 x 32 noise; a PatchGAN of 70 x 70 needs that much."""
    (tmp_path / "data").mkdir()
    for number in range(2):
        stack = np.random.default_rng(number).integers(0, 200, (4, 32, 32)).astype(np.uint8)
        np.savez(tmp_path / "data" / f"patient{number}.npz", a=stack, b=200 - stack)
    return tmp_path


def setup(**changes: object) -> TrainingConfig:
    grid = {"plane": "axial", "spacing_mm": 1.0, "size_hw": [32, 32]}
    training = {**table()["training"], "iterations": 4, "save_every": 2, "batch_size": 2}
    return config(**{"method": {"name": "cyclegan", **SMALL}, "grid": grid, "training": training, **changes})


def test_a_bundle_holds_no_discriminators_and_loads_again(discs_on_disk, tmp_path):
    cases = load_cases(setup().data, setup().layout, discs_on_disk)
    method = fit(TrainingRun(setup(), tmp_path / "run", discs_on_disk, CPU), cases, [], silent)
    assert any(name.startswith(PARTS) for name in method.state_dict())
    manifest = export_bundle(setup(), method, tmp_path / "toy", discs_on_disk)
    stored = load_file(tmp_path / "toy" / WEIGHTS)
    assert {name.split(".")[0] for name in stored} == {"forward_generator", "reverse_generator"}
    assert set(manifest.training.loss_terms) == {"adversarial", "discriminators", "cycle l1", "identity l1"}
    loaded = load_bundle(tmp_path / "toy", CPU).method
    images = torch.rand(1, 1, 32, 32, generator=chance())
    for direction in Direction:
        made = translated(method, images, direction)
        assert not torch.equal(made, images)
        torch.testing.assert_close(translated(loaded, images, direction), made, atol=0.01, rtol=0)


@pytest.mark.parametrize("change", ["missing", "unknown"])
def test_weights_of_another_method_are_not_taken(change):
    method = cyclegan()
    stored = method.weights_of_use()
    first = next(iter(stored))
    if change == "missing":
        del stored[first]
    else:
        stored["third_generator.weight"] = stored[first]
    with pytest.raises(RuntimeError, match="Missing key" if change == "missing" else "Unexpected key"):
        cyclegan().load_weights_of_use(stored)


def test_a_resumed_training_goes_on_with_its_discriminators(discs_on_disk, tmp_path):
    cases = load_cases(setup().data, setup().layout, discs_on_disk)
    whole, stopped = (Trainer(TrainingRun(setup(), tmp_path / name, discs_on_disk, CPU), cases) for name in "ab")
    for _ in range(4):
        whole.step()
    for _ in range(2):
        stopped.step()
    stopped.save()
    resumed = Trainer(TrainingRun(setup(), tmp_path / "b", discs_on_disk, CPU, resume=True), cases)
    fresh = resumed.method.target_discriminator.final_conv.conv.weight.clone()
    resumed.restore()
    assert not torch.equal(fresh, resumed.method.target_discriminator.final_conv.conv.weight)
    for _ in range(2):
        resumed.step()
    for (name, one), other in zip(whole.method.state_dict().items(), resumed.method.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5, msg=name)


@pytest.mark.parametrize(
    ("method", "betas"),
    [
        ({"name": "cyclegan", **SMALL}, (0.5, 0.999)),  # Zhu et al., as their code has it
        ({"name": "combination", **SMALL}, (0.5, 0.999)),
        ({"name": "bidpm", "channels": [16, 16]}, (0.9, 0.999)),  # Kingma & Ba
    ],
)
def test_adam_averages_as_the_paper_of_the_method_says(discs_on_disk, tmp_path, method, betas):
    cases = load_cases(setup().data, setup().layout, discs_on_disk)
    Trainer(TrainingRun(setup(method=method), tmp_path / "run", discs_on_disk, CPU), cases).save()
    state = torch.load(tmp_path / "run" / CHECKPOINT, weights_only=True)
    assert [group["betas"] for group in state["optimiser"]["param_groups"]] == [betas]


def discs(value: float, count: int, generator: torch.Generator) -> Tensor:
    """Discs of one brightness, at random places and of random sizes, on -1; 32 x 32."""
    place = torch.arange(32.0) - 15.5
    centre = torch.randint(-4, 5, (2, count, 1, 1), generator=generator)
    radius = 6 + 4 * torch.rand(count, 1, 1, generator=generator)
    apart = ((place[:, None] - centre[0]).square() + (place - centre[1]).square()).sqrt()
    return torch.where(apart < radius, value, -1.0)[:, None]


def test_the_brightness_of_a_modality_is_learnt_both_ways_from_discs_without_partners():
    dark, bright, iterations = -0.2, 0.4, 80
    method, generator = cyclegan(), chance(1)
    optimiser = torch.optim.Adam(method.parameters(), lr=1e-3, betas=method.adam_betas)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, iterations)
    for _ in range(iterations):
        batch = unpaired(discs(dark, 4, generator), discs(bright, 4, generator))
        optimiser.zero_grad()
        method.training_loss(batch, torch.dist, generator).total.backward()
        nn.utils.clip_grad_norm_(method.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    for start, goal, direction in ((dark, bright, Direction.FORWARD), (bright, dark, Direction.REVERSE)):
        images = discs(start, 16, chance(9))
        made, inside = translated(method, images, direction), images > -1
        assert float(made[inside].mean()) == pytest.approx(goal, abs=0.12)  # it starts 0.6 away
        assert float(made[~inside].mean()) == pytest.approx(-1, abs=0.12)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cycle_weight": -1.0}, "must not be negative"),
        ({"discriminator_channels": 0}, "discriminator_channels at least 1"),
        ({"patch": 0}, "must be at least 1"),
        ({"pool": 50}, "Unknown key 'pool' for CycleGanOptions"),
    ],
)
def test_wrong_options_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        cyclegan(**options)
