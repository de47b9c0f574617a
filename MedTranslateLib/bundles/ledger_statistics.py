"""`training_statistics["ledger"]` of a bundle's card in, checked and frozen thresholds of the ledger out; and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from MedTranslateLib.bundles.manifest import Manifest
from MedTranslateLib.bundles.parts import Rule
from MedTranslateLib.bundles.typed_table import from_table, to_table
from MedTranslateLib.core.errors import BundleInvalidError

KEY = "ledger"
"""Where the thresholds stand in `training_statistics`."""


@dataclass(frozen=True)
class LedgerCalibration:
    """Thresholds of one direction: what counts as strength 1, and how many entries training patients have there.

    Args:
        direction: `forward` or `reverse`.
        reconstruction: Whether A -> B -> A was compared as well; only runs that have it may use these thresholds.
        patients, slices: How many training patients, and slices of theirs, were looked at.
        data: Where they come from, and what was left out.
        entries_a_slice: Entries of strength 1 or more a slice on those patients, both sides together.
        scales_mm: Standard deviations of the Gaussians that structures are looked for with.
        source, output: Threshold of each scale for structures of that side.
    """

    direction: Literal["forward", "reverse"]
    reconstruction: bool
    patients: int
    slices: int
    data: str
    entries_a_slice: float
    scales_mm: tuple[float, ...]
    source: tuple[float, ...]
    output: tuple[float, ...]

    def rules(self, key: str) -> Iterator[Rule]:
        """What it must keep to."""
        for name in ("patients", "slices"):
            yield Rule(getattr(self, name) >= 1, f"{key}.{name}", "1 or more", getattr(self, name))
        yield Rule(self.entries_a_slice >= 0, f"{key}.entries_a_slice", "0 or more", self.entries_a_slice)
        yield Rule(len(self.scales_mm) > 0, f"{key}.scales_mm", "at least one length", len(self.scales_mm))
        for name in ("scales_mm", "source", "output"):
            values: tuple[float, ...] = getattr(self, name)
            fits = len(values) == len(self.scales_mm) and all(value > 0 for value in values)
            yield Rule(fits, f"{key}.{name}", f"{len(self.scales_mm)} numbers above 0, one a scale", list(values))


@dataclass(frozen=True)
class LedgerStatistics:
    """The thresholds of every direction that has some."""

    calibrations: tuple[LedgerCalibration, ...]

    def best_for(self, direction: str, *, reconstruction: bool) -> LedgerCalibration | None:
        """The thresholds of a run; None where there are none that fit it.

        Args:
            direction: `forward` or `reverse`.
            reconstruction: Whether the run has A -> B -> A.
        """
        fitting = (
            one for one in self.calibrations if (one.direction, one.reconstruction) == (direction, reconstruction)
        )
        return next(fitting, None)

    def to_json(self) -> dict[str, Any]:
        """The table that stands under `KEY`."""
        table: dict[str, Any] = to_table(self)
        return table


def ledger_statistics_of(manifest: Manifest) -> LedgerStatistics | None:
    """The thresholds of a bundle; None where its card has none.

    Raises:
        BundleInvalidError: Naming the first key that is unknown, missing or has a wrong value.
    """
    table = (manifest.training_statistics or {}).get(KEY)
    return None if table is None else ledger_statistics_from(table, manifest.name)


def ledger_statistics_from(table: object, bundle: str) -> LedgerStatistics:
    """Reads and checks the table.

    Args:
        table: What JSON gave.
        bundle: Name of the bundle, for messages.

    Raises:
        BundleInvalidError: See `ledger_statistics_of`.
    """
    key = f"training_statistics.{KEY}"
    try:
        statistics = from_table(LedgerStatistics, table, key)
    except BundleInvalidError as error:
        msg = f"Bundle {bundle}: {error}"
        raise BundleInvalidError(msg) from error
    for number, calibration in enumerate(statistics.calibrations):
        for rule in calibration.rules(f"{key}.calibrations[{number}]"):
            if not rule.kept:
                msg = f"Bundle {bundle}: {rule.key} must be {rule.expected}, got {rule.got!r:.80}."
                raise BundleInvalidError(msg)
    return statistics
