"""A folder or zip of unknown origin is looked at before a byte of it is installed."""

from __future__ import annotations

import random
import stat
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from test_bundles_store import contents, copy_with, zip_of

from MedTranslateLib.bundles.store import BundleStore
from MedTranslateLib.core.errors import BundleInvalidError, BundleNotFoundError

MakeBundle = Callable[..., Path]


@pytest.fixture
def store(tmp_path: Path) -> BundleStore:
    """Without shipped bundles, and with a user's folder that does not exist yet."""
    return BundleStore((), tmp_path / "user" / "Bundles")


def test_what_macos_adds_to_a_zip_is_left_out(store: BundleStore, make_bundle: MakeBundle, tmp_path: Path) -> None:
    path = zip_of(make_bundle("brain-b"), tmp_path / "mac.zip", "brain-b/")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("__MACOSX/brain-b/._bundle.json", b"fork")
        archive.writestr("brain-b/.DS_Store", b"view")
    store.add(path)
    assert sorted(file.name for file in (store.user / "brain-b").iterdir()) == ["bundle.json", "weights.safetensors"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../evil.safetensors", "leads out of the bundle's folder"),
        ("brain-b/../../evil.safetensors", "leads out of the bundle's folder"),
        ("/tmp/evil.safetensors", "is an absolute path"),
        ("C:/evil.safetensors", "is an absolute path or one of another system"),
        ("brain-b/sub/evil.safetensors", "does not lie beside bundle.json"),
        ("evil.safetensors", "does not lie beside bundle.json"),
        ("brain-b/WEIGHTS.safetensors", "is there twice"),
        ("other/bundle.json", "must hold one bundle.json, got 2"),
    ],
)
def test_a_zip_that_reaches_elsewhere_is_refused_before_anything_is_installed(
    store: BundleStore, make_bundle: MakeBundle, tmp_path: Path, name: str, why: str
) -> None:
    path = zip_of(make_bundle("brain-b"), tmp_path / "evil.zip", "brain-b/")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"evil")
    before = contents(tmp_path)
    with pytest.raises(BundleInvalidError) as caught:
        store.add(path)
    assert why in str(caught.value)
    assert contents(tmp_path) == before


@pytest.mark.skipif(sys.platform == "win32", reason="zipfile turns backslashes into slashes there")
def test_a_zip_with_backslashes_is_refused(store: BundleStore, make_bundle: MakeBundle, tmp_path: Path) -> None:
    path = zip_of(make_bundle("brain-b"), tmp_path / "evil.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("..\\evil.safetensors", b"evil")
    with pytest.raises(BundleInvalidError, match="one of another system"):
        store.add(path)


def test_a_link_inside_a_zip_is_refused(store: BundleStore, make_bundle: MakeBundle, tmp_path: Path) -> None:
    path = zip_of(make_bundle("brain-b"), tmp_path / "link.zip")
    link = zipfile.ZipInfo("README")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(BundleInvalidError, match="'README' is a link"):
        store.add(path)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_inside_a_folder_is_refused(store: BundleStore, make_bundle: MakeBundle) -> None:
    folder = make_bundle("brain-b")
    (folder / "README").symlink_to("/etc/hostname")
    with pytest.raises(BundleInvalidError, match="README is a link"):
        store.add(folder)
    assert contents(store.user) == []


def test_a_zip_that_unpacks_to_more_than_allowed_is_refused(
    store: BundleStore, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    folder = copy_with(make_bundle("brain-b"), tmp_path / "bomb", weights=random.Random(4).randbytes(3_000_000))
    path = zip_of(folder, tmp_path / "bomb.zip")
    small = BundleStore(store.shipped, store.user, max_bytes=2_000_000)
    for offered in (path, folder):
        with pytest.raises(BundleInvalidError, match="holds 3 MB, more than the 2 MB"):
            small.add(offered)
    assert contents(store.user) == []
    assert store.add(path).name == "brain-b"


def test_a_zip_bomb_is_refused_before_it_is_unpacked(
    store: BundleStore, make_bundle: MakeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy_with(make_bundle("brain-b"), tmp_path / "bomb", weights=bytes(3_000_000))
    path = zip_of(folder, tmp_path / "bomb.zip")
    assert path.stat().st_size < 20_000
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("a member was unpacked"))
    with pytest.raises(BundleInvalidError, match="unpacks to more than 100 times its size"):
        store.add(path)
    assert contents(store.user) == []


def test_a_zip_that_understates_its_sizes_unpacks_to_no_more_than_it_states(
    store: BundleStore, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    folder = copy_with(make_bundle("brain-b"), tmp_path / "liar", weights=bytes(3_000_000))
    path = zip_of(folder, tmp_path / "liar.zip")
    content = path.read_bytes()
    assert content.count((3_000_000).to_bytes(4, "little")) >= 1
    path.write_bytes(content.replace((3_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little")))
    with pytest.raises(BundleInvalidError, match="damaged zip"):
        store.add(path)
    assert contents(store.user) == []


def test_a_zip_of_very_many_files_is_refused(store: BundleStore, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for number in range(65):
            archive.writestr(f"{number}.safetensors", b"")
    with pytest.raises(BundleInvalidError, match="holds 65 files, a bundle at most 64"):
        store.add(tmp_path / "many.zip")


def test_a_damaged_zip_is_refused(store: BundleStore, make_bundle: MakeBundle, tmp_path: Path) -> None:
    folder = copy_with(make_bundle("brain-b"), tmp_path / "b", weights=bytes(range(256)) * 64)
    path = zip_of(folder, tmp_path / "damaged.zip")
    data = bytearray(path.read_bytes())
    middle = data.index(b"weights.safetensors") + len("weights.safetensors") + 40
    data[middle : middle + 20] = bytes(20)
    path.write_bytes(data)
    with pytest.raises(BundleInvalidError, match="is a damaged zip"):
        store.add(path)
    assert contents(store.user) == []


def test_what_is_neither_folder_nor_zip_is_refused(store: BundleStore, tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"weights")
    with pytest.raises(BundleInvalidError, match="neither a bundle folder nor a zip"):
        store.add(tmp_path / "weights.safetensors")
    with pytest.raises(BundleNotFoundError, match="does not exist; expected a bundle folder or a zip"):
        store.add(tmp_path / "nothing.zip")
