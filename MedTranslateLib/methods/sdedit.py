"""SDEdit: a batch of slices of any modality in, slices of the trained modality that resemble them out.

Meng et al. 2022, the comparison of both LMI papers: the source is noised and denoised again by a network that knows the
target modality alone. How far it is noised trades likeness to the source against likeness to the target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.methods.options import options_from
from MedTranslateLib.methods.score_method import Maps, ScoreMethod, ScoreOptions


@dataclass(frozen=True)
class SdEditOptions(ScoreOptions):
    """As `ScoreOptions`; `start_deviation` is what the paper calls t0, and is never 0."""

    start_deviation: float = 0.8

    def __post_init__(self) -> None:
        """Refuses values outside what the method is defined for."""
        super().__post_init__()
        if not self.start_deviation:
            msg = "start_deviation must be above 0: SDEdit starts from the noised source."
            raise ConfigError(msg)


class SdEdit(ScoreMethod):
    """Translation by noising and denoising."""

    options_of_use = frozenset({"steps", "sampler", "start_deviation", "temperature"})

    def __init__(self, options: SdEditOptions) -> None:
        super().__init__(options, maps=0)

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> SdEdit:
        """Builds an untrained SDEdit; see `ScoreOptions` for the keys."""
        return cls(options_from(SdEditOptions, options))

    def maps_of_source(self, source: Tensor) -> Maps:
        """None."""
        return _no_maps

    def maps_of_target(self, clean: Tensor, generator: torch.Generator) -> Maps:
        """None."""
        return _no_maps


def _no_maps(noisy: Tensor, sigma: Tensor) -> Tensor:
    return noisy[:, :0]
