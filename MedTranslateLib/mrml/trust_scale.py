"""A trust from 0 to 1 in, its tenth, a word and a colour for it out; the same in views, tables and readouts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from MedTranslateLib.core.trust import TENTHS, tenth_of

Colour = tuple[float, float, float]
LAST_LOW, LAST_MEDIUM = 3, 7
COLOURS: tuple[Colour, ...] = (
    (0.93, 0.20, 0.20),
    (0.95, 0.31, 0.16),
    (0.97, 0.43, 0.12),
    (0.98, 0.56, 0.10),
    (0.99, 0.69, 0.12),
    (0.95, 0.79, 0.18),
    (0.81, 0.83, 0.24),
    (0.62, 0.82, 0.30),
    (0.42, 0.79, 0.36),
    (0.22, 0.76, 0.42),
)
"""Of the tenths, from red over amber to green; bright enough for black letters on them and for a dark image below. Who
cannot tell red from green has the word."""


class TrustWord(str, Enum):
    """What a tenth means, in a word."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True)
class TrustStep:
    """A trust as people read it.

    Args:
        tenth: 1 for the least trusted tenth, 10 for the most trusted.
    """

    tenth: int

    @classmethod
    def of(cls, trust: float) -> TrustStep:
        """The step of a trust from 0 to 1."""
        return cls(tenth_of(trust))

    @property
    def word(self) -> TrustWord:
        """Low, medium or high."""
        if self.tenth <= LAST_LOW:
            return TrustWord.LOW
        return TrustWord.MEDIUM if self.tenth <= LAST_MEDIUM else TrustWord.HIGH

    @property
    def colour(self) -> Colour:
        """Red, green and blue from 0 to 1."""
        return COLOURS[self.tenth - 1]

    @property
    def text(self) -> str:
        """Such as `3 of 10 (low)`."""
        return f"{self.tenth} of {TENTHS} ({self.word.value})"


def hex_of(colour: Colour) -> str:
    """The colour as style sheets write it, such as `#ed3333`."""
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour)
