"""Confidences of several readers with several treatments in; areas, averages and differences out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from MedTranslateLib.core.errors import StudyError
from MedTranslateLib.metrics.statistics import Interval
from MedTranslateLib.studies.ratings import Rating, Table, table, treatments
from MedTranslateLib.studies.resampling import Weights, draw, quantiles, strata_of
from MedTranslateLib.studies.roc import (
    Area,
    AreaDifference,
    Curve,
    OperatingPoint,
    area,
    curve,
    operating_point,
    paired_difference,
    placements,
)

THRESHOLD = 50.0
"""Half of the scale of 0 to 100, fixed before any rating."""
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ReaderRoc:
    """One reader with one treatment.

    Args:
        reader: Name.
        treatment: Name.
        area: With DeLong's interval.
        curve: Empirical.
        point: At the middle of the scale.
    """

    reader: str
    treatment: str
    area: Area
    curve: Curve
    point: OperatingPoint


@dataclass(frozen=True)
class AverageArea:
    """Mean of the readers' areas.

    Args:
        treatment: Name.
        auc: Mean over readers.
        resampled: Interval over readers and cases.
        readers: How many.
    """

    treatment: str
    auc: float
    resampled: Interval
    readers: int


@dataclass(frozen=True)
class TreatmentDifference:
    """First minus second treatment, on the patients that were read with both.

    Args:
        first, second: Treatments.
        by_reader: Of each reader, DeLong's paired test.
        average: Mean difference of the readers' areas.
        resampled: Its interval over readers and cases.
        cases: Patients with both.
    """

    first: str
    second: str
    by_reader: dict[str, AreaDifference]
    average: float
    resampled: Interval
    cases: int


@dataclass(frozen=True)
class RocFindings:
    """All of it.

    Args:
        readings: By treatment, then reader.
        averages: By treatment.
        differences: Between each two treatments that share enough patients.
        left_out: What could not be computed, in words.
    """

    readings: tuple[ReaderRoc, ...]
    averages: tuple[AverageArea, ...]
    differences: tuple[TreatmentDifference, ...]
    left_out: tuple[str, ...]


def roc_findings(ratings: Sequence[Rating], seed: int) -> RocFindings:
    """Everything about one question of the kind `confidence`.

    Args:
        ratings: Of this question; second readings are left out.
        seed: Of the resampling.

    Raises:
        StudyError: If there are no answers, a case has no truth, or no treatment has cases with and without a finding.
    """
    given = table(ratings)
    unknown = sorted({one.case for one in ratings if one.truth is None})
    if unknown:
        msg = (
            f"{len(unknown)} cases have no truth (first {unknown[0]!r}), so no ROC curve can be drawn: state "
            "`truth = 0` or `truth = 1` for each case in the study file before the key is sealed."
        )
        raise StudyError(msg)
    names: list[str] = []
    left_out: list[str] = []
    for name in treatments(ratings):
        has = {int(truth) for truth, made in zip(given.truths, given.treatments, strict=True) if made == name}
        (names if has == {0, 1} else left_out).append(name)
    if not names:
        msg = "No treatment has cases with and without a lesion, so no ROC curve can be drawn."
        raise StudyError(msg)
    weights = draw(len(given.readers), given.subjects, strata_of(given.truths.tolist(), given.subjects), seed)
    words = [f"{name}: all cases have the same truth, so it has no ROC curve." for name in left_out]
    readings = tuple(one for name in names for one in _readings(given, name, words))
    averages = tuple(_average(given, name, weights) for name in names)
    pairs = [(first, second) for number, first in enumerate(names) for second in names[number + 1 :]]
    differences = [_difference(given, first, second, seed) for first, second in pairs]
    return RocFindings(readings, averages, tuple(one for one in differences if one is not None), tuple(words))


def _classes(given: Table, name: str) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Columns of a treatment, without and with the finding."""
    made = np.array([one == name for one in given.treatments])
    return np.flatnonzero(made & (given.truths == 0)), np.flatnonzero(made & (given.truths == 1))


def _readings(given: Table, name: str, words: list[str]) -> list[ReaderRoc]:
    found = []
    for row, reader in enumerate(given.readers):
        negative, positive = (_known(given.values[row, columns]) for columns in _classes(given, name))
        if len(negative) and len(positive):
            point = operating_point(negative, positive, THRESHOLD)
            found.append(ReaderRoc(reader, name, area(negative, positive), curve(negative, positive), point))
        else:
            words.append(f"{reader} with {name}: too few answers for an ROC curve.")
    return found


def _known(values: FloatArray) -> FloatArray:
    return values[np.isfinite(values)]


def _areas(given: Table, name: str, weights: Weights) -> FloatArray:
    """Areas of every reader under drawn cases, shape (resamples, readers); NaN where a class has no answer."""
    found = []
    for row in given.values:
        negative, positive = (columns[np.isfinite(row[columns])] for columns in _classes(given, name))
        pairs = np.sign(row[positive][:, None] - row[negative][None, :]) / 2 + 0.5
        of_positive, of_negative = weights.columns[:, positive], weights.columns[:, negative]
        with np.errstate(invalid="ignore", divide="ignore"):
            total = of_positive.sum(axis=1) * of_negative.sum(axis=1)
            found.append(((of_positive @ pairs) * of_negative).sum(axis=1) / total)
    return np.stack(found, axis=1)


def _over_readers(areas: FloatArray, readers: FloatArray) -> FloatArray:
    """Weighted mean over the readers that have an area."""
    counted = np.where(np.isfinite(areas), readers, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (np.nan_to_num(areas) * counted).sum(axis=1) / counted.sum(axis=1)


def _once(given: Table) -> Weights:
    return Weights(np.ones((1, len(given.readers))), np.ones((1, len(given.items))))


def _average(given: Table, name: str, weights: Weights) -> AverageArea:
    areas = _areas(given, name, _once(given))
    interval = quantiles(_over_readers(_areas(given, name, weights), weights.readers))
    return AverageArea(name, float(np.nanmean(areas)), interval, int(np.isfinite(areas).sum()))


def _difference(given: Table, first: str, second: str, seed: int) -> TreatmentDifference | None:
    """None unless at least two patients of each truth were read with both treatments, once with each, by all."""
    of_first, of_second = _by_subject(given, first), _by_subject(given, second)
    both = [one for one in sorted(of_first) if given.truths[of_first[one]] == given.truths[of_second.get(one, -1)]]
    both = [one for one in both if one in of_second]
    columns = np.array([[of_first[one], of_second[one]] for one in both], np.intp).reshape(-1, 2)
    columns = columns[np.isfinite(given.values[:, columns]).all(axis=(0, 2))]
    truths = given.truths[columns[:, 0]]
    if min((truths == 0).sum(), (truths == 1).sum()) < 2:
        return None
    by_reader = {}
    for row, reader in enumerate(given.readers):
        placed = [
            placements(given.values[row, side[truths == 0]], given.values[row, side[truths == 1]]) for side in columns.T
        ]
        by_reader[reader] = paired_difference(placed[0], placed[1])
    average = float(np.mean([one.difference for one in by_reader.values()]))
    return TreatmentDifference(
        first, second, by_reader, average, _resampled_difference(given, columns, (first, second), seed), len(columns)
    )


def _by_subject(given: Table, name: str) -> dict[int, int]:
    """The column of each patient who has exactly one image of the treatment."""
    columns = [number for number, made in enumerate(given.treatments) if made == name]
    subjects = [int(given.subjects[column]) for column in columns]
    return {one: column for one, column in zip(subjects, columns, strict=True) if subjects.count(one) == 1}


def _resampled_difference(given: Table, columns: npt.NDArray[np.intp], names: tuple[str, str], seed: int) -> Interval:
    chosen = columns.ravel()
    subjects = np.repeat(np.arange(len(columns), dtype=np.intp), 2)
    part = Table(
        given.readers,
        tuple(given.items[column] for column in chosen),
        given.values[:, chosen],
        subjects,
        tuple(given.treatments[column] for column in chosen),
        given.truths[chosen],
    )
    weights = draw(len(part.readers), subjects, strata_of(part.truths.tolist(), subjects), seed)
    first, second = (_areas(part, name, weights) for name in names)
    return quantiles(_over_readers(first - second, weights.readers))
