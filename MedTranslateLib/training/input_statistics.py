"""A training file and a bundle's card in, what the training images look like out: the input gate's thresholds.

A threshold is a quantile over the training patients, each judged by what was fitted on all the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from MedTranslateLib.bundles.input_statistics import FOLDED, Boundary, InputStatistics, PoseFilter, SideStatistics
from MedTranslateLib.bundles.manifest import Manifest, Side
from MedTranslateLib.bundles.parts import ANY_MODALITY
from MedTranslateLib.checks.gate_features import FEATURES
from MedTranslateLib.checks.gate_look import Look, distance, look_at, shape_distance, side_score
from MedTranslateLib.checks.gate_pose import WITHOUT_CONTRAST
from MedTranslateLib.checks.gate_slices import foreground_of, middle_part, pictures_of, scale_of
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.training.cases import read_raw_cases
from MedTranslateLib.training.config import DataEntry, TrainingConfig

FEWEST_PATIENTS = 20
"""Fewer say too little about what is usual."""
BEYOND = 0.01
"""Share of the training patients that a threshold calls unusual."""
MISTAKEN = 0.05
"""The same of the boundary between both sides: where they overlap, to ask more often is better than to take all."""
FAR, SHRINKAGE = 5.0, 0.1
"""Standardised features are cut off here before their covariance is taken; share of the unit matrix in that."""
POSE_SHRINKAGE = 1.0
WORTH_TELLING = 0.9
"""A pose test that finds fewer of the mirrored training patients is left out: it would only seem to watch."""
FOLDS = 10
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Patients:
    """What was measured on the training patients of one side, in the order of their names.

    Args:
        names: Their names.
        features: Shape (patients, features).
        front_back, turned: Folded pictures, shape (patients, channels, 64).
    """

    names: tuple[str, ...]
    features: Array
    front_back: Array
    turned: Array


def measure_inputs(manifest: Manifest, config: TrainingConfig, data_root: Path) -> InputStatistics | None:
    """Measures the training images of a bundle.

    Args:
        manifest: The bundle's card: its grid, its scales.
        config: The training file it was made with.
        data_root: What the data folders are relative to.

    Returns:
        The statistics; None where neither side has `FEWEST_PATIENTS`.

    Raises:
        ConfigError: If a data folder is missing.
    """
    sides = {name: _patients(manifest, config, data_root, name) for name in ("source", "target")}
    alone = any(patients is None for patients in sides.values())
    source, target = (
        None if patients is None else _side_statistics(patients, with_contrast=not alone) for patients in sides.values()
    )
    if source is None and target is None:
        return None
    both = (sides["source"], sides["target"])
    boundary = _boundary(both[0], both[1]) if both[0] is not None and both[1] is not None else None
    return InputStatistics(FEATURES, source, target, boundary)


def own_plane(entries: Sequence[DataEntry], side: str) -> list[DataEntry]:
    """The entries that show the bundle's own plane: those with most weight, where a set has other planes beside it.

    Args:
        entries: The training data.
        side: `source` or `target`.
    """
    showing = [entry for entry in entries if getattr(entry, side)]
    most = max((entry.repeat for entry in showing), default=1)
    return [entry for entry in showing if entry.repeat == most]


def _patients(manifest: Manifest, config: TrainingConfig, data_root: Path, side: str) -> Patients | None:
    card: Side = getattr(manifest, side)
    if card.modality == ANY_MODALITY:
        return None
    looks: dict[str, list[Look]] = defaultdict(list)
    for name, volume in _volumes(config, data_root, side):
        part = middle_part(volume, config.grid.plane, foreground_of(volume))
        pictures = pictures_of(part, config.grid, scale_of(card))
        if pictures is not None:
            looks[name].append(look_at(pictures))
    if len(looks) < FEWEST_PATIENTS:
        return None
    names = tuple(sorted(looks))
    return Patients(
        names,
        np.array([np.median([look.features for look in looks[name]], axis=0) for name in names]),
        np.array([np.mean([look.front_back for look in looks[name]], axis=0) for name in names]),
        np.array([np.mean([look.turned for look in looks[name]], axis=0) for name in names]),
    )


def _volumes(config: TrainingConfig, data_root: Path, side: str) -> Iterator[tuple[str, Volume]]:
    for entry in own_plane(config.data, side):
        for raw in read_raw_cases(entry, data_root, config.grid):
            volume: Volume | None = getattr(raw, side)
            if volume is not None and np.ptp(volume.array_kji) > 0:
                yield raw.name, volume


def _side_statistics(patients: Patients, *, with_contrast: bool) -> SideStatistics:
    whole = _gaussian(patients.features)
    held_out = [(_gaussian(np.delete(patients.features, n, 0)), row) for n, row in enumerate(patients.features)]
    limits = [
        float(np.quantile([measured(fitted, row) for fitted, row in held_out], 1 - BEYOND))
        for measured in (distance, shape_distance)
    ]
    channels = slice(None) if with_contrast else WITHOUT_CONTRAST
    return replace(
        whole,
        limit=_rounded(limits[0]),
        shape_limit=_rounded(limits[1]),
        front_back=_pose_filter(patients.front_back[:, channels]),
        turned=_pose_filter(patients.turned[:, channels]),
    )


def _gaussian(features: Array) -> SideStatistics:
    """Mean, deviation and shrunk covariance, each from the middle of the patients rather than from strays."""
    middle = np.median(features, axis=0)
    spread = 1.4826 * np.median(np.abs(features - middle), axis=0)
    deviation = 0.7 * spread + 0.3 * features.std(axis=0) + 1e-3
    standard = np.clip((features - middle) / deviation, -FAR, FAR)
    mean = middle + deviation * standard.mean(axis=0)
    covariance = np.cov(standard.T)
    usual = np.trace(covariance) / len(covariance)
    covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * usual * np.eye(len(covariance))
    rows = tuple(_numbers(row[: n + 1], 4) for n, row in enumerate(covariance))
    return SideStatistics(len(features), _numbers(mean), _numbers(deviation), rows, limit=1.0, shape_limit=1.0)


def _pose_filter(folded: Array) -> PoseFilter | None:
    """A filter whose answer to a mirrored picture is the negative one; None where it does not tell."""
    flat = folded.reshape(len(folded), -1)
    answers = np.array([row @ _direction(np.delete(flat, n, 0)) for n, row in enumerate(flat)])
    threshold = min(0.0, float(np.quantile(answers, BEYOND)))
    caught = float((-answers < threshold).mean())
    if caught < WORTH_TELLING:
        return None
    weights = _direction(flat).reshape(-1, FOLDED)
    return PoseFilter(tuple(_numbers(row, 3) for row in weights), _rounded(threshold), _rounded(caught))


def _direction(flat: Array) -> Array:
    """Fisher's direction between pictures and their negatives, of unit spread."""
    mean = flat.mean(axis=0)
    covariance = (flat - mean).T @ (flat - mean) / len(flat)
    covariance += POSE_SHRINKAGE * np.trace(covariance) / len(mean) * np.eye(len(mean))
    direction = np.linalg.solve(covariance, mean)
    return np.asarray(direction / np.sqrt(direction @ covariance @ direction))


def _boundary(source: Patients, target: Patients) -> Boundary:
    """Fisher's linear test between both sides; patients of one name are left out together."""
    whole = _linear(source.features, target.features)
    names = sorted({*source.names, *target.names})
    fold = {name: number % FOLDS for number, name in enumerate(names)}
    answers: dict[int, list[float]] = {1: [], -1: []}
    for number in range(FOLDS):
        kept = [np.array([fold[name] != number for name in side.names]) for side in (source, target)]
        fitted = _linear(source.features[kept[0]], target.features[kept[1]])
        for sign, side, stay in ((1, source, kept[0]), (-1, target, kept[1])):
            answers[sign] += [sign * side_score(fitted, row) for row in side.features[~stay]]
    lowest = {sign: min(0.0, float(np.quantile(values, MISTAKEN))) for sign, values in answers.items()}
    temperature = _temperature(np.array([*answers[1], *answers[-1]]))
    limits = (_rounded(lowest[1]), _rounded(-lowest[-1]))
    return Boundary(whole.weights, whole.offset, limits[0], limits[1], _rounded(temperature))


def _linear(source: Array, target: Array) -> Boundary:
    means = source.mean(axis=0), target.mean(axis=0)
    centred = np.concatenate([source - means[0], target - means[1]])
    covariance = np.cov(centred.T)
    deviation = np.sqrt(np.diag(covariance)) + 1e-6
    correlation = covariance / np.outer(deviation, deviation)
    correlation = (1 - SHRINKAGE) * correlation + SHRINKAGE * np.eye(len(correlation))
    weights = np.linalg.solve(correlation, (means[0] - means[1]) / deviation) / deviation
    numbers = _numbers(weights, 6)
    return Boundary(numbers, _rounded(float(np.dot(numbers, (means[0] + means[1]) / 2)), 6), 0.0, 0.0, 1.0)


def _temperature(right: Array) -> float:
    """The divisor of scores (positive: right) at which the probabilities fit what was right best."""

    def loss(logarithm: float) -> float:
        return float(np.logaddexp(0, -right / np.exp(logarithm)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-2.0, 6.0), method="bounded").x))


def _numbers(values: npt.NDArray[np.floating], digits: int = 5) -> tuple[float, ...]:
    return tuple(_rounded(float(value), digits) for value in values)


def _rounded(value: float, digits: int = 5) -> float:
    """To so many significant digits; a card is read by people, too."""
    return float(f"{value:.{digits}g}")
