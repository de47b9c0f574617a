"""How noise grows over the steps of a diffusion, and which of its levels a short chain visits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from MedTranslateLib.core.errors import ConfigError

TRAINING_STEPS = 2000
FIRST_BETA, LAST_BETA = 1e-6, 1e-2


@dataclass(frozen=True)
class NoiseSchedule:
    """A linear schedule with continuous levels: beta from 1e-6 to 1e-2 over 2000 steps (Plasticine Section III-C).

    gamma_k is the product of 1 - beta up to step k: a noised image is sqrt(gamma) y + sqrt(1 - gamma) noise (Eq. A.3).

    Args:
        strength: How far a translation is noised, as a share of the 2000 steps. With 1 the last gamma is 4.5e-5 and
            nothing of the source's intensities survives; less keeps some of them.
    """

    strength: float = 1.0

    def __post_init__(self) -> None:
        """Refuses a share that is none."""
        if not 1 <= self.strength * TRAINING_STEPS <= TRAINING_STEPS:
            msg = f"noise strength must be {1 / TRAINING_STEPS} (one step of the schedule) to 1, got {self.strength}."
            raise ConfigError(msg)

    @staticmethod
    def gammas() -> Tensor:
        """gamma_0 = 1 to gamma_2000, float64."""
        kept = 1 - torch.linspace(FIRST_BETA, LAST_BETA, TRAINING_STEPS, dtype=torch.float64)
        return torch.cat([torch.ones(1, dtype=torch.float64), kept.cumprod(0)])

    def chain(self, steps: int) -> Tensor:
        """Gamma of a chain of `steps` refinements, gamma_0 = 1 first: evenly spaced indices of the 2000.

        The chain's own alpha_k is gamma_k / gamma_(k-1), so that it ends at the same noise for any number of steps.
        """
        last = round(self.strength * TRAINING_STEPS)
        return self.gammas()[torch.linspace(0, last, steps + 1, dtype=torch.float64).round().long()]

    def surviving(self) -> float:
        """gamma_K: the share of the source's variance that is left where a translation starts."""
        return float(self.chain(1)[-1])

    def sample_levels(self, count: int, generator: torch.Generator) -> Tensor:
        """sqrt(gamma) drawn for training: a random step, then uniform between its two levels (WaveGrad, Section 3)."""
        levels = self.gammas().sqrt()
        step = torch.randint(1, TRAINING_STEPS + 1, (count,), generator=generator)
        share = torch.rand(count, generator=generator, dtype=torch.float64)
        return (levels[step] * share + levels[step - 1] * (1 - share)).float()
