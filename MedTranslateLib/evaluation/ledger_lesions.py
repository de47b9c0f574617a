"""Compared patients with known lesions in, which of them their ledgers list and how many false entries out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from MedTranslateLib.core.ledger import LedgerSide
from MedTranslateLib.trust.ledger_calibration import lists
from MedTranslateLib.trust.ledger_evidence import Evidence
from MedTranslateLib.trust.ledger_regions import NEIGHBOURS, Region, regions_of, ring_contrast, strength_of
from MedTranslateLib.trust.ledger_rule import LedgerThresholds

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class LesionPatient:
    """One patient, on the grid of the evidence.

    Args:
        name: Name of the patient.
        evidence: Both sides compared.
        lesions: One mask a lesion.
        target: The true target in [-1, 1]; None where there is none.
    """

    name: str
    evidence: Evidence
    lesions: tuple[Mask, ...]
    target: npt.NDArray[np.float32] | None = None

    @property
    def mask(self) -> Mask:
        """All lesions together."""
        return np.any([np.zeros_like(self.evidence.body), *self.lesions], axis=0)


@dataclass(frozen=True)
class LesionCounts:
    """What ledgers list at one strength, over all patients.

    Args:
        ledger_lesions: Number of lesions.
        ledger_listed: Number of those that some entry lists.
        ledger_share: Their share.
        ledger_false: Entries a patient that list no lesion.
        ledger_chance: Share of the lesions that the same regions list when thrown to random places in the body.
    """

    ledger_lesions: int
    ledger_listed: int
    ledger_share: float
    ledger_false: float
    ledger_chance: float


@dataclass(frozen=True)
class LesionSeen:
    """One lesion.

    Args:
        ledger_ml: Its volume.
        contrast_source, contrast_output, contrast_target: Its mean less that of the tissue around it, in standard
            deviations of the image in the body; NaN for a target that is not there.
        ledger_strength: Largest strength in it, on the source's side; it is listed from 1 on if the region fits.
        ledger_listed: 1 where an entry lists it at strength 1, else 0.
    """

    ledger_ml: float
    contrast_source: float
    contrast_output: float
    contrast_target: float
    ledger_strength: float
    ledger_listed: float


def separate_lesions(mask: Mask, voxel_mm3: float, least_mm3: float) -> tuple[Mask, ...]:
    """The connected parts of a mask that are large enough, in the order of their first voxels."""
    labels, count = ndimage.label(mask, NEIGHBOURS)
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * voxel_mm3
    return tuple(labels == number for number in range(1, count + 1) if sizes[number] >= least_mm3)


def count_lesions(
    patients: Sequence[LesionPatient], thresholds: LedgerThresholds, draws: int, rng: np.random.Generator
) -> LesionCounts:
    """Compares ledgers with the lesions.

    Args:
        patients: All patients.
        thresholds: Where the ledgers are cut off.
        draws: How often regions are thrown to random places.
        rng: For these.
    """
    lesions = listed = wrong = 0
    by_chance = 0.0
    for patient in patients:
        regions = regions_of(patient.evidence, thresholds)
        wrong += sum(not lists(region, patient.mask) for region in regions)
        lesions += len(patient.lesions)
        listed += sum(_is_listed(lesion, regions) for lesion in patient.lesions)
        thrown = [[thrown_region(region, patient.evidence.body, rng) for region in regions] for _ in range(draws)]
        by_chance += sum(_is_listed(lesion, some) for some in thrown for lesion in patient.lesions) / draws
    total = max(lesions, 1)
    return LesionCounts(lesions, listed, listed / total, wrong / max(len(patients), 1), by_chance / total)


def thrown_region(region: Region, body: Mask, rng: np.random.Generator) -> Region:
    """The same region with its middle at a random place of the body; what falls off the grid is cut off."""
    places = np.argwhere(body)
    middle = np.rint(region.voxels_kji.mean(axis=0)).astype(np.intp)
    moved = region.voxels_kji - middle + places[rng.integers(len(places))]
    within = ((moved >= 0) & (moved < body.shape)).all(axis=1)
    kept = moved[within]
    return Region(region.side, region.strength, kept, region.volume_mm3 * within.mean(), region.contrast)


def look_at_lesion(patient: LesionPatient, lesion: Mask, thresholds: LedgerThresholds) -> LesionSeen:
    """Whether source, output and true target show a lesion, and whether the ledger lists it.

    Args:
        patient: The patient.
        lesion: One of its lesions.
        thresholds: Strength 1.
    """
    evidence, voxels = patient.evidence, np.argwhere(lesion)
    images = [*(evidence.images[side] for side in LedgerSide), patient.target]
    source, output, target = (
        float("nan") if image is None else ring_contrast(image, evidence, voxels) for image in images
    )
    strength = strength_of(evidence, LedgerSide.SOURCE, thresholds)[lesion].max()
    listed = _is_listed(lesion, regions_of(evidence, thresholds))
    ml = float(lesion.sum() * np.prod(evidence.geometry.spacing_mm) / 1000)
    return LesionSeen(ml, source, output, target, float(strength), float(listed))


def _is_listed(lesion: Mask, regions: Sequence[Region]) -> bool:
    return any(len(region.voxels_kji) > 0 and lists(region, lesion) for region in regions)
