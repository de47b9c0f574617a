"""Folders of images with label maps in, slices on a bundle's grid with the mask of one structure out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.imaging.geometry import SliceGrid, foreground_threshold, grid_centre_ijk, network_geometry
from MedTranslateLib.imaging.resample import thin_out
from MedTranslateLib.imaging.scale import IntensityScale
from MedTranslateLib.training.cases import RawCase, Slices, intensities_of, read_raw_cases
from MedTranslateLib.training.config import DataEntry


@dataclass(frozen=True)
class LabelledEntry:
    """Images and label maps of one domain.

    Args:
        images: Where they lie: `source` names the images, `target` the label maps.
        label: The value of the structure in the label maps, or its values.
        scale: Intensity scale of the images.
    """

    images: DataEntry
    label: float | tuple[int, ...]
    scale: IntensityScale


@dataclass(frozen=True)
class LabelledCase:
    """Slices of one patient, or one slice of it.

    Args:
        name: Name of the patient.
        images: (N, H, W) in [-1, 1].
        masks: (N, H, W), True inside the structure.
        slice_spacing_mm: Distance of neighbouring slices; None where they are not of one volume.
    """

    name: str
    images: Slices
    masks: npt.NDArray[np.bool_]
    slice_spacing_mm: float | None = None


def load_labelled(entry: LabelledEntry, grid: SliceGrid, data_root: Path) -> list[LabelledCase]:
    """Reads, resamples and normalises the cases of an entry, in the order of their names.

    Raises:
        ConfigError: If the folder is missing, holds no case, or an image has no label map.
    """
    cases = [_prepared(raw, entry, grid) for raw in read_raw_cases(entry.images, data_root, grid)]
    if cases and not any(case.masks.any() for case in cases):
        msg = (
            f"The label {entry.label} occurs in no {entry.images.target} below {data_root / entry.images.folder}; "
            "give the value that the structure has in the label maps."
        )
        raise ConfigError(msg)
    if not cases:
        msg = f"No labelled case was found in {data_root / entry.images.folder}."
        raise ConfigError(msg)
    return sorted(cases, key=lambda case: case.name)


def _prepared(raw: RawCase, entry: LabelledEntry, grid: SliceGrid) -> LabelledCase:
    image, labels = raw.source, raw.target
    if image is None or labels is None:
        msg = f"Case {raw.name} in {entry.images.folder} needs an image and a label map; one of them is missing."
        raise ConfigError(msg)
    threshold = foreground_threshold(image)
    geometry = network_geometry(image.geometry, grid, grid_centre_ijk(image, grid, threshold))
    intensities = intensities_of(image, entry.images, entry.scale, "source")
    slices = intensities.normalise(thin_out(image, geometry, outside=intensities.low))
    structure = labels.with_array(np.isin(labels.array_kji, entry.label).astype(np.float32))
    masks = thin_out(structure, geometry, outside=0.0) > 0.5
    spacing = float(geometry.spacing_mm[2]) if len(slices) > 1 else None
    return LabelledCase(raw.name, slices, masks, spacing)
