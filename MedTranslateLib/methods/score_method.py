"""Slices of one modality in training, samples of that modality in use: the part MIDiffusion and SDEdit have in common.

Training noises a target slice and lets the network find the clean one (Eq. 12 of MIDiffusion 2023). A translation walks
the noise levels down again. The two methods differ in the maps that are laid beside the noisy slice, and in the start.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
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
from MedTranslateLib.methods.networks.patch_unet import PatchUNet, block_offset, check_network
from MedTranslateLib.methods.score import NoiseRange, Preconditioning, ScoreSampler, sample
from MedTranslateLib.methods.slice_noise import SliceNoise
from MedTranslateLib.methods.structure import stays_air

MOST_STEPS = 2000
Maps = Callable[[Tensor, Tensor], Tensor]
"""Called with the noisy slices (B, 1, H, W) and their noise (B, 1, 1, 1); returns the maps beside them (B, C, H, W)."""


@dataclass(frozen=True)
class ScoreOptions:
    """What a bundle stores of a score-based method.

    Args:
        steps: Evaluations of the network where nobody asks for a number.
        sampler: See `ScoreSampler`.
        start_deviation: Standard deviation, in [-1, 1], of the noise that the source is given where a chain starts; 0
            starts from noise alone.
        temperature: Standard deviation of the noise that is really drawn, as a share of the one the network is told. 1
            samples what was learnt; less stays closer to the mean, with smaller differences between samples.
        typical_deviation, spread: Noise levels in training are log-normal about the first, the second is the standard
            deviation of the logarithm (EDM, Table 1).
        smallest_deviation, largest_deviation: See `NoiseRange`.
        channels, residual_blocks, patch: The network; see `PatchUNet`.
    """

    steps: int = 20
    sampler: str = ScoreSampler.DPM_SOLVER.value
    start_deviation: float = 0.0
    temperature: float = 1.0
    typical_deviation: float = 0.3
    spread: float = 1.4
    smallest_deviation: float = 0.01
    largest_deviation: float = 20.0
    channels: tuple[int, ...] = (32, 64, 128, 160)
    residual_blocks: int = 1
    patch: int = 2

    def __post_init__(self) -> None:
        """Refuses values outside what the methods are defined for."""
        if not (isinstance(self.steps, int) and 1 <= self.steps <= MOST_STEPS):
            msg = f"steps must be a whole number from 1 to {MOST_STEPS}, got {self.steps}."
            raise ConfigError(msg)
        if self.sampler not in {sampler.value for sampler in ScoreSampler}:
            msg = f"sampler = {self.sampler!r} is unknown; choose {', '.join(s.value for s in ScoreSampler)}."
            raise ConfigError(msg)
        if not 0 < self.smallest_deviation < self.typical_deviation < self.largest_deviation or self.spread <= 0:
            msg = "Deviations must rise from smallest over typical to largest, all above 0, and spread be above 0."
            raise ConfigError(msg)
        if not (self.start_deviation == 0 or self.smallest_deviation < self.start_deviation <= self.largest_deviation):
            msg = (
                f"start_deviation must be 0, or above {self.smallest_deviation} and at most {self.largest_deviation}, "
                f"got {self.start_deviation}."
            )
            raise ConfigError(msg)
        if not 0 <= self.temperature <= 1:
            msg = f"temperature must be 0 to 1, got {self.temperature}."
            raise ConfigError(msg)
        check_network(self.channels, self.residual_blocks, self.patch)


class ScoreMethod(Method):
    """A denoiser of one modality with `maps` further channels; one way, from any source."""

    stochastic = True
    reversible = False
    learns_from_target_alone = True
    mean: Tensor
    deviation: Tensor

    def __init__(self, options: ScoreOptions, maps: int) -> None:
        super().__init__()
        self.options = options
        self.range = NoiseRange(options.smallest_deviation, options.largest_deviation)
        self.network = PatchUNet(options.channels, options.residual_blocks, options.patch, in_channels=1 + maps)
        self.register_buffer("mean", torch.tensor(-0.5))
        self.register_buffer("deviation", torch.tensor(0.5))

    @abstractmethod
    def maps_of_source(self, source: Tensor) -> Maps:
        """What the network sees beside a noisy slice while these slices, (B, 1, H, W), are translated."""

    @abstractmethod
    def maps_of_target(self, clean: Tensor, generator: torch.Generator) -> Maps:
        """What it sees while it learns to denoise these slices."""

    def measure(self, source: Tensor, target: Tensor) -> None:
        """Mean and standard deviation of the target data, which the preconditioning needs."""
        self.mean.copy_(target.mean())
        self.deviation.copy_(target.std())

    @property
    def supported_steps(self) -> range:
        """Noise levels are continuous, so a chain can have any number of steps."""
        return range(1, MOST_STEPS + 1)

    @property
    def default_steps(self) -> int:
        """The number of the options."""
        return self.options.steps

    @property
    def facts(self) -> Mapping[str, Any]:
        """How the steps are drawn and where they start."""
        return {name: getattr(self.options, name) for name in ("sampler", "start_deviation", "temperature")}

    @property
    def loss_terms(self) -> Mapping[str, float]:
        """Eq. 12."""
        return {"denoising": 1.0}

    @torch.inference_mode()
    def translate(
        self, source: SliceBatch, direction: Direction, steps: int, noise: SliceNoise, on_step: OnStep
    ) -> Tensor:
        """Walks from noise, or from the noised source, to a slice of the target, under the source's maps."""
        drawn = replace(noise, scale=self.options.temperature)
        chain = self.range.chain(steps, self.options.start_deviation or None)
        middle = source.images if self.options.start_deviation else self.mean.expand_as(source.images)
        start = middle + chain[0] * drawn.draw(middle)
        maps = self.maps_of_source(source.images)

        def denoise(image: Tensor, sigma: float, number: int) -> Tensor:
            level = torch.full((len(image), 1, 1, 1), sigma, device=image.device)
            offset = block_offset(number, self.options.patch)
            clean = self.denoised(image, level, maps(image, level), offset).clamp(-1, 1)
            on_step(number + 1, steps)
            return clean

        image = sample(start, chain, denoise, ScoreSampler(self.options.sampler), drawn)
        # where nothing is seen, nothing is invented
        return torch.where(stays_air(source.images), -1.0, image)

    def training_loss(self, batch: TrainingBatch, distance: Distance, generator: torch.Generator) -> TrainingLoss:
        """Eq. 12 of one batch, each noise level weighted by EDM's 1 / c_out^2; `distance` is not used."""
        clean = batch.target
        sigma = self._drawn_levels(len(clean), generator).to(clean)
        noisy = clean + sigma * torch.randn(clean.shape, generator=generator).to(clean)
        with torch.no_grad():
            maps = self.maps_of_target(clean, generator)(noisy, sigma)
        scale = self._preconditioning()
        loss = functional.mse_loss(self._output(noisy, sigma, maps), scale.target_output(noisy, sigma, clean))
        return TrainingLoss(loss, {"denoising": float(loss.detach())})

    def _drawn_levels(self, count: int, generator: torch.Generator) -> Tensor:
        options = self.options
        logarithm = options.spread * torch.randn(count, 1, 1, 1, generator=generator)
        return (options.typical_deviation * logarithm.exp()).clamp(self.range.smallest, self.range.largest)

    def denoised(self, noisy: Tensor, sigma: Tensor, maps: Tensor, offset: tuple[int, int]) -> Tensor:
        """The clean slices that the network expects under the noise.

        Args:
            noisy: (B, 1, H, W).
            sigma: Standard deviation of their noise, (B, 1, 1, 1).
            maps: What lies beside them, (B, C, H, W).
            offset: See `PatchUNet`.
        """
        return self._preconditioning().denoised(noisy, sigma, self._output(noisy, sigma, maps, offset))

    def _output(self, noisy: Tensor, sigma: Tensor, maps: Tensor, offset: tuple[int, int] = (0, 0)) -> Tensor:
        """The network's own output; it is told the logarithm of the noise, from 0 (smallest) to 1 (largest)."""
        scaled = self._preconditioning().network_input(noisy, sigma)
        time = (sigma.flatten() / self.range.smallest).log() / self.range.log_span()
        return self.network(torch.cat([scaled, maps], dim=1), time, offset).float()

    def _preconditioning(self) -> Preconditioning:
        return Preconditioning(self.mean, self.deviation)
