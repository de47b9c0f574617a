"""What every method is: a network module that turns a batch of source slices into target slices, and can be trained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn

OnStep = Callable[[int, int], None]
"""Called as `on_step(done, total)` after each network evaluation of a batch."""


class Direction(str, Enum):
    """`forward` translates the bundle's source modality to its target modality, `reverse` back."""

    FORWARD = "forward"
    REVERSE = "reverse"


@dataclass(frozen=True)
class SliceTranslation:
    """What a method makes of a batch of slices.

    Args:
        images: Translated slices, (B, 1, H, W), about [-1, 1].
        velocity: Stationary velocity of the deformation, (B, 2, H, W) in pixels (rows, columns), or None where
            the method leaves every pixel in its place.
    """

    images: Tensor
    velocity: Tensor | None = None


@dataclass(frozen=True)
class TrainingBatch:
    """Slices of both modalities, each (B, 1, H, W) in [-1, 1]; row b of both is the same anatomy where `paired[b]`."""

    source: Tensor
    target: Tensor
    paired: Tensor


@dataclass(frozen=True)
class TrainingLoss:
    """A scalar to minimise and its named parts for the log."""

    total: Tensor
    parts: Mapping[str, float]


class Method(nn.Module, ABC):
    """Base of the methods. A method knows tensors only: no files, no nodes, no geometry."""

    @classmethod
    @abstractmethod
    def from_options(cls, options: Mapping[str, Any]) -> Method:
        """Builds the method with untrained weights from the options that a bundle stores.

        Raises:
            ConfigError: On an unknown option or a value out of range.
        """

    stochastic: bool = False
    """Whether two samples differ; only then does an uncertainty map mean anything."""

    @property
    @abstractmethod
    def supported_steps(self) -> range:
        """Numbers of steps the trained weights can take; the first is the default."""

    @abstractmethod
    def translate(
        self, source: Tensor, direction: Direction, steps: int, generator: torch.Generator, on_step: OnStep
    ) -> SliceTranslation:
        """Translates slices of shape (B, 1, H, W) in [-1, 1]."""

    @abstractmethod
    def training_loss(self, batch: TrainingBatch, distance: Distance, generator: torch.Generator) -> TrainingLoss:
        """The loss of one batch, with gradient."""


Distance = Callable[[Tensor, Tensor], Tensor]
"""Distance of two batches of paired slices, (B, 1, H, W) in [-1, 1], to a scalar."""
