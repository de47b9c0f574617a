"""Images in, files on disk out: written under another name and renamed, so a killed run never leaves a torn file."""

from __future__ import annotations

import errno
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.files import renamed_when_whole
from MedTranslateLib.imaging.geometry import set_geometry
from MedTranslateLib.imaging.synthetic_mark import marked

FAST_COMPRESSION = 1
"""zlib level: noise hardly shrinks further at higher levels, which cost several times as long."""
HEADER_END = b"\n\n"
MAX_NRRD_HEADER = 1 << 16
BLINDED = "MedTranslate_study"
BLINDED_NOTE = "Image of a blinded reader study: it may be SYNTHETIC. For research use only."
"""The same for every image of every study."""


def write_volume(path: Path, volume: Volume, *, compress: bool = True) -> None:
    """Writes float32 with geometry, and the mark of a synthetic one; the ending of `path` chooses the format.

    Args:
        path: File to write.
        volume: Voxels and geometry.
        compress: False takes several times less time and up to several times more space: for files of short life.

    Raises:
        OutputError: If the file cannot be written whole.
    """
    image = set_geometry(sitk.GetImageFromArray(volume.array_kji), volume.geometry)
    write_image(path, marked(image) if volume.synthetic else image, compress=compress)


def write_mask(path: Path, mask_kji: npt.NDArray[np.uint8], geometry: Geometry) -> None:
    """Writes a uint8 mask with geometry; see `write_volume`."""
    write_image(path, set_geometry(sitk.GetImageFromArray(mask_kji), geometry))


def write_levels(path: Path, levels_kji: npt.NDArray[np.uint8], geometry: Geometry) -> None:
    """Writes grey levels of a blinded study without compression: on one grid, all files have the same size and header.

    Args:
        path: File to write (.nrrd).
        levels_kji: Grey levels 0 to 255, (slices, rows, columns).
        geometry: Their grid.

    Raises:
        OutputError: If the file cannot be written whole.
    """
    image = set_geometry(sitk.GetImageFromArray(levels_kji), geometry)
    image.SetMetaData(BLINDED, BLINDED_NOTE)
    write_image(path, image, compress=False)


def write_image(path: Path, image: sitk.Image, *, compress: bool = True) -> None:
    """Writes a SimpleITK image, with fast gzip where `compress` is set, then renames it into place.

    Raises:
        OutputError: If the file cannot be written whole.
    """
    with renamed_when_whole(path) as temporary:
        sitk.WriteImage(image, str(temporary), useCompression=compress, compressionLevel=FAST_COMPRESSION)
        if path.suffix == ".nrrd":
            check_end = _check_gzip_end if compress else _check_raw_end
            check_end(temporary, sitk.GetArrayViewFromImage(image))


def _check_gzip_end(path: Path, array: npt.NDArray[np.generic]) -> None:
    """ITK does not report a write that was cut short; a gzip stream ends with checksum and length of its content."""
    content = np.ascontiguousarray(array)
    expected = struct.pack("<II", zlib.crc32(content.data), content.nbytes & 0xFFFFFFFF)
    with path.open("rb") as file:
        file.seek(-len(expected), os.SEEK_END)
        if file.read() != expected:
            raise _cut_short()


def _check_raw_end(path: Path, array: npt.NDArray[np.generic]) -> None:
    """Without compression the voxels follow the empty line that ends the header, and nothing follows them."""
    with path.open("rb") as file:
        header = file.read(MAX_NRRD_HEADER).partition(HEADER_END)[0]
    if path.stat().st_size != len(header) + len(HEADER_END) + array.nbytes:
        raise _cut_short()


def _cut_short() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
