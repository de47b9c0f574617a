"""A gzip NRRD file in, its numbers straight in memory of the caller's choice out; damage is noticed, nothing copied.

Geometry and meaning are read by SimpleITK; only the numbers are taken past it, because it would hold them twice.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from MedTranslateLib.core.errors import SourceUnreadableError

DTYPES: dict[int, np.dtype[Any]] = {
    sitk.sitkFloat32: np.dtype(np.float32),
    sitk.sitkVectorFloat32: np.dtype(np.float32),
    sitk.sitkUInt8: np.dtype(np.uint8),
}
"""SimpleITK's pixel types that are read here, and what they are in numpy."""
GZIP_WINDOW_BITS = 31
"""zlib's code for a gzip stream, whose checksum and length it then verifies."""
MAX_HEADER_BYTES = 1 << 16
CHUNK_BYTES = 1 << 16
MAX_DEFLATE_RATIO = 1040
"""Deflate packs at most 1032 bytes into one: a header that promises more is damaged, and no memory is spent on it."""
DETACHED_OR_SHIFTED = ("data file", "datafile", "line skip", "lineskip", "byte skip", "byteskip")


class Allocate(Protocol):
    """Makes an array without filling it, as `numpy.empty` does."""

    def __call__(self, shape: tuple[int, ...], dtype: np.dtype[Any], /) -> npt.NDArray[Any]:
        """An array in C order.

        Args:
            shape: Its shape.
            dtype: Type of its values.
        """
        ...


def new_array(shape: tuple[int, ...], dtype: np.dtype[Any], /) -> npt.NDArray[Any]:
    """An `Allocate` that takes numpy's memory.

    Args:
        shape: Its shape.
        dtype: Type of its values.
    """
    return np.empty(shape, dtype)


@dataclass(frozen=True)
class StreamedImage:
    """The numbers of an image and its header.

    Args:
        array_kji: (slices, rows, columns), or (slices, rows, columns, components); as they stand in the file.
        header: SimpleITK's reader after `ReadImageInformation`: size, spacing, origin, direction (LPS) and tags.
    """

    array_kji: npt.NDArray[Any]
    header: sitk.ImageFileReader


def stream_nrrd(path: Path, pixel: int, allocate: Allocate = new_array) -> StreamedImage | None:
    """Reads a 3-D .nrrd file of the plain form that this library writes.

    Args:
        path: An existing file.
        pixel: SimpleITK's pixel type that is expected, a key of `DTYPES`.
        allocate: Gives the array that is filled.

    Returns:
        The image; None where the file has another type or form, and SimpleITK has to read it.

    Raises:
        SourceUnreadableError: If the compressed numbers are damaged or cut short.
    """
    if path.suffix.lower() != ".nrrd" or not path.is_file() or sys.byteorder != "little":
        return None
    header = _information(path)
    start = _start_of_stream(path)
    if header is None or start is None or header.GetPixelID() != pixel or header.GetDimension() != 3:
        return None
    components = (header.GetNumberOfComponents(),) if pixel == sitk.sitkVectorFloat32 else ()
    shape, dtype = (*header.GetSize()[::-1], *components), DTYPES[pixel]
    if not start.is_plain(shape, dtype) or not start.could_hold(path, shape, dtype):
        return None
    array = allocate(shape, dtype)
    return StreamedImage(array, header) if _inflate(path, start.byte, array.data.cast("B")) else None


@dataclass(frozen=True)
class _Start:
    """Where the compressed numbers begin, and what the header says of them."""

    byte: int
    fields: Mapping[str, str]

    def is_plain(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
        """Whether the stream is gzip of little-endian numbers, i fastest, the components of a voxel together."""
        sizes, kinds = self.fields.get("sizes", "").split(), self.fields.get("kinds", "").split()
        return (
            self.fields.get("encoding") in ("gzip", "gz")
            and (dtype.itemsize == 1 or self.fields.get("endian") == "little")
            and not any(key in self.fields for key in DETACHED_OR_SHIFTED)
            and sizes == [str(n) for n in reversed(shape)]
            and kinds[-3:] == ["domain"] * 3
            and len(kinds) == len(shape)
        )

    def could_hold(self, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
        """Whether a file of this length can hold that much."""
        needed = int(np.prod(shape, dtype=np.float64)) * dtype.itemsize
        return needed <= MAX_DEFLATE_RATIO * (path.stat().st_size - self.byte)


def _information(path: Path) -> sitk.ImageFileReader | None:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return None  # SimpleITK is asked again, for the whole image, and says what is wrong
    return reader


def _start_of_stream(path: Path) -> _Start | None:
    with path.open("rb") as file:
        head = file.read(MAX_HEADER_BYTES)
    text, end, _ = head.partition(b"\n\n")
    if not end or not text.startswith(b"NRRD"):
        return None
    lines = text.decode("latin-1").splitlines()[1:]
    pairs = (line.partition(": ") for line in lines if not line.startswith("#") and ":=" not in line)
    return _Start(len(text) + len(end), {key.strip().lower(): value.strip() for key, _, value in pairs})


def _inflate(path: Path, start: int, out: memoryview) -> bool:
    """Fills `out`; False where the stream does not hold exactly as many bytes."""
    decompressor = zlib.decompressobj(GZIP_WINDOW_BITS)
    filled = 0
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(start)
            while packed := file.read(CHUNK_BYTES):
                plain = decompressor.decompress(packed)
                if decompressor.unused_data or filled + len(plain) > len(out):
                    return False
                out[filled : filled + len(plain)] = plain
                filled += len(plain)
    except zlib.error as error:
        msg = f"{path} cannot be read: its compressed data are damaged ({error}). Expected a whole .nrrd file."
        raise SourceUnreadableError(msg) from error
    if not decompressor.eof:
        msg = f"{path} cannot be read: its compressed data end too early. Expected a whole .nrrd file."
        raise SourceUnreadableError(msg)
    return filled == len(out)
