"""`[[trust]]` of an evaluation file as a checked value."""

from __future__ import annotations

from dataclasses import dataclass

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.training.config import DataEntry


@dataclass(frozen=True)
class TrustCheck:
    """What the trust map of one bundle is worth on patients that it was not fitted on.

    Args:
        bundle: The bundle; its card must have a calibration.
        cases: Validation patients, with pairs.
        samples: Translations drawn of each slice.
        steps: Steps of the method; 0 takes those of the calibration.
        slices: Slices of each patient, at equal distances.
    """

    bundle: str
    cases: tuple[DataEntry, ...]
    samples: int = 1
    steps: int = 0
    slices: int = 6

    def __post_init__(self) -> None:
        """Refuses numbers that mean nothing."""
        if min(self.samples, self.slices) < 1 or self.steps < 0:
            msg = f"[[trust]] needs samples and slices of 1 or more and steps of 0 or more, got {self!r:.160}."
            raise ConfigError(msg)
