"""A time-conditioned U-Net for one-channel slices that works on 2x2 pixel patches, so it runs at ease on a CPU."""

from __future__ import annotations

import torch
from monai.networks.nets import DiffusionModelUNet
from torch import Tensor, nn
from torch.nn import functional

from MedTranslateLib.core.errors import ConfigError

TIME_SCALE = 1000.0
"""The sinusoidal embedding of DDPM expects times of this order; ours run from 0 to 1."""
CHANNEL_MULTIPLE = 16
"""Groups of the normalisation: the width of each level must be a multiple."""
WIDEST, DEEPEST, MOST_BLOCKS, LARGEST_PATCH = 4096, 8, 16, 16
"""No network of this kind is larger; a bundle of unknown origin must not fill the memory by what it says of itself."""


def block_offset(number: int, patch: int) -> tuple[int, int]:
    """The offset of evaluation `number` of a chain: blocks that lay at one place would add their seams up."""
    return number % patch, number // patch % patch


def check_network(channels: tuple[int, ...], residual_blocks: int, patch: int) -> None:
    """Refuses a network that cannot be built; see `PatchUNet`.

    Raises:
        ConfigError: If a width is no multiple of `CHANNEL_MULTIPLE`, or a count is below 1 or beyond all reason.
    """
    if not channels or any(width < 1 or width % CHANNEL_MULTIPLE for width in channels):
        msg = f"channels must be multiples of {CHANNEL_MULTIPLE}, got {list(channels)!s:.80}."
        raise ConfigError(msg)
    if max(channels) > WIDEST or len(channels) > DEEPEST:
        msg = f"channels may be at most {DEEPEST} widths of at most {WIDEST}, got {list(channels)!s:.80}."
        raise ConfigError(msg)
    if not (1 <= residual_blocks <= MOST_BLOCKS and 1 <= patch <= LARGEST_PATCH):
        msg = (
            f"residual_blocks must be at least 1 and at most {MOST_BLOCKS}, patch at least 1 and at most "
            f"{LARGEST_PATCH}, got {residual_blocks} and {patch}."
        )
        raise ConfigError(msg)


class PatchUNet(nn.Module):
    """MONAI's diffusion U-Net between a pixel unshuffle and a pixel shuffle (Shi et al. 2016).

    The unshuffle moves each `patch` x `patch` block of pixels into channels: nothing is lost, and the costly first
    level runs on a quarter of the pixels.

    Args:
        channels: Width of each resolution level.
        residual_blocks: Residual blocks a level.
        patch: Side of a block in pixels.
        in_channels: Image channels in; one comes out.
    """

    def __init__(self, channels: tuple[int, ...], residual_blocks: int, patch: int, in_channels: int = 1) -> None:
        super().__init__()
        self.patch = patch
        self.multiple = patch * 2 ** (len(channels) - 1)
        self.unet = DiffusionModelUNet(
            spatial_dims=2,
            in_channels=in_channels * patch**2,
            out_channels=patch**2,
            channels=channels,
            attention_levels=(False,) * len(channels),
            num_res_blocks=residual_blocks,
            num_head_channels=32 if channels[-1] % 32 == 0 else CHANNEL_MULTIPLE,
            norm_num_groups=CHANNEL_MULTIPLE,
        )

    def forward(self, image: Tensor, time: Tensor, offset: tuple[int, int] = (0, 0)) -> Tensor:
        """Evaluates the network.

        Args:
            image: (B, C, H, W), any H and W: padded by its edge to what the levels need.
            time: (B,) in 0..1.
            offset: Rows and columns by which the picture is shifted against the pixel blocks; a chain of evaluations
                that takes another offset each time does not let the blocks' seams add up.

        Returns:
            (B, 1, H, W).
        """
        if any(offset):
            shifted = self(torch.roll(image, offset, (-2, -1)), time)
            return torch.roll(shifted, (-offset[0], -offset[1]), (-2, -1))
        height, width = image.shape[-2:]
        below, right = -height % self.multiple, -width % self.multiple
        padded = functional.pad(image, (0, right, 0, below), mode="replicate") if below or right else image
        patches = functional.pixel_unshuffle(padded, self.patch)
        values = self.unet(patches.contiguous(memory_format=torch.channels_last), time * TIME_SCALE)
        return functional.pixel_shuffle(values, self.patch)[..., :height, :width]
