"""A NIfTI file in, the number of its values that are not finite out: ITK's reader turns them into 0 without a word."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt

ENDINGS = (".nii", ".nii.gz")
HEADER_BYTES = 348
DATATYPE, VOX_OFFSET = slice(70, 72), slice(108, 112)
FLOAT_CODES = {16: "f4", 64: "f8"}
"""Codes of float32 and float64 in the NIfTI-1 header; other types hold finite values only."""
PIECE_BYTES = 1 << 24
LARGEST_OFFSET = 1 << 24
"""Header and extensions; a file that states more is damaged."""


def count_not_finite(path: Path) -> int:
    """Counts NaN and infinity among the voxels of a NIfTI-1 file (.nii, .nii.gz).

    Args:
        path: Any file; one of another kind, or one that cannot be read, counts 0: its own reader says what is wrong.
    """
    if not path.name.lower().endswith(ENDINGS):
        return 0
    try:
        return _count(path)
    except (OSError, EOFError, zlib.error):
        return 0


def _count(path: Path) -> int:
    packed = path.name.lower().endswith(".gz")
    with cast("BinaryIO", gzip.open(path, "rb") if packed else path.open("rb")) as file:
        header = file.read(HEADER_BYTES)
        order = {HEADER_BYTES.to_bytes(4, "little"): "<", HEADER_BYTES.to_bytes(4, "big"): ">"}.get(header[:4])
        if order is None or len(header) < HEADER_BYTES:
            return 0
        kind = FLOAT_CODES.get(int(np.frombuffer(header[DATATYPE], f"{order}i2")[0]))
        if kind is None:
            return 0
        offset = float(np.frombuffer(header[VOX_OFFSET], f"{order}f4")[0])
        if not 0 <= offset <= LARGEST_OFFSET:
            return 0
        file.read(max(int(offset), HEADER_BYTES) - HEADER_BYTES)  # as nifti1_io takes an offset within the header
        return sum(int((~np.isfinite(values)).sum()) for values in _pieces(file, np.dtype(f"{order}{kind}")))


def _pieces(file: BinaryIO, kind: np.dtype[np.floating]) -> Iterator[npt.NDArray[np.floating]]:
    rest = b""
    while piece := file.read(PIECE_BYTES):
        whole = rest + piece
        cut = len(whole) // kind.itemsize * kind.itemsize
        yield np.frombuffer(whole[:cut], kind)
        rest = whole[cut:]
