"""CycleGAN: a batch of slices in, slices that a discriminator takes for the other modality out, by one generator a way.

Zhu et al. 2017. Two generators are trained with two patch discriminators (least-squares loss), so that A -> B -> A
comes back and slices of the target modality stay as they are. It never uses the pairing of the slices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from monai.losses.adversarial_loss import PatchAdversarialLoss
from monai.networks.nets.patchgan_discriminator import PatchDiscriminator
from torch import Tensor, nn
from torch.func import functional_call
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
from MedTranslateLib.methods.networks.patch_unet import WIDEST, PatchUNet, check_network
from MedTranslateLib.methods.options import options_from
from MedTranslateLib.methods.slice_noise import SliceNoise


@dataclass(frozen=True)
class CycleGanOptions:
    """What a bundle stores of the method.

    Args:
        cycle_weight: lambda of Eq. 3; 10 in the paper.
        identity_weight: Weight of the identity loss (Section 5.2); 0.5 lambda in the paper.
        discriminator_channels: Width of the discriminators' first layer; 64 in the paper.
        channels, residual_blocks, patch: Each generator; see `PatchUNet`.
    """

    cycle_weight: float = 10.0
    identity_weight: float = 5.0
    discriminator_channels: int = 32
    channels: tuple[int, ...] = (32, 64, 128, 192)
    residual_blocks: int = 1
    patch: int = 2

    def __post_init__(self) -> None:
        """Refuses values outside what the method is defined for."""
        if min(self.cycle_weight, self.identity_weight) < 0 or not 1 <= self.discriminator_channels <= WIDEST:
            msg = (
                "cycle_weight and identity_weight must not be negative, discriminator_channels at least 1 and at most "
                f"{WIDEST}."
            )
            raise ConfigError(msg)
        check_network(self.channels, self.residual_blocks, self.patch)


class Generator(nn.Module):
    """One generator: the network that the flows have too, used once; what it gives is added to the slice."""

    def __init__(self, options: CycleGanOptions) -> None:
        super().__init__()
        self.network = PatchUNet(options.channels, options.residual_blocks, options.patch)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 1, H, W) to (B, 1, H, W), about [-1, 1]."""
        return image + self.network(image, torch.zeros(len(image), device=image.device)).float()


class CycleGan(Method):
    """Cycle-consistent adversarial translation, both ways."""

    adam_betas = (0.5, 0.999)
    training_parts = ("target_discriminator", "source_discriminator")

    def __init__(self, options: CycleGanOptions) -> None:
        super().__init__()
        self.options = options
        self.forward_generator, self.reverse_generator = Generator(options), Generator(options)
        self.target_discriminator, self.source_discriminator = _discriminator(options), _discriminator(options)
        self._adversarial = PatchAdversarialLoss(criterion="least_squares", no_activation_leastsq=True)

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> CycleGan:
        """Builds an untrained CycleGAN; see `CycleGanOptions` for the keys."""
        return cls(options_from(CycleGanOptions, options))

    @property
    def supported_steps(self) -> range:
        """One evaluation of a generator."""
        return range(1, 2)

    @property
    def loss_terms(self) -> Mapping[str, float]:
        """Eq. 1 to 3 and the identity loss."""
        weights = {"cycle l1": self.options.cycle_weight, "identity l1": self.options.identity_weight}
        return {"adversarial": 1.0, "discriminators": 1.0, **weights}

    @torch.inference_mode()
    def translate(
        self, source: SliceBatch, direction: Direction, steps: int, noise: SliceNoise, on_step: OnStep
    ) -> Tensor:
        """One generator, once. The method is deterministic: `noise` is not used."""
        generator = self.forward_generator if direction is Direction.FORWARD else self.reverse_generator
        image: Tensor = generator(source.images)
        on_step(1, 1)
        return image

    def training_loss(self, batch: TrainingBatch, distance: Distance, generator: torch.Generator) -> TrainingLoss:
        """Losses of generators and discriminators of one batch, for one step of both; `distance` is not used.

        The paper takes two steps in turn. Here each part sees the other as a constant, so the gradient of the sum is
        that of either alone; and there is no pool of older outputs.
        """
        source, target = batch.source, batch.target
        made_target, made_source = self.forward_generator(source), self.reverse_generator(target)
        options = self.options
        terms = {
            "adversarial": self._fooled(self.target_discriminator, made_target)
            + self._fooled(self.source_discriminator, made_source),
            "cycle": options.cycle_weight
            * (
                functional.l1_loss(self.reverse_generator(made_target), source)
                + functional.l1_loss(self.forward_generator(made_source), target)
            ),
            "identity": options.identity_weight
            * (
                functional.l1_loss(self.forward_generator(target), target)
                + functional.l1_loss(self.reverse_generator(source), source)
            ),
            "discriminators": self._told_apart(self.target_discriminator, target, made_target)
            + self._told_apart(self.source_discriminator, source, made_source),
        }
        return TrainingLoss(sum(terms.values(), torch.zeros(())), {k: float(v.detach()) for k, v in terms.items()})

    def _fooled(self, discriminator: nn.Module, made: Tensor) -> Tensor:
        """How far what was made is from being taken for real; the discriminator does not learn from it."""
        frozen = {name: value.detach() for name, value in discriminator.named_parameters()}
        verdict: Tensor = functional_call(discriminator, frozen, (made,))[-1]
        return torch.as_tensor(self._adversarial(verdict.float(), target_is_real=True, for_discriminator=False))

    def _told_apart(self, discriminator: nn.Module, real: Tensor, made: Tensor) -> Tensor:
        """Half the squared errors about real and made slices; the generator does not learn from it."""
        verdicts = [(discriminator(real)[-1], True), (discriminator(made.detach())[-1], False)]
        errors = [
            torch.as_tensor(self._adversarial(verdict.float(), target_is_real=truth, for_discriminator=True))
            for verdict, truth in verdicts
        ]
        return torch.stack(errors).mean()


def _discriminator(options: CycleGanOptions) -> nn.Module:
    """The 70 x 70 PatchGAN of Isola et al. 2017."""
    return PatchDiscriminator(
        spatial_dims=2, channels=options.discriminator_channels, in_channels=1, num_layers_d=3, norm="INSTANCE"
    )
