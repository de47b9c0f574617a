"""Two slices in, their local mutual information by a joint histogram out: slow, and written as the definition reads.

What `methods.lmi` is measured against, in tests and by `medtranslate bench lmi`. Nothing else uses it.
"""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

from MedTranslateLib.methods.lmi import PAPER_BANDWIDTH

BINS = 27
TINY = 1e-12


def histogram_lmi(first: Tensor, second: Tensor, bandwidth: float = PAPER_BANDWIDTH, bins: int = BINS) -> Tensor:
    """LMI of MIDiffusion (2023), Def. 3, for neighbourhoods of 3 x 3, with a Gaussian Parzen window.

    Args:
        first: (H, W) in [0, 1].
        second: The same shape.
        bandwidth: Standard deviation of the window.
        bins: Bins a side of the joint histogram of a pair of patches.

    Returns:
        (H, W) in nats.
    """
    ours = _patches(first)
    shifted = _patches(functional.pad(second[None, None], (1,) * 4, mode="replicate")[0, 0])
    height, width = first.shape
    rows = []
    for top in range(height):  # a row at a time: 27 x 27 values for each of its pixels
        own = _window(ours[top], bandwidth, bins)
        pairs = product(range(3), repeat=2)
        values = [
            _mutual_information(own, _window(shifted[top + down, right : right + width], bandwidth, bins))
            for down, right in pairs
        ]
        rows.append(torch.stack(values).amax(dim=0))
    return torch.stack(rows)


def _patches(image: Tensor) -> Tensor:
    """The 9 samples around each pixel, (H, W, 9)."""
    around = functional.pad(image[None, None], (1,) * 4, mode="replicate")[0, 0]
    return around.unfold(0, 3, 1).unfold(1, 3, 1).flatten(2)


def _window(samples: Tensor, bandwidth: float, bins: int) -> Tensor:
    """How much each sample counts in each bin, (W, 9, bins)."""
    centres = torch.linspace(0, 1, bins, dtype=samples.dtype)
    return (-0.5 * ((samples[..., None] - centres) / bandwidth).square()).exp()


def _mutual_information(first: Tensor, second: Tensor) -> Tensor:
    """Of the joint histograms of pairs of patches, (W,)."""
    joint = first.transpose(1, 2) @ second
    joint = joint / joint.sum(dim=(1, 2), keepdim=True)
    apart = joint.sum(dim=2, keepdim=True) * joint.sum(dim=1, keepdim=True)
    return (joint * ((joint + TINY) / (apart + TINY)).log()).sum(dim=(1, 2))
