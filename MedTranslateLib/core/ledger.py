"""What a reader has to look at: structures that only the source has, and structures that only the output has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from MedTranslateLib.core.errors import CorruptResultError, InvalidVolumeError

MOST_ENTRIES = 255
"""The regions are numbered in a uint8 image; the strongest come first."""


class LedgerSide(str, Enum):
    """Where the structure is: in the source, without a partner in the output; or in the output, without an origin."""

    SOURCE = "source"
    OUTPUT = "output"


@dataclass(frozen=True)
class LedgerEntry:
    """One structure that exists on one side only.

    Args:
        number: 1 for the strongest; the region's value in `Ledger.regions_kji`.
        side: The side that has the structure.
        source_ras, output_ras: Its middle on both sides in RAS mm, partners through the fields.
        volume_mm3: Volume of the region.
        strength: How many times it exceeds what the structures of training patients show; at least 1.
        trust: Mean of the trust map in the region, 0 to 1; None where there is no such map.
        reason: One sentence that a clinician reads.
    """

    number: int
    side: LedgerSide
    source_ras: tuple[float, float, float]
    output_ras: tuple[float, float, float]
    volume_mm3: float
    strength: float
    trust: float | None
    reason: str

    def to_json(self) -> dict[str, Any]:
        """The table that `ledger.json` lists."""
        return {**asdict(self), "side": self.side.value}

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> LedgerEntry:
        """Reads the table back.

        Raises:
            CorruptResultError: If a key is missing, unknown or of the wrong kind.
        """
        foreign = sorted(set(table) ^ {part.name for part in fields(cls)})
        if foreign:
            msg = f"An entry of the ledger cannot be read: the key {foreign[0]!r} is missing or unknown."
            raise CorruptResultError(msg)
        try:
            return cls(
                number=int(table["number"]),
                side=LedgerSide(table["side"]),
                source_ras=_point(table["source_ras"]),
                output_ras=_point(table["output_ras"]),
                volume_mm3=_number(table["volume_mm3"]),
                strength=_number(table["strength"]),
                trust=None if table["trust"] is None else _number(table["trust"]),
                reason=str(table["reason"]),
            )
        except (TypeError, ValueError) as error:
            msg = f"An entry of the ledger cannot be read: {error}"
            raise CorruptResultError(msg) from error


@dataclass(frozen=True)
class Ledger:
    """All entries of a result, the strongest first.

    Args:
        entries: Numbered from 1.
        regions_kji: uint8 on the output's grid: the number of the entry, each drawn in the image of its own side.
        rule: One sentence: what makes a structure an entry, and how many false ones are usual.

    Raises:
        InvalidVolumeError: If the numbers are not 1, 2, 3 ...
    """

    entries: tuple[LedgerEntry, ...]
    regions_kji: npt.NDArray[np.uint8]
    rule: str

    def __post_init__(self) -> None:
        """Checks the numbers."""
        numbers = [entry.number for entry in self.entries]
        if numbers != list(range(1, len(numbers) + 1)) or len(numbers) > MOST_ENTRIES:
            msg = f"Ledger entries are numbered 1 to at most {MOST_ENTRIES}, got {numbers}."
            raise InvalidVolumeError(msg)


def _point(value: Any) -> tuple[float, float, float]:
    x, y, z = value
    return _number(x), _number(y), _number(z)


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number) or isinstance(value, (str, bool)):
        msg = f"expected a finite number, got {value!r}"
        raise ValueError(msg)
    return number
