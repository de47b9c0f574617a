"""Images of one modality and label maps in, how well a translation shows the true tissues of the brain out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.evaluation.compare_config import TissueTruth
from MedTranslateLib.imaging.resample import thin_out
from MedTranslateLib.metrics.structure import score_overlap
from MedTranslateLib.training.cases import CaseFiles, Slices, case_geometry, read_case
from MedTranslateLib.training.config import CaseLayout, DataEntry

Labels = npt.NDArray[np.intp]
OTHER = 0
"""What belongs to no named tissue."""
SHADES = 128


@dataclass(frozen=True)
class TissueClassifier:
    """Tells the named tissues from each other by intensity alone, where there is one of them.

    Args:
        tissue_of: (SHADES,), number of the tissue that is most frequent at each intensity of the training images.
        tissues: How many are named; their numbers begin with 1.
    """

    tissue_of: Labels
    tissues: int

    @classmethod
    def fit(cls, images: Sequence[Slices], labels: Sequence[Labels], tissues: int) -> TissueClassifier:
        """Counts the shades of each tissue.

        Args:
            images: Slices of the target modality, (N, H, W) in [0, 1], a stack a case.
            labels: The number of the true tissue of each of their pixels.
            tissues: How many there are.

        Raises:
            ConfigError: If a tissue occurs nowhere.
        """
        counts = np.zeros((SHADES, tissues + 1), np.intp)
        for stack, truth in zip(images, labels, strict=True):
            np.add.at(counts, (_shade(stack), truth), 1)
        if not counts[:, 1:].any(axis=0).all():
            missing = 1 + int(np.flatnonzero(~counts[:, 1:].any(axis=0))[0])
            msg = f"Tissue {missing} of [compare.tissues] occurs in no training label map; check its values."
            raise ConfigError(msg)
        seen = np.flatnonzero(counts[:, 1:].any(axis=1))
        nearest = seen[np.abs(np.arange(SHADES)[:, None] - seen).argmin(axis=1)]
        return cls(1 + counts[nearest, 1:].argmax(axis=1), tissues)

    def dice(self, images: Slices, labels: Labels) -> float:
        """Mean over the tissues of their Dice with the true labels, where there is one of them; images in [0, 1]."""
        inside = labels != OTHER
        if not inside.any():
            return float("nan")
        found, truth = self.tissue_of[_shade(images[inside])], labels[inside]
        scores = [score_overlap(found == number, truth == number).dice for number in range(1, self.tissues + 1)]
        return float(np.nanmean(scores))


def label_path(files: CaseFiles, entry: DataEntry, truth: TissueTruth, data_root: Path) -> Path:
    """Where the label map of a case lies, whether it exists or not.

    Args:
        files: The images of the case.
        entry: Which the case is of.
        truth: Names the label maps.
        data_root: What the entry's folder is relative to.
    """
    if entry.kind == "npz":
        return files.paths[0]
    folder = data_root / entry.folder
    if entry.kind == "volumes":
        return folder / files.name / truth.labels
    suffix = entry.target if files.source is None else entry.source
    return folder / (files.paths[0].name.removesuffix(suffix) + truth.labels)


def case_tissues(files: CaseFiles, entry: DataEntry, truth: TissueTruth, layout: CaseLayout, data_root: Path) -> Labels:
    """The number of the true tissue of each pixel of a case, on the grid of `load_case`.

    Args:
        files: The images of the case.
        entry: Which the case is of.
        truth: The label maps.
        layout: Slice grid of the images.
        data_root: What the entry's folder is relative to.

    Returns:
        (N, H, W), numbers from 1 in the order of the groups; 0 is no named tissue.

    Raises:
        ConfigError: If the case has no label map, or one of another size that has no place in the patient.
    """
    path = label_path(files, entry, truth, data_root)
    if not path.exists():
        msg = f"Case {files.name} in {entry.folder} has no label map {path.name!r}; add it, or leave out the case."
        raise ConfigError(msg)
    images = read_case(files, entry, layout.grid)
    labelled = replace(entry, source="", target=truth.labels, paired=False)
    labels = read_case(CaseFiles(files.name, None, path), labelled, layout.grid).target
    reference = images.source or images.target
    if labels is None or reference is None:
        msg = f"Case {files.name} in {entry.folder} has no images to lay {truth.labels!r} over."
        raise ConfigError(msg)
    geometry = case_geometry(images, layout.grid)
    if entry.kind != "volumes" and labels.array_kji.shape != reference.array_kji.shape:
        sizes = f"{labels.array_kji.shape} for images of {reference.array_kji.shape}"
        msg = f"Case {files.name} in {entry.folder}: the label map {truth.labels!r} is {sizes}; they must be one size."
        raise ConfigError(msg)
    return _tissues(labels, geometry, truth)


def _tissues(labels: Volume, geometry: Geometry | None, truth: TissueTruth) -> Labels:
    numbers: Labels | None = None
    for number, values in enumerate(truth.groups.values(), start=1):
        share = labels.with_array(np.isin(labels.array_kji, values).astype(np.float32))
        mask = (share.array_kji if geometry is None else thin_out(share, geometry, outside=0.0)) > 0.5
        numbers = np.full(mask.shape, OTHER, np.intp) if numbers is None else numbers
        numbers[mask] = number
    return np.zeros(labels.array_kji.shape, np.intp) if numbers is None else numbers


def _shade(images: Slices) -> Labels:
    return np.clip(np.rint(images * (SHADES - 1)), 0, SHADES - 1).astype(np.intp)
