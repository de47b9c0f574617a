"""Values in, files on disk out: written under another name and renamed, so a killed run never leaves a torn file."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Mapping
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
    temporary = path.with_name(f".part-{path.name}")
    try:
        sitk.WriteImage(image, str(temporary), useCompression=True, compressionLevel=FAST_COMPRESSION)
        _check_space_was_enough(temporary)
        temporary.replace(path)
    except (RuntimeError, OSError) as error:
        temporary.unlink(missing_ok=True)
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
    temporary = path.with_name(f".part-{path.name}")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise output_error(path, error) from error


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


def _check_space_was_enough(path: Path) -> None:
    """ITK does not report a short write: a disk without a free block after it counts as full."""
    if path.stat().st_size == 0 or _free_bytes(path.parent) == 0:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _free_bytes(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
