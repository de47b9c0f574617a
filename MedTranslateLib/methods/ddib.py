"""DDIB: a batch of slices in, the slices of the other modality that share their latent code out.

Dual diffusion implicit bridges (Su et al. 2023). Two denoisers, one a modality, are trained on their own; neither
needs pairs nor knows of the other. A translation walks the probability-flow ODE of the source's model up to noise, and
that of the target's model down again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from MedTranslateLib.methods.contract import (
    Direction,
    Distance,
    Method,
    OnStep,
    SliceBatch,
    TrainingBatch,
    TrainingLoss,
)
from MedTranslateLib.methods.options import options_from
from MedTranslateLib.methods.score_method import MOST_STEPS
from MedTranslateLib.methods.sdedit import SdEdit, SdEditOptions
from MedTranslateLib.methods.slice_noise import SliceNoise

Slope = Callable[[Tensor, float], Tensor]
"""dx / dsigma of an ODE at a place (B, 1, H, W) and a noise level."""


@dataclass(frozen=True)
class DdibOptions(SdEditOptions):
    """As `ScoreOptions`, for both denoisers; `steps` is the number of steps each way, of two evaluations each."""


class Ddib(Method):
    """Two score models joined by their probability-flow ODEs, both ways."""

    options_of_use = frozenset({"steps"})

    def __init__(self, options: DdibOptions) -> None:
        super().__init__()
        self.options = options
        self.source_model, self.target_model = SdEdit(options), SdEdit(options)

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Ddib:
        """Builds an untrained DDIB; see `ScoreOptions` for the keys."""
        return cls(options_from(DdibOptions, options))

    def measure(self, source: Tensor, target: Tensor) -> None:
        """Mean and standard deviation of either modality."""
        self.source_model.measure(source[:0], source)
        self.target_model.measure(target[:0], target)

    @property
    def supported_steps(self) -> range:
        """Noise levels are continuous, so an ODE can be solved in any number of steps."""
        return range(1, MOST_STEPS + 1)

    @property
    def default_steps(self) -> int:
        """The number of the options."""
        return self.options.steps

    @property
    def loss_terms(self) -> Mapping[str, float]:
        """One denoising loss a model."""
        return {"denoising source": 1.0, "denoising target": 1.0}

    @torch.inference_mode()
    def translate(
        self, source: SliceBatch, direction: Direction, steps: int, noise: SliceNoise, on_step: OnStep
    ) -> Tensor:
        """Algorithm 1 of Su et al.: up the source's ODE, down the target's, Heun's method. `noise` is not used."""
        ends = (self.source_model, self.target_model)
        start, goal = ends if direction is Direction.FORWARD else ends[::-1]
        falling = start.range.chain(steps + 1)[:-1]
        code = solve_ode(source.images, falling[::-1], _slope(start), lambda done: on_step(done, 2 * steps))
        image = solve_ode(code, falling, _slope(goal), lambda done: on_step(steps + done, 2 * steps))
        return _clean(goal, image, falling[-1])

    def training_loss(self, batch: TrainingBatch, distance: Distance, generator: torch.Generator) -> TrainingLoss:
        """The denoising loss of either modality; pairing and `distance` are not used."""
        other = TrainingBatch(batch.target, batch.source, batch.paired)
        target = self.target_model.training_loss(batch, distance, generator)
        source = self.source_model.training_loss(other, distance, generator)
        parts = {"source": source.parts["denoising"], "target": target.parts["denoising"]}
        return TrainingLoss(source.total + target.total, parts)


def solve_ode(image: Tensor, levels: list[float], slope: Slope, on_step: Callable[[int], None]) -> Tensor:
    """Heun's second-order method along the noise levels (Karras et al. 2022, Algorithm 1).

    Args:
        image: (B, 1, H, W) at the first level.
        levels: Noise levels, rising or falling, none of them 0.
        slope: The ODE.
        on_step: Called with the number of steps done.
    """
    for number, (now, then) in enumerate(pairwise(levels)):
        first = slope(image, now)
        second = slope(image + (then - now) * first, then)
        image = image + (then - now) * (first + second) / 2
        on_step(number + 1)
    return image


def _slope(model: SdEdit) -> Slope:
    """(x - D(x)) / sigma, the probability-flow ODE of a variance-exploding SDE (Karras et al. 2022, Eq. 1 and 3)."""
    return lambda image, sigma: (image - _clean(model, image, sigma)) / sigma


def _clean(model: SdEdit, image: Tensor, sigma: float) -> Tensor:
    level = torch.full((len(image), 1, 1, 1), sigma, device=image.device)
    return model.denoised(image, level, image[:, :0], (0, 0))
