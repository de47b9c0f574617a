"""A denoiser of one modality's slices in, samples of that modality out: what the score-based methods share.

The SDE is variance exploding (MIDiffusion Eq. 4 with U = 0): noise of standard deviation sigma is added to a slice, and
a network estimates the clean slice D. The score is (D - x) / sigma^2 (Eq. 3). The network is preconditioned as in EDM
(Karras et al. 2022, Table 1 and Eq. 7), around the mean of the data, which background makes far from zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from MedTranslateLib.methods.slice_noise import SliceNoise

Denoiser = Callable[[Tensor, float, int], Tensor]
"""Called as `denoise(image, sigma, number of the evaluation)`; returns the clean slice it expects."""
CURVATURE = 7.0
"""rho of EDM Eq. 5."""


class ScoreSampler(str, Enum):
    """How a chain of noise levels is walked down.

    `euler-maruyama`: Algorithm 1 of MIDiffusion as printed, noise added at each step; right for many small steps.
    `dpm-solver++`: the second-order multistep solver of Lu et al. 2022 for the probability-flow ODE; one evaluation of
    the network a step, and noise at the start alone.
    """

    EULER_MARUYAMA = "euler-maruyama"
    DPM_SOLVER = "dpm-solver++"


@dataclass(frozen=True)
class NoiseRange:
    """The noise levels of a chain, as standard deviations of slices in [-1, 1]."""

    smallest: float
    largest: float

    def log_span(self) -> float:
        """Natural logarithm of the largest over the smallest level."""
        return math.log(self.largest / self.smallest)

    def chain(self, steps: int, start: float | None = None) -> list[float]:
        """`steps` levels from `start` (or the largest) to the smallest, EDM Eq. 5, and 0 after them."""
        top = self.largest if start is None else max(start, self.smallest)
        ends = top ** (1 / CURVATURE), self.smallest ** (1 / CURVATURE)
        shares = torch.linspace(0, 1, steps, dtype=torch.float64)
        return [*((ends[0] + shares * (ends[1] - ends[0])) ** CURVATURE).tolist(), 0.0]


@dataclass(frozen=True)
class Preconditioning:
    """EDM Table 1 for data of a mean and a standard deviation; each method takes sigma (B, 1, 1, 1)."""

    mean: Tensor
    deviation: Tensor

    def network_input(self, noisy: Tensor, sigma: Tensor) -> Tensor:
        """c_in times the noisy slice, of about unit variance."""
        return (noisy - self.mean) / (sigma.square() + self.deviation.square()).sqrt()

    def denoised(self, noisy: Tensor, sigma: Tensor, output: Tensor) -> Tensor:
        """The clean slice that an output of the network stands for."""
        keep = self.deviation.square() / (sigma.square() + self.deviation.square())
        return self.mean + keep * (noisy - self.mean) + self._output_scale(sigma) * output

    def target_output(self, noisy: Tensor, sigma: Tensor, clean: Tensor) -> Tensor:
        """The output that would give `clean`: comparing with it weighs Eq. 12 by 1 / c_out^2."""
        zero = torch.zeros_like(noisy)
        return (clean - self.denoised(noisy, sigma, zero)) / self._output_scale(sigma)

    def _output_scale(self, sigma: Tensor) -> Tensor:
        return sigma * self.deviation / (sigma.square() + self.deviation.square()).sqrt()


def sample(image: Tensor, levels: list[float], denoise: Denoiser, sampler: ScoreSampler, noise: SliceNoise) -> Tensor:
    """Walks from the first noise level to 0.

    Args:
        image: (B, 1, H, W) with noise of standard deviation `levels[0]`.
        levels: Falling, the last 0; one evaluation of the network for each but the last.
        denoise: The network.
        sampler: See `ScoreSampler`.
        noise: Source of the noise of an SDE sampler.
    """
    before: Tensor | None = None
    for number, now in enumerate(levels[:-1]):
        then = levels[number + 1]
        clean = denoise(image, now, number)
        if then == 0:
            return clean
        if sampler is ScoreSampler.EULER_MARUYAMA:
            image = _euler_maruyama(image, clean, (now, then), noise)
        else:
            image = _dpm_solver(image, clean, before, levels[max(number - 1, 0) : number + 2])
        before = clean
    return image


def _euler_maruyama(image: Tensor, clean: Tensor, levels: tuple[float, float], noise: SliceNoise) -> Tensor:
    """MIDiffusion Algorithm 1: x + epsilon s + sqrt(epsilon) z, where epsilon is the variance that leaves."""
    now, then = levels
    leaving = now**2 - then**2
    return image + leaving / now**2 * (clean - image) + leaving**0.5 * noise.draw(image)


def _dpm_solver(image: Tensor, clean: Tensor, before: Tensor | None, levels: list[float]) -> Tensor:
    """DPM-Solver++(2M), Lu et al. 2022, Algorithm 2, for alpha = 1: lambda is -log sigma."""
    now, then = levels[-2:]
    if before is not None and len(levels) == 3:
        logs = torch.tensor(levels, dtype=torch.float64).log()
        ratio = float((logs[0] - logs[1]) / (logs[1] - logs[2]))
        clean = clean + (clean - before) / (2 * ratio)
    return then / now * image + (1 - then / now) * clean
