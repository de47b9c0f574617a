"""Slices of one modality in, a segmentation by intensity alone out, and how well two such segmentations agree.

LMIDiffusion Section 3: K-means is fitted on the target modality only; a translation that reached that modality is
segmented by it as the true image is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.cluster.vq import kmeans2

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.metrics.structure import score_overlap

FloatArray = npt.NDArray[np.floating]
Labels = npt.NDArray[np.intp]
MOST_PIXELS = 200_000
"""Pixels the clusters are fitted on, taken at random."""


@dataclass(frozen=True)
class IntensityClusters:
    """Centres of the clusters, rising."""

    centres: npt.NDArray[np.float64]

    @classmethod
    def fit(cls, images: FloatArray, clusters: int) -> IntensityClusters:
        """K-means (scipy) on the intensities of `images`, any shape, from k-means++ centres of a fixed seed.

        Raises:
            ConfigError: If the images hold fewer different intensities than clusters.
        """
        chance = np.random.default_rng(0)
        values = np.asarray(images, np.float64).ravel()
        if values.size > MOST_PIXELS:
            values = values[chance.integers(values.size, size=MOST_PIXELS)]
        different = len(np.unique(values))
        if different < clusters:
            msg = f"{clusters} clusters need as many different intensities, the images hold {different}."
            raise ConfigError(msg)
        centres, _ = kmeans2(values[:, None], clusters, iter=100, minit="++", missing="warn", seed=chance)
        return cls(np.sort(centres[:, 0]))

    def segment(self, images: FloatArray) -> Labels:
        """Number of the nearest centre of each pixel, 0 the darkest."""
        return np.searchsorted((self.centres[1:] + self.centres[:-1]) / 2, images)


def cluster_dice(found: Labels, truth: Labels, clusters: int) -> float:
    """Mean over the clusters that occur in either segmentation of their Dice coefficient."""
    scores = [score_overlap(found == number, truth == number).dice for number in range(clusters)]
    return float(np.nanmean(scores))
