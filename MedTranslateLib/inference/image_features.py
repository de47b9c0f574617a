"""Slices in, features of a network that was trained on photographs out, for distances between sets and pairs of slices.

SqueezeNet 1.0 comes with permissive weights and is the default. Figures may be called FID only where the weights of the
FID Inception v3 are given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from MedTranslateLib.bundles.verify import sha256_of
from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.methods.distances import feature_distance
from MedTranslateLib.methods.networks.inception import FidInception
from MedTranslateLib.methods.networks.squeezenet import SqueezeNetFeatures

Slices = npt.NDArray[np.floating]
Floats = npt.NDArray[np.float64]
SQUEEZENET, INCEPTION = "SqueezeNet 1.0, fire9, ImageNet", "Inception v3 (FID)"
INCEPTION_SHA256 = "6726825d"
"""The first digits of the hash of pytorch-fid's .pth file, which its name states; the file is refused without them."""
SMALLEST = 32
"""Pixels a side below which SqueezeNet's last layers have no place left."""
BATCH = 16


@dataclass(frozen=True)
class ImageFeatures:
    """Features of slices.

    Args:
        name: Of the network that `pooled` uses, for the head of a table.
        squeezenet: The network of `distance`; None where its weights were not given.
        inception: The network of `pooled` where it was given; else SqueezeNet's last block is pooled.
    """

    name: str
    squeezenet: SqueezeNetFeatures | None
    inception: FidInception | None = None

    @property
    def is_fid(self) -> bool:
        """Whether a Frechet distance of these features may be called FID."""
        return self.inception is not None

    def pooled(self, slices: Slices) -> Floats:
        """One vector a slice.

        Args:
            slices: (N, H, W) in 0..1, at least 32 pixels a side.

        Returns:
            (N, 2048), the last pooling of Inception v3 on the slice resized to 299 x 299; or (N, 512), the mean over
            all places of SqueezeNet's block fire9 on the slice as it is.

        Raises:
            ConfigError: If the slices have another form, or values that are not finite.
        """
        make = self.inception if self.inception is not None else self._last_block
        size = 512 if self.inception is None else 2048
        parts = [make(batch).double().numpy() for batch in _batches(slices)]
        return np.concatenate(parts) if parts else np.zeros((0, size))

    def distance(self, first: Slices, second: Slices) -> Floats:
        """LPIPS-type distance of each pair of slices, see `methods.distances.feature_distance`.

        Zhang et al. 2018, Eq. 1, with all weights one: unit-length features after SqueezeNet's conv1, fire4 and fire8,
        squared difference, sum over channels, mean over places and layers. Not the fitted LPIPS, whose weights differ.

        Args:
            first: (N, H, W) in 0..1, at least 32 pixels a side.
            second: (N, H, W), the partners.

        Returns:
            (N,), 0 to 2.

        Raises:
            ConfigError: If there are no weights of SqueezeNet, or the slices do not pair.
        """
        layers = self._squeezenet()
        if np.shape(first) != np.shape(second):
            msg = f"Pairs of slices need one shape (N, H, W), got {np.shape(first)} and {np.shape(second)}."
            raise ConfigError(msg)
        distances: list[float] = []
        for one, other in zip(_batches(first), _batches(second), strict=True):
            features = _features(layers, one), _features(layers, other)
            for n in range(len(one)):
                a, b = ([layer[n : n + 1] for layer in side] for side in features)
                distances.append(float(feature_distance(a, b)))
        return np.array(distances, np.float64)

    def _squeezenet(self) -> SqueezeNetFeatures:
        if self.squeezenet is None:
            msg = "The LPIPS-type distance needs the weights of SqueezeNet 1.0; give their .npz file."
            raise ConfigError(msg)
        return self.squeezenet

    @torch.inference_mode()
    def _last_block(self, slices: Tensor) -> Tensor:
        """(N, 1, H, W) in 0..1 to (N, 512)."""
        network = self._squeezenet()
        after_fire8 = functional.max_pool2d(network(2 * slices - 1)[-1], 3, stride=2, ceil_mode=True)
        return torch.as_tensor(network.fires[-1](after_fire8)).mean(dim=(2, 3))


def load_features(squeezenet: Path | None, inception: Path | None) -> ImageFeatures:
    """Reads the networks.

    Args:
        squeezenet: .npz of SqueezeNet 1.0, named as in the deep-compression release; None does without distances of
            pairs.
        inception: pytorch-fid's `pt_inception-2015-12-05-6726825d.pth`, or a .safetensors or .npz with tensors of the
            same names; None pools SqueezeNet.

    Raises:
        ConfigError: If both are None, a file is missing, or it does not hold these weights.
    """
    if squeezenet is None and inception is None:
        msg = "Features need a network: give the weights of SqueezeNet 1.0, of the FID Inception v3, or both."
        raise ConfigError(msg)
    pairs = None if squeezenet is None else SqueezeNetFeatures.from_file(squeezenet).eval()
    if inception is None:
        return ImageFeatures(SQUEEZENET, pairs)
    return ImageFeatures(INCEPTION, pairs, FidInception.from_state(_read_state(inception)))


def _read_state(path: Path) -> dict[str, Tensor]:
    readers: dict[str, Callable[[Path], dict[str, Tensor]]] = {
        ".pth": _from_pth,
        ".npz": _from_npz,
        ".safetensors": load_file,
    }
    if path.suffix not in readers or not path.is_file():
        msg = f"Inception weights must be an existing file ({', '.join(readers)}), got {path}."
        raise ConfigError(msg)
    try:
        return readers[path.suffix](path)
    except (SafetensorError, BadZipFile, ValueError, OSError) as error:
        msg = f"{path} cannot be read as {path.suffix}: {error}"
        raise ConfigError(msg) from error


def _from_pth(path: Path) -> dict[str, Tensor]:
    found = sha256_of(path)
    if not found.startswith(INCEPTION_SHA256):
        msg = f"{path} has SHA-256 {found}; pytorch-fid's begins with {INCEPTION_SHA256}. Download it again."
        raise ConfigError(msg)
    return dict(torch.load(path, map_location="cpu", weights_only=True))


def _from_npz(path: Path) -> dict[str, Tensor]:
    with np.load(path, allow_pickle=False) as stored:
        return {name: torch.from_numpy(stored[name]) for name in stored.files}


def _batches(slices: Slices) -> Iterator[Tensor]:
    """(n, 1, H, W) float32, a few slices at a time."""
    if np.ndim(slices) != 3 or min(np.shape(slices)[1:]) < SMALLEST or not np.isfinite(slices).all():
        msg = f"Slices must be finite, (N, H, W), at least {SMALLEST} pixels a side; got shape {np.shape(slices)}."
        raise ConfigError(msg)
    whole = np.asarray(slices, np.float32)[:, None]
    for first in range(0, len(whole), BATCH):
        yield torch.tensor(whole[first : first + BATCH])


@torch.inference_mode()
def _features(network: SqueezeNetFeatures, slices: Tensor) -> list[Tensor]:
    return list(network(2 * slices - 1))
