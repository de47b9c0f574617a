"""Evidence of training patients in, the thresholds at which they have so many false entries a slice out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from MedTranslateLib.core.ledger import LedgerSide
from MedTranslateLib.trust.ledger_evidence import Evidence
from MedTranslateLib.trust.ledger_regions import LEAST_VOLUME_MM3, NEIGHBOURS, Region, regions_of
from MedTranslateLib.trust.ledger_rule import LedgerThresholds

Mask = npt.NDArray[np.bool_]
IN_LESION = 0.25
"""An entry lists a lesion if so much of it lies inside, or its middle does."""
HALVINGS = 12
LARGEST = 64.0
"""No score is larger: a residual of 64 spreads, everywhere in a neighbourhood."""
SMALLEST = 0.05


@dataclass(frozen=True)
class LookedAt:
    """One training patient.

    Args:
        evidence: Both sides compared.
        lesions: True where entries are right, on the grid of the evidence; None where nothing is known, and every
            entry counts as false.
    """

    evidence: Evidence
    lesions: Mask | None = None

    @property
    def slices(self) -> int:
        """Number of slices."""
        return len(self.evidence.body)


@dataclass(frozen=True)
class Calibrated:
    """Thresholds, and the entries of strength 1 or more a slice that they leave on the training patients."""

    thresholds: LedgerThresholds
    entries_a_slice: float


def calibrate(patients: Sequence[LookedAt], scales_mm: tuple[float, ...], wanted_a_slice: float) -> Calibrated:
    """Gives every side and scale an equal share of the false entries, then raises or lowers all alike.

    Args:
        patients: Their evidence, at these scales.
        scales_mm: Standard deviations of the scales.
        wanted_a_slice: False entries a slice at strength 1, both sides together.

    Returns:
        The lowest thresholds found that leave at most so many.
    """
    slices = sum(patient.slices for patient in patients)
    share = wanted_a_slice * slices / (len(LedgerSide) * len(scales_mm))
    values = {
        side: tuple(_threshold(patients, side, scale, share) for scale in range(len(scales_mm))) for side in LedgerSide
    }
    start = LedgerThresholds(scales_mm, values[LedgerSide.SOURCE], values[LedgerSide.OUTPUT], "")
    factor = _lowest(lambda times: _false_entries(patients, start.times(times)), wanted_a_slice * slices, (0.25, 4.0))
    final = start.times(factor)
    return Calibrated(final, _false_entries(patients, final) / slices)


def lists(region: Region, lesions: Mask) -> bool:
    """Whether an entry is right: a quarter of it, or its middle, lies in a lesion.

    Args:
        region: The entry.
        lesions: True inside lesions, on the same grid.
    """
    middle = tuple(np.rint(region.voxels_kji.mean(axis=0)).astype(np.intp))
    return bool(lesions[tuple(region.voxels_kji.T)].mean() >= IN_LESION or lesions[middle])


def _false_entries(patients: Sequence[LookedAt], thresholds: LedgerThresholds) -> int:
    return sum(
        patient.lesions is None or not lists(region, patient.lesions)
        for patient in patients
        for region in regions_of(patient.evidence, thresholds)
    )


def _threshold(patients: Sequence[LookedAt], side: LedgerSide, scale: int, wanted: float) -> float:
    """The threshold of one side and scale that leaves so many false components."""
    return _lowest(
        lambda value: sum(_false_components(patient, side, scale, value) for patient in patients),
        wanted,
        (SMALLEST, LARGEST),
    )


def _false_components(patient: LookedAt, side: LedgerSide, scale: int, threshold: float) -> int:
    evidence = patient.evidence
    labels, count = ndimage.label((evidence.scores[side][scale] >= threshold) & evidence.body, NEIGHBOURS)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    large = sizes * np.prod(evidence.geometry.spacing_mm) >= LEAST_VOLUME_MM3
    if patient.lesions is None:
        return int(large.sum())
    in_lesion = np.bincount(labels[patient.lesions], minlength=count + 1)[1:]
    return int((large & (in_lesion < IN_LESION * sizes)).sum())


def _lowest(count: Callable[[float], float], wanted: float, between: tuple[float, float]) -> float:
    """The lowest value that leaves at most `wanted`; by halving, on a logarithmic scale."""
    low, high = between
    for _ in range(HALVINGS):
        middle = float(np.sqrt(low * high))
        if count(middle) > wanted:
            low = middle
        else:
            high = middle
    return high
