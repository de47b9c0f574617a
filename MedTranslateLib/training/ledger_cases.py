"""A bundle and one case in, what its ledger is made from out, with the lesions where they are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from MedTranslateLib.core.correspondence import Correspondence, Origin
from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.imaging.geometry import SliceGrid
from MedTranslateLib.imaging.resample import thin_out
from MedTranslateLib.inference.correspond import correspondence_from_velocity
from MedTranslateLib.inference.cycle import translate_back
from MedTranslateLib.inference.slicewise import SliceRun, translate_slices
from MedTranslateLib.inference.weights import LoadedBundle
from MedTranslateLib.methods.contract import Direction
from MedTranslateLib.training.cases import (
    CaseFiles,
    Slices,
    TrainingCase,
    case_geometry,
    list_cases,
    prepare_case,
    read_case,
)
from MedTranslateLib.training.config import CaseLayout, DataEntry
from MedTranslateLib.trust.ledger_grid import LedgerImages

MASK_ABOVE = 0.5
UNKNOWN_SLICE_MM = 5.0
"""Slices of unknown distance count as so far apart: usual for clinical brain MR."""
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class LedgerCase:
    """One patient.

    Args:
        case: Slices of both sides on the bundle's grid.
        lesions: True inside lesions, on the same grid; None where nothing is known of them.
    """

    case: TrainingCase
    lesions: Mask | None


def ledger_cases(entry: DataEntry, lesions: str, layout: CaseLayout, data_root: Path) -> Iterator[LedgerCase]:
    """The cases of an entry, one after the other.

    Args:
        entry: Where the images are.
        lesions: Where the masks are, written as the sides are in the entry; empty where there are none.
        layout: Grid and scales.
        data_root: What the folders are relative to.

    Raises:
        ConfigError: If the folder is missing or a mask does not fit its images.
    """
    for files in list_cases(entry, data_root):
        raw = read_case(files, entry, layout.grid)
        case = prepare_case(raw, entry, layout)
        geometry = case_geometry(raw, layout.grid)
        if not lesions:
            yield LedgerCase(case, None)
            continue
        mask = _mask(_lesion_file(files, lesions), replace(entry, source=lesions, target=""), layout.grid, geometry)
        expected = next(side.shape for side in (case.source, case.target) if side is not None)
        if mask.shape != expected:
            msg = f"{files.name}: the lesions {lesions!r} have shape {mask.shape}, the images {expected}."
            raise ConfigError(msg)
        yield LedgerCase(case, mask)


def translated_images(bundle: LoadedBundle, case: TrainingCase, direction: Direction, seed: int = 0) -> LedgerImages:
    """Translates the slices of a case, and back where the bundle can.

    Args:
        bundle: The network.
        case: Must have the side that the direction starts from.
        direction: Which way.
        seed: Of the first sample.

    Raises:
        ConfigError: If the case lacks that side.
    """
    slices = case.source if direction is Direction.FORWARD else case.target
    if slices is None:
        msg = f"Case {case.name} has no images of the side that the direction {direction.value} starts from."
        raise ConfigError(msg)
    run = SliceRun(direction, bundle.method.default_steps, 1, seed, case.slice_spacing_mm)
    made = translate_slices(slices, bundle, run, _ignore)
    back = translate_back(made.mean, bundle, run, _ignore)
    geometry = stack_geometry(slices, bundle.manifest.spacing_mm, case.slice_spacing_mm)
    fields = Correspondence.identity(geometry)
    if made.velocity is not None:
        fields = correspondence_from_velocity(torch.from_numpy(made.velocity), geometry, Origin.MODEL)
    return LedgerImages(slices, made.mean, geometry, fields, back)


def stack_geometry(slices: Slices, pixel_mm: float, slice_mm: float | None) -> Geometry:
    """A grid for slices (N, H, W) that lie nowhere in particular; see `UNKNOWN_SLICE_MM`."""
    count, height, width = slices.shape
    across = UNKNOWN_SLICE_MM if slice_mm is None else slice_mm
    return Geometry((width, height, count), np.diag([-pixel_mm, -pixel_mm, across, 1.0]))


def _lesion_file(files: CaseFiles, lesions: str) -> CaseFiles:
    """Masks lie in the file of the images (npz), or beside it under their own name (volumes)."""
    beside = files.paths[0].with_name(lesions)
    return CaseFiles(files.name, beside if beside.is_file() else files.paths[0], None)


def _mask(files: CaseFiles, entry: DataEntry, grid: SliceGrid, geometry: Geometry | None) -> Mask:
    """The mask on the grid of the images; `geometry` is None where they are stored on the bundle's."""
    volume = read_case(files, entry, grid).source
    if volume is None:
        msg = f"Case {files.name} has no lesions {entry.source!r}."
        raise ConfigError(msg)
    array = volume.array_kji if geometry is None else thin_out(volume, geometry, outside=0.0)
    return np.asarray(array > MASK_ABOVE)


def _ignore(_done: int, _total: int) -> None:
    """Nobody is told."""
