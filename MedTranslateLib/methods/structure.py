"""A slice in, its structure map out: a piecewise-constant partition that keeps outlines and drops shades.

Plasticine takes the partition of a two-phase Potts (Mumford-Shah) functional, "an unsupervised pixel clustering method"
(Section III, [46]). Here it has 2 to 6 phases: with two only the outline is left, more keep the inner anatomy. The
functional is minimised by mean-field relaxation from multi-Otsu: one algorithm for any number of phases, milliseconds a
slice, so it can run on augmented slices while training; the tests compare it with `skimage.segmentation.chan_vese`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from skimage.filters import threshold_multiotsu
from torch import Tensor
from torch.nn import functional

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.methods.fields import warp

MOST_LEVELS = 6
EMPTY_BELOW = 0.06
"""A slice with nothing brighter than this share of the intensity scale shows no body: only noise would be parted."""
NEIGHBOURS = torch.tensor([[0.5, 1.0, 0.5], [1.0, 0.0, 1.0], [0.5, 1.0, 0.5]])
"""Weights of the eight neighbours: length of a boundary hardly depends on its direction then."""
COARSE_BINS, FINE_BINS = 32, 96
"""Histogram bins for more than four phases (multi-Otsu tries all combinations), and for up to four."""
SEEN_ABOVE, HARDLY_ANYTHING, MARGIN_PX = 0.05, 0.2, 4
"""Smoothed intensity in [0, 1] that is no air, the share of a slice below which it shows hardly anything, and how far
around what it shows something may be drawn."""


@dataclass(frozen=True)
class StructureOptions:
    """How a slice is partitioned.

    Args:
        levels: Number of phases, 2 to 6.
        boundary_weight: Price of a pixel of boundary, in units of the variance within the phases.
        shading_px: Standard deviation in pixels of the slow shading (coil sensitivity) that is divided out first;
            0 divides nothing.
        iterations: Relaxation steps.
    """

    levels: int = 2
    boundary_weight: float = 0.5
    shading_px: float = 0.0
    iterations: int = 8

    def __post_init__(self) -> None:
        """Refuses numbers that give no partition."""
        if not 2 <= self.levels <= MOST_LEVELS:
            msg = f"structure levels must be 2 to {MOST_LEVELS}, got {self.levels}."
            raise ConfigError(msg)
        if min(self.boundary_weight, self.shading_px) < 0 or self.iterations < 1:
            msg = "boundary_weight and shading_px must not be negative, and iterations at least 1."
            raise ConfigError(msg)


@torch.no_grad()
def structure_map(images: Tensor, options: StructureOptions) -> Tensor:
    """Partitions each slice on its own.

    Args:
        images: (B, 1, H, W) in [-1, 1].
        options: Number of phases and how long their boundaries may be.

    Returns:
        (B, 1, H, W), float32: -1 for the darkest phase, 1 for the brightest, evenly spaced between. A slice that shows
        nothing but noise, or no contrast at all, is -1 everywhere.
    """
    with torch.autocast(images.device.type, enabled=False):
        values = without_shading(images.float(), options.shading_px)
        labels = _relax(values, _start(values, options.levels), options)
        labels[shows_nothing(images)] = 0
    return labels[:, None].float() * (2 / (options.levels - 1)) - 1


def shows_nothing(images: Tensor) -> Tensor:
    """Tells for slices (B, 1, H, W) in [-1, 1] which of them hold at most noise, (B,)."""
    return images.amax(dim=(1, 2, 3)) < 2 * EMPTY_BELOW - 1


def stays_air(images: Tensor) -> Tensor:
    """Where a translation of slices (B, 1, H, W) in [-1, 1] must stay air, (B, 1, H, W).

    A network that learnt from slices through a head draws one around whatever it is shown. In slices that show hardly
    anything, such as those at and above the vertex, all that lies away from what they show is air.
    """
    unit = (images.float() + 1) / 2
    seen = functional.avg_pool2d(unit, 5, stride=1, padding=2) > SEEN_ABOVE
    hardly = seen.float().mean(dim=(1, 2, 3), keepdim=True) < HARDLY_ANYTHING
    near = functional.max_pool2d(seen.float(), 2 * MARGIN_PX + 1, stride=1, padding=MARGIN_PX) > 0
    return shows_nothing(images).view(-1, 1, 1, 1) | (hardly & ~near)


def warp_structure(structure: Tensor, displacement: Tensor, levels: int) -> Tensor:
    """Carries a structure map along a displacement; between phases the nearer one counts, none is invented.

    Args:
        structure: (B, 1, H, W) as `structure_map` gives it.
        displacement: (B, 2, H, W) in pixels (rows, columns).
        levels: Number of its phases.
    """
    phases = torch.linspace(-1, 1, levels, device=structure.device).view(1, -1, 1, 1)
    share = (structure - phases).abs().lt(0.5 / levels).to(displacement)
    nearest = warp(share, displacement).argmax(dim=1, keepdim=True)
    return nearest.float() * (2 / (levels - 1)) - 1


def without_shading(images: Tensor, sigma_px: float) -> Tensor:
    """Brightness relative to its surroundings, for images in [-1, 1]; in 0..about 2, or 0..1 where `sigma_px` is 0."""
    unit = (images + 1) / 2
    if sigma_px == 0:
        return unit
    surroundings = _blur(unit, sigma_px)
    floor = surroundings.amax(dim=(-2, -1), keepdim=True) * 0.15 + 1e-3  # air stays dark
    return unit / (surroundings + floor)


def _blur(images: Tensor, sigma_px: float) -> Tensor:
    """Separable Gaussian; the edge is repeated."""
    radius = min(int(3 * sigma_px), min(images.shape[-2:]) - 1)
    places = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    kernel = torch.softmax(-0.5 * (places / sigma_px).square(), 0)
    padded = functional.pad(images, (radius, radius, radius, radius), mode="replicate")
    return functional.conv2d(functional.conv2d(padded, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))


def _start(values: Tensor, levels: int) -> Tensor:
    """Phases of multi-Otsu (Liao et al. 2001), (B, H, W); all 0 where a slice has fewer shades than phases."""
    bins = FINE_BINS if levels <= 4 else COARSE_BINS
    labels = []
    for picture in values[:, 0].cpu().numpy():
        try:
            thresholds = threshold_multiotsu(picture, classes=levels, nbins=bins)
        except ValueError:
            thresholds = np.full(levels - 1, np.inf)
        labels.append(np.digitize(picture, thresholds))
    return torch.from_numpy(np.stack(labels)).to(values.device)


def _relax(values: Tensor, labels: Tensor, options: StructureOptions) -> Tensor:
    """Mean-field descent on sum (x - c)^2 / (2 s^2) + weight * boundary; the means c and s follow the phases."""
    kernel = NEIGHBOURS.to(values)[None, None].expand(options.levels, 1, 3, 3)
    share = functional.one_hot(labels, options.levels).movedim(-1, 1).to(values)
    for _ in range(options.iterations):
        weight = share.sum(dim=(2, 3), keepdim=True).clamp_min(1e-6)
        centre = (share * values).sum(dim=(2, 3), keepdim=True) / weight
        misfit = (values - centre).square()
        variance = (share * misfit).sum(dim=1).mean(dim=(1, 2)).clamp_min(1e-8).view(-1, 1, 1, 1)
        around = functional.conv2d(functional.pad(share, (1, 1, 1, 1), mode="replicate"), kernel, groups=options.levels)
        share = torch.softmax(options.boundary_weight * around - misfit / (2 * variance), dim=1)
    return share.argmax(dim=1)
