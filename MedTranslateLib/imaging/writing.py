"""Values in, files on disk out: written under another name and renamed, so a killed run never leaves a torn file."""

from __future__ import annotations

import errno
import json
import os
import shutil
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from MedTranslateLib.core.errors import OutputError
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.geometry import set_geometry

FAST_COMPRESSION = 1
"""zlib level: noise hardly shrinks further at higher levels, which cost several times as long."""


def write_volume(path: Path, volume: Volume) -> None:
    """Writes float32 with geometry; the ending of `path` chooses the format.

    Raises:
        OutputError: If the file cannot be written whole.
    """
    write_image(path, set_geometry(sitk.GetImageFromArray(volume.array_kji), volume.geometry))


def write_mask(path: Path, mask_kji: npt.NDArray[np.uint8], geometry: Geometry) -> None:
    """Writes a uint8 mask with geometry; see `write_volume`."""
    write_image(path, set_geometry(sitk.GetImageFromArray(mask_kji), geometry))


def write_image(path: Path, image: sitk.Image) -> None:
    """Writes a SimpleITK image with fast gzip, then renames it into place.

    Raises:
        OutputError: If the file cannot be written whole.
    """
    with renamed_when_whole(path) as temporary:
        sitk.WriteImage(image, str(temporary), useCompression=True, compressionLevel=FAST_COMPRESSION)
        if path.suffix == ".nrrd":
            _check_gzip_end(temporary, sitk.GetArrayViewFromImage(image))


@contextmanager
def renamed_when_whole(path: Path) -> Iterator[Path]:
    """Gives another name to write under; afterwards the file has its own name, or there is none.

    Raises:
        OutputError: If what is written inside fails.
    """
    temporary = path.with_name(f".part-{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    except (RuntimeError, OSError) as error:
        with suppress(OSError):
            temporary.unlink()
        raise output_error(path, error) from error


def write_json(path: Path, table: Mapping[str, Any]) -> None:
    """Writes UTF-8 JSON with sorted keys, then renames it into place.

    Raises:
        OutputError: If the file cannot be written whole.
    """
    write_text(path, json.dumps(table, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text, then renames it into place.

    Raises:
        OutputError: If the file cannot be written whole.
    """
    with renamed_when_whole(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def make_folder(folder: Path) -> None:
    """Creates a folder with its parents.

    Raises:
        OutputError: If it cannot be created, written to, or a file is in the way.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(folder, error) from error
    if not os.access(folder, os.W_OK):
        msg = f"The folder {folder} cannot be written to: no permission. Choose another with --out."
        raise OutputError(msg)


def output_error(path: Path, error: Exception) -> OutputError:
    """Turns a failed write into a sentence about space, permission or the path."""
    free = _free_bytes(path.parent)
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ENOSPC or (free is not None and free < 1 << 20):
        return OutputError(f"{path} could not be written: the disk is full. Free some space or choose another folder.")
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(f"{path} could not be written: no permission. Choose another folder.")
    return OutputError(f"{path} could not be written: {str(error).strip().splitlines()[-1]}")


def _check_gzip_end(path: Path, array: npt.NDArray[np.generic]) -> None:
    """ITK does not report a write that was cut short; a gzip stream ends with checksum and length of its content."""
    content = np.ascontiguousarray(array)
    expected = struct.pack("<II", zlib.crc32(content.data), content.nbytes & 0xFFFFFFFF)
    with path.open("rb") as file:
        file.seek(-len(expected), os.SEEK_END)
        if file.read() != expected:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _free_bytes(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
