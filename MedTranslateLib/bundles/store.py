"""A name in, the bundle of that name out; and adding to and removing from the user's own folder."""

from __future__ import annotations

import difflib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from MedTranslateLib.bundles.archive import MAX_BUNDLE_BYTES, opened
from MedTranslateLib.bundles.entries import BrokenBundle, Bundle, BundleOrigin, Entry, read_entries
from MedTranslateLib.bundles.manifest import MANIFEST, Manifest
from MedTranslateLib.bundles.places import FOLDER_VARIABLE, shipped_folders, user_folder
from MedTranslateLib.bundles.verify import DESKTOP_FILES, check_layout, verify_bundle
from MedTranslateLib.core.errors import BundleInvalidError, BundleNotFoundError, OutputError

PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class BundleStore:
    """The bundles that can be asked for by name.

    Args:
        shipped: Folders that came with MedTranslate; never written to.
        user: The user's own folder; need not exist yet.
        max_bytes: Largest bundle that is added.
    """

    shipped: tuple[Path, ...]
    user: Path
    max_bytes: int = MAX_BUNDLE_BYTES

    def list(self) -> tuple[Entry, ...]:
        """Every bundle, shipped ones first; a broken one does not hide the others."""
        shipped = [(folder, BundleOrigin.SHIPPED) for folder in self.shipped]
        return read_entries([*shipped, (self.user, BundleOrigin.USER)])

    def find(self, name_or_folder: str | Path) -> Bundle:
        """The bundle of a name, or in a folder; its hashes are not checked, see `verify_bundle`.

        Args:
            name_or_folder: Name of an installed bundle; where there is none, the path of a bundle folder.

        Returns:
            The bundle with its manifest.

        Raises:
            BundleNotFoundError: If there is neither; the message lists what there is.
            BundleInvalidError: If it is there but broken.
        """
        wanted, folder = str(name_or_folder), Path(name_or_folder)
        named = [entry for entry in self.list() if entry.name == wanted]
        # A whole bundle of that name comes before a broken folder that is called the same.
        for entry in sorted(named, key=lambda entry: isinstance(entry, BrokenBundle)):
            if isinstance(entry, BrokenBundle):
                raise entry.error
            return entry
        if (folder / MANIFEST).is_file():
            return Bundle(folder.resolve(), BundleOrigin.FOLDER, check_layout(folder.resolve()))
        raise _not_found(wanted, self.list())

    def add(self, folder_or_zip: Path) -> Bundle:
        """Verifies a bundle, then copies it into the user's folder; adding the same bundle again changes nothing.

        Args:
            folder_or_zip: A bundle folder, or a zip of one.

        Returns:
            The bundle as it is installed now.

        Raises:
            BundleNotFoundError: If there is no such folder or file.
            BundleInvalidError: If it is no proper bundle, is too large, or its name is taken by another.
            BundleTamperedError: If a file does not have its stated hash.
            OutputError: If the user's folder cannot be written to.
        """
        with opened(folder_or_zip, self.max_bytes) as folder:
            manifest = verify_bundle(folder)
            installed = self._installed(manifest)
            if installed is None:
                with _writing(self.user):
                    _copy(folder, self.user / manifest.name)
                return Bundle(self.user / manifest.name, BundleOrigin.USER, manifest)
        verify_bundle(installed.folder)  # the same card, but its files may have been changed since
        return installed

    def remove(self, name: str) -> Path:
        """Deletes a bundle, also a broken one, from the user's folder.

        Args:
            name: Name of the bundle, or of its folder.

        Returns:
            The folder that is gone.

        Raises:
            BundleNotFoundError: If there is none of that name.
            BundleInvalidError: If it came with MedTranslate.
            OutputError: If it cannot be deleted.
        """
        entries = self.list()
        named = [entry for entry in entries if name in (entry.name, entry.folder.name)]
        own = [entry.folder for entry in named if entry.origin is BundleOrigin.USER]
        if own:
            with _writing(self.user):
                _delete(own[0])
            return own[0]
        if named:
            msg = f"Bundle {name} came with MedTranslate and cannot be removed; only added bundles can."
            raise BundleInvalidError(msg)
        raise _not_found(name, entries)

    def _installed(self, manifest: Manifest) -> Bundle | None:
        """The installed bundle that is equal to this one; another one of its name is an error."""
        for entry in self.list():
            if isinstance(entry, Bundle) and entry.name == manifest.name:
                if entry.manifest == manifest:
                    return entry
                raise _name_taken(entry, manifest)
        in_the_way = self.user / manifest.name
        if in_the_way.exists():
            msg = f"{in_the_way} is in the way; first run {_remove_command(manifest.name)}."
            raise BundleInvalidError(msg)
        return None


def default_store() -> BundleStore:
    """The bundles that came with this installation, and those of the user."""
    return BundleStore(shipped_folders(PACKAGE), user_folder(os.environ, sys.platform))


def _copy(folder: Path, destination: Path) -> None:
    """Copies under a name that no listing shows, checks the copy, and renames it."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".adding-", dir=destination.parent))
    try:
        for name in [path.name for path in folder.iterdir() if path.name not in DESKTOP_FILES]:
            shutil.copyfile(folder / name, part / name)
        verify_bundle(part)
        part.chmod(0o755)
        part.rename(destination)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _delete(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
        return
    # Renamed first, so that a deletion that breaks off leaves nothing that looks like a bundle.
    doomed = Path(tempfile.mkdtemp(prefix=".removing-", dir=folder.parent))
    folder.rename(doomed / folder.name)
    shutil.rmtree(doomed)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        msg = f"The bundle folder {folder} cannot be changed: {reason}. Choose another one with {FOLDER_VARIABLE}."
        raise OutputError(msg) from error


def _not_found(wanted: str, entries: tuple[Entry, ...]) -> BundleNotFoundError:
    names = sorted({entry.name for entry in entries})
    close = difflib.get_close_matches(wanted, names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    msg = f"There is no bundle {wanted!r}, neither by name nor as a folder with {MANIFEST}.{hint}"
    return BundleNotFoundError(f"{msg} Installed: {', '.join(names) or 'none'}.")


def _name_taken(installed: Bundle, offered: Manifest) -> BundleInvalidError:
    name, version = installed.name, installed.manifest.version
    if installed.origin is BundleOrigin.SHIPPED:
        msg = (
            f"A bundle {name} ({version}) came with MedTranslate, and this one ({offered.version}) is not the same. "
            f"Give this one another name in its {MANIFEST}."
        )
    elif version == offered.version:
        msg = (
            f"{name} {version} is installed with other content: {_difference(installed.manifest, offered)}. Two "
            f"bundles of one version must be equal: change the new one, and first run {_remove_command(name)}."
        )
    else:
        msg = (
            f"{name} {version} is installed; to put {offered.version} in its place, first run {_remove_command(name)}."
        )
    return BundleInvalidError(msg)


def _difference(installed: Manifest, offered: Manifest) -> str:
    for name in sorted({*installed.files, *offered.files}):
        old, new = installed.files.get(name, "no such file"), offered.files.get(name, "no such file")
        if old != new:
            return f"{name} has SHA-256 {old} there and {new} in the new one"
    return "their cards differ"


def _remove_command(name: str) -> str:
    return f"`medtranslate bundles remove {name}`"
