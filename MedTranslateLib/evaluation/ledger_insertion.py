"""Translated patients in, how many balls put into the source alone or the output alone the ledger finds out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from MedTranslateLib.core.ledger import LedgerSide
from MedTranslateLib.trust.ledger_calibration import lists
from MedTranslateLib.trust.ledger_evidence import Evidence, evidence_of
from MedTranslateLib.trust.ledger_grid import LedgerImages, coarse_images, joined_mask
from MedTranslateLib.trust.ledger_regions import Region, regions_of
from MedTranslateLib.trust.ledger_rule import LedgerThresholds

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
BALLS = 3
"""A volume gets so many at once, far apart."""
APART_MM = 40.0
TISSUE_MM = 5.0
"""Balls lie so deep in the body at least."""
SOFT_MM = 1.5


@dataclass(frozen=True)
class Ball:
    """What is put into one side.

    Args:
        side: Which.
        diameter_mm: Its size.
        contrast: What it adds, or takes away, as a share of the intensity range.
    """

    side: LedgerSide
    diameter_mm: float
    contrast: float

    @property
    def title(self) -> str:
        """What a table calls it."""
        return f"in the {self.side.value} alone, {self.diameter_mm:g} mm, contrast {self.contrast:g}"


@dataclass(frozen=True)
class BallCounts:
    """What came of the balls of one kind, over all patients.

    Args:
        ledger_balls: Number of balls.
        ledger_found: Share of those that an entry lists at strength 1.
        ledger_right_side: Share of those found whose entry names the side they are in; NaN where none was found.
        ledger_more_false: Entries a patient that list no ball and are not there without balls.
    """

    ledger_balls: int
    ledger_found: float
    ledger_right_side: float
    ledger_more_false: float


@dataclass(frozen=True)
class BallPatient:
    """One patient.

    Args:
        images: Source, output and reconstruction.
        kept_free: A mask that balls stay out of; None where they may lie anywhere.
        entries: Entries of the ledger without balls.
    """

    images: LedgerImages
    kept_free: Mask | None
    entries: int


def count_balls(
    patients: Sequence[BallPatient],
    ball: Ball,
    thresholds: LedgerThresholds,
    rng: np.random.Generator,
) -> BallCounts:
    """Puts balls into one side of every patient; the other side stays as it is, as if the model had lost or made them.

    Args:
        patients: All patients.
        ball: What is put in.
        thresholds: Strength 1.
        rng: For the places; bright and dark balls take turns.
    """
    balls = found = right = more = 0
    for patient in patients:
        images = patient.images
        places = list(_places(images, patient.kept_free, ball, rng))
        masks = [ball_mask(images, place, ball.diameter_mm) for place in places]
        evidence = _evidence(with_balls(images, masks, ball), thresholds)
        after = regions_of(evidence, thresholds)
        hits = [_hits(after, joined_mask(mask, images.geometry)) for mask in masks]
        balls += len(masks)
        found += sum(bool(hit) for hit in hits)
        right += sum(any(region.side is ball.side for region in hit) for hit in hits)
        more += max(0, len(after) - sum(map(len, hits)) - patient.entries)
    return BallCounts(
        balls, found / max(balls, 1), right / found if found else float("nan"), more / max(len(patients), 1)
    )


def ball_mask(images: LedgerImages, centre_kji: npt.NDArray[np.intp], diameter_mm: float) -> Mask:
    """A ball in mm, on the network's grid; its middle slice at least."""
    spacing = images.geometry.spacing_mm[::-1]
    grid = np.indices(images.source.shape, dtype=np.float32)
    offsets = [(part - c) * s for part, c, s in zip(grid, centre_kji, spacing, strict=True)]
    return np.asarray(sum(np.square(offset) for offset in offsets) <= (diameter_mm / 2) ** 2)


def with_balls(images: LedgerImages, masks: Sequence[Mask], ball: Ball) -> LedgerImages:
    """The images with bright and dark balls in turn, soft at their rims, in one side; nothing leaves [-1, 1]."""
    in_source = ball.side is LedgerSide.SOURCE
    image: Array = (images.source if in_source else images.output).copy()
    columns, rows, _ = images.geometry.spacing_mm
    for number, mask in enumerate(masks):
        soft = ndimage.gaussian_filter(mask.astype(np.float32), (0, SOFT_MM / rows, SOFT_MM / columns))
        image += soft * np.float32(2 * ball.contrast * (1 if number % 2 == 0 else -1))
    np.clip(image, -1, 1, out=image)
    return replace(images, source=image) if in_source else replace(images, output=image)


def _evidence(images: LedgerImages, thresholds: LedgerThresholds) -> Evidence:
    return evidence_of(coarse_images(images), thresholds.scales_mm)


def _hits(regions: Sequence[Region], ball: Mask) -> list[Region]:
    return [region for region in regions if lists(region, ball)]


def _places(
    images: LedgerImages, kept_free: Mask | None, ball: Ball, rng: np.random.Generator
) -> Iterator[npt.NDArray[np.intp]]:
    """Random middles of balls that lie wholly in the body and outside of the mask, apart from each other."""
    geometry = images.geometry
    allowed = (images.source > -0.9) & (images.output > -0.9)
    allowed = np.stack([ndimage.binary_fill_holes(part) for part in allowed])
    if kept_free is not None:
        allowed &= ~kept_free
    spacing = geometry.spacing_mm[::-1]
    inner = (
        np.stack([ndimage.distance_transform_edt(part, sampling=tuple(spacing[1:])) for part in allowed])
        > ball.diameter_mm / 2 + TISSUE_MM
    )
    candidates = rng.permutation(np.argwhere(inner))
    taken: list[npt.NDArray[np.intp]] = []
    for place in candidates[:2000]:
        if all(np.linalg.norm((place - other) * spacing) >= APART_MM + ball.diameter_mm for other in taken):
            taken.append(place)
            yield place
        if len(taken) == BALLS:
            return
