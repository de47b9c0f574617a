"""Features are those of the published networks: counted by hand, computed otherwise, and recorded from the original."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.inference import image_features
from MedTranslateLib.inference.image_features import INCEPTION, SQUEEZENET, ImageFeatures, load_features
from MedTranslateLib.methods.networks.inception import Branch, FidInception, InceptionBlock, Layer, mean_without_padding
from MedTranslateLib.methods.networks.squeezenet import SqueezeNetFeatures

WEIGHTS = Path(__file__).parents[3] / "shared" / "weights" / "squeezenet1_0.npz"
# Features 0, 400, 1000, 1500, 1900 and 2047 of the two slices of `two_slices`, with the weights of `inception_state`,
# by the Inception v3 of torchvision 0.28.0 with the pooling branches replaced as pytorch-fid replaces them
# (src/pytorch_fid/inception.py at 1232cd6, written anew), 2026-11-27.
RECORDED = [
    [1.5052167, 0.0469963, 0.0189490, 0.6693732, 2.0169730, 5.4087234],
    [1.5140618, 0.0454242, 0.0194353, 0.6617298, 1.9856083, 5.4166684],
]


@pytest.fixture(scope="module")
def inception_state() -> dict[str, torch.Tensor]:
    """Random weights by sorted name, without the counters of the batch normalisation."""
    state = {}
    shapes = {name: tuple(value.shape) for name, value in FidInception().state_dict().items()}
    for number, name in enumerate(sorted(name for name in shapes if not name.endswith("num_batches_tracked"))):
        rng, shape = np.random.default_rng(number), shapes[name]
        if name.endswith("conv.weight"):
            values = rng.standard_normal(shape, dtype=np.float32) * np.float32((2 / np.prod(shape[1:])) ** 0.5)
        else:
            low, high = (0.8, 1.2) if name.endswith(("bn.weight", "running_var")) else (-0.2, 0.2)
            values = rng.uniform(low, high, shape).astype(np.float32)
        state[name] = torch.from_numpy(values)
    return state


@pytest.fixture(scope="module")
def two_slices() -> np.ndarray:
    return np.random.default_rng(7).random((2, 40, 52), dtype=np.float32)


@pytest.fixture
def squeezenet_file(tmp_path: Path) -> Path:
    """SqueezeNet with random weights, under the names of the release."""
    rng = np.random.default_rng(1)
    network = SqueezeNetFeatures()
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    arrays = {}
    for ours, theirs in network.stored_names():
        scale = (2 / np.prod(shapes[ours][1:])) ** 0.5 if ours.endswith("weight") else 0.1
        arrays[theirs] = (rng.normal(size=shapes[ours]) * scale).astype(np.float32)
    np.savez(tmp_path / "squeezenet.npz", **arrays)
    return tmp_path / "squeezenet.npz"


def test_inception_gives_the_features_of_the_original(inception_state, two_slices):
    features = ImageFeatures(INCEPTION, None, FidInception.from_state(inception_state)).pooled(two_slices)
    assert features.shape == (2, 2048)
    np.testing.assert_allclose(features[:, [0, 400, 1000, 1500, 1900, 2047]], RECORDED, rtol=1e-4)


def test_inception_has_the_published_number_of_parameters():
    # Keras documents InceptionV3(include_top=False) with 21,802,784: these, and mean, variance and offset of each of
    # the 17,216 normalised channels (it has no scale).
    convolutions = [value.numel() for name, value in FidInception().named_parameters() if ".conv." in name]
    assert len(convolutions) == 94
    assert sum(convolutions) == 21_802_784 - 3 * 17_216


def test_a_pooling_branch_averages_what_lies_in_the_image_alone():
    block = InceptionBlock(1, (Branch("branch1x1", (Layer(1),)),), mean_without_padding)
    image = torch.arange(12.0).view(1, 1, 3, 4)
    with torch.no_grad():
        pooled = block(image)[0, 1]
    expected = [  # means over the neighbours that exist: 4 at a corner, 6 at a side
        [image[0, 0, max(r - 1, 0) : r + 2, max(c - 1, 0) : c + 2].mean().item() for c in range(4)] for r in range(3)
    ]
    torch.testing.assert_close(pooled, torch.tensor(expected))
    plain = functional.avg_pool2d(image, 3, 1, 1)[0, 0]
    torch.testing.assert_close(pooled[0, 0], plain[0, 0] * 9 / 4)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".pth"])
def test_inception_is_read_from_each_kind_of_file(tmp_path, inception_state, monkeypatch, suffix):
    path = tmp_path / f"inception{suffix}"
    stored = {**inception_state, "fc.weight": torch.zeros(3, 2), "fc.bias": torch.zeros(3)}
    if suffix == ".npz":
        np.savez(path, **{name: value.numpy() for name, value in stored.items()})
    elif suffix == ".safetensors":
        save_file(stored, path)
    else:
        torch.save(stored, path)
        monkeypatch.setattr(image_features, "INCEPTION_SHA256", hashlib.sha256(path.read_bytes()).hexdigest()[:8])
    features = load_features(None, path)
    assert (features.name, features.is_fid) == ("Inception v3 (FID)", True)
    kept = features.inception.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in inception_state.items())


def test_a_pth_file_that_is_not_the_published_one_is_not_opened(tmp_path):
    path = tmp_path / "pt_inception-2015-12-05-6726825d.pth"
    torch.save({"weights": torch.zeros(2)}, path)
    with pytest.raises(ConfigError, match="begins with 6726825d"):
        load_features(None, path)


def test_wrong_weights_files_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04nothing")
    for name, message in (
        ("other.npz", "not the weights of the FID Inception v3"),
        ("broken.safetensors", "cannot be read"),
        ("broken.npz", "cannot be read"),
        ("absent.npz", "existing file"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_features(None, tmp_path / name)
    with pytest.raises(ConfigError, match="need a network"):
        load_features(None, None)


def test_pooled_squeezenet_features_are_the_mean_of_its_last_block(squeezenet_file, two_slices):
    features = load_features(squeezenet_file, None)
    assert (features.name, features.is_fid) == (SQUEEZENET, False)
    seen = []
    features.squeezenet.fires[7].register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    pooled = features.pooled(two_slices)
    np.testing.assert_allclose(pooled, seen[0].mean(dim=(2, 3)).numpy(), rtol=1e-5)  # as the network itself runs it
    assert pooled.shape == (2, 512)
    np.testing.assert_allclose(features.pooled(two_slices[1:])[0], pooled[1], rtol=1e-4, atol=1e-6)
    assert features.pooled(two_slices[:0]).shape == (0, 512)


def test_a_distance_of_pairs_is_computed_place_by_place(squeezenet_file, two_slices):
    features = load_features(squeezenet_file, None)
    other = two_slices[::-1] ** 2
    expected = []
    for first, second in zip(two_slices, other, strict=True):
        layers = [
            [
                layer[0].numpy().astype(np.float64)
                for layer in features.squeezenet(torch.tensor(2 * image - 1)[None, None])
            ]
            for image in (first, second)
        ]
        means = []
        for a, b in zip(*layers, strict=True):
            places = [
                ((a[:, r, c] / np.linalg.norm(a[:, r, c]) - b[:, r, c] / np.linalg.norm(b[:, r, c])) ** 2).sum()
                for r in range(a.shape[1])
                for c in range(a.shape[2])
            ]
            means.append(np.mean(places))
        expected.append(np.mean(means))
    np.testing.assert_allclose(features.distance(two_slices, other), expected, rtol=1e-4)
    np.testing.assert_allclose(features.distance(two_slices, two_slices), 0.0, atol=1e-6)


def test_many_slices_are_the_same_as_one_after_the_other(squeezenet_file):
    features = load_features(squeezenet_file, None)
    slices = np.random.default_rng(2).random((19, 32, 33))  # more than one batch
    moved = slices[:, ::-1]
    apart = [features.distance(slices[n : n + 1], moved[n : n + 1])[0] for n in (0, 15, 16, 18)]
    np.testing.assert_allclose(features.distance(slices, moved)[[0, 15, 16, 18]], apart, rtol=1e-4)


def test_what_cannot_be_measured_is_refused(squeezenet_file, two_slices):
    features = load_features(squeezenet_file, None)
    for bad in (two_slices[0], two_slices[:, :20], np.full((1, 40, 40), np.nan)):
        with pytest.raises(ConfigError, match="at least 32 pixels"):
            features.pooled(bad)
    with pytest.raises(ConfigError, match="one shape"):
        features.distance(two_slices, two_slices[:1])
    with pytest.raises(ConfigError, match=r"needs the weights of SqueezeNet 1\.0"):
        ImageFeatures(INCEPTION, None, None).distance(two_slices, two_slices)


@pytest.mark.skipif(not WEIGHTS.is_file(), reason="SqueezeNet weights are not beside the project")
def test_the_published_squeezenet_finds_noise_farther_than_a_slight_change_of_brightness():
    features = load_features(WEIGHTS, None)
    rows, columns = np.mgrid[:64, :72] / 64
    slices = np.stack([0.5 + 0.4 * np.sin(9 * rows + 5 * columns), 0.5 + 0.4 * np.cos(7 * rows * columns)])
    noisy = np.clip(slices + np.random.default_rng(5).normal(0, 0.1, slices.shape), 0, 1)
    assert (features.distance(slices, noisy) > 3 * features.distance(slices, slices * 0.98)).all()
