"""Training pairs in, the simplest translations out: what any method has to beat."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from skimage.exposure import match_histograms

Slices = npt.NDArray[np.float32]
Baseline = Callable[[Slices, Slices], Slices]
"""Called with source and true target slices, (N, H, W) in 0..1; only histogram matching may look at the target."""

BINS = 128


def source_as_it_is(source: Slices, target: Slices) -> Slices:
    """No translation."""
    return source


def histogram_matched(source: Slices, target: Slices) -> Slices:
    """Each slice with the histogram of its own true target: the best any histogram matching could do."""
    pairs = zip(source, target, strict=True)
    return np.stack([match_histograms(one, other) for one, other in pairs]).astype(np.float32)


@dataclass(frozen=True)
class IntensityRegression:
    """The mean target intensity for each source intensity, learnt from the training pairs.

    Args:
        curve: (BINS,), target intensity at evenly spaced source intensities from 0 to 1.
    """

    curve: npt.NDArray[np.float64]

    @classmethod
    def fit(cls, pairs: Iterable[tuple[Slices, Slices]]) -> IntensityRegression:
        """Averages over all pixels of all training pairs; bins without a pixel are interpolated."""
        total, count = np.zeros(BINS), np.zeros(BINS)
        for source, target in pairs:
            bins = np.clip(np.rint(source * (BINS - 1)), 0, BINS - 1).astype(np.intp).ravel()
            total += np.bincount(bins, weights=target.ravel(), minlength=BINS)
            count += np.bincount(bins, minlength=BINS)
        seen = count > 0
        places = np.arange(BINS)
        return cls(np.interp(places, places[seen], total[seen] / count[seen]))

    def __call__(self, source: Slices, target: Slices) -> Slices:
        """Applies the curve to each pixel."""
        return np.interp(source, np.linspace(0, 1, BINS), self.curve).astype(np.float32)
