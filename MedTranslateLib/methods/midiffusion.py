"""MIDiffusion: a batch of slices of any modality in, slices of the one modality it was trained on out.

Training sees the target modality alone. A slice is noised, and the network denoises it under two kinds of maps of local
mutual information: cross, of the slice and its noised copy, and self, of the slice with itself (Eq. 12). To translate,
the maps come from the source, which no training has seen (Algorithm 1): they tell where structures are, not how bright.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch import Tensor

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.methods.lmi import PAPER_BANDWIDTH, local_mutual_information
from MedTranslateLib.methods.options import options_from
from MedTranslateLib.methods.random_contrast import RandomContrast
from MedTranslateLib.methods.score_method import Maps, ScoreMethod, ScoreOptions

NOT_GIVEN = -1.0
"""Stands in a map that is left out; mutual information is not negative."""


class Guidance(str, Enum):
    """What a translation follows; a network that learnt with some of it left out can do without.

    `picture`: the source itself beside both kinds of maps, for networks that learnt with one (`picture = true`).
    `both`: cross and self maps, as in the paper. `self`: the self maps alone. `none`: nothing.
    """

    PICTURE = "picture"
    BOTH = "both"
    SELF = "self"
    NONE = "none"


@dataclass(frozen=True)
class MIDiffusionOptions(ScoreOptions):
    """What a bundle stores of the method, besides `ScoreOptions`.

    Args:
        guidance: See `Guidance`.
        picture: Whether the network has a channel for the source itself, which it learns to read from slices redrawn by
            `RandomContrast`. Not in the papers.
        bandwidths: Kernels of the maps, for images in [0, 1]: a self map with each, the cross map with the first. One
            in the paper; a narrow one as well shows structures of little contrast.
        radius: 1 for neighbourhoods of 3 x 3, 2 for 5 x 5.
        contrast, structure, likeness: Shares of `RandomContrast`; 0 is the paper.
        leave_out, leave_out_cross, leave_out_picture: Share of the training slices that show nothing, the self map
            alone, and the maps alone.
    """

    guidance: str = Guidance.BOTH.value
    bandwidths: tuple[float, ...] = (PAPER_BANDWIDTH,)
    radius: int = 1
    picture: bool = False
    contrast: float = 0.0
    structure: float = 0.0
    likeness: float = 0.0
    leave_out: float = 0.15
    leave_out_cross: float = 0.1
    leave_out_picture: float = 0.2

    def __post_init__(self) -> None:
        """Refuses values outside what the method is defined for."""
        super().__post_init__()
        if self.guidance not in {guidance.value for guidance in Guidance}:
            msg = f"guidance = {self.guidance!r} is unknown; choose {', '.join(g.value for g in Guidance)}."
            raise ConfigError(msg)
        if not self.bandwidths or min(self.bandwidths) <= 0 or self.radius not in (1, 2):
            msg = f"bandwidths must be above 0 and radius 1 or 2, got {list(self.bandwidths)} and {self.radius}."
            raise ConfigError(msg)
        shares = (self.leave_out, self.leave_out_cross, self.leave_out_picture if self.picture else 0.0)
        if min(shares) < 0 or sum(shares) > 1:
            msg = f"leave_out, leave_out_cross and leave_out_picture are shares of one whole, got {shares}."
            raise ConfigError(msg)
        if Guidance(self.guidance) not in self.learnt_guidance():
            names = ", ".join(guidance.value for guidance in self.learnt_guidance())
            msg = (
                f"guidance = {self.guidance!r} is not what this network learns; with its channels and shares: {names}."
            )
            raise ConfigError(msg)
        if self.picture and self.contrast < 1:
            msg = f"picture = true needs contrast = 1, got {self.contrast}: the network would learn to copy its input."
            raise ConfigError(msg)

    def learnt_guidance(self) -> tuple[Guidance, ...]:
        """What a network with these options can follow, because training showed it slices with just that."""
        learnt = {
            Guidance.PICTURE: self.picture,
            Guidance.BOTH: not self.picture or self.leave_out_picture > 0,
            Guidance.SELF: self.leave_out_cross > 0,
            Guidance.NONE: self.leave_out > 0,
        }
        return tuple(guidance for guidance, shown in learnt.items() if shown)


class MIDiffusion(ScoreMethod):
    """Zero-shot translation to one modality, from whatever shows the same anatomy."""

    options_of_use = frozenset({"steps", "sampler", "start_deviation", "temperature", "guidance"})
    options: MIDiffusionOptions

    def __init__(self, options: MIDiffusionOptions) -> None:
        super().__init__(options, maps=1 + len(options.bandwidths) + options.picture)
        self.contrast = RandomContrast(options.contrast, options.structure, options.likeness)

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> MIDiffusion:
        """Builds an untrained MIDiffusion; see `MIDiffusionOptions` for the keys."""
        return cls(options_from(MIDiffusionOptions, options))

    @property
    def facts(self) -> Mapping[str, Any]:
        """Which maps guided a run, besides its sampler."""
        return {**super().facts, "guidance": self.options.guidance}

    def maps_of_source(self, source: Tensor) -> Maps:
        """LMI(G, F_t) and LMI(G, G) of the source G; the second does not change from step to step."""
        guide = unit(source)
        guidance = Guidance(self.options.guidance)
        own = self.self_maps(guide)
        own = own if guidance is not Guidance.NONE else _left_out(own)
        picture = [guide if guidance is Guidance.PICTURE else _left_out(guide)] if self.options.picture else []

        def maps(noisy: Tensor, sigma: Tensor) -> Tensor:
            seen = guidance in (Guidance.BOTH, Guidance.PICTURE)
            cross = self.cross_map(guide, noisy, sigma) if seen else _left_out(noisy)
            return torch.cat([cross, own, *picture], dim=1)

        return maps

    def maps_of_target(self, clean: Tensor, generator: torch.Generator) -> Maps:
        """LMI(F, F_t) and LMI(F, F) of the target F, or of F redrawn in another contrast, now and then left out."""
        guide = self.contrast.redraw(unit(clean), generator)
        draw = torch.rand(len(clean), 1, 1, 1, generator=generator).to(clean)
        nothing, own_alone, maps_alone = self._left_out_below()
        own = torch.where(draw < nothing, NOT_GIVEN, self.self_maps(guide))
        picture = [torch.where(draw < maps_alone, NOT_GIVEN, guide)] if self.options.picture else []

        def maps(noisy: Tensor, sigma: Tensor) -> Tensor:
            cross = torch.where(draw < own_alone, NOT_GIVEN, self.cross_map(guide, noisy, sigma))
            return torch.cat([cross, own, *picture], dim=1)

        return maps

    def cross_map(self, guide: Tensor, noisy: Tensor, sigma: Tensor) -> Tensor:
        """LMI(G, F_t), (B, 1, H, W) in nats.

        Args:
            guide: G in [0, 1].
            noisy: F_t in [-1, 1] with noise. It is shrunk to the contrast of the data, so that at sigma = 0 it is the
                image itself and the kernels' width means the same at every level.
            sigma: (B, 1, 1, 1).
        """
        shrink = self.deviation / (sigma.square() + self.deviation.square()).sqrt()
        return local_mutual_information(guide, unit(noisy) * shrink, self.options.bandwidths[0], self.options.radius)

    def self_maps(self, guide: Tensor) -> Tensor:
        """LMI(G, G) for each bandwidth, (B, bandwidths, H, W) in nats."""
        maps = [
            local_mutual_information(guide, guide, bandwidth, self.options.radius)
            for bandwidth in self.options.bandwidths
        ]
        return torch.cat(maps, dim=1)

    def _left_out_below(self) -> tuple[float, float, float]:
        """Numbers of 0 to 1 below which a slice shows nothing, the self map alone, the maps alone."""
        options = self.options
        own_alone = options.leave_out + options.leave_out_cross
        return options.leave_out, own_alone, own_alone + options.leave_out_picture


def unit(images: Tensor) -> Tensor:
    """From [-1, 1] to [0, 1], in single precision."""
    return (images.float() + 1) / 2


def _left_out(maps: Tensor) -> Tensor:
    return torch.full_like(maps, NOT_GIVEN)
