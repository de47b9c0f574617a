"""Points that readers marked and places where something is in; distances and free-response counts out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from MedTranslateLib.core.errors import StudyError
from MedTranslateLib.metrics.statistics import Interval
from MedTranslateLib.studies.accuracy import Proportion, proportion
from MedTranslateLib.studies.ratings import Rating
from MedTranslateLib.studies.study import Point, QuestionKind, Region


@dataclass(frozen=True)
class MarkedImage:
    """The marks of one reader on one image.

    Args:
        marks: RAS mm; empty where the reader found nothing.
        regions: Where something is; empty for an image without.
    """

    marks: tuple[Point, ...]
    regions: tuple[Region, ...]


@dataclass(frozen=True)
class MarkCounts:
    """What free marks found, without a confidence there is one point of an FROC curve.

    Args:
        found: Regions that at least one mark hit, of all.
        false_marks: Marks that hit no region.
        images: Number of images.
        distances_mm: From each region to the nearest mark of its image; infinite where that has none.
        false_interval: Exact interval of false marks an image, if they fall as Poisson counts (Garwood 1936).
    """

    found: Proportion
    false_marks: int
    images: int
    distances_mm: tuple[float, ...]
    false_interval: Interval

    @property
    def false_per_image(self) -> float:
        """Mean number of marks that hit nothing."""
        return self.false_marks / self.images


def marked_images(ratings: Iterable[Rating]) -> tuple[MarkedImage, ...]:
    """First readings of questions for marks.

    Args:
        ratings: Any; others are left out.
    """
    kept = [one for one in ratings if one.kind is QuestionKind.MARKS and one.repeat == 0]
    return tuple(MarkedImage(one.marks, one.regions) for one in kept)


def count_marks(images: Iterable[MarkedImage]) -> MarkCounts:
    """Counts hits, misses and false marks.

    Two marks in one region are one hit and no false mark; a mark in two regions hits both.

    Args:
        images: Of one reader or of several.

    Raises:
        StudyError: If there is no image, or a radius is not positive.
    """
    kept = list(images)
    if not kept:
        msg = "There is no image with a question for marks."
        raise StudyError(msg)
    hit, false, nearest = 0, 0, []
    for image in kept:
        inside = _inside(image)
        hit += int(inside.any(axis=0).sum())
        false += int((~inside.any(axis=1)).sum())
        nearest += list(_nearest(image))
    return MarkCounts(proportion(hit, len(nearest)), false, len(kept), tuple(nearest), _poisson(false, len(kept)))


def _distances(marks: Sequence[Point], regions: Sequence[Region]) -> npt.NDArray[np.float64]:
    places = np.array([region.centre_ras for region in regions], np.float64).reshape(-1, 3)
    points = np.array(marks, np.float64).reshape(-1, 3)
    return np.linalg.norm(points[:, None, :] - places[None, :, :], axis=2)


def _inside(image: MarkedImage) -> npt.NDArray[np.bool_]:
    radii = np.array([region.radius_mm for region in image.regions], np.float64)
    if not (radii > 0).all():
        msg = f"A region has the radius {radii.min():g} mm, expected more than 0."
        raise StudyError(msg)
    return _distances(image.marks, image.regions) <= radii[None, :]


def _nearest(image: MarkedImage) -> npt.NDArray[np.float64]:
    return _distances(image.marks, image.regions).min(axis=0, initial=np.inf)


def _poisson(count: int, images: int) -> Interval:
    low = stats.chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
    return Interval(float(low) / images, float(stats.chi2.ppf(0.975, 2 * count + 2) / 2 / images))
