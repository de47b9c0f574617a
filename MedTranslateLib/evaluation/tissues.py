"""Intensity clusters and label maps in, how well a translation shows the true tissues out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.evaluation.config import TissueTruth
from MedTranslateLib.metrics.clusters import IntensityClusters
from MedTranslateLib.metrics.structure import score_overlap
from MedTranslateLib.training.cases import Slices
from MedTranslateLib.training.config import CaseLayout, DataEntry
from MedTranslateLib.training.labelled import LabelledEntry, load_labelled

Labels = npt.NDArray[np.intp]
OTHER = 0
"""What belongs to no named tissue."""


@dataclass(frozen=True)
class TissueCase:
    """Slices of the target modality, (N, H, W) in [-1, 1], and the number of the true tissue of each pixel."""

    name: str
    images: Slices
    labels: Labels


@dataclass(frozen=True)
class TissueClassifier:
    """Tells tissues by intensity alone, as learnt from labelled images of the target modality.

    Args:
        clusters: The clusters.
        tissue_of: (clusters,), number of the tissue that is most frequent in each.
        tissues: How many are named; their numbers begin with 1.
    """

    clusters: IntensityClusters
    tissue_of: Labels
    tissues: int

    @classmethod
    def fit(cls, clusters: IntensityClusters, cases: Sequence[TissueCase], tissues: int) -> TissueClassifier:
        """Gives each cluster its most frequent tissue.

        Raises:
            ConfigError: If no cluster is mostly a named tissue: nothing could be measured.
        """
        counts = np.zeros((len(clusters.centres), tissues + 1), np.intp)
        for case in cases:
            np.add.at(counts, (clusters.segment((case.images + 1) / 2), case.labels), 1)
        tissue_of = counts.argmax(axis=1)
        if not tissue_of.any():
            msg = "None of the intensity clusters is mostly one of the named tissues; use more clusters."
            raise ConfigError(msg)
        return cls(clusters, tissue_of, tissues)

    def dice(self, images: Slices, labels: Labels) -> float:
        """Mean Dice with the true labels over the tissues that own a cluster; images in [0, 1]."""
        found = self.tissue_of[self.clusters.segment(images)]
        owned = [number for number in range(1, self.tissues + 1) if number in self.tissue_of]
        return float(np.nanmean([score_overlap(found == number, labels == number).dice for number in owned]))


def load_tissues(entry: DataEntry, truth: TissueTruth, layout: CaseLayout, data_root: Path) -> list[TissueCase]:
    """Images of the target modality with their tissues, on the bundle's grid, sorted by name."""
    images = DataEntry(entry.kind, entry.folder, source=entry.target, target=truth.labels)
    by_tissue = [
        load_labelled(LabelledEntry(images, values, layout.target), layout.grid, data_root)
        for values in truth.groups.values()
    ]
    cases = []
    for same in zip(*by_tissue, strict=True):
        labels = np.full(same[0].masks.shape, OTHER, np.intp)
        for number, case in enumerate(same):
            labels[case.masks] = number + 1
        cases.append(TissueCase(same[0].name, same[0].images, labels))
    return cases
