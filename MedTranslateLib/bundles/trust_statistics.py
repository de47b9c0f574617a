"""`training_statistics["trust"]` of a card in, a checked and frozen calibration of the trust map out; and back.

The expected absolute error of a place is the exponential of a sum: a level, tables over two inputs each, and curves
over one. All intensities and errors are shares of the range of their scale.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from MedTranslateLib.bundles.manifest import Manifest
from MedTranslateLib.bundles.parts import Rule
from MedTranslateLib.bundles.typed_table import from_table, to_table
from MedTranslateLib.core.errors import BundleInvalidError

KEY = "trust"
"""Where the calibration stands in `training_statistics`."""
TrustInput = Literal[
    "source",
    "output",
    "row",
    "column",
    "spread",
    "cycle",
    "source_contrast",
    "output_contrast",
    "source_lowest",
    "source_highest",
    "output_lowest",
    "output_highest",
    "source_near",
    "source_wide",
    "output_wide",
]
"""What is known about a place without the truth, see `trust.inputs`."""


@dataclass(frozen=True)
class TrustCurve:
    """What one input adds to the logarithm of the expected error.

    Args:
        input: Which.
        knots: Values of the input, rising.
        values: What it adds there: linear between the knots, constant beyond them.
    """

    input: TrustInput
    knots: tuple[float, ...]
    values: tuple[float, ...]

    def rules(self, key: str) -> Iterator[Rule]:
        """What it must keep to."""
        yield _rising(f"{key}.knots", self.knots)
        fits = len(self.values) == len(self.knots)
        yield Rule(fits, f"{key}.values", f"{len(self.knots)} numbers, one a knot", len(self.values))


@dataclass(frozen=True)
class TrustTable:
    """What two inputs together add to the logarithm of the expected error.

    Args:
        inputs: Which two.
        rows, columns: Values of the first and of the second, rising.
        values: One row a value of the first, one column a value of the second; bilinear in between, constant beyond.
    """

    inputs: tuple[TrustInput, TrustInput]
    rows: tuple[float, ...]
    columns: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]

    def rules(self, key: str) -> Iterator[Rule]:
        """What it must keep to."""
        yield _rising(f"{key}.rows", self.rows)
        yield _rising(f"{key}.columns", self.columns)
        fits = len(self.values) == len(self.rows) and all(len(row) == len(self.columns) for row in self.values)
        size = f"{len(self.rows)} rows of {len(self.columns)} numbers"
        yield Rule(fits, f"{key}.values", size, [len(row) for row in self.values])


@dataclass(frozen=True)
class TrustCalibration:
    """One calibration: of a direction, for runs of at least so many samples and steps.

    Args:
        direction: Which way was translated.
        samples, steps: How the outputs were made whose errors were measured.
        patients, places: How many the calibration was fitted on; patients of the training.
        pairs: Where they come from and which images.
        level: The logarithm of the error where nothing else is added.
        tables, curves: What inputs add.
        quantiles: Expected errors at places in those patients' bodies: the smallest first, the largest last, the others
            at equal shares of the places.
        source_range: Smallest and largest intensity of the training sources as a share of the scale's range, which an
            image may exceed because only percentiles of it are scaled to 0 and 1.
    """

    direction: Literal["forward", "reverse"]
    samples: int
    steps: int
    patients: int
    places: int
    pairs: str
    level: float
    tables: tuple[TrustTable, ...]
    curves: tuple[TrustCurve, ...]
    quantiles: tuple[float, ...]
    source_range: tuple[float, float]

    @property
    def inputs(self) -> frozenset[TrustInput]:
        """All inputs of tables and curves."""
        return frozenset({name for table in self.tables for name in table.inputs} | {one.input for one in self.curves})

    def rules(self, key: str) -> Iterator[Rule]:
        """What it must keep to."""
        for name in ("samples", "steps", "patients", "places"):
            yield Rule(getattr(self, name) >= 1, f"{key}.{name}", "1 or more", getattr(self, name))
        for number, table in enumerate(self.tables):
            yield from table.rules(f"{key}.tables[{number}]")
        for number, curve in enumerate(self.curves):
            yield from curve.rules(f"{key}.curves[{number}]")
        spread = self.samples > 1 or "spread" not in self.inputs
        yield Rule(spread, f"{key}.samples", "more than 1 where the spread of samples is an input", self.samples)
        yield _rising(f"{key}.quantiles", self.quantiles)
        yield Rule(self.quantiles[:1] >= (0.0,), f"{key}.quantiles", "errors of 0 or more", self.quantiles[:1])
        yield _rising(f"{key}.source_range", self.source_range)


@dataclass(frozen=True)
class TrustStatistics:
    """Every calibration that a bundle has."""

    calibrations: tuple[TrustCalibration, ...]

    def best_for(self, direction: str, samples: int, steps: int) -> TrustCalibration | None:
        """The calibration of that direction with most samples, then steps, that a run has at least as many of.

        Args:
            direction: `forward` or `reverse`.
            samples: Those of the run.
            steps: Those of the run.
        """
        fitting = [
            one
            for one in self.calibrations
            if one.direction == direction and one.samples <= samples and one.steps <= steps
        ]
        return max(fitting, key=lambda one: (one.samples, one.steps), default=None)

    def to_json(self) -> dict[str, Any]:
        """The table that stands under `KEY`."""
        table: dict[str, Any] = to_table(self)
        return table


def trust_statistics_of(manifest: Manifest) -> TrustStatistics | None:
    """The calibration of a bundle; None where its card has none.

    Raises:
        BundleInvalidError: Naming the first key that is unknown, missing or has a wrong value.
    """
    table = (manifest.training_statistics or {}).get(KEY)
    return None if table is None else trust_statistics_from(table, manifest.name)


def trust_statistics_from(table: object, bundle: str) -> TrustStatistics:
    """Reads and checks the table.

    Args:
        table: What JSON gave.
        bundle: Name of the bundle, for messages.

    Raises:
        BundleInvalidError: See `trust_statistics_of`.
    """
    try:
        statistics = from_table(TrustStatistics, table, f"training_statistics.{KEY}")
    except BundleInvalidError as error:
        msg = f"Bundle {bundle}: {error}"
        raise BundleInvalidError(msg) from error
    for number, calibration in enumerate(statistics.calibrations):
        for rule in calibration.rules(f"training_statistics.{KEY}.calibrations[{number}]"):
            if not rule.kept:
                msg = f"Bundle {bundle}: {rule.key} must be {rule.expected}, got {rule.got!r:.80}."
                raise BundleInvalidError(msg)
    return statistics


def _rising(key: str, values: tuple[float, ...]) -> Rule:
    rises = len(values) >= 2 and all(one < other for one, other in pairwise(values))
    return Rule(rises, key, "two or more numbers, each above the one before", list(values))
