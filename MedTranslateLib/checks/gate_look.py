"""What an image looks like and what training images looked like in, a guess with its confidence out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from MedTranslateLib.bundles.input_statistics import Boundary, InputStatistics, SideStatistics
from MedTranslateLib.checks.gate_features import SHAPE_FEATURES, features_of, outline_of
from MedTranslateLib.checks.gate_pose import fold_front_back, fold_turned, patches_of, score
from MedTranslateLib.checks.gate_slices import Pictures

Features = npt.NDArray[np.float64]
STEEPNESS = 4
"""How fast belonging fades beyond the limit: at the limit it is 1/2, at twice the limit 1/17."""


@dataclass(frozen=True)
class Look:
    """What the gate measured on one image.

    Args:
        features: As `gate_features.features_of` gives them.
        front_back, turned: Its pictures folded, see `gate_pose`.
    """

    features: Features
    front_back: npt.NDArray[np.float64]
    turned: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Guess:
    """How probable it is that an image is of either side; what is left is neither.

    Args:
        source, target: Probabilities.
        score: Of the boundary, positive for the source; None where there is no boundary.
    """

    source: float
    target: float
    score: float | None

    @property
    def neither(self) -> float:
        """The probability of neither."""
        return max(0.0, 1.0 - self.source - self.target)


def look_at(pictures: Pictures) -> Look:
    """Measures an image.

    Args:
        pictures: Some of its slices.
    """
    outlines = [outline_of(picture) for picture in pictures.slices]
    patches = patches_of(pictures, outlines)
    return Look(features_of(pictures, outlines), fold_front_back(patches), fold_turned(patches))


def guess_side(features: Features, statistics: InputStatistics) -> Guess:
    """Which side of a bundle an image is of.

    Args:
        features: Of the image.
        statistics: What the training images looked like.
    """
    belongs = [
        0.0 if side is None else belonging(distance(side, features), side.limit)
        for side in (statistics.source, statistics.target)
    ]
    if statistics.boundary is None:
        return Guess(belongs[0], belongs[1], None)
    boundary_score = side_score(statistics.boundary, features)
    share = _logistic(boundary_score / statistics.boundary.temperature)
    return Guess(share * belongs[0], (1 - share) * belongs[1], boundary_score)


def distance(side: SideStatistics, features: Features) -> float:
    """Squared Mahalanobis distance of an image from the training images of a side."""
    return _distance(side, features, np.arange(len(side.mean)))


def shape_distance(side: SideStatistics, features: Features) -> float:
    """The same of the outline alone, which looks alike in every contrast."""
    return _distance(side, features, np.arange(len(SHAPE_FEATURES)))


def side_score(boundary: Boundary, features: Features) -> float:
    """Positive where an image is more like the source side."""
    return float(np.dot(boundary.weights, features) - boundary.offset)


def belonging(squared_distance: float, limit: float) -> float:
    """1 for an image like those of training, 1/2 at the limit, 0 far beyond it."""
    return float(1 / (1 + (squared_distance / limit) ** STEEPNESS))


def pose_score(side: SideStatistics, look: Look) -> tuple[float | None, float | None]:
    """How upright an image lies, front to back and turned, against the thresholds; negative is doubtful.

    Args:
        side: What training images looked like.
        look: What the image looks like.

    Returns:
        For either test the score less its threshold; None where the training images cannot tell.
    """
    pairs = ((side.front_back, look.front_back), (side.turned, look.turned))
    front_back, turned = (None if test is None else score(test, folded) - test.threshold for test, folded in pairs)
    return front_back, turned


def _distance(side: SideStatistics, features: Features, chosen: npt.NDArray[np.intp]) -> float:
    standard = ((features - np.array(side.mean)) / np.array(side.deviation))[chosen]
    covariance = full_matrix(side)[np.ix_(chosen, chosen)]
    return float(standard @ np.linalg.solve(covariance, standard))


def full_matrix(side: SideStatistics) -> npt.NDArray[np.float64]:
    """The covariance of the standardised features, symmetric, of the rows that the card holds."""
    size = len(side.covariance)
    lower = np.zeros((size, size))
    for number, row in enumerate(side.covariance):
        lower[number, : number + 1] = row
    return lower + np.tril(lower, -1).T


def _logistic(value: float) -> float:
    return float(1 / (1 + np.exp(-np.clip(value, -50, 50))))
