"""The combination deforms, then translates: either part works as it does alone, and none learns from the other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor, nn

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.methods.catalogue import build_method
from MedTranslateLib.methods.combination import Combination
from MedTranslateLib.methods.contract import Direction, SliceBatch, TrainingBatch
from MedTranslateLib.methods.deformation import deformation_terms
from MedTranslateLib.methods.fields import fade_at_border, integrate, warp
from MedTranslateLib.methods.slice_noise import SliceNoise

VELOCITY = {"velocity_channels": 8, "velocity_patch": 2, "velocity_levels": 2, "border_px": 4}
SMALL = {"channels": [16, 16], "discriminator_channels": 8, **VELOCITY}


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def combination(**options: object) -> Combination:
    torch.manual_seed(0)
    method = build_method("combination", {**SMALL, **options})
    assert isinstance(method, Combination)
    return method


def stirred(method: Combination) -> Combination:
    """All weights at random: the last layers of an untrained method are zero, or nearly so, and hide what is behind."""
    generator = chance(2)
    with torch.no_grad():
        for value in method.parameters():
            value.normal_(std=0.1, generator=generator)
    return method


def pictures(count: int = 2, seed: int = 0) -> Tensor:
    """Smooth pictures without a symmetry, 32 x 40, up to 0.9."""
    rough = torch.randn(count, 1, 32, 40, generator=chance(seed)).numpy()
    smooth = np.stack([ndimage.gaussian_filter(image[0], 2.0) for image in rough])
    return torch.from_numpy(0.9 * smooth / np.abs(smooth).max()).float()[:, None]


def some_velocity(count: int = 2) -> Tensor:
    rough = torch.randn(count, 2, 32, 40, generator=chance(5)).numpy()
    smooth = np.stack([[ndimage.gaussian_filter(axis, 4.0) for axis in field] for field in rough])
    return fade_at_border(torch.from_numpy(4.0 * smooth / np.abs(smooth).max()).float(), 4)


def translated(method: Combination, images: Tensor, velocity: Tensor | None) -> Tensor:
    noise = SliceNoise.alike(chance(), len(images))
    return method.eval().translate(
        SliceBatch(images, velocity), Direction.FORWARD, 1, noise, lambda _done, _total: None
    )


def flowed(velocity: np.ndarray, steps: int = 400) -> np.ndarray:
    """Places that the points of the grid reach along a velocity (2, H, W) after unit time, by SciPy and midpoints."""
    places = np.stack(np.meshgrid(*(np.arange(n, dtype=float) for n in velocity.shape[1:]), indexing="ij"))

    def at(points: np.ndarray) -> np.ndarray:
        return np.stack([ndimage.map_coordinates(axis, points, order=1, mode="nearest") for axis in velocity])

    for _ in range(steps):
        places = places + at(places + at(places) / (2 * steps)) / steps
    return places


def test_an_untrained_translation_is_the_source_carried_along_the_flow():
    images, velocity = pictures(), some_velocity()
    made = translated(combination(), images, velocity)
    moved = velocity.numpy().astype(float)
    displacement = integrate(velocity).numpy()
    for image, output, field, step in zip(images[:, 0].numpy(), made[:, 0].numpy(), moved, displacement, strict=True):
        places = flowed(field)
        assert np.abs(places - np.indices((32, 40))).max() > 1.5
        expected = ndimage.map_coordinates(image, np.indices((32, 40)) + step, order=1, mode="nearest")
        np.testing.assert_allclose(output, expected, atol=1e-5)
        exact = ndimage.map_coordinates(image, places, order=1, mode="nearest")
        np.testing.assert_allclose(output, exact, atol=0.02)


def test_a_velocity_of_two_rows_shows_what_lies_two_rows_below():
    images = pictures(1)
    velocity = torch.zeros(1, 2, 32, 40)
    velocity[:, 0] = 2.0
    made = translated(combination(), images, velocity)
    torch.testing.assert_close(made[..., :28, :], images[..., 2:30, :], atol=1e-5, rtol=0)


def test_without_a_velocity_nothing_moves():
    images = pictures()
    torch.testing.assert_close(translated(combination(), images, None), images, atol=0, rtol=0)


class Brighter(nn.Module):
    """A generator that adds a half."""

    def forward(self, image: Tensor) -> Tensor:
        return image + 0.5


def test_the_generator_of_the_forward_way_comes_after_the_deformation_and_blank_slices_stay_air():
    method, images, velocity = combination(), pictures(3), some_velocity(3)
    images[1] = -1.0
    before = translated(method, images, velocity)
    method.translation.forward_generator = Brighter()
    made = translated(method, images, velocity)
    torch.testing.assert_close(made[[0, 2]], before[[0, 2]] + 0.5)
    assert (made[1] == -1).all()


def test_it_is_one_way_takes_one_step_and_says_so():
    method, told = combination(), []
    noise = SliceNoise.alike(chance(), 2)
    method.translate(SliceBatch(pictures()), Direction.FORWARD, 1, noise, lambda *step: told.append(step))
    assert not Combination.reversible
    assert list(method.supported_steps) == [1]
    assert told == [(1, 1)]


def test_the_velocity_is_that_of_plasticine_with_the_same_deformation():
    plasticine = build_method("plasticine", {"channels": [16, 16], **VELOCITY})
    method = stirred(combination())
    images = pictures()
    assert not torch.allclose(method.predicted_velocity(images), plasticine.predicted_velocity(images))
    plasticine.deformation.load_state_dict(method.deformation.state_dict())
    assert method.predicted_velocity(images).abs().max() > 0.01
    torch.testing.assert_close(method.predicted_velocity(images), plasticine.predicted_velocity(images), atol=0, rtol=0)


def test_the_velocity_rests_at_the_border_and_is_never_too_steep_to_be_inverted():
    method = stirred(combination())
    with torch.no_grad():
        method.deformation.forward_head.weight.mul_(1000)
    velocity = method.predicted_velocity(pictures())
    assert velocity.abs().max() > 0.7
    for border in (velocity[..., 0], velocity[..., -1], velocity[..., 0, :], velocity[..., -1, :]):
        assert not border.any()
    steepest = [velocity.diff(dim=axis).abs().flatten(1).amax(1) for axis in (-1, -2)]
    torch.testing.assert_close(torch.stack(steepest).amax(0), torch.full((2,), 0.7))  # det J is e^-1.4 at the least


def gradients(method: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    method.zero_grad()
    loss.backward()
    return {name: value.grad.clone() for name, value in method.named_parameters() if value.grad is not None}


def same(first: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return first.keys() == other.keys() and all(
        torch.allclose(value, other[name], atol=1e-6, rtol=1e-4) for name, value in first.items()
    )


def test_either_part_learns_as_it_would_alone():
    method = stirred(combination(smoothness=0.3))
    batch = TrainingBatch(pictures(2, 1), pictures(2, 2), torch.zeros(2, dtype=torch.bool))
    loss = method.training_loss(batch, torch.dist, chance())
    together = gradients(method, loss.total)
    # the deformation by Eq. 7 of Plasticine alone: nothing that discriminators or cycles say reaches it
    terms = deformation_terms(method.deformation, batch, torch.zeros_like(batch.target), method.options.deforming())
    own = gradients(method.deformation, sum(terms.values(), torch.zeros(())))
    assert own
    assert same({k.removeprefix("deformation."): v for k, v in together.items() if k.startswith("deformation.")}, own)
    # CycleGAN between the slices as they come out of the deformation, and the target
    moved = warp(batch.source, integrate(method.predicted_velocity(batch.source)))
    assert not torch.allclose(moved, batch.source, atol=1e-3)
    rest = method.translation.training_loss(TrainingBatch(moved, batch.target, batch.paired), torch.dist, chance())
    alone = gradients(method.translation, rest.total)
    assert same({k.removeprefix("translation."): v for k, v in together.items() if k.startswith("translation.")}, alone)
    assert set(loss.parts) == {*terms, *rest.parts}
    assert float(loss.total.detach()) == pytest.approx(sum(loss.parts.values()), rel=1e-4)


def test_a_bundle_holds_deformation_and_generators_and_no_discriminators():
    method = stirred(combination())
    stored = method.weights_of_use()
    assert {name.split(".")[0] for name in stored} == {"deformation", "translation"}
    assert {name.split(".")[1] for name in stored if name.startswith("translation.")} == {
        "forward_generator",
        "reverse_generator",
    }
    other = combination()
    other.load_weights_of_use(stored)
    images = pictures()
    velocity = method.predicted_velocity(images)
    torch.testing.assert_close(other.predicted_velocity(images), velocity, atol=0, rtol=0)
    torch.testing.assert_close(translated(other, images, velocity), translated(method, images, velocity))
    with pytest.raises(RuntimeError, match="Missing key"):
        other.load_weights_of_use({k: v for k, v in stored.items() if not k.startswith("deformation.")})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"inverse": "guessed"}, "choose negated or predicted"),
        ({"smoothness": -1.0}, "must not be negative"),
        ({"border_px": 0}, "border_px must be at least 1"),
        ({"velocity_levels": 1}, "velocity_levels 2"),
        ({"cycle_weight": -1.0}, "must not be negative"),
        ({"wobble": 1}, "Unknown key 'wobble' for CombinationOptions"),
    ],
)
def test_wrong_options_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        combination(**options)
