"""A generator and the places of slices in, noise out that neighbouring slices share, so that a volume does not flicker.

The noise of a slice at angle a is cos(a) A + sin(a) B with two pictures A and B that all slices share: standard normal
in every slice, with correlation cos(a - b) between slices at a and b. It does not depend on how slices are batched.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SliceNoise:
    """Draws standard normal noise for a batch.

    Args:
        generator: Source of chance; batches of one volume start from equal states.
        angles: (B,) in radians, the place of each slice along the stack.
        scale: Standard deviation of what is drawn.
    """

    generator: torch.Generator
    angles: Tensor
    scale: float = 1.0

    def draw(self, like: Tensor) -> Tensor:
        """Normal noise of the shape, type and device of `like`, (B, C, H, W)."""
        first, second = torch.randn(2, *like.shape[1:], generator=self.generator)
        angles = self.angles.view(-1, 1, 1, 1)
        return (self.scale * (angles.cos() * first + angles.sin() * second)).to(like)

    @classmethod
    def alike(cls, generator: torch.Generator, count: int) -> SliceNoise:
        """The same noise in every one of `count` slices."""
        return cls(generator, torch.zeros(count))
