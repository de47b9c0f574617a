"""Files of a blinded study in, grey levels in memory that nodes can take over out: read ahead while nobody waits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from MedTranslateLib.core.errors import StudyChangedError
from MedTranslateLib.mrml.voxel_memory import vtk_memory

Levels = npt.NDArray[np.uint8]
HEADER_END = b"\n\n"
MAX_HEADER = 1 << 16


def read_levels(path: Path, shape_kji: tuple[int, int, int]) -> Levels:
    """Reads an image as `imaging.writing.write_levels` wrote it: a header, an empty line, one byte a voxel.

    Args:
        path: A file of a study, which the session has compared with the seal.
        shape_kji: Slices, rows, columns of the study's grid.

    Returns:
        The grey levels, in memory that a node can take over.

    Raises:
        StudyChangedError: If the file is missing, or does not hold an image on the study's grid.
    """
    try:
        with path.open("rb") as file:
            header = file.read(MAX_HEADER).partition(HEADER_END)[0]
            levels = vtk_memory(shape_kji, np.dtype(np.uint8))
            file.seek(len(header) + len(HEADER_END))
            got = file.readinto(levels.reshape(-1).data)
            more = file.read(1)
    except OSError as error:
        msg = f"{path} cannot be read ({error.strerror}). Put back the file as it was prepared."
        raise StudyChangedError(msg) from error
    if not header.startswith(b"NRRD") or got != math.prod(shape_kji) or more:
        msg = f"{path} holds no image of {shape_kji[::-1]} voxels of one byte. Put back the file as it was prepared."
        raise StudyChangedError(msg)
    return levels


class ReadAhead:
    """Keeps the images of the next case in memory: outside of the scene, where nothing can show or name them.

    Args:
        shape_kji: Slices, rows, columns of the study's grid.
    """

    def __init__(self, shape_kji: tuple[int, int, int]) -> None:
        self._shape_kji = shape_kji
        self._kept: dict[Path, Levels] = {}
        self._wanted: list[Path] = []

    @property
    def ready(self) -> frozenset[Path]:
        """The files that are in memory."""
        return frozenset(self._kept)

    def want(self, paths: Sequence[Path]) -> None:
        """Says what comes next; what was kept for anything else is let go.

        Args:
            paths: Images of the next case.
        """
        self._kept = {path: levels for path, levels in self._kept.items() if path in paths}
        self._wanted = [path for path in paths if path not in self._kept]

    def read_one(self) -> bool:
        """Reads one wanted file; one that cannot be read is left for `take`, which says so.

        Returns:
            Whether more are wanted.
        """
        if self._wanted:
            path = self._wanted.pop(0)
            try:
                self._kept[path] = read_levels(path, self._shape_kji)
            except StudyChangedError:
                self._wanted = []
        return bool(self._wanted)

    def take(self, path: Path) -> Levels:
        """Grey levels of a file, at once where it was read ahead.

        Args:
            path: A file of the study.

        Returns:
            Its grey levels, which are not kept here any more.

        Raises:
            StudyChangedError: If it cannot be read.
        """
        kept = self._kept.pop(path, None)
        return read_levels(path, self._shape_kji) if kept is None else kept
