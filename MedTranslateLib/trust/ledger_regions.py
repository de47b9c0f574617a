"""Evidence and thresholds in, the regions that one side alone has out: the strongest first, each once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from MedTranslateLib.core.ledger import MOST_ENTRIES, LedgerSide
from MedTranslateLib.trust.ledger_evidence import Array, Evidence
from MedTranslateLib.trust.ledger_rule import LedgerThresholds

LEAST_VOLUME_MM3 = 100.0
"""A ball 6 mm across; what is smaller cannot be told from noise at the scales that are looked at."""
SAME_SHARE = 0.25
"""Regions of which so much lies in a stronger one are the same thing seen from the other side."""
RING_MM = 8.0
NEIGHBOURS = np.ones((3, 3, 3), dtype=bool)
TINY = 1e-6
OF_PEAK = 0.3
"""A region ends where its strength falls below this share of its peak: averaging spreads strong structures out."""


@dataclass(frozen=True)
class Region:
    """One structure that one side alone has.

    Args:
        side: The side that has it: that where it stands out more from its surroundings.
        strength: Largest score over its threshold, 1 or above.
        voxels_kji: (N, 3) indices on the grid of the evidence.
        volume_mm3: Volume.
        contrast: For each side, its mean less that of the ring around it, in standard deviations of the image in the
            body; bright structures are above 0.
    """

    side: LedgerSide
    strength: float
    voxels_kji: npt.NDArray[np.intp]
    volume_mm3: float
    contrast: dict[LedgerSide, float]


@dataclass(frozen=True)
class _Component:
    """A connected part of what exceeds the thresholds of one side, and the part of it around its peak."""

    side: LedgerSide
    strength: float
    whole_kji: npt.NDArray[np.intp]
    voxels_kji: npt.NDArray[np.intp]


def regions_of(evidence: Evidence, thresholds: LedgerThresholds) -> list[Region]:
    """Connects what exceeds the thresholds across slices.

    Args:
        evidence: Both sides compared, at the scales of the thresholds.
        thresholds: What counts as strength 1.

    Returns:
        At most 255, sorted by strength; what both sides report at one place is one region.
    """
    found = [component for side in LedgerSide for component in _components(evidence, side, thresholds)]
    found.sort(key=lambda one: (-one.strength, one.voxels_kji[0].tolist()))
    taken = np.zeros(evidence.geometry.shape_kji, dtype=bool)
    kept: list[_Component] = []
    for one in found:
        if len(kept) < MOST_ENTRIES and taken[tuple(one.voxels_kji.T)].mean() < SAME_SHARE:
            taken[tuple(one.whole_kji.T)] = True
            kept.append(one)
    return [_region(evidence, one) for one in kept]


def strength_of(evidence: Evidence, side: LedgerSide, thresholds: LedgerThresholds) -> Array:
    """The largest score over its threshold at each place, 0 outside the body."""
    values = thresholds.source if side is LedgerSide.SOURCE else thresholds.output
    strength = np.zeros(evidence.geometry.shape_kji, dtype=np.float32)
    for score, threshold in zip(evidence.scores[side], values, strict=True):
        np.maximum(strength, score / np.float32(threshold), out=strength)
    strength[~evidence.body] = 0
    return strength


def ring_contrast(image: Array, evidence: Evidence, voxels_kji: npt.NDArray[np.intp]) -> float:
    """How much some voxels stand out from the tissue around them in their slices.

    Args:
        image: On the grid of the evidence.
        evidence: Says what is body.
        voxels_kji: (N, 3).

    Returns:
        Their mean less that of the ring of `RING_MM` around them, in standard deviations of the image in the body; 0
        where there is no ring in the body or the image has no contrast.
    """
    columns, rows, _ = evidence.geometry.spacing_mm
    reach = np.array([0, np.ceil(RING_MM / rows), np.ceil(RING_MM / columns)], dtype=np.intp)
    low = np.maximum(voxels_kji.min(axis=0) - reach, 0)
    box = tuple(slice(a, b) for a, b in zip(low, voxels_kji.max(axis=0) + reach + 1, strict=True))
    inside = np.zeros(evidence.body[box].shape, dtype=bool)
    inside[tuple((voxels_kji - low).T)] = True
    grown = ndimage.binary_dilation(inside, np.ones((1, 2 * reach[1] + 1, 2 * reach[2] + 1)))
    ring = grown & ~inside & evidence.body[box]
    spread = float(image[evidence.body].std()) if ring.any() else 0.0
    if spread < TINY:
        return 0.0
    return (float(image[box][inside].mean()) - float(image[box][ring].mean())) / spread


def _components(evidence: Evidence, side: LedgerSide, thresholds: LedgerThresholds) -> Iterator[_Component]:
    strength = strength_of(evidence, side, thresholds)
    labels, _ = ndimage.label(strength >= 1, NEIGHBOURS)
    fewest = LEAST_VOLUME_MM3 / float(np.prod(evidence.geometry.spacing_mm))
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        inside = labels[box] == number
        if inside.sum() < fewest:
            continue
        around_peak = _around_peak(np.where(inside, strength[box], 0))
        corner = [part.start for part in box]
        if around_peak.sum() >= fewest:
            whole, voxels = (np.argwhere(part) + corner for part in (inside, around_peak))
            yield _Component(side, float(strength[box][inside].max()), whole, voxels)


def _around_peak(strength: Array) -> npt.NDArray[np.bool_]:
    """What is connected with the peak at `OF_PEAK` of it or more, inside of the component."""
    peak = np.unravel_index(np.argmax(strength), strength.shape)
    labels, _ = ndimage.label(strength >= max(1.0, OF_PEAK * float(strength[peak])), NEIGHBOURS)
    return np.asarray(labels == labels[peak])


def _region(evidence: Evidence, one: _Component) -> Region:
    contrast = {side: ring_contrast(image, evidence, one.voxels_kji) for side, image in evidence.images.items()}
    owner = max(LedgerSide, key=lambda side: (abs(contrast[side]), side is one.side))
    volume = len(one.voxels_kji) * float(np.prod(evidence.geometry.spacing_mm))
    return Region(owner, one.strength, one.voxels_kji, volume, contrast)
