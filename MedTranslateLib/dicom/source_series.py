"""A folder of DICOM files and a job's source in, the files that are this source's slices out, in its order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom import config, dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from MedTranslateLib.core.errors import SourceNotFoundError, SourceUnreadableError
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.dicom.copying import texts_of
from MedTranslateLib.imaging.geometry import LPS_FROM_RAS
from MedTranslateLib.imaging.reading import read_slices

SAME_PLACE_MM = 0.25
"""Headers round directions, and `read_volume` lets that add up to 0.2 mm; what is nearest is taken, and compared."""
SAME_VALUE = 1e-6
"""Share of the largest intensity that two readers may round differently."""
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SliceFile:
    """A file and its header, without pixels."""

    path: Path
    header: Dataset


def find_source_series(folder: Path, source: Volume) -> tuple[SliceFile, ...]:
    """Finds the series of a folder that a job's source was read from, and checks that it was.

    Args:
        folder: Folder with one file a slice, of one or more series, in any order.
        source: What was translated.

    Returns:
        One file a slice, in the order of the source's slices.

    Raises:
        SourceNotFoundError: If there is no such folder.
        SourceUnreadableError: If it holds no such series, multi-frame files alone, or other voxels at the same place.
    """
    if not folder.is_dir():
        msg = f"{folder} is no folder; expected the folder with the source's DICOM series."
        raise SourceNotFoundError(msg)
    series = _series_of(folder)
    if not series:
        msg = f"{folder} holds no DICOM images; expected the series that was translated, one file a slice."
        raise SourceUnreadableError(msg)
    for files in series.values():
        slices = _in_order(files, source.geometry)
        if slices is not None:
            _check_voxels(folder, slices, source)
            return slices
    raise _not_here(folder, series, source)


def _series_of(folder: Path) -> Mapping[str, Sequence[SliceFile]]:
    """Files of each series that say where they lie, by the series' UID."""
    series = defaultdict(list)
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        header = _header(path)
        if header is not None and texts_of(header, "Rows"):
            series["".join(texts_of(header, "SeriesInstanceUID"))].append(SliceFile(path, header))
    return series


def _header(path: Path) -> Dataset | None:
    try:
        with config.disable_value_validation():
            header = dcmread(path, stop_before_pixels=True)
            header.decode()
    except (InvalidDicomError, EOFError, OSError):
        return None
    return header


def _in_order(files: Sequence[SliceFile], geometry: Geometry) -> tuple[SliceFile, ...] | None:
    """The file at the place of each slice; None where one has none, or the grid within the slices differs."""
    columns, rows, count = geometry.size_ijk
    placed = [(file, corners) for file in files if (corners := _corners_lps(file.header, geometry)) is not None]
    if not placed:
        return None
    there = np.array([corners for _, corners in placed])
    ordered = []
    for k in range(count):
        wanted_ijk = [(0, 0, k), (columns - 1, 0, k), (0, rows - 1, k)]
        wanted = geometry.ras_from_ijk(wanted_ijk) @ LPS_FROM_RAS
        distance = np.linalg.norm(there - wanted, axis=2).max(axis=1)
        nearest = int(distance.argmin())
        if distance[nearest] > SAME_PLACE_MM:
            return None
        ordered.append(placed[nearest][0])
    return tuple(ordered)


def _corners_lps(header: Dataset, geometry: Geometry) -> Array | None:
    """First pixel, last of the first row and last of the first column, (3, 3) in LPS mm; None for another size."""
    columns, rows, _ = geometry.size_ijk
    if is_multi_frame(header) or (_integer(header, "Columns"), _integer(header, "Rows")) != (columns, rows):
        return None
    position = _numbers(header, "ImagePositionPatient", 3)
    orientation = _numbers(header, "ImageOrientationPatient", 6)
    spacing = _numbers(header, "PixelSpacing", 2)
    if position is None or orientation is None or spacing is None:
        return None
    along_row = orientation[:3] * spacing[1] * (columns - 1)
    down_column = orientation[3:] * spacing[0] * (rows - 1)
    return np.stack([position, position + along_row, position + down_column])


def is_multi_frame(header: Dataset) -> bool:
    """Whether the file holds more than one slice, or says where they lie the way such files do."""
    return _integer(header, "NumberOfFrames") > 1 or "PerFrameFunctionalGroupsSequence" in header


def _integer(header: Dataset, keyword: str) -> int:
    text = "".join(texts_of(header, keyword)[:1])
    return int(text) if text.isdigit() else 0


def _numbers(header: Dataset, keyword: str, count: int) -> Array | None:
    try:
        values = np.array([float(text) for text in texts_of(header, keyword)])
    except ValueError:
        return None
    return values if values.shape == (count,) and np.isfinite(values).all() else None


def _check_voxels(folder: Path, slices: Sequence[SliceFile], source: Volume) -> None:
    voxels = read_slices([file.path for file in slices], source.name).array_kji
    largest = max(float(np.abs(source.array_kji).max()), 1.0)
    off = np.abs(voxels - source.array_kji)
    if off.max() > SAME_VALUE * largest:
        count = int((off > SAME_VALUE * largest).sum())
        msg = (
            f"The series in {folder} lies where the source of this result lies, but {count} of {off.size} voxels "
            f"differ, by up to {off.max():g}. Expected the series that was translated; give its folder."
        )
        raise SourceUnreadableError(msg)


def _not_here(folder: Path, series: Mapping[str, Sequence[SliceFile]], source: Volume) -> SourceUnreadableError:
    if all(is_multi_frame(file.header) for files in series.values() for file in files):
        return SourceUnreadableError(
            f"{folder} holds multi-frame DICOM files; expected one file a slice. Convert the series to single frames "
            "(for example with dcm4che's emf2sf), or write the result without it into a new study (--no-series)."
        )
    found = "; ".join(f"{uid or 'without UID'}: {_grid_of(files)}" for uid, files in series.items())
    columns, rows, count = source.geometry.size_ijk
    return SourceUnreadableError(
        f"No series in {folder} is the source of this result ({columns} x {rows} pixels, {count} slices, first at "
        f"{_place(source.geometry)} mm LPS). It holds {found}. Give the folder of the series that was translated."
    )


def _grid_of(files: Sequence[SliceFile]) -> str:
    header = files[0].header
    return f"{_integer(header, 'Columns')} x {_integer(header, 'Rows')} pixels, {len(files)} files"


def _place(geometry: Geometry) -> str:
    return " ".join(f"{value:.2f}" for value in LPS_FROM_RAS @ geometry.origin_ras)
