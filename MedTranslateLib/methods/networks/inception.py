"""The Inception v3 that the Frechet inception distance is defined with: slices in, 2048 features each out.

Szegedy et al. 2016 (arXiv:1512.00567) as TensorFlow released it in December 2015, which Heusel et al. 2017 took their
features from. Parameters are named as in pytorch-fid 0.3.0, the PyTorch copy of those weights. It differs from the
usual Inception v3 in the pooling of its branches: means leave out the padding, and the last block takes the maximum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from MedTranslateLib.core.errors import ConfigError

FEATURES = 2048
INPUT_SIZE = 299
UNUSED = ("fc.", "AuxLogits.")
"""Weights of the classifiers, which the distance does not use."""
Pool = Callable[[Tensor], Tensor]
mean_without_padding: Pool = partial(functional.avg_pool2d, kernel_size=3, stride=1, padding=1, count_include_pad=False)
maximum: Pool = partial(functional.max_pool2d, kernel_size=3, stride=1, padding=1)
halving_maximum: Pool = partial(functional.max_pool2d, kernel_size=3, stride=2)


@dataclass(frozen=True)
class Layer:
    """A convolution of an Inception block.

    Args:
        outputs: Its channels.
        kernel: Rows and columns.
        stride: 1 keeps the size; 2 halves it, without padding.
    """

    outputs: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1


@dataclass(frozen=True)
class Branch:
    """Convolutions one after the other.

    Args:
        name: Of the branch; layer n of several is called `name_n`, the only one of a branch `name`.
        layers: In their order.
        fork: Two further layers side by side after the last one, called `name_na` and `name_nb`.
    """

    name: str
    layers: tuple[Layer, ...]
    fork: tuple[Layer, ...] = ()

    def names(self) -> list[str]:
        """Of its layers, without the fork's."""
        alone = len(self.layers) + len(self.fork) == 1
        return [self.name if alone else f"{self.name}_{number + 1}" for number in range(len(self.layers))]

    def fork_names(self) -> list[str]:
        """Of the layers side by side."""
        return [f"{self.name}_{len(self.layers) + 1}{letter}" for letter in "ab"[: len(self.fork)]]


class ConvNorm(nn.Module):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, inputs: int, layer: Layer) -> None:
        super().__init__()
        padding = (layer.kernel[0] // 2, layer.kernel[1] // 2) if layer.stride == 1 else (0, 0)
        self.conv = nn.Conv2d(inputs, layer.outputs, layer.kernel, layer.stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(layer.outputs, eps=0.001)

    def forward(self, image: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H', W')."""
        return functional.relu(self.bn(self.conv(image)))


class Valid(ConvNorm):
    """The same without padding, as in the stem."""

    def __init__(self, inputs: int, layer: Layer) -> None:
        super().__init__(inputs, layer)
        self.conv.padding = (0, 0)


class InceptionBlock(nn.Module):
    """Branches side by side and one that pools; their channels are joined in that order.

    Args:
        inputs: Channels that come in.
        branches: Of convolutions.
        pool: What the last branch begins with.
        pooled: Channels that a 1x1 convolution `branch_pool` makes of it; 0 passes the pooled input on.
    """

    def __init__(self, inputs: int, branches: tuple[Branch, ...], pool: Pool, pooled: int = 0) -> None:
        super().__init__()
        self._branches, self._pool, self._pooled = branches, pool, pooled
        for branch in branches:
            channels = inputs
            for name, layer in zip(branch.names(), branch.layers, strict=True):
                self.add_module(name, ConvNorm(channels, layer))
                channels = layer.outputs
            for name, layer in zip(branch.fork_names(), branch.fork, strict=True):
                self.add_module(name, ConvNorm(channels, layer))
        if pooled:
            self.branch_pool = ConvNorm(inputs, Layer(pooled))

    def forward(self, image: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, sum of all branches, H', W')."""
        pooled = self._pool(image)
        outputs = [part for branch in self._branches for part in self._along(branch, image)]
        return torch.cat([*outputs, self.branch_pool(pooled) if self._pooled else pooled], 1)

    def _along(self, branch: Branch, image: Tensor) -> Iterator[Tensor]:
        for name in branch.names():
            image = self.get_submodule(name)(image)
        if not branch.fork:
            yield image
        for name in branch.fork_names():
            yield self.get_submodule(name)(image)


class FidInception(nn.Module):
    """The network up to its last pooling; frozen, in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = ConvNorm(3, Layer(32, (3, 3), 2))
        self.Conv2d_2a_3x3 = Valid(32, Layer(32, (3, 3)))
        self.Conv2d_2b_3x3 = ConvNorm(32, Layer(64, (3, 3)))
        self.Conv2d_3b_1x1 = ConvNorm(64, Layer(80))
        self.Conv2d_4a_3x3 = Valid(80, Layer(192, (3, 3)))
        for name, block in _blocks():
            self.add_module(name, block)
        self.requires_grad_(requires_grad=False).eval()

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> FidInception:
        """A network with the weights that are given by the names of pytorch-fid.

        Raises:
            ConfigError: If the names or shapes are not those of Inception v3.
        """
        network = cls()
        counts = {name: value for name, value in network.state_dict().items() if name.endswith("num_batches_tracked")}
        given = {name: value for name, value in state.items() if not name.startswith(UNUSED)}
        try:
            network.load_state_dict({**counts, **given})
        except RuntimeError as error:
            msg = f"These are not the weights of the FID Inception v3 (pt_inception-2015-12-05 of pytorch-fid): {error}"
            raise ConfigError(msg) from error
        return network

    def forward(self, image: Tensor) -> Tensor:
        """(B, 1 or 3, H, W) in 0..1 to the features (B, 2048), after a bilinear resize to 299 x 299."""
        resized = functional.interpolate(image, size=(INPUT_SIZE, INPUT_SIZE), mode="bilinear", align_corners=False)
        features = 2 * resized.expand(-1, 3, -1, -1) - 1
        for name, layer in self.named_children():
            if name in ("Conv2d_3b_1x1", "Mixed_5b"):
                features = halving_maximum(features)
            features = layer(features)
        return features.mean(dim=(2, 3))


def _blocks() -> Iterator[tuple[str, InceptionBlock]]:
    """The blocks after the stem, in their order."""
    for letter, inputs, pooled in (("b", 192, 32), ("c", 256, 64), ("d", 288, 64)):
        yield f"Mixed_5{letter}", _block_35(inputs, pooled)
    yield "Mixed_6a", _reduction_to_17()
    for letter, width in (("b", 128), ("c", 160), ("d", 160), ("e", 192)):
        yield f"Mixed_6{letter}", _block_17(width)
    yield "Mixed_7a", _reduction_to_8()
    yield "Mixed_7b", _block_8(1280, mean_without_padding)
    yield "Mixed_7c", _block_8(2048, maximum)


def _block_35(inputs: int, pooled: int) -> InceptionBlock:
    double = Branch("branch3x3dbl", (Layer(64), Layer(96, (3, 3)), Layer(96, (3, 3))))
    branches = (Branch("branch1x1", (Layer(64),)), Branch("branch5x5", (Layer(48), Layer(64, (5, 5)))), double)
    return InceptionBlock(inputs, branches, mean_without_padding, pooled)


def _reduction_to_17() -> InceptionBlock:
    double = Branch("branch3x3dbl", (Layer(64), Layer(96, (3, 3)), Layer(96, (3, 3), 2)))
    return InceptionBlock(288, (Branch("branch3x3", (Layer(384, (3, 3), 2),)), double), halving_maximum)


def _block_17(width: int) -> InceptionBlock:
    across, down = Layer(width, (1, 7)), Layer(width, (7, 1))
    single = Branch("branch7x7", (Layer(width), across, Layer(192, (7, 1))))
    double = Branch("branch7x7dbl", (Layer(width), down, across, down, Layer(192, (1, 7))))
    return InceptionBlock(768, (Branch("branch1x1", (Layer(192),)), single, double), mean_without_padding, 192)


def _reduction_to_8() -> InceptionBlock:
    long = Branch("branch7x7x3", (Layer(192), Layer(192, (1, 7)), Layer(192, (7, 1)), Layer(192, (3, 3), 2)))
    return InceptionBlock(768, (Branch("branch3x3", (Layer(192), Layer(320, (3, 3), 2))), long), halving_maximum)


def _block_8(inputs: int, pool: Pool) -> InceptionBlock:
    fork = (Layer(384, (1, 3)), Layer(384, (3, 1)))
    single = Branch("branch3x3", (Layer(384),), fork)
    double = Branch("branch3x3dbl", (Layer(448), Layer(384, (3, 3))), fork)
    return InceptionBlock(inputs, (Branch("branch1x1", (Layer(320),)), single, double), pool, 192)
