"""SqueezeNet 1.0 features (Iandola et al. 2016) for perceptual distances, read from an .npz without pickle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from MedTranslateLib.core.errors import ConfigError

MEAN_BGR = (104.0, 117.0, 123.0)


class Fire(nn.Module):
    """Squeeze by a 1x1 convolution, expand by 1x1 and 3x3 side by side."""

    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, 2 expand, H, W)."""
        squeezed = functional.relu(self.squeeze(features))
        return functional.relu(torch.cat([self.expand1x1(squeezed), self.expand3x3(squeezed)], 1))


class SqueezeNetFeatures(nn.Module):
    """Features after conv1, fire4 and fire8 of a slice in [-1, 1]; the weights are frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, 7, stride=2)
        sizes = [(96, 16, 64), (128, 16, 64), (128, 32, 128), (256, 32, 128)]
        sizes += [(256, 48, 192), (384, 48, 192), (384, 64, 256), (512, 64, 256)]
        self.fires = nn.ModuleList(Fire(*size) for size in sizes)
        self.requires_grad_(requires_grad=False)

    @classmethod
    def from_file(cls, path: Path) -> SqueezeNetFeatures:
        """Reads weights named as in the deep-compression release (`fire2/conv1x1_1.weight` and so on).

        Raises:
            ConfigError: If the file is missing or does not hold SqueezeNet 1.0.
        """
        if not path.is_file():
            msg = f"The SqueezeNet weights {path} do not exist; give loss.perceptual_weights or choose 'ms-ssim'."
            raise ConfigError(msg)
        network = cls()
        with np.load(path, allow_pickle=False) as stored:
            try:
                network.load_state_dict({name: torch.from_numpy(stored[key]) for name, key in network.stored_names()})
            except (KeyError, RuntimeError) as error:
                msg = f"{path} does not hold the weights of SqueezeNet 1.0: {error}"
                raise ConfigError(msg) from error
        return network

    def stored_names(self) -> list[tuple[str, str]]:
        """Pairs of our parameter name and the name in the release."""
        parts = {"squeeze": "conv1x1_1", "expand1x1": "conv1x1_2", "expand3x3": "conv3x3_2"}
        names = [(f"conv1.{kind}", f"conv1.{kind}") for kind in ("weight", "bias")]
        for number in range(len(self.fires)):
            for ours, theirs in parts.items():
                names += [
                    (f"fires.{number}.{ours}.{kind}", f"fire{number + 2}/{theirs}.{kind}")
                    for kind in ("weight", "bias")
                ]
        return names

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 1, H, W) in [-1, 1] to three feature maps of growing depth."""
        mean_bgr = image.new_tensor(MEAN_BGR).view(1, 3, 1, 1)
        features = functional.relu(self.conv1((image + 1) * 127.5 - mean_bgr))
        kept = [features]
        features = functional.max_pool2d(features, 3, stride=2, ceil_mode=True)
        for number, fire in enumerate(self.fires):
            features = fire(features)
            if number in (2, 6):
                kept.append(features)
                features = functional.max_pool2d(features, 3, stride=2, ceil_mode=True)
        return kept
