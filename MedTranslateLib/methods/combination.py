"""Combination: a batch of slices in, first deformed to the shape of the target domain, then translated, out.

The ablation of Plasticine's Table IV: the same deformation network, trained by mutual information alone, followed by a
translation that keeps the structure, here CycleGAN. Nothing lets the two parts learn of each other.
"""

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
from MedTranslateLib.methods.cyclegan import CycleGan, CycleGanOptions
from MedTranslateLib.methods.deformation import DeformationOptions, deformation_terms, velocity_alone
from MedTranslateLib.methods.fields import integrate, warp
from MedTranslateLib.methods.networks.velocity_unet import VelocityUNet, check_velocity_network
from MedTranslateLib.methods.options import options_from
from MedTranslateLib.methods.slice_noise import SliceNoise
from MedTranslateLib.methods.structure import shows_nothing


@dataclass(frozen=True)
class CombinationOptions(CycleGanOptions):
    """What a bundle stores of the method: the options of CycleGAN, and those of Plasticine's deformation.

    Args:
        velocity_channels, velocity_patch, velocity_levels: The deformation network; see `VelocityUNet`.
        border_px, smoothness, inverse, student_weight: See `PlasticineOptions`.
    """

    velocity_channels: int = 48
    velocity_patch: int = 4
    velocity_levels: int = 4
    border_px: int = 12
    smoothness: float = 1.0
    inverse: str = "negated"
    student_weight: float = 1.0

    def __post_init__(self) -> None:
        """Refuses values outside what the method is defined for."""
        super().__post_init__()
        check_velocity_network(self.velocity_channels, self.velocity_patch, self.velocity_levels)
        self.deforming()

    def deforming(self) -> DeformationOptions:
        """The options of the deformation's loss, checked."""
        return DeformationOptions(self.border_px, self.smoothness, self.inverse, self.student_weight)


class Combination(Method):
    """Deformation first, translation after, one way."""

    reversible = False
    adam_betas = CycleGan.adam_betas
    training_parts = tuple(f"translation.{part}" for part in CycleGan.training_parts)

    def __init__(self, options: CombinationOptions) -> None:
        super().__init__()
        self.options = options
        self.deformation = VelocityUNet(options.velocity_channels, options.velocity_patch, options.velocity_levels)
        self.translation = CycleGan(options)

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Combination:
        """Builds an untrained combination; see `CombinationOptions` for the keys."""
        return cls(options_from(CombinationOptions, options))

    @property
    def supported_steps(self) -> range:
        """One evaluation of the generator."""
        return self.translation.supported_steps

    @property
    def loss_terms(self) -> Mapping[str, float]:
        """Those of CycleGAN, and Eq. 7 of Plasticine."""
        weights = {"smoothness": self.options.smoothness, "- nmi from the source alone": self.options.student_weight}
        return {"- nmi": 1.0, "alignment": 1.0, **weights, **self.translation.loss_terms}

    def predicted_velocity(self, source: Tensor, direction: Direction = Direction.FORWARD) -> Tensor:
        """The velocity from the source alone; see `velocity_alone`."""
        return velocity_alone(self.deformation, source, self.options.border_px)

    @torch.inference_mode()
    def translate(
        self, source: SliceBatch, direction: Direction, steps: int, noise: SliceNoise, on_step: OnStep
    ) -> Tensor:
        """The source carried along phi, then through the generator. The method is deterministic: no `noise`."""
        moved = source.images if source.velocity is None else warp(source.images, integrate(source.velocity))
        image = self.translation.translate(SliceBatch(moved), direction, steps, noise, on_step)
        return torch.where(shows_nothing(source.images).view(-1, 1, 1, 1), -1.0, image)

    def training_loss(self, batch: TrainingBatch, distance: Distance, generator: torch.Generator) -> TrainingLoss:
        """Eq. 7 of Plasticine without an estimated noise, and CycleGAN between deformed source and target."""
        none = torch.zeros_like(batch.target)
        moving = deformation_terms(self.deformation, batch, none, self.options.deforming())
        moved = warp(batch.source, integrate(self.predicted_velocity(batch.source)))
        rest = self.translation.training_loss(TrainingBatch(moved, batch.target, batch.paired), distance, generator)
        parts = {**{name: float(term.detach()) for name, term in moving.items()}, **rest.parts}
        return TrainingLoss(sum(moving.values(), rest.total), parts)
