"""Folders of images in, training cases out: slices of both modalities on the bundle's grid, in [-1, 1]."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from MedTranslateLib.core.errors import ConfigError
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

Slices = npt.NDArray[np.float32]


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


def load_cases(entries: tuple[DataEntry, ...], layout: CaseLayout, data_root: Path) -> list[TrainingCase]:
    """Reads, resamples and normalises all cases of `entries`, sorted by name within an entry.

    Raises:
        ConfigError: If a folder is missing or holds no matching images.
    """
    cases = []
    for entry in entries:
        found = [_prepare(raw, entry, layout) for raw in read_raw_cases(entry, data_root, layout.grid)]
        if not found:
            msg = f"No case was found in {data_root / entry.folder} ({entry.kind}, source {entry.source!r})."
            raise ConfigError(msg)
        cases += sorted(found, key=lambda case: case.name)
    return cases


def read_raw_cases(entry: DataEntry, data_root: Path, grid: SliceGrid) -> Iterator[RawCase]:
    """The cases of one entry as stored, before resampling and normalisation."""
    folder = data_root / entry.folder
    if not folder.is_dir():
        msg = f"The data folder {folder} does not exist; give its parent with --data."
        raise ConfigError(msg)
    readers: dict[str, Callable[[DataEntry, Path, SliceGrid], Iterator[RawCase]]] = {
        "npz": _read_npz,
        "png-pairs": _read_png_pairs,
        "volumes": _read_volumes,
    }
    return readers[entry.kind](entry, folder, grid)


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


def _prepare(raw: RawCase, entry: DataEntry, layout: CaseLayout) -> TrainingCase:
    geometry = case_geometry(raw, layout.grid)
    sides = [
        None if volume is None else _slices(volume, intensities_of(volume, entry, scale, side), geometry)
        for volume, scale, side in ((raw.source, layout.source, "source"), (raw.target, layout.target, "target"))
    ]
    both = sides[0] is not None and sides[1] is not None
    known = entry.kind == "volumes" and geometry is not None and geometry.size_ijk[2] > 1
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


def _read_npz(entry: DataEntry, folder: Path, grid: SliceGrid) -> Iterator[RawCase]:
    for path in sorted(folder.glob("*.npz")):
        with np.load(path, allow_pickle=False) as stored:
            stacks = [stored[key] if key else None for key in (entry.source, entry.target)]
        for stack in stacks:
            if not entry.pixel_mm and stack is not None and stack.shape[1:] != grid.size_hw:
                msg = (
                    f"{path.name}: slices are {stack.shape[1:]}, the bundle's grid is {grid.size_hw} pixels; "
                    "state their pixel_mm to have them resampled."
                )
                raise ConfigError(msg)
        spacing = entry.pixel_mm or grid.spacing_mm
        volumes = [None if s is None else _stack_volume(s, grid.plane, spacing, path.stem) for s in stacks]
        yield RawCase(path.stem, volumes[0], volumes[1], on_grid=not entry.pixel_mm)


def _read_png_pairs(entry: DataEntry, folder: Path, grid: SliceGrid) -> Iterator[RawCase]:
    suffix = entry.source or entry.target
    for path in sorted(set(folder.glob(f"*{suffix}")) - set(folder.glob(entry.exclude) if entry.exclude else [])):
        stem = path.name[: -len(suffix)]
        match = re.match(entry.case_pattern, path.name)
        ends = (entry.source, entry.target)
        sides = [_read_png(folder / f"{stem}{end}", entry, grid.plane) if end else None for end in ends]
        yield RawCase(match.group(1) if match else stem, sides[0], sides[1], on_grid=False)


def _read_png(path: Path, entry: DataEntry, plane: Plane) -> Volume | None:
    if not path.is_file():
        return None
    pixels = read_picture(path)
    pixels = pixels.T if entry.transpose else pixels
    pixels = pixels[::-1] if entry.flip_rows else pixels
    return _stack_volume(pixels[None], plane, entry.pixel_mm or 1.0, path.stem)


def _read_volumes(entry: DataEntry, folder: Path, grid: SliceGrid) -> Iterator[RawCase]:
    for case in sorted(path for path in folder.iterdir() if path.is_dir()):
        sides = [
            read_volume(case / name) if name and (case / name).exists() else None
            for name in (entry.source, entry.target)
        ]
        if sides[0] is None and sides[1] is None:
            continue
        if entry.paired and sides[0] and sides[1] and not sides[0].geometry.same_grid(sides[1].geometry, 1e-2):
            msg = f"{case.name}: {entry.source} and {entry.target} are not on the same grid; register them first."
            raise ConfigError(msg)
        yield RawCase(case.name, sides[0], sides[1], on_grid=False)


def _stack_volume(stack: npt.NDArray[np.generic], plane: Plane, pixel_mm: float, name: str) -> Volume:
    """Slices in display order as a volume whose axes are the display axes; the slice distance plays no part."""
    matrix = np.eye(4)
    matrix[:3, :3] = DISPLAY_AXES_RAS[plane] * pixel_mm
    array = np.asarray(stack, dtype=np.float32)
    return Volume(array, Geometry((array.shape[2], array.shape[1], array.shape[0]), matrix), name)
