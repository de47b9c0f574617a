"""Two batches of slices in, their local mutual information out: a differentiable layer that needs no histogram.

Around each pixel i lies a patch of n = (2r + 1)^2 samples. The density of a patch is estimated with Gaussian kernels at
its own samples (resubstitution), which turns the mutual information of two patches x and y into sums of kernel values:

    MI = 1/n sum_a log( n sum_b Kx_ab Ky_ab / (sum_b Kx_ab  sum_b Ky_ab) )

The kernel value of samples a and b of a patch is that of two pixels b - a apart, so one picture for each of the
(4r + 1)^2 differences holds the kernels of all patches, and the sums over b are box sums over the differences.
"""

from __future__ import annotations

import math
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

PAPER_BANDWIDTH = 16 / 255
"""Standard deviation of the kernel for images in [0, 1]."""
TILE_PIXELS_ON_CPU, TILE_PIXELS_ON_GPU = 1 << 14, 1 << 20
"""Pixels worked on at a time: on a CPU what its caches hold, on a GPU what fills it."""


def local_mutual_information(
    first: Tensor, second: Tensor, bandwidth: float = PAPER_BANDWIDTH, radius: int = 1
) -> Tensor:
    """LMI of MIDiffusion (2023), Def. 3 to 5 and Prop. 1.

    The value at i is the largest mutual information between the patch of `first` at i and the patches of `second` at
    the places j of the same neighbourhood. With `second` equal to `first` it is the local entropy of the image.

    Args:
        first: (B, 1, H, W), any scale that suits the bandwidth; the border is repeated outwards.
        second: The same shape.
        bandwidth: Standard deviation of the Gaussian kernel, in the unit of the images.
        radius: 1 for patches and neighbourhoods of 3 x 3, 2 for 5 x 5.

    Returns:
        (B, 1, H, W) in nats, 0 (independent, or flat) to log n, in the type of `first`. It is computed in single or
        double precision whatever that type is, tile by tile, with gradients for both images.

    Raises:
        ValueError: If the shapes differ, the bandwidth is not above 0, or the radius is not 1 or 2.
    """
    if first.shape != second.shape or first.dim() != 4 or first.shape[1] != 1:
        msg = f"Expected two batches (B, 1, H, W), got {tuple(first.shape)} and {tuple(second.shape)}."
        raise ValueError(msg)
    if bandwidth <= 0 or radius not in (1, 2):  # beyond 5 x 5 a product of n sums leaves single precision
        msg = f"Expected a bandwidth above 0 and a radius of 1 or 2, got {bandwidth} and {radius}."
        raise ValueError(msg)
    with torch.autocast(first.device.type, enabled=False):
        scaled = [_padded(image, (number + 3) * radius) / bandwidth for number, image in enumerate((first, second))]
        return _by_tiles(scaled[0], scaled[1], radius).unsqueeze(1).to(first.dtype)


def _padded(image: Tensor, margin: int) -> Tensor:
    whole = image.to(torch.promote_types(image.dtype, torch.float32))
    return functional.pad(whole, (margin,) * 4, mode="replicate")[:, 0]


def _by_tiles(first: Tensor, second: Tensor, radius: int) -> Tensor:
    """Some slices at a time, in bands of rows; where gradients are asked for, a tile is computed again for them."""
    height, width = (side - 6 * radius for side in first.shape[-2:])
    pixels = TILE_PIXELS_ON_CPU if first.device.type == "cpu" else TILE_PIXELS_ON_GPU
    rows, together = max(1, min(height, pixels // width)), max(1, pixels // (height * width))
    again = torch.is_grad_enabled() and (first.requires_grad or second.requires_grad)
    slices = []
    for one, other in zip(torch.split(first, together), torch.split(second, together), strict=True):
        bands = []
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            tile = one[:, top : bottom + 6 * radius], other[:, top : bottom + 8 * radius]
            bands.append(checkpoint(_tile, *tile, radius, use_reentrant=False) if again else _tile(*tile, radius))
        slices.append(torch.cat(bands, dim=1))
    return torch.cat(slices)


def _tile(first: Tensor, second: Tensor, radius: int) -> Tensor:
    """LMI of a tile (B, ., .), whose images carry a margin of 3 and 4 radii, in units of the bandwidth."""
    side = 2 * radius + 1
    ours, theirs = _kernels(first, radius), _kernels(second, radius)
    height, width = ours.shape[-2] - 2 * radius, ours.shape[-1] - 2 * radius
    # the logarithm of a product instead of the sum of logarithms, and of the largest instead of the largest of all
    their_sums = _product_of_sums(theirs, radius)
    best = torch.zeros(()).to(ours)
    for row, column in product(range(side), repeat=2):
        moved = theirs[..., row : row + ours.shape[-2], column : column + ours.shape[-1]]
        share = _product_of_sums(ours * moved, radius) / their_sums[..., row : row + height, column : column + width]
        best = torch.maximum(best, share)
    samples = side**2
    return math.log(samples) + (best.log() - _product_of_sums(ours, radius).log()) / samples


def _kernels(image: Tensor, radius: int) -> Tensor:
    """Gaussian kernel values of each pixel with those around it, (4r + 1, 4r + 1, B, H - 4r, W - 4r)."""
    side = 4 * radius + 1
    # one picture after the other: what follows runs along their rows
    around = image.unfold(1, side, 1).unfold(2, side, 1).permute(3, 4, 0, 1, 2).contiguous()
    return (around - around[2 * radius, 2 * radius]).square().mul(-0.5).exp()


def _product_of_sums(kernels: Tensor, radius: int) -> Tensor:
    """Product over the samples a of a patch of the sums of `kernels` over b, smaller by 2r than they are."""
    side = 2 * radius + 1
    by_rows = kernels[:side] + kernels[1 : side + 1]
    for k in range(2, side):
        by_rows += kernels[k : k + side]
    sums = by_rows[:, :side] + by_rows[:, 1 : side + 1]
    for k in range(2, side):
        sums += by_rows[:, k : k + side]
    height, width = kernels.shape[-2] - 2 * radius, kernels.shape[-1] - 2 * radius
    result = torch.ones(()).to(sums)
    for row, column in product(range(side), repeat=2):
        top, left = 2 * radius - row, 2 * radius - column  # the box that starts at difference r - a belongs to sample a
        result = result * sums[row, column, :, top : top + height, left : left + width]
    return result
