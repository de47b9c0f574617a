"""A folder or a zip of unknown origin in, a folder that is safe to look into out."""

from __future__ import annotations

import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from MedTranslateLib.bundles.manifest import MANIFEST
from MedTranslateLib.bundles.verify import DESKTOP_FILES
from MedTranslateLib.core.errors import BundleInvalidError, BundleNotFoundError, OutputError

MAX_BUNDLE_BYTES = 4 << 30
MAX_MEMBERS = 64
MAX_PACKING, SMALL_BYTES = 100, 1 << 20
"""Weights hardly shrink: what unpacks to a hundred times its size, and to more than a MiB, is made to fill a disk."""
ENCRYPTED = 0x1
MAC_FOLDER = "__MACOSX"
"""What macOS adds to every archive it makes."""


@contextmanager
def opened(folder_or_zip: Path, max_bytes: int) -> Iterator[Path]:
    """The bundle folder itself, or a temporary one with what a zip holds.

    Args:
        folder_or_zip: A bundle folder, or a zip of one (with or without the folder itself inside).
        max_bytes: Largest sum of file sizes.

    Yields:
        A folder that is gone afterwards where it was unpacked from a zip.

    Raises:
        BundleNotFoundError: If it does not exist.
        BundleInvalidError: If it is neither folder nor zip, holds links or paths that lead out, or is too large.
        OutputError: If a zip cannot be unpacked, because the disk is full for instance.
    """
    if folder_or_zip.is_dir():
        _check_folder(folder_or_zip, max_bytes)
        yield folder_or_zip
    elif not folder_or_zip.exists():
        msg = f"{folder_or_zip} does not exist; expected a bundle folder or a zip of one."
        raise BundleNotFoundError(msg)
    elif not zipfile.is_zipfile(folder_or_zip):
        msg = f"{folder_or_zip} is neither a bundle folder nor a zip of one."
        raise BundleInvalidError(msg)
    else:
        with tempfile.TemporaryDirectory(prefix="medtranslate-") as temporary:
            folder = Path(temporary) / folder_or_zip.stem
            _unpack(folder_or_zip, folder, max_bytes)
            yield folder


def _check_folder(folder: Path, max_bytes: int) -> None:
    try:
        paths = list(folder.iterdir())
    except OSError as error:
        msg = f"{folder} cannot be read: {error.strerror}."
        raise BundleInvalidError(msg) from error
    links = sorted(path.name for path in paths if path.is_symlink())
    if links:
        msg = f"{folder}: {links[0]} is a link; a bundle holds plain files only. Replace it by the file itself."
        raise BundleInvalidError(msg)
    _check_size(folder, sum(path.stat().st_size for path in paths), max_bytes)


def _unpack(path: Path, folder: Path, max_bytes: int) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not _is_ignored(member)]
            _check_members(path, members, max_bytes)
            top = _top_folder(path, members)
            folder.mkdir()
            for member in members:
                with archive.open(member) as packed, (folder / _inside(top, member, path)).open("xb") as file:
                    # zipfile reads no more than the stated size, which was checked, and compares the checksum.
                    shutil.copyfileobj(packed, file)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        msg = f"{path} is a damaged zip: {error}. Get it again from its origin."
        raise BundleInvalidError(msg) from error
    except OSError as error:
        msg = f"{path} could not be unpacked into {folder.parent}: {error.strerror or error}."
        raise OutputError(msg) from error


def _is_ignored(member: zipfile.ZipInfo) -> bool:
    name = PurePosixPath(member.filename)
    return member.filename.endswith("/") or name.name in DESKTOP_FILES or MAC_FOLDER in name.parts[:1]


def _check_members(path: Path, members: list[zipfile.ZipInfo], max_bytes: int) -> None:
    if len(members) > MAX_MEMBERS:
        msg = f"{path} holds {len(members)} files, a bundle at most {MAX_MEMBERS}."
        raise BundleInvalidError(msg)
    _check_size(path, sum(member.file_size for member in members), max_bytes)
    names = [member.filename for member in members]
    for member in members:
        why = _refusal(member, names)
        if why:
            msg = f"{path}: {member.filename!r} {why}; a bundle holds plain files only. Nothing was unpacked."
            raise BundleInvalidError(msg)


def _refusal(member: zipfile.ZipInfo, names: list[str]) -> str:
    name = member.filename
    if not PurePosixPath(name).name:
        return "has no name"
    if name.startswith("/") or "\\" in name or ":" in name:
        return "is an absolute path or one of another system"
    if ".." in PurePosixPath(name).parts:
        return "leads out of the bundle's folder"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return "is a link or a device"
    if member.flag_bits & ENCRYPTED:
        return "is encrypted"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is packed in a way that is not supported"
    if member.file_size > max(SMALL_BYTES, MAX_PACKING * member.compress_size):
        return f"unpacks to more than {MAX_PACKING} times its size"
    if [other.lower() for other in names].count(name.lower()) > 1:
        return "is there twice"
    return ""


def _top_folder(path: Path, members: list[zipfile.ZipInfo]) -> PurePosixPath:
    manifests = [PurePosixPath(m.filename) for m in members if PurePosixPath(m.filename).name == MANIFEST]
    if len(manifests) != 1:
        msg = f"{path} must hold one {MANIFEST}, got {len(manifests)}; zip one bundle folder."
        raise BundleInvalidError(msg)
    return manifests[0].parent


def _inside(top: PurePosixPath, member: zipfile.ZipInfo, path: Path) -> str:
    name = PurePosixPath(member.filename)
    if name.parent != top:
        msg = f"{path}: {member.filename!r} does not lie beside {MANIFEST}; a bundle has no folders inside."
        raise BundleInvalidError(msg)
    return name.name


def _check_size(path: Path, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        msg = f"{path} holds {size / 1e6:.0f} MB, more than the {max_bytes / 1e6:.0f} MB a bundle may have."
        raise BundleInvalidError(msg)
