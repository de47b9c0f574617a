"""Bi-DPM: a batch of slices in, the same slices in the other modality out, in one or two steps, both ways.

One network u(x, t) is the velocity of a flow from the source modality (t = 0) to the target modality (t = 1). It is
trained so that the states that start from the source meet those that start from the target at every time of a coarse
grid (Bi-DPM, Algorithms 1 and 2, Eq. 5 to 9).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

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
from MedTranslateLib.methods.distances import maximum_mean_discrepancy
from MedTranslateLib.methods.networks.patch_unet import PatchUNet, check_network
from MedTranslateLib.methods.options import options_from
from MedTranslateLib.methods.slice_noise import SliceNoise


@dataclass(frozen=True)
class BiDpmOptions:
    """What a bundle stores of the method.

    Args:
        steps: N of the paper, the number of Euler steps the network was trained for.
        channels: Width of each level of the network.
        residual_blocks: Residual blocks a level.
        patch: Side of the pixel blocks the network works on.
        unpaired_weight: lambda_u of Eq. 9; the paper uses 0.2 to 0.3 for partially paired data.
        mirror: Whether a translation is the mean of that of the slice and that of its mirror image, mirrored back: for
            networks trained with mirrored slices, twice the time. Not in the paper.
    """

    steps: int = 1
    channels: tuple[int, ...] = (32, 64, 128, 192)
    residual_blocks: int = 1
    patch: int = 2
    unpaired_weight: float = 0.2
    mirror: bool = False

    def __post_init__(self) -> None:
        """Refuses values outside what the method is defined for."""
        if self.steps < 1:
            msg = f"steps = {self.steps}: Bi-DPM needs at least one step."
            raise ConfigError(msg)
        check_network(self.channels, self.residual_blocks, self.patch)


class BiDpm(Method):
    """Bi-directional discrete process matching."""

    options_of_use = frozenset({"mirror"})

    def __init__(self, options: BiDpmOptions) -> None:
        super().__init__()
        self.options = options
        self.velocity = PatchUNet(options.channels, options.residual_blocks, options.patch)

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> BiDpm:
        """Builds an untrained Bi-DPM; see `BiDpmOptions` for the keys."""
        return cls(options_from(BiDpmOptions, options))

    @property
    def supported_steps(self) -> range:
        """The states are matched on one time grid only, so the trained number of steps is the only one."""
        return range(self.options.steps, self.options.steps + 1)

    @torch.inference_mode()
    def translate(
        self, source: SliceBatch, direction: Direction, steps: int, noise: SliceNoise, on_step: OnStep
    ) -> Tensor:
        """Algorithm 2, with mirror averaging if chosen. The method is deterministic: `noise` is not used."""
        image = self.states(source.images, direction, steps, on_step)[-1]
        if not self.options.mirror:
            return image
        mirrored = self.states(source.images.flip(-1), direction, steps, on_step)[-1].flip(-1)
        # within the scale first: what lies beyond it carries no information and would not cancel
        return (image.clamp(-1, 1) + mirrored.clamp(-1, 1)) / 2

    def states(self, start: Tensor, direction: Direction, steps: int, on_step: OnStep) -> list[Tensor]:
        """Euler steps of Eq. 5: `steps` + 1 states, the first is `start`, the last the translation."""
        times = [n / steps for n in range(steps + 1)]
        if direction is Direction.REVERSE:
            times.reverse()
        states = [start]
        for number, (now, then) in enumerate(pairwise(times)):
            time = torch.full((len(start),), now, device=start.device)
            states.append(states[-1] + self.velocity(states[-1], time) * (then - now))
            on_step(number + 1, steps)
        return states

    def training_loss(self, batch: TrainingBatch, distance: Distance, generator: torch.Generator) -> TrainingLoss:
        """Eq. 9: paired states by `distance` (Eq. 7), unpaired ones by MMD against the whole batch (Eq. 8)."""
        steps = self.options.steps
        forward = self.states(batch.source, Direction.FORWARD, steps, _ignore)
        backward = self.states(batch.target, Direction.REVERSE, steps, _ignore)[::-1]
        weights = [1.0, *[0.5] * (steps - 1), 1.0]
        paired = unpaired = torch.zeros((), device=batch.source.device)
        for weight, f, b in zip(weights, forward, backward, strict=True):
            if batch.paired.any():
                paired = paired + weight * distance(f[batch.paired], b[batch.paired])
            if not batch.paired.all():
                unpaired = unpaired + weight * _unpaired_distance(f, b, batch.paired)
        total = paired + self.options.unpaired_weight * unpaired
        return TrainingLoss(total, {"paired": float(paired.detach()), "unpaired": float(unpaired.detach())})


def _unpaired_distance(forward: Tensor, backward: Tensor, paired: Tensor) -> Tensor:
    """MMD between the unpaired part of each side and the whole batch of the other (Bi-DPM Section 3.2.2)."""
    one = maximum_mean_discrepancy(forward[~paired], backward)
    other = maximum_mean_discrepancy(forward, backward[~paired])
    return (one + other) / 2


def _ignore(_done: int, _total: int) -> None:
    """Training reports per iteration, not per step."""
