"""A bundle folder in, its manifest out if every file in it is the one that was published."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from MedTranslateLib.bundles.manifest import MANIFEST, Manifest, read_manifest
from MedTranslateLib.core.errors import BundleInvalidError, BundleTamperedError

WEIGHT_ENDING = ".safetensors"
PICKLE_ENDINGS = frozenset({".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin", ".npy", ".npz", ".joblib"})
TEXT_STEMS = frozenset({"README", "LICENSE", "LICENCE", "NOTICE"})
TEXT_ENDINGS = frozenset({"", ".md", ".txt"})
DESKTOP_FILES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
"""What file browsers leave in every folder they show."""
CHUNK = 1 << 20


def verify_bundle(folder: Path) -> Manifest:
    """Checks every file of a bundle against the SHA-256 that its manifest states.

    Args:
        folder: The bundle's folder.

    Returns:
        Its manifest.

    Raises:
        BundleTamperedError: If a file has another hash; the message holds both.
        BundleInvalidError: If the manifest is wrong, a file is missing, or there is one that does not belong there.
    """
    manifest = check_layout(folder)
    for name, expected in manifest.files.items():
        got = sha256_of(folder / name)
        if got != expected:
            msg = (
                f"Bundle {manifest.name}: {name} is not the published file. Expected SHA-256 {expected}, got {got}. "
                "It is damaged or was changed and is not used; delete the bundle and install it again from its origin."
            )
            raise BundleTamperedError(msg)
    return manifest


def check_layout(folder: Path) -> Manifest:
    """Checks which files a bundle has, without reading them.

    Args:
        folder: The bundle's folder.

    Returns:
        Its manifest.

    Raises:
        BundleInvalidError: If the manifest is wrong, a file is missing, or there is one that does not belong there.
    """
    manifest = read_manifest(folder)
    check_names(manifest.name, manifest.files)
    try:
        present = {path.name: path for path in folder.iterdir() if path.name not in DESKTOP_FILES}
    except OSError as error:
        msg = f"Bundle {manifest.name}: the folder {folder} cannot be read: {error.strerror}."
        raise BundleInvalidError(msg) from error
    folders = [name for name, path in present.items() if path.is_dir()]
    check_names(manifest.name, [name for name in present if name not in folders])
    unlisted = sorted(name for name in present if name not in manifest.files and not _accompanies(name))
    if folders or unlisted:
        extra = min({*folders, *unlisted})
        msg = f"Bundle {manifest.name}: {extra} is not listed in {MANIFEST}, so nobody vouches for it. Remove it."
        raise BundleInvalidError(msg)
    missing = sorted(set(manifest.files) - set(present))
    if missing:
        msg = f"Bundle {manifest.name}: {missing[0]} is missing, {MANIFEST} lists it. Install the bundle again."
        raise BundleInvalidError(msg)
    return manifest


def check_names(bundle: str, names: Iterable[str]) -> None:
    """Refuses endings that may hold a pickle, and everything that is neither safetensors nor an accompanying text.

    Args:
        bundle: How the bundle is called in the message.
        names: File names without folders.

    Raises:
        BundleInvalidError: Naming the first such file.
    """
    for name in sorted(names):
        if Path(name).suffix.lower() in PICKLE_ENDINGS:
            msg = (
                f"Bundle {bundle}: {name} may hold a pickle, which can run any program when it is loaded, and is "
                f"refused. Weights must be stored as {WEIGHT_ENDING}."
            )
            raise BundleInvalidError(msg)
        if not name.endswith(WEIGHT_ENDING) and not _accompanies(name):
            msg = (
                f"Bundle {bundle}: {name} does not belong in a bundle; expected {MANIFEST}, *{WEIGHT_ENDING}, "
                "README and LICENSE. Remove it."
            )
            raise BundleInvalidError(msg)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file of any size, read piece by piece.

    Args:
        path: The file.

    Returns:
        64 lower-case hexadecimal digits.

    Raises:
        BundleInvalidError: If the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}."
        raise BundleInvalidError(msg) from error
    return digest.hexdigest()


def _accompanies(name: str) -> bool:
    path = Path(name)
    return name == MANIFEST or (path.stem in TEXT_STEMS and path.suffix in TEXT_ENDINGS)
