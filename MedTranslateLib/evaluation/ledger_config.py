"""The table `[[ledger]]` of an evaluation file as values."""

from __future__ import annotations

from dataclasses import dataclass

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.training.config import DataEntry


@dataclass(frozen=True)
class LedgerCheck:
    """`[[ledger]]`: how many known lesions the ledger lists, and what it misses of structures put into one side.

    Args:
        bundle: The bundle.
        cases: Held-out patients.
        lesions: Where their lesion masks are, written as the sides are in `cases`.
        least_lesion_mm3: Smaller lesions are not counted.
        strengths: Where the ledger is cut off; 1 is what the bundle states.
        diameters_mm, contrasts: Of the balls that are put into one side, in mm and as a share of the intensity range.
        draws: How often the regions are thrown to random places, for the chance level.
        seed: Of everything random.
    """

    bundle: str
    cases: tuple[DataEntry, ...]
    lesions: str
    least_lesion_mm3: float = 1000.0
    strengths: tuple[float, ...] = (0.6, 0.8, 1.0, 1.25, 1.5)
    diameters_mm: tuple[float, ...] = (10.0, 15.0, 25.0)
    contrasts: tuple[float, ...] = (0.1, 0.2, 0.4)
    draws: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuses a table that asks for nothing or for what cannot be measured."""
        lists = (self.strengths, self.diameters_mm, self.contrasts)
        if not self.lesions or self.draws < 1 or not all(value > 0 for values in lists for value in values):
            msg = f"[[ledger]] needs lesions, draws of 1 or more and numbers above 0, got {self!r:.200}."
            raise ConfigError(msg)
