"""A bundle is used only as it was published."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from MedTranslateLib.bundles import verify
from MedTranslateLib.bundles.verify import sha256_of, verify_bundle
from MedTranslateLib.core.errors import BundleInvalidError, BundleTamperedError

MakeBundle = Callable[..., Path]


def list_file(folder: Path, name: str, content: bytes) -> None:
    """Puts a file into a bundle and into its manifest."""
    (folder / name).write_bytes(content)
    table = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    table["files"][name] = hashlib.sha256(content).hexdigest()
    (folder / "bundle.json").write_text(json.dumps(table), encoding="utf-8")


# NIST FIPS 180-4 example vectors, "abc" and one million times "a".
@pytest.mark.parametrize(
    ("content", "digest"),
    [
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (b"a" * 1_000_000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
    ],
)
def test_a_file_read_in_pieces_has_its_published_sha256(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, digest: str
) -> None:
    monkeypatch.setattr(verify, "CHUNK", 4097)
    (tmp_path / "file").write_bytes(content)
    assert sha256_of(tmp_path / "file") == digest


def test_an_untouched_bundle_is_verified_and_gives_its_manifest(make_bundle: MakeBundle) -> None:
    assert verify_bundle(make_bundle("brain-a")).name == "brain-a"


def test_changed_weights_are_refused_with_both_hashes(make_bundle: MakeBundle) -> None:
    folder = make_bundle("brain-a")
    weights = folder / "weights.safetensors"
    published = hashlib.sha256(weights.read_bytes()).hexdigest()
    spoiled = bytearray(weights.read_bytes())
    spoiled[-1] ^= 1
    weights.write_bytes(spoiled)
    with pytest.raises(BundleTamperedError) as caught:
        verify_bundle(folder)
    message = str(caught.value)
    assert "brain-a: weights.safetensors" in message
    assert f"Expected SHA-256 {published}, got {hashlib.sha256(spoiled).hexdigest()}" in message
    assert "install it again" in message


def test_missing_weights_are_named(make_bundle: MakeBundle) -> None:
    folder = make_bundle("brain-a")
    (folder / "weights.safetensors").unlink()
    with pytest.raises(BundleInvalidError, match=r"weights\.safetensors is missing, bundle\.json lists it"):
        verify_bundle(folder)


@pytest.mark.parametrize("name", ["README.md", "LICENSE", "LICENSE.txt", "NOTICE.txt", ".DS_Store", "desktop.ini"])
def test_texts_and_traces_of_file_browsers_may_lie_beside_the_weights(make_bundle: MakeBundle, name: str) -> None:
    folder = make_bundle("brain-a")
    (folder / name).write_bytes(b"text")
    assert verify_bundle(folder).name == "brain-a"


def test_a_listed_text_is_checked_like_the_weights(make_bundle: MakeBundle) -> None:
    folder = make_bundle("brain-a")
    list_file(folder, "LICENSE.txt", b"licence")
    verify_bundle(folder)
    (folder / "LICENSE.txt").write_bytes(b"another")
    with pytest.raises(BundleTamperedError, match=r"LICENSE\.txt"):
        verify_bundle(folder)


@pytest.mark.parametrize("name", ["model.pt", "model.PTH", "a.pkl", "last.ckpt", "pytorch_model.bin", "mean.npy"])
@pytest.mark.parametrize("listed", [False, True])
def test_whatever_may_hold_a_pickle_is_refused_by_name(make_bundle: MakeBundle, name: str, listed: bool) -> None:
    folder = make_bundle("brain-a")
    if listed:
        list_file(folder, name, b"x")
    else:
        (folder / name).write_bytes(b"x")
    with pytest.raises(BundleInvalidError) as caught:
        verify_bundle(folder)
    assert f"{name} may hold a pickle" in str(caught.value)


@pytest.mark.parametrize("name", ["run.py", "weights.onnx", "README.exe", "weights.safetensors.gz", ".hidden"])
def test_any_other_kind_of_file_is_refused_even_when_listed(make_bundle: MakeBundle, name: str) -> None:
    folder = make_bundle("brain-a")
    (folder / name).write_bytes(b"x")
    with pytest.raises(BundleInvalidError) as caught:
        verify_bundle(folder)
    assert f"{name} does not belong in a bundle" in str(caught.value)


@pytest.mark.parametrize("name", ["other.safetensors", "cache"])
def test_weights_and_folders_that_are_not_listed_are_refused(make_bundle: MakeBundle, name: str) -> None:
    folder = make_bundle("brain-a")
    if name.endswith(".safetensors"):
        (folder / name).write_bytes(b"x")
    else:
        (folder / name).mkdir()
    with pytest.raises(BundleInvalidError) as caught:
        verify_bundle(folder)
    assert f"{name} is not listed in bundle.json" in str(caught.value)


def test_a_second_listed_weight_file_is_accepted(make_bundle: MakeBundle) -> None:
    folder = make_bundle("brain-a")
    list_file(folder, "statistics.safetensors", b"more")
    assert set(verify_bundle(folder).files) == {"weights.safetensors", "statistics.safetensors"}
