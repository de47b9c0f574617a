"""Folders in, the bundles that lie in them out, the broken ones with what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TypeAlias

from MedTranslateLib.bundles.manifest import Manifest
from MedTranslateLib.bundles.verify import check_layout
from MedTranslateLib.core.errors import BundleInvalidError, MedTranslateError


class BundleOrigin(str, Enum):
    """Where a bundle comes from."""

    SHIPPED = "shipped"
    USER = "user"
    FOLDER = "folder"


@dataclass(frozen=True)
class Bundle:
    """A bundle whose card is right and whose files are all there; their hashes are not checked yet.

    Args:
        folder: Where it lies.
        origin: Shipped, added by the user, or a folder given by its path.
        manifest: Its card.
    """

    folder: Path
    origin: BundleOrigin
    manifest: Manifest

    @property
    def name(self) -> str:
        """The name it is asked for by."""
        return self.manifest.name


@dataclass(frozen=True)
class BrokenBundle:
    """A folder among the bundles that cannot be used, and why.

    Args:
        folder: Where it lies.
        origin: Shipped or user.
        error: What is wrong with it.
    """

    folder: Path
    origin: BundleOrigin
    error: MedTranslateError

    @property
    def name(self) -> str:
        """The name of its folder, as its card cannot be trusted."""
        return self.folder.name


Entry: TypeAlias = Bundle | BrokenBundle


def read_entries(folders: Iterable[tuple[Path, BundleOrigin]]) -> tuple[Entry, ...]:
    """Reads every bundle in these folders, in order; of two with one name the first is used, the other is broken."""
    found: dict[str, Bundle] = {}
    entries: list[Entry] = []
    for parent, origin in folders:
        for folder in _subfolders(parent):
            entry = _read(folder, origin, found)
            entries.append(entry)
            if isinstance(entry, Bundle):
                found[entry.name] = entry
    return tuple(entries)


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "_")))
    except OSError:  # a folder that is not there, or not ours to read, holds no bundles
        return []


def _read(folder: Path, origin: BundleOrigin, found: Mapping[str, Bundle]) -> Entry:
    try:
        manifest = check_layout(folder)
    except MedTranslateError as error:
        return BrokenBundle(folder, origin, error)
    if manifest.name not in found:
        return Bundle(folder, origin, manifest)
    first = found[manifest.name]
    msg = (
        f"{folder} is also called {manifest.name}, as is {first.folder} ({first.origin.value}), which is used instead."
    )
    return BrokenBundle(folder, origin, BundleInvalidError(msg))
