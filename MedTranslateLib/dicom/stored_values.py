"""Intensities in the target's units in, 16-bit stored values with slope and intercept out, and back."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

import numpy as np
import numpy.typing as npt

from MedTranslateLib.core.volume import FloatArray

LARGEST = 65535
STEPS = ("1", "2", "5")
FINEST, COARSEST = -9, 12


@dataclass(frozen=True)
class StoredScale:
    """How stored values stand for intensities: value = stored * slope + intercept.

    Args:
        slope: A decimal text, exact in a DICOM header; 1, 2 or 5 times a power of ten.
        intercept: A decimal text, a whole multiple of the slope.
    """

    slope: str
    intercept: str

    @property
    def accuracy(self) -> float:
        """The largest distance between an intensity and what its stored value stands for: half the slope."""
        return float(self.slope) / 2

    def store(self, array: FloatArray) -> npt.NDArray[np.uint16]:
        """Rounds to the nearest stored value."""
        steps = (np.asarray(array, dtype=np.float64) - float(self.intercept)) / float(self.slope)
        return np.clip(np.rint(steps), 0, LARGEST).astype(np.uint16)

    def value_of(self, stored: npt.NDArray[np.uint16]) -> npt.NDArray[np.float64]:
        """What stored values stand for."""
        return np.asarray(stored, dtype=np.float64) * float(self.slope) + float(self.intercept)


def scale_for(low: float, high: float) -> StoredScale:
    """The finest scale whose 16 bits hold all of a series, so that one slope serves every slice.

    Args:
        low: Smallest intensity of the series.
        high: Largest intensity.
    """
    for exponent in range(FINEST, COARSEST):
        for step in STEPS:
            slope = Decimal(step).scaleb(exponent)
            first = (Decimal(low) / slope).to_integral_value(ROUND_FLOOR)
            intercept = _decimal_string(first * slope)
            if Decimal(high) - first * slope <= slope * LARGEST and len(intercept) <= 16:  # what a header holds
                return StoredScale(_decimal_string(slope), intercept)
    return StoredScale(_decimal_string(Decimal(1).scaleb(COARSEST)), "0")


def _decimal_string(value: Decimal) -> str:
    return format(value.normalize() + 0, "f")
