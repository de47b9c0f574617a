"""Slices of one modality in, the same anatomy in contrasts that no scanner made out, to learn from one modality alone.

The idea is that of SynthSeg (Billot et al. 2023): a network that saw every contrast of an anatomy is not surprised by a
new one. Here the image that guides a training step is redrawn, never the image that is learnt.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from MedTranslateLib.core.errors import ConfigError

KNOTS = 5
"""Straight pieces of the random curve of intensities."""
AIR = 0.06
"""Intensities in [0, 1] below which no structure is added."""
CELLS, STEEP = 4, 3.0
"""Coarseness of the map that chooses between two curves, and how abruptly it does."""
SHADING, NOISE, STRUCTURE = 0.25, 0.025, 0.3
"""Standard deviation of the logarithm of a receive field, largest deviation of noise, and largest height of one step
of an added structure (which seldom has more than two), for images in [0, 1]."""


@dataclass(frozen=True)
class RandomContrast:
    """How often and how far slices are redrawn.

    Args:
        share: Share of the slices that are redrawn; the others stay as they are, as in the paper.
        structure: Share of these that also gain edges the image does not have: a source shows some that its translation
            must not, such as the folds of a brain, which a CT does not see.
        likeness: Largest share of a slice's own contrast that a redrawn one keeps; how much is drawn anew each time. 0
            expects nothing of a source, 1 expects some to look alike, as two MR contrasts do.
    """

    share: float = 0.0
    structure: float = 0.0
    likeness: float = 0.0

    def __post_init__(self) -> None:
        """Refuses what is no share."""
        if not all(0 <= value <= 1 for value in (self.share, self.structure, self.likeness)):
            msg = f"random contrast takes shares of 0 to 1, got {self.share}, {self.structure} and {self.likeness}."
            raise ConfigError(msg)

    def redraw(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Redraws some of the images (B, 1, H, W) in [0, 1]; they stay in that range."""
        if not self.share:
            return images
        count = len(images)
        # two curves that change over from place to place: tissues that look alike here need not in another contrast
        where = torch.sigmoid(STEEP * _smooth(images, CELLS, generator))
        drawn = torch.lerp(_curve(images, generator), _curve(images, generator), where)
        kept = self.likeness * torch.rand(count, 1, 1, 1, generator=generator).to(images)
        drawn = torch.lerp(drawn, images, kept)
        some = torch.rand(count, 1, 1, 1, generator=generator).to(images) < self.structure
        drawn = torch.where(some, drawn + _structure(images, generator), drawn)
        drawn = drawn * (SHADING * _smooth(images, 3, generator)).exp()
        deviation = NOISE * torch.rand(count, 1, 1, 1, generator=generator)
        drawn = (drawn + (deviation * torch.randn(images.shape, generator=generator)).to(images)).abs()  # magnitudes
        drawn = drawn / drawn.amax((1, 2, 3), keepdim=True).clamp_min(1e-3)
        chosen = torch.rand(count, 1, 1, 1, generator=generator).to(images) < self.share
        return torch.where(chosen, drawn, images)


def _curve(images: Tensor, generator: torch.Generator) -> Tensor:
    """Intensities by a random curve of straight pieces, which need not rise; air stays dark."""
    values = torch.rand(len(images), KNOTS + 1, generator=generator).to(images)
    values[:, 0] = 0
    place = images.clamp(0, 1).flatten(1) * KNOTS
    below = place.floor().clamp_max(KNOTS - 1)
    low, high = (values.gather(1, (below + step).long()) for step in (0, 1))
    return (low + (high - low) * (place - below)).view_as(images)


def _structure(images: Tensor, generator: torch.Generator) -> Tensor:
    """Patches of one level each with sharp borders, where there is no air."""
    cells = int(torch.randint(8, 33, (1,), generator=generator))
    steps = (1.5 * _smooth(images, cells, generator)).round()
    height = STRUCTURE * torch.rand(len(images), 1, 1, 1, generator=generator).to(images)
    return height * steps * (images > AIR)


def _smooth(images: Tensor, cells: int, generator: torch.Generator) -> Tensor:
    """Standard normal values on a grid of `cells` x `cells`, joined smoothly over the picture."""
    coarse = torch.randn(len(images), 1, cells, cells, generator=generator).to(images)
    return functional.interpolate(coarse, images.shape[-2:], mode="bicubic", align_corners=False)
