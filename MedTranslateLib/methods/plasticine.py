"""Plasticine: a batch of slices in, slices of the target domain, and where each of their pixels came from, out.

Two networks are trained together on slices of two domains that need not be paired. The noise network denoises a target
slice given its structure map (Eq. 1). The deformation network learns a velocity whose flow brings a source slice to the
shape of the target domain (Eq. 6, 7). A translation starts from noise and is denoised under the source's own structure
map, carried along that flow (Algorithm 1), so the picture shows at p what the source shows at phi(p).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.methods.contract import (
    Direction,
    Distance,
    Method,
    OnStep,
    SliceBatch,
    TrainingBatch,
    TrainingLoss,
)
from MedTranslateLib.methods.deformation import DeformationOptions, deformation_terms, velocity_alone
from MedTranslateLib.methods.fields import integrate, warp
from MedTranslateLib.methods.networks.patch_unet import PatchUNet, block_offset, check_network
from MedTranslateLib.methods.networks.velocity_unet import VelocityUNet, check_velocity_network
from MedTranslateLib.methods.noise_schedule import TRAINING_STEPS, NoiseSchedule
from MedTranslateLib.methods.options import options_from
from MedTranslateLib.methods.slice_noise import SliceNoise
from MedTranslateLib.methods.structure import StructureOptions, shows_nothing, structure_map, warp_structure


class Sampler(str, Enum):
    """What is added to the mean of a refinement step.

    `algorithm-1`: noise of variance 1 - alpha_k, as Eq. 5 prints it; right for many small steps. `posterior`: noise of
    the variance of Eq. A.4. `deterministic`: none, the estimated noise is kept (Song et al. 2021, Eq. 12 with sigma 0).
    """

    ALGORITHM_1 = "algorithm-1"
    POSTERIOR = "posterior"
    DETERMINISTIC = "deterministic"


@dataclass(frozen=True)
class PlasticineOptions:
    """What a bundle stores of the method.

    Args:
        steps: Refinement steps K where nobody asks for a number; 50 in the paper.
        sampler: See `Sampler`.
        noise_strength: How far the source is noised before it is refined; see `NoiseSchedule`.
        levels, boundary_weight, shading_px: See `StructureOptions`.
        channels, residual_blocks, patch: The noise network; see `PatchUNet`.
        velocity_channels, velocity_patch, velocity_levels: The deformation network; see `VelocityUNet`.
        border_px: Pixels over which the velocity comes to rest at the border.
        smoothness: lambda_1 of Eq. 7; 1 in the paper, 0.1 for OCT.
        inverse: What the second term of Eq. 6 is trained with: `negated` (the flow of -v) or `predicted` (of a second
            velocity, as in the paper). The fields of a result are those of v and -v either way, so they invert
            each other.
        student_weight: Weight of Eq. 6 for the velocity from the source alone. 0 is the paper, where the alignment
            loss alone teaches it; the alignment sees a few pixels around a place and cannot tell a zoom.
    """

    steps: int = 50
    sampler: str = Sampler.POSTERIOR.value
    noise_strength: float = 1.0
    levels: int = 2
    boundary_weight: float = 0.5
    shading_px: float = 0.0
    channels: tuple[int, ...] = (32, 64, 128, 160)
    residual_blocks: int = 1
    patch: int = 2
    velocity_channels: int = 48
    velocity_patch: int = 4
    velocity_levels: int = 4
    border_px: int = 12
    smoothness: float = 1.0
    inverse: str = "negated"
    student_weight: float = 1.0

    def __post_init__(self) -> None:
        """Refuses values outside what the method is defined for."""
        if not 1 <= self.steps <= TRAINING_STEPS:
            msg = f"steps must be 1 to {TRAINING_STEPS}, got {self.steps}."
            raise ConfigError(msg)
        if self.sampler not in {sampler.value for sampler in Sampler}:
            msg = f"sampler = {self.sampler!r} is unknown; choose {', '.join(s.value for s in Sampler)}."
            raise ConfigError(msg)
        check_network(self.channels, self.residual_blocks, self.patch)
        check_velocity_network(self.velocity_channels, self.velocity_patch, self.velocity_levels)
        self.deforming()

    def deforming(self) -> DeformationOptions:
        """The options of the deformation's loss, checked."""
        return DeformationOptions(self.border_px, self.smoothness, self.inverse, self.student_weight)


class Plasticine(Method):
    """Traceable diffusion translation, one way."""

    stochastic = True
    reversible = False
    options_of_use = frozenset({"steps", "sampler", "noise_strength"})

    def __init__(self, options: PlasticineOptions) -> None:
        super().__init__()
        self.options = options
        self.schedule = NoiseSchedule(options.noise_strength)
        self.structure = StructureOptions(options.levels, options.boundary_weight, options.shading_px)
        self.noise = PatchUNet(options.channels, options.residual_blocks, options.patch, in_channels=2)
        self.deformation = VelocityUNet(options.velocity_channels, options.velocity_patch, options.velocity_levels)

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Plasticine:
        """Builds an untrained Plasticine; see `PlasticineOptions` for the keys."""
        return cls(options_from(PlasticineOptions, options))

    @property
    def supported_steps(self) -> range:
        """Noise levels are continuous, so a chain can have any number of steps."""
        return range(1, TRAINING_STEPS + 1)

    @property
    def default_steps(self) -> int:
        """The number of the options."""
        return self.options.steps

    @property
    def facts(self) -> Mapping[str, Any]:
        """gamma_K, how much of the source's variance a translation starts with, and how its steps are drawn."""
        return {"surviving_variance": self.schedule.surviving(), "sampler": self.options.sampler}

    @property
    def loss_terms(self) -> Mapping[str, float]:
        """Eq. 1 and Eq. 7."""
        return {
            "noise l1": 1.0,
            "- nmi": 1.0,
            "smoothness": self.options.smoothness,
            "alignment": 1.0,
            "- nmi from the source alone": self.options.student_weight,
        }

    def predicted_velocity(self, source: Tensor, direction: Direction = Direction.FORWARD) -> Tensor:
        """The velocity from the source alone; see `velocity_alone`."""
        return velocity_alone(self.deformation, source, self.options.border_px)

    @torch.inference_mode()
    def translate(
        self, source: SliceBatch, direction: Direction, steps: int, noise: SliceNoise, on_step: OnStep
    ) -> Tensor:
        """Algorithm 1, with the chain of `steps` levels and the noise of the chosen sampler.

        The start is the noised source, moved along phi like its structure map; the paper leaves it where it was, which
        makes no difference at its gamma_K of 4.5e-5.
        """
        moved, condition = self._start(source)
        gammas = self.schedule.chain(steps).tolist()
        image = _noised(moved, gammas[-1], noise.draw(moved))
        for number, k in enumerate(range(steps, 0, -1)):
            level = torch.full((len(image),), gammas[k] ** 0.5, device=image.device)
            offset = block_offset(number, self.options.patch)
            estimate = self.noise(torch.cat([image, condition], dim=1), level, offset).float()
            image = self._refined(image, estimate, (gammas[k], gammas[k - 1]), noise)
            on_step(number + 1, steps)
        # where nothing is seen, nothing is invented
        return torch.where(shows_nothing(source.images).view(-1, 1, 1, 1), -1.0, image)

    def training_loss(self, batch: TrainingBatch, distance: Distance, generator: torch.Generator) -> TrainingLoss:
        """Eq. 1 and Eq. 7 of one batch; `distance` is not used."""
        target = batch.target
        levels = self.schedule.sample_levels(len(target), generator)
        gamma = levels.square().view(-1, 1, 1, 1).to(target)
        noise = torch.randn(target.shape, generator=generator).to(target)
        noisy = gamma.sqrt() * target + (1 - gamma).sqrt() * noise
        estimate = self.noise(torch.cat([noisy, self._training_condition(batch)], dim=1), levels.to(target)).float()
        moving = deformation_terms(self.deformation, batch, estimate.detach(), self.options.deforming())
        terms = {"noise": functional.l1_loss(estimate, noise), **moving}
        return TrainingLoss(sum(terms.values(), torch.zeros(())), {k: float(v.detach()) for k, v in terms.items()})

    def _start(self, source: SliceBatch) -> tuple[Tensor, Tensor]:
        """The source and its structure map, both carried along phi."""
        structure = structure_map(source.images, self.structure)
        if source.velocity is None:
            return source.images, structure
        displacement = integrate(source.velocity)
        return warp(source.images, displacement), warp_structure(structure, displacement, self.options.levels)

    def _refined(self, image: Tensor, estimate: Tensor, gammas: tuple[float, float], noise: SliceNoise) -> Tensor:
        """One step from level gamma_k to gamma_(k-1): the mean of Eq. 5, which is that of Eq. A.4, and its noise.

        Eq. 5's mean is written by the clean image it implies, which is kept within the scale (Saharia et al. 2022).
        """
        now, then = gammas
        clean = ((image - (1 - now) ** 0.5 * estimate) / now**0.5).clamp(-1, 1)
        if then == 1.0:
            return clean
        if self.options.sampler == Sampler.DETERMINISTIC:
            implied = (image - now**0.5 * clean) / (1 - now) ** 0.5
            return _noised(clean, then, implied)
        alpha = now / then
        mean = (then**0.5 * (1 - alpha) * clean + alpha**0.5 * (1 - then) * image) / (1 - now)
        variance = 1 - alpha if self.options.sampler == Sampler.ALGORITHM_1 else (1 - then) * (1 - alpha) / (1 - now)
        return mean + variance**0.5 * noise.draw(image)

    def _training_condition(self, batch: TrainingBatch) -> Tensor:
        """y_s; for pairs the map that Algorithm 1 will give the network, x_s carried along phi. Not in the paper."""
        condition = structure_map(batch.target, self.structure)
        if batch.paired.any():
            source = batch.source[batch.paired]
            condition[batch.paired] = self._start(SliceBatch(source, self.predicted_velocity(source)))[1]
        return condition


def _noised(image: Tensor, gamma: float, noise: Tensor) -> Tensor:
    """Eq. A.3."""
    return gamma**0.5 * image + (1 - gamma) ** 0.5 * noise
