"""The method that changes nothing: what the path itself does to an image can be measured with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
from MedTranslateLib.methods.slice_noise import SliceNoise


@dataclass(frozen=True)
class IdentityOptions:
    """The identity has no options."""


class Identity(Method):
    """Returns the source slices as they are."""

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Identity:
        """Builds it; any option is an error."""
        options_from(IdentityOptions, options)
        return cls()

    @property
    def supported_steps(self) -> range:
        """One."""
        return range(1, 2)

    def translate(
        self, source: SliceBatch, direction: Direction, steps: int, noise: SliceNoise, on_step: OnStep
    ) -> Tensor:
        """The slices themselves."""
        on_step(1, 1)
        return source.images

    def training_loss(self, batch: TrainingBatch, distance: Distance, generator: torch.Generator) -> TrainingLoss:
        """There is nothing to learn: the distance of the pairs as they are."""
        value = distance(batch.source, batch.target)
        return TrainingLoss(value, {"distance": float(value)})
