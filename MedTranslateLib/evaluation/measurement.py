"""What an evaluation finds, as values: figures by case, direction, method and metric; pictures; and what went wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Measurement:
    """One figure.

    Args:
        table: Title of the table of the evaluation file it belongs to.
        case: Name of the patient.
        direction: `forward` or `reverse`.
        method: What made the output: a bundle or a baseline.
        metric: Name of the metric, see `evaluation.metric_names`.
        value: The figure; NaN where the metric is not defined for this case.
        slice_index: Slice of the case; None for the whole case.
    """

    table: str
    case: str
    direction: str
    method: str
    metric: str
    value: float
    slice_index: int | None = None


@dataclass(frozen=True)
class Pictured:
    """One slice of one case as a method translated it, each (H, W) in 0..1.

    Args:
        table, case, direction, method: As in `Measurement`.
        source, output: The slice and its translation.
        target: The true target; None where there is none.
        uncertainty: Standard deviation of the samples; None where none were drawn.
        displacement: (2, H, W) in pixels (rows, columns), from a point of the output to its source; None where every
            pixel stays in its place.
    """

    table: str
    case: str
    direction: str
    method: str
    source: Picture
    output: Picture
    target: Picture | None = None
    uncertainty: Picture | None = None
    displacement: Picture | None = None


class Severity(str, Enum):
    """`failed`: something that was asked for could not be measured. `noted`: measured, but look at it."""

    FAILED = "failed"
    NOTED = "noted"


@dataclass(frozen=True)
class Problem:
    """Something the reader of a report must know.

    Args:
        table: Title of the table.
        case: Name of the patient; empty where it concerns the whole table.
        method: The bundle or baseline; empty where it concerns all.
        message: One sentence: what, what was got, what was expected, what to do.
        severity: See `Severity`.
    """

    table: str
    case: str
    method: str
    message: str
    severity: Severity = Severity.FAILED


@dataclass(frozen=True)
class Findings:
    """Everything one evaluation, or one unit of it, found.

    Args:
        measurements: The figures.
        pictures: Examples to look at.
        problems: What went wrong or must be known.
    """

    measurements: tuple[Measurement, ...] = ()
    pictures: tuple[Pictured, ...] = ()
    problems: tuple[Problem, ...] = field(default=())
