"""A deformation network and slices of two domains in, its velocity and the terms of its loss out (Plasticine Eq. 7)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.methods.contract import TrainingBatch
from MedTranslateLib.methods.fields import fade_at_border, integrate, limit_slope, warp
from MedTranslateLib.methods.mutual_information import normalised_mutual_information
from MedTranslateLib.methods.networks.velocity_unet import Velocities, VelocityUNet

STEEPEST = 0.7
"""Change of a velocity from one pixel to the next beyond which it is weakened. Where it draws together from all sides
so steeply, det J is e^-1.4 = 0.25; the tests hold such velocities to the round trip that a result must have."""


@dataclass(frozen=True)
class DeformationOptions:
    """How a deformation is learnt; see `PlasticineOptions` for the meaning of each.

    Args:
        border_px: Pixels over which the velocity comes to rest at the border.
        smoothness: lambda_1 of Eq. 7.
        inverse: `negated` or `predicted`.
        student_weight: Weight of Eq. 6 for the velocity from the source alone.
    """

    border_px: int
    smoothness: float
    inverse: str
    student_weight: float

    def __post_init__(self) -> None:
        """Refuses values outside what the method is defined for."""
        if self.inverse not in ("negated", "predicted"):
            msg = f"inverse = {self.inverse!r} is unknown; choose negated or predicted."
            raise ConfigError(msg)
        if self.border_px < 1 or min(self.smoothness, self.student_weight) < 0:
            msg = "border_px must be at least 1; smoothness and student_weight must not be negative."
            raise ConfigError(msg)


@torch.no_grad()  # not inference mode: training uses it for the condition of pairs
def velocity_alone(network: VelocityUNet, source: Tensor, border_px: int) -> Tensor:
    """The velocity from the source alone: at rest at the border, nowhere so steep that its flow folds.

    Args:
        network: The deformation network.
        source: (B, 1, H, W) in [-1, 1].
        border_px: Pixels over which it comes to rest.

    Returns:
        (B, 2, H, W) in pixels (rows, columns); its flow maps a point of the output to its source.
    """
    return limit_slope(fade_at_border(network.alone(source).forward, border_px), STEEPEST)


def deformation_terms(
    network: VelocityUNet, batch: TrainingBatch, noise: Tensor, options: DeformationOptions
) -> dict[str, Tensor]:
    """The terms of Eq. 7 with the target seen, and from the source alone.

    Args:
        network: The deformation network.
        batch: Slices of both domains, paired or not.
        noise: What the network sees beside the target, (B, 1, H, W).
        options: Weights and the rest.
    """
    taught = network.taught(batch.source, batch.target, noise)
    alone = network.alone(batch.source)
    taught_fields, own_fields = _fields(taught, options), _fields(alone, options)
    weight, smoothness = options.student_weight, options.smoothness
    return {
        "nmi": _data_term(batch, *taught_fields),
        "smoothness": smoothness * _roughness(*taught_fields),
        "alignment": functional.mse_loss(alone.features.float(), taught.features.detach().float()),
        "student nmi": weight * _data_term(batch, *own_fields),
        "student smoothness": weight * smoothness * _roughness(*own_fields),
    }


def _fields(velocities: Velocities, options: DeformationOptions) -> tuple[Tensor, Tensor]:
    """Velocities of the two terms of Eq. 6, at rest at the border."""
    forward = fade_at_border(velocities.forward, options.border_px)
    if options.inverse == "negated":
        return forward, -forward
    return forward, fade_at_border(velocities.backward, options.border_px)


def _data_term(batch: TrainingBatch, forward: Tensor, backward: Tensor) -> Tensor:
    """Eq. 6 with the sign of a loss: minus the mean of both directions' normalised mutual information."""
    there = normalised_mutual_information(warp(batch.source, integrate(forward)), batch.target)
    back = normalised_mutual_information(batch.source, warp(batch.target, integrate(backward)))
    return -(there + back).mean()


def _roughness(*velocities: Tensor) -> Tensor:
    """First-order smoothness: mean squared difference of neighbouring pixels (Appendix F)."""
    field = torch.cat(velocities)
    return field.diff(dim=-1).square().mean() + field.diff(dim=-2).square().mean()
