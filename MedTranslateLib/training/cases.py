"""Folders of images in, training cases out: slices of both modalities on the bundle's grid, in [-1, 1]."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from MedTranslateLib.core.errors import ConfigError, MedTranslateError
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.geometry import (
    DISPLAY_AXES_RAS,
    Plane,
    SliceGrid,
    foreground_threshold,
    grid_centre_ijk,
    network_geometry,
)
from MedTranslateLib.imaging.reading import read_picture, read_volume
from MedTranslateLib.imaging.resample import thin_out
from MedTranslateLib.imaging.scale import IntensityRange, IntensityScale, measure
from MedTranslateLib.training.config import CaseLayout, DataEntry
from MedTranslateLib.training.generated import generated_pair

Slices = npt.NDArray[np.float32]
WITH_A_PLACE = ("volumes", "generated")
"""Kinds whose slices lie in a patient, at a known distance."""


@dataclass(frozen=True)
class TrainingCase:
    """One patient.

    Args:
        name: Name of the patient.
        source, target: Slices (N, H, W) in [-1, 1], or None where that side was not imaged.
        paired: Whether row n of both is the same anatomy.
        repeat: How often the slices stand in the pool that training batches are drawn from.
        slice_spacing_mm: Distance of neighbouring slices; None where it is not known or they are not of one volume.
    """

    name: str
    source: Slices | None
    target: Slices | None
    paired: bool
    repeat: int = 1
    slice_spacing_mm: float | None = None


@dataclass(frozen=True)
class RawCase:
    """One patient as stored: volumes of either side, on their own grids, the grid already the bundle's or not."""

    name: str
    source: Volume | None
    target: Volume | None
    on_grid: bool


@dataclass(frozen=True)
class CaseFiles:
    """Where the images of one case lie; the two are one file where a file holds both sides.

    Args:
        name: Name of the patient.
        source, target: Their files; None where the entry names no such side, or the file is missing.
    """

    name: str
    source: Path | None
    target: Path | None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that exist, each once."""
        return tuple(dict.fromkeys(path for path in (self.source, self.target) if path is not None))


def load_cases(entries: tuple[DataEntry, ...], layout: CaseLayout, data_root: Path) -> list[TrainingCase]:
    """Reads, resamples and normalises all cases of `entries`, sorted by name within an entry.

    Raises:
        ConfigError: If a folder is missing or holds no matching images.
    """
    cases = []
    for entry in entries:
        found = [load_case(files, entry, layout) for files in list_cases(entry, data_root)]
        if not found:
            msg = f"No case was found in {data_root / entry.folder} ({entry.kind}, source {entry.source!r})."
            raise ConfigError(msg)
        cases += sorted(found, key=lambda case: case.name)
    return cases


def list_cases(entry: DataEntry, data_root: Path) -> list[CaseFiles]:
    """The cases of one entry, sorted by file name, without reading an image.

    Raises:
        ConfigError: If the folder is missing.
    """
    if entry.kind == "generated":
        return [CaseFiles(f"{entry.folder}-{entry.first + n:02d}", None, None) for n in range(entry.count)]
    folder = data_root / entry.folder
    if not folder.is_dir():
        msg = f"The data folder {folder} does not exist; give its parent with --data."
        raise ConfigError(msg)
    listers: dict[str, Callable[[DataEntry, Path], Iterator[CaseFiles]]] = {
        "npz": _list_npz,
        "png-pairs": _list_png_pairs,
        "volumes": _list_volumes,
    }
    return list(listers[entry.kind](entry, folder))


def load_case(files: CaseFiles, entry: DataEntry, layout: CaseLayout) -> TrainingCase:
    """Reads, resamples and normalises one case.

    Raises:
        ConfigError: If its images do not fit the entry or each other.
        InvalidVolumeError: If an image is not usable.
    """
    return prepare_case(read_case(files, entry, layout.grid), entry, layout)


def read_case(files: CaseFiles, entry: DataEntry, grid: SliceGrid) -> RawCase:
    """One case as stored, before resampling and normalisation."""
    readers: dict[str, Callable[[CaseFiles, DataEntry, SliceGrid], RawCase]] = {
        "npz": _read_npz,
        "png-pairs": _read_png_pair,
        "volumes": _read_volumes,
        "generated": _generate,
    }
    return readers[entry.kind](files, entry, grid)


def read_raw_cases(entry: DataEntry, data_root: Path, grid: SliceGrid) -> Iterator[RawCase]:
    """The cases of one entry as stored, before resampling and normalisation."""
    for files in list_cases(entry, data_root):
        yield read_case(files, entry, grid)


def measured_high_value(entries: tuple[DataEntry, ...], layout: CaseLayout, data_root: Path, side: str) -> float:
    """Where in 0..1 the scale's high percentile lies in training images that were kept in their stored range.

    Args:
        entries: The training data.
        layout: Grid and scales.
        data_root: What the folders are relative to.
        side: `source` or `target`.

    Returns:
        The mean over the training cases; the scale's own `high_value` where no entry has a stored range.
    """
    scale: IntensityScale = getattr(layout, side)
    values = []
    for entry in entries:
        if not entry.stored_range or side not in entry.stored_sides:
            continue
        low, high = entry.stored_range
        for raw in read_raw_cases(entry, data_root, layout.grid):
            volume: Volume | None = getattr(raw, side)
            if volume is not None:
                unscaled = measure(volume.array_kji, replace(scale, high_value=1.0), foreground_threshold(volume))
                values.append((unscaled.high - low) / (high - low))
    return float(np.mean(values)) if values else scale.high_value


def prepare_case(raw: RawCase, entry: DataEntry, layout: CaseLayout) -> TrainingCase:
    """Resamples and normalises a case; see `load_case` for the errors."""
    geometry = case_geometry(raw, layout.grid)
    sides = [
        None if volume is None else _slices(volume, intensities_of(volume, entry, scale, side), geometry)
        for volume, scale, side in ((raw.source, layout.source, "source"), (raw.target, layout.target, "target"))
    ]
    both = sides[0] is not None and sides[1] is not None
    known = entry.kind in WITH_A_PLACE and geometry is not None and geometry.size_ijk[2] > 1
    spacing = float(geometry.spacing_mm[2]) if known and geometry is not None else None
    return TrainingCase(raw.name, sides[0], sides[1], entry.paired and both, entry.repeat, spacing)


def case_geometry(raw: RawCase, grid: SliceGrid) -> Geometry | None:
    """The grid both sides of a case are brought to, centred by its source where it has one; None: as they are.

    Raises:
        ConfigError: If the case has no image.
    """
    reference = raw.source or raw.target
    if reference is None:
        msg = f"Case {raw.name} has neither source nor target images."
        raise ConfigError(msg)
    if raw.on_grid:
        return None
    centre = grid_centre_ijk(reference, grid, foreground_threshold(reference))
    return network_geometry(reference.geometry, grid, centre)


def intensities_of(volume: Volume, entry: DataEntry, scale: IntensityScale, side: str) -> IntensityRange:
    """The intensities that become -1 and 1: the entry's stored range, or the scale measured on this image."""
    if entry.stored_range and side in entry.stored_sides:
        return IntensityRange(entry.stored_range[0], entry.stored_range[1])
    return measure(volume.array_kji, scale, foreground_threshold(volume))


def _slices(volume: Volume, intensities: IntensityRange, geometry: Geometry | None) -> Slices:
    if geometry is None:
        return intensities.normalise(volume.array_kji)
    return intensities.normalise(thin_out(volume, geometry, outside=intensities.low))


def _list_npz(entry: DataEntry, folder: Path) -> Iterator[CaseFiles]:
    for path in sorted(folder.glob("*.npz")):
        yield CaseFiles(path.stem, path if entry.source else None, path if entry.target else None)


def _read_npz(files: CaseFiles, entry: DataEntry, grid: SliceGrid) -> RawCase:
    path = files.paths[0]
    with _opened(path) as stored:
        unknown = [key for key in (entry.source, entry.target) if key and key not in stored.files]
        if unknown:
            msg = f"{path.name} has no array {unknown[0]!r}; it has {', '.join(stored.files)}."
            raise ConfigError(msg)
        stacks = [stored[key] if key else None for key in (entry.source, entry.target)]
    for stack in stacks:
        if not entry.pixel_mm and stack is not None and stack.shape[1:] != grid.size_hw:
            msg = (
                f"{path.name}: slices are {stack.shape[1:]}, the bundle's grid is {grid.size_hw} pixels; "
                "state their pixel_mm to have them resampled."
            )
            raise ConfigError(msg)
    spacing = entry.pixel_mm or grid.spacing_mm
    volumes = [None if s is None else _stack_volume(s, grid.plane, spacing, files.name) for s in stacks]
    return RawCase(files.name, volumes[0], volumes[1], on_grid=not entry.pixel_mm)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            yield stored
    except MedTranslateError:
        raise
    except (BadZipFile, OSError, ValueError) as error:
        msg = f"{path} cannot be read as a set of arrays (.npz): {error}"
        raise ConfigError(msg) from error


def _list_png_pairs(entry: DataEntry, folder: Path) -> Iterator[CaseFiles]:
    suffix = entry.source or entry.target
    for path in sorted(set(folder.glob(f"*{suffix}")) - set(folder.glob(entry.exclude) if entry.exclude else [])):
        stem = path.name[: -len(suffix)]
        match = re.match(entry.case_pattern, path.name)
        sides = [_existing(folder / f"{stem}{end}", end) for end in (entry.source, entry.target)]
        yield CaseFiles(match.group(1) if match else stem, sides[0], sides[1])


def _read_png_pair(files: CaseFiles, entry: DataEntry, grid: SliceGrid) -> RawCase:
    sides = [None if path is None else _read_png(path, entry, grid.plane) for path in (files.source, files.target)]
    return RawCase(files.name, sides[0], sides[1], on_grid=False)


def _read_png(path: Path, entry: DataEntry, plane: Plane) -> Volume:
    pixels = read_picture(path)
    pixels = pixels.T if entry.transpose else pixels
    pixels = pixels[::-1] if entry.flip_rows else pixels
    return _stack_volume(pixels[None], plane, entry.pixel_mm or 1.0, path.stem)


def _list_volumes(entry: DataEntry, folder: Path) -> Iterator[CaseFiles]:
    for case in sorted(path for path in folder.iterdir() if path.is_dir()):
        sides = [_existing(case / name, name) for name in (entry.source, entry.target)]
        if any(side is not None for side in sides):
            yield CaseFiles(case.name, sides[0], sides[1])


def _read_volumes(files: CaseFiles, entry: DataEntry, grid: SliceGrid) -> RawCase:
    source, target = (None if path is None else read_volume(path) for path in (files.source, files.target))
    apart = source is not None and target is not None and not source.geometry.same_grid(target.geometry, 1e-2)
    if entry.paired and apart and not entry.resample:
        msg = (
            f"{files.name}: {entry.source} and {entry.target} are not on the same grid. If they are registered, "
            "`resample = true` brings both to the slice grid; else register them first."
        )
        raise ConfigError(msg)
    return RawCase(files.name, source, target, on_grid=False)


def _generate(files: CaseFiles, entry: DataEntry, grid: SliceGrid) -> RawCase:
    source, target = generated_pair(int(files.name.rpartition("-")[2]))
    return RawCase(files.name, source if entry.source else None, target if entry.target else None, on_grid=False)


def _existing(path: Path, name: str) -> Path | None:
    return path if name and path.exists() else None


def _stack_volume(stack: npt.NDArray[np.generic], plane: Plane, pixel_mm: float, name: str) -> Volume:
    """Slices in display order as a volume whose axes are the display axes; the slice distance plays no part."""
    matrix = np.eye(4)
    matrix[:3, :3] = DISPLAY_AXES_RAS[plane] * pixel_mm
    array = np.asarray(stack, dtype=np.float32)
    return Volume(array, Geometry((array.shape[2], array.shape[1], array.shape[0]), matrix), name)
