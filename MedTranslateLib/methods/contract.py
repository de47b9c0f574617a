"""What every method is: a network module that turns a batch of source slices into target slices, and can be trained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn

from MedTranslateLib.methods.slice_noise import SliceNoise

OnStep = Callable[[int, int], None]
"""Called as `on_step(done, total)` after each network evaluation of a batch."""


class Direction(str, Enum):
    """`forward` translates the bundle's source modality to its target modality, `reverse` back."""

    FORWARD = "forward"
    REVERSE = "reverse"


@dataclass(frozen=True)
class SliceBatch:
    """Slices to translate, and where their pixels shall come from.

    Args:
        images: Source slices, (B, 1, H, W) in [-1, 1].
        velocity: What `Method.predicted_velocity` gave for these slices, after neighbouring slices were joined,
            (B, 2, H, W) in pixels (rows, columns); None where the method leaves every pixel in its place.
    """

    images: Tensor
    velocity: Tensor | None = None


@dataclass(frozen=True)
class TrainingBatch:
    """Slices of both modalities, each (B, 1, H, W) in [-1, 1]; row b of both is the same anatomy where `paired[b]`.

    For a method that learns from the target alone, `source` is (0, 1, H, W).
    """

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
    reversible: bool = True
    """Whether one network translates both ways."""

    learns_from_target_alone: bool = False
    """Whether training sees target slices only, so that any modality can be its source later."""

    options_of_use: frozenset[str] = frozenset()
    """Options that say how trained weights are used; a training that was stopped may go on with others."""

    def weights_of_use(self) -> dict[str, Tensor]:
        """The state without the `training_parts`: what a bundle stores."""
        return {name: value for name, value in self.state_dict().items() if not self._for_training(name)}

    def load_weights_of_use(self, stored: Mapping[str, Tensor]) -> None:
        """Takes what `weights_of_use` gave; the `training_parts` stay as they are.

        Raises:
            RuntimeError: If a weight is missing, unknown or of another shape.
        """
        own = {name: value for name, value in self.state_dict().items() if self._for_training(name)}
        self.load_state_dict({**own, **stored})

    def _for_training(self, name: str) -> bool:
        return name.startswith(tuple(f"{part}." for part in self.training_parts))

    @property
    @abstractmethod
    def supported_steps(self) -> range:
        """Numbers of steps the trained weights can take."""

    @property
    def default_steps(self) -> int:
        """Steps where nobody asks for a number; the first that is supported, unless a method has a better one."""
        return self.supported_steps[0]

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the record of a run should say of the method besides its steps."""
        return {}

    @property
    def loss_terms(self) -> Mapping[str, float]:
        """Name and weight of the terms of a loss of the method's own; empty where it is the paired distance's."""
        return {}

    training_parts: tuple[str, ...] = ()
    """Names of modules that only training needs; a bundle is stored without their weights."""

    adam_betas: tuple[float, float] = (0.9, 0.999)
    """Decay of Adam's averages of the gradient and of its square, where the paper of a method asks for others."""

    def measure(self, source: Tensor, target: Tensor) -> None:
        """Takes what a method must know of its data before training, from all slices of each side, (N, 1, H, W).

        A side without images is (0, 1, 1, 1).
        """

    def predicted_velocity(self, source: Tensor, direction: Direction = Direction.FORWARD) -> Tensor | None:
        """Predicts where the pixels of a translation come from, for methods that move them.

        Args:
            source: (B, 1, H, W) in [-1, 1].
            direction: Which way they will be translated.

        Returns:
            Stationary velocity (B, 2, H, W) in pixels (rows, columns) whose flow maps a point of the output to the
            point of the source it came from; None where every pixel stays in its place.
        """
        return None

    @abstractmethod
    def translate(
        self, source: SliceBatch, direction: Direction, steps: int, noise: SliceNoise, on_step: OnStep
    ) -> Tensor:
        """Translates a batch; returns slices of shape (B, 1, H, W), about [-1, 1]."""

    @abstractmethod
    def training_loss(self, batch: TrainingBatch, distance: Distance, generator: torch.Generator) -> TrainingLoss:
        """The loss of one batch, with gradient."""


Distance = Callable[[Tensor, Tensor], Tensor]
"""Distance of two batches of paired slices, (B, 1, H, W) in [-1, 1], to a scalar."""
