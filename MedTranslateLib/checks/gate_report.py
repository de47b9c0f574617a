"""What the input gate answers: a verdict, its reasons, and what it takes the image for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

NEITHER = "something else"
"""What an image looks like that is like the training images of neither side."""


class Verdict(str, Enum):
    """What the gate answers."""

    FITS = "fits"
    DOUBTFUL = "doubtful"
    REFUSED = "refused"


@dataclass(frozen=True)
class GateReport:
    """The verdict with its reasons, each a sentence.

    Args:
        verdict: The answer.
        reasons: Why it is not `FITS`.
        looks_like: Name of the bundle's side that the image looks like, or `NEITHER`; None where nobody can tell.
        confidence: How sure that is, 0 to 1; None likewise.
        stated: The modality that the image's header states.
    """

    verdict: Verdict
    reasons: tuple[str, ...] = ()
    looks_like: str | None = None
    confidence: float | None = None
    stated: str | None = None
