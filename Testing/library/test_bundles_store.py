"""Bundles by name: found, added only when they are sound, removed only when they are the user's."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from MedTranslateLib.bundles import store as store_module
from MedTranslateLib.bundles.entries import BrokenBundle, Bundle, BundleOrigin
from MedTranslateLib.bundles.places import shipped_folders, user_folder
from MedTranslateLib.bundles.store import BundleStore, default_store
from MedTranslateLib.core.errors import BundleInvalidError, BundleNotFoundError, BundleTamperedError, OutputError

MakeBundle = Callable[..., Path]


@pytest.fixture
def store(tmp_path: Path, make_bundle: MakeBundle) -> BundleStore:
    """One shipped bundle, `brain-shipped`, and a user's folder that does not exist yet."""
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    make_bundle("brain-shipped").rename(shipped / "brain-shipped")
    return BundleStore((shipped,), tmp_path / "user" / "Bundles")


def copy_with(folder: Path, destination: Path, **changes: object) -> Path:
    """A copy of a bundle with other values in its manifest; `weights` are bytes, listed with their hash."""
    shutil.copytree(folder, destination)
    table = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    weights = changes.pop("weights", None)
    if isinstance(weights, bytes):
        (destination / "weights.safetensors").write_bytes(weights)
        table["files"] = {"weights.safetensors": hashlib.sha256(weights).hexdigest()}
    (destination / "bundle.json").write_text(json.dumps({**table, **changes}), encoding="utf-8")
    return destination


def zip_of(folder: Path, path: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"{prefix}{file.name}")
    return path


def contents(folder: Path) -> list[str]:
    """Everything below a folder, hidden names included."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) if folder.exists() else []


def test_bundles_are_listed_shipped_first_with_their_origin(store: BundleStore, make_bundle: MakeBundle) -> None:
    store.add(make_bundle("a-first-by-name"))
    assert [(entry.name, entry.origin.value) for entry in store.list()] == [
        ("brain-shipped", "shipped"),
        ("a-first-by-name", "user"),
    ]


def test_a_store_without_folders_is_empty(tmp_path: Path) -> None:
    assert BundleStore((tmp_path / "nowhere",), tmp_path / "neither").list() == ()


def test_a_broken_bundle_does_not_hide_the_others(store: BundleStore, make_bundle: MakeBundle) -> None:
    store.add(make_bundle("brain-b"))
    (store.user / "broken").mkdir()
    (store.user / "broken" / "bundle.json").write_text("{", encoding="utf-8")
    entries = {entry.name: entry for entry in store.list()}
    assert set(entries) == {"brain-shipped", "brain-b", "broken"}
    broken = entries["broken"]
    assert isinstance(broken, BrokenBundle)
    assert "broken/bundle.json: not valid JSON" in str(broken.error)
    assert isinstance(entries["brain-b"], Bundle)
    with pytest.raises(BundleInvalidError, match="not valid JSON"):
        store.find("broken")


def test_a_bundle_is_found_by_name_and_by_folder(store: BundleStore, make_bundle: MakeBundle) -> None:
    by_name = store.find("brain-shipped")
    assert by_name.folder == store.shipped[0] / "brain-shipped"
    folder = make_bundle("brain-elsewhere")
    by_folder = store.find(folder)
    assert (by_folder.manifest.name, by_folder.origin) == ("brain-elsewhere", BundleOrigin.FOLDER)


def test_a_relative_folder_is_found_and_stays_valid_after_a_change_of_directory(
    store: BundleStore, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_bundle("brain-elsewhere")
    monkeypatch.chdir(folder.parent)
    assert store.find("./brain-elsewhere").folder == folder.resolve()
    monkeypatch.chdir(folder)
    assert store.find(".").folder == folder.resolve()


def test_an_unknown_name_is_answered_with_what_there_is_and_the_closest(store: BundleStore) -> None:
    with pytest.raises(BundleNotFoundError) as caught:
        store.find("brain-shiped")
    assert "no bundle 'brain-shiped'" in str(caught.value)
    assert "Did you mean 'brain-shipped'?" in str(caught.value)
    assert str(caught.value).endswith("Installed: brain-shipped.")


def test_an_unknown_name_that_resembles_nothing_gets_no_suggestion(tmp_path: Path) -> None:
    with pytest.raises(BundleNotFoundError) as caught:
        BundleStore((), tmp_path / "user").find("")
    assert "Did you mean" not in str(caught.value)
    assert str(caught.value).endswith("Installed: none.")


@pytest.mark.parametrize("form", ["folder", "zip", "zip of the folder"])
def test_an_added_bundle_is_installed_under_its_name_with_the_same_bytes(
    store: BundleStore, make_bundle: MakeBundle, tmp_path: Path, form: str
) -> None:
    folder = make_bundle("brain-b")
    (folder / "LICENSE.txt").write_text("licence", encoding="utf-8")
    (folder / ".DS_Store").write_bytes(b"mac")
    prefix = "some folder/" if form == "zip of the folder" else ""
    offered = folder if form == "folder" else zip_of(folder, tmp_path / "download.zip", prefix)
    added = store.add(offered)
    assert added == Bundle(store.user / "brain-b", BundleOrigin.USER, store.find("brain-b").manifest)
    assert contents(store.user) == [
        "brain-b",
        *(str(Path("brain-b") / name) for name in ("LICENSE.txt", "bundle.json", "weights.safetensors")),
    ]
    for name in ("bundle.json", "weights.safetensors", "LICENSE.txt"):
        assert (added.folder / name).read_bytes() == (folder / name).read_bytes()


def test_adding_the_same_bundle_again_changes_nothing(store: BundleStore, make_bundle: MakeBundle) -> None:
    folder = make_bundle("brain-b")
    first = store.add(folder)
    written = (first.folder / "bundle.json").stat().st_mtime_ns
    assert store.add(folder) == first
    assert (first.folder / "bundle.json").stat().st_mtime_ns == written


def test_adding_a_sound_copy_does_not_pass_over_an_installed_one_that_was_changed(
    store: BundleStore, make_bundle: MakeBundle
) -> None:
    folder = make_bundle("brain-b")
    (store.add(folder).folder / "weights.safetensors").write_bytes(b"changed")
    with pytest.raises(BundleTamperedError, match="delete the bundle and install it again"):
        store.add(folder)


def test_tampered_weights_are_not_added(store: BundleStore, make_bundle: MakeBundle) -> None:
    folder = make_bundle("brain-b")
    (folder / "weights.safetensors").write_bytes(b"other")
    with pytest.raises(BundleTamperedError):
        store.add(folder)
    assert contents(store.user) == []


def test_the_same_version_with_other_weights_is_refused_with_both_hashes(
    store: BundleStore, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    folder = make_bundle("brain-b")
    installed = store.add(folder)
    other = copy_with(folder, tmp_path / "other", weights=b"other weights")
    with pytest.raises(BundleInvalidError) as caught:
        store.add(other)
    assert "brain-b 1.0.0 is installed with other content" in str(caught.value)
    assert installed.manifest.files["weights.safetensors"] in str(caught.value)
    assert hashlib.sha256(b"other weights").hexdigest() in str(caught.value)
    assert (installed.folder / "weights.safetensors").read_bytes() != b"other weights"


def test_the_same_weights_under_another_card_are_refused(
    store: BundleStore, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    folder = make_bundle("brain-b")
    store.add(folder)
    with pytest.raises(BundleInvalidError, match="their cards differ"):
        store.add(copy_with(folder, tmp_path / "other", summary="Better than ever."))


def test_another_version_does_not_replace_the_installed_one_by_itself(
    store: BundleStore, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    folder = make_bundle("brain-b")
    store.add(folder)
    newer = copy_with(folder, tmp_path / "newer", version="1.1.0")
    with pytest.raises(BundleInvalidError, match=r"1\.0\.0 is installed; to put 1\.1\.0 in its place, first run"):
        store.add(newer)
    store.remove("brain-b")
    assert store.add(newer).manifest.version == "1.1.0"


def test_a_shipped_bundle_cannot_be_shadowed_by_an_added_one(store: BundleStore, tmp_path: Path) -> None:
    shipped = store.shipped[0] / "brain-shipped"
    with pytest.raises(BundleInvalidError, match="came with MedTranslate, and this one"):
        store.add(copy_with(shipped, tmp_path / "other", version="9.0.0"))
    assert contents(store.user) == []


def test_adding_a_copy_of_a_shipped_bundle_gives_the_shipped_one(store: BundleStore) -> None:
    assert store.add(store.shipped[0] / "brain-shipped").origin is BundleOrigin.SHIPPED
    assert contents(store.user) == []


def test_a_shipped_bundle_is_not_shadowed_by_a_folder_that_was_put_there_by_hand(store: BundleStore) -> None:
    copy_with(store.shipped[0] / "brain-shipped", store.user / "brain-shipped", version="9.0.0")
    assert store.find("brain-shipped").manifest.version == "1.0.0"
    shadow = store.list()[1]
    assert isinstance(shadow, BrokenBundle)
    assert "(shipped), which is used instead" in str(shadow.error)


def test_a_folder_that_is_in_the_way_is_named(store: BundleStore, make_bundle: MakeBundle) -> None:
    (store.user / "brain-b").mkdir(parents=True)
    with pytest.raises(
        BundleInvalidError, match="brain-b is in the way; first run `medtranslate bundles remove brain-b`"
    ):
        store.add(make_bundle("brain-b"))
    store.remove("brain-b")
    assert store.add(make_bundle("brain-c")).name == "brain-c"


def test_a_copy_that_breaks_off_leaves_nothing_behind(
    store: BundleStore, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store_module.shutil, "copyfile", full_disk)
    with pytest.raises(OutputError, match=r"cannot be changed: No space left on device\. Choose another one with"):
        store.add(make_bundle("brain-b"))
    assert contents(store.user) == []


def test_a_file_that_changes_while_it_is_copied_is_not_installed(
    store: BundleStore, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        store_module.shutil, "copyfile", lambda source, to: to.write_bytes(source.read_bytes().replace(b"{}", b"{ }"))
    )
    with pytest.raises(BundleTamperedError):
        store.add(make_bundle("brain-b"))
    assert contents(store.user) == []


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="needs a folder that permissions close")
def test_a_folder_without_permission_is_told(store: BundleStore, make_bundle: MakeBundle) -> None:
    store.user.mkdir(parents=True)
    store.user.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        store.add(make_bundle("brain-b"))


def test_a_file_where_the_users_folder_should_be_is_told(store: BundleStore, make_bundle: MakeBundle) -> None:
    store.user.parent.mkdir()
    store.user.write_bytes(b"in the way")
    with pytest.raises(OutputError, match="MEDTRANSLATE_BUNDLES"):
        store.add(make_bundle("brain-b"))


def test_an_added_bundle_can_be_removed(store: BundleStore, make_bundle: MakeBundle) -> None:
    added = store.add(make_bundle("brain-b"))
    assert store.remove("brain-b") == added.folder
    assert contents(store.user) == []
    assert [entry.name for entry in store.list()] == ["brain-shipped"]


def test_a_broken_bundle_can_be_removed_by_the_name_of_its_folder(store: BundleStore) -> None:
    (store.user / "torn").mkdir(parents=True)
    store.remove("torn")
    assert contents(store.user) == []


def test_a_shipped_bundle_is_not_removed(store: BundleStore) -> None:
    with pytest.raises(BundleInvalidError, match="brain-shipped came with MedTranslate and cannot be removed"):
        store.remove("brain-shipped")
    assert store.find("brain-shipped").folder.is_dir()


@pytest.mark.parametrize("name", ["unknown", "", ".", "..", "../shipped/brain-shipped"])
def test_removing_what_is_not_there_removes_nothing(store: BundleStore, make_bundle: MakeBundle, name: str) -> None:
    store.add(make_bundle("brain-b"))
    with pytest.raises(BundleNotFoundError):
        store.remove(name)
    assert [entry.name for entry in store.list()] == ["brain-shipped", "brain-b"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_removing_a_linked_bundle_keeps_what_the_link_points_at(store: BundleStore, make_bundle: MakeBundle) -> None:
    folder = make_bundle("brain-b")
    store.user.mkdir(parents=True)
    (store.user / "brain-b").symlink_to(folder)
    store.remove("brain-b")
    assert contents(store.user) == []
    assert (folder / "weights.safetensors").is_file()


@pytest.mark.parametrize(
    ("environment", "platform", "expected"),
    [
        ({"MEDTRANSLATE_BUNDLES": "/data/b"}, "linux", "/data/b"),
        ({"MEDTRANSLATE_BUNDLES": "", "XDG_DATA_HOME": "/x"}, "linux", "/x/MedTranslate/Bundles"),
        ({}, "linux", "/home/ada/.local/share/MedTranslate/Bundles"),
        ({"XDG_DATA_HOME": "/x"}, "darwin", "/home/ada/Library/Application Support/MedTranslate/Bundles"),
        ({"LOCALAPPDATA": "/c/local"}, "win32", "/c/local/MedTranslate/Bundles"),
        ({}, "win32", "/home/ada/AppData/Local/MedTranslate/Bundles"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="the paths are written as POSIX has them")
def test_the_users_folder_follows_the_variable_and_then_the_platform(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], platform: str, expected: str
) -> None:
    monkeypatch.setattr(Path, "home", lambda: Path("/home/ada"))
    assert user_folder(environment, platform) == Path(expected)


def test_shipped_bundles_lie_in_the_package_or_else_beside_it(tmp_path: Path) -> None:
    package = tmp_path / "MedTranslateLib"
    package.mkdir()
    assert shipped_folders(package) == ()
    beside = tmp_path / "Resources" / "Bundles"
    beside.mkdir(parents=True)
    assert shipped_folders(package) == (beside,)
    inside = package / "Resources" / "Bundles"
    inside.mkdir(parents=True)
    assert shipped_folders(package) == (inside,)


def test_the_default_store_takes_the_users_folder_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDTRANSLATE_BUNDLES", str(tmp_path))
    assert default_store().user == tmp_path
