"""Two batches of slices in, how much one tells about the other out: a differentiable normalised mutual information."""

from __future__ import annotations

import torch
from torch import Tensor

BINS = 24
TINY = 1e-10


def normalised_mutual_information(first: Tensor, second: Tensor, bins: int = BINS) -> Tensor:
    """(H(A) + H(B)) / H(A, B), Plasticine Eq. A.13, after Studholme et al. 1999.

    The paper prints the quantity as a loss, but it grows with similarity: a loss is its negative.

    Args:
        first: (B, 1, *spatial) in [-1, 1]; values beyond are clipped.
        second: The same shape.
        bins: Bins of the joint histogram, a side.

    Returns:
        (B,), from 1 (independent) to 2 (each determines the other).
    """
    joint = joint_histogram(first, second, bins)
    both = _entropy(joint.flatten(1))
    return (_entropy(joint.sum(dim=2)) + _entropy(joint.sum(dim=1))) / both.clamp_min(1e-6)


def joint_histogram(first: Tensor, second: Tensor, bins: int = BINS) -> Tensor:
    """Joint distribution of intensities with a linear Parzen window (Thevenaz and Unser 2000), (B, bins, bins).

    Each pixel is shared between its two nearest bins, so the histogram is continuous in the intensities and each
    row and column sums to the marginal distribution; the sum is 1.
    """
    with torch.autocast(first.device.type, enabled=False):  # half precision cannot count pixels
        whole = torch.promote_types(torch.promote_types(first.dtype, second.dtype), torch.float32)
        weights = [_shares(image.flatten(1).to(whole), bins) for image in (first, second)]
        return weights[0].transpose(1, 2) @ weights[1] / first[0].numel()


def _shares(values: Tensor, bins: int) -> Tensor:
    """How much of each pixel falls into each bin, (B, N, bins)."""
    place = (values.clamp(-1, 1) + 1) * ((bins - 1) / 2)
    return (1 - (place[..., None] - torch.arange(bins, device=values.device)).abs()).clamp_min(0)


def _entropy(probability: Tensor) -> Tensor:
    """In nats, over the last axis."""
    return -(probability * (probability + TINY).log()).sum(dim=-1)
