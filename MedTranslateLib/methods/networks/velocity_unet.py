"""The deformation network of Plasticine: a source slice, and at training a target slice with its noise, to velocities.

Two streams meet in a U-Net (Plasticine Section III-B, Fig. 13): features of x, and features of (y, noise). Where there
is no y, in use, a block of four convolutions makes from x alone what it learnt of the features of (y, noise).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from monai.networks.nets import UNet
from torch import Tensor, nn
from torch.nn import functional

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.methods.networks.patch_unet import DEEPEST, LARGEST_PATCH, WIDEST

ALIGNMENT_LAYERS = 4
"""3x3 convolutions of the block that replaces the target's features (Section III-C)."""
FIRST_GUESS = 1e-3
"""Spread of the last layer's first weights: a training starts near the identity."""


@dataclass(frozen=True)
class Velocities:
    """What the network says of a batch.

    Args:
        forward: v, (B, 2, H, W) in pixels (rows, columns); its flow maps output to source.
        backward: The separately predicted v^-1 of the paper, the same shape.
        features: The second stream's features, (B, C, H / patch, W / patch).
    """

    forward: Tensor
    backward: Tensor
    features: Tensor


def check_velocity_network(channels: int, patch: int, levels: int) -> None:
    """Refuses a network that cannot be built; see `VelocityUNet`.

    Raises:
        ConfigError: If a count is too small, or beyond all reason.
    """
    if not (1 <= channels <= WIDEST and 1 <= patch <= LARGEST_PATCH and 2 <= levels <= DEEPEST):
        msg = (
            f"velocity_channels must be 1 to {WIDEST}, velocity_patch 1 to {LARGEST_PATCH}, velocity_levels 2 to "
            f"{DEEPEST}, got {channels}, {patch} and {levels}."
        )
        raise ConfigError(msg)


class VelocityUNet(nn.Module):
    """A VoxelMorph-type U-Net on blocks of `patch` x `patch` pixels; velocities come back smooth by interpolation.

    Args:
        channels: Features of either stream and of the U-Net; 64 in the paper.
        patch: Side of the pixel blocks; 1 is the paper's full resolution.
        levels: Resolution levels of the U-Net.
    """

    def __init__(self, channels: int, patch: int, levels: int) -> None:
        super().__init__()
        self.patch = patch
        self.multiple = patch * 2 ** (levels - 1)
        pixels = patch**2
        self.source_stream = nn.Conv2d(pixels, channels, 3, padding=1)
        self.target_stream = nn.Conv2d(2 * pixels, channels, 3, padding=1)
        layers: list[nn.Module] = []
        for number in range(ALIGNMENT_LAYERS):
            layers += [nn.Conv2d(channels if number else pixels, channels, 3, padding=1), nn.LeakyReLU(0.2)]
        self.aligned_stream = nn.Sequential(*layers[:-1])
        self.unet = UNet(
            spatial_dims=2,
            in_channels=2 * channels,
            out_channels=channels,
            channels=(channels,) * levels,
            strides=(2,) * (levels - 1),
            num_res_units=1,
        )
        self.forward_head = _quiet(nn.Conv2d(channels, 2, 1))
        self.backward_head = _quiet(nn.Conv2d(channels, 2, 1))

    def taught(self, source: Tensor, target: Tensor, noise: Tensor) -> Velocities:
        """With the target: f(noise, x, y) of the paper. All arguments are (B, 1, H, W)."""
        return self._velocities(source, self.target_stream(self._blocks(torch.cat([target, noise], dim=1))))

    def alone(self, source: Tensor) -> Velocities:
        """From the source alone, as in use."""
        return self._velocities(source, self.aligned_stream(self._blocks(source)))

    def _velocities(self, source: Tensor, features: Tensor) -> Velocities:
        seen = functional.leaky_relu(torch.cat([self.source_stream(self._blocks(source)), features], dim=1), 0.2)
        hidden = self.unet(seen)
        fields = [self._whole(head(hidden), source) for head in (self.forward_head, self.backward_head)]
        return Velocities(fields[0], fields[1], features)

    def _blocks(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        below, right = -height % self.multiple, -width % self.multiple
        padded = functional.pad(images, (0, right, 0, below), mode="replicate") if below or right else images
        return functional.pixel_unshuffle(padded, self.patch)

    def _whole(self, coarse: Tensor, images: Tensor) -> Tensor:
        """Velocities of the pixels from those of the blocks: cubic, in float32 whatever the network ran in."""
        height, width = images.shape[-2:]
        whole = functional.interpolate(coarse.float(), scale_factor=self.patch, mode="bicubic", align_corners=False)
        return whole[..., :height, :width]


def _quiet(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.normal_(layer.weight, std=FIRST_GUESS)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
