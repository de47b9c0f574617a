"""How far each place of an output can be believed: one map a reason, and one that joins them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from MedTranslateLib.core.errors import InvalidVolumeError
from MedTranslateLib.core.volume import Volume

TENTHS = 10


class TrustPart(str, Enum):
    """Why a place is not to be believed; what the samples differ by is the result's `uncertainty`.

    `ROUND_TRIP`: mm between a point and where the way there and back through the fields ends. `FOLDING`: how near the
    map is to a fold: 1 where det J is 0 or below, 0 where it is 1 or above. `INTENSITY`: how far the source's intensity
    lies outside of what the training images had, as a share of their range. `CYCLE`: |A - (A -> B -> A)| as a share of
    the source's range, for bundles that translate both ways.
    """

    ROUND_TRIP = "round_trip"
    FOLDING = "folding"
    INTENSITY = "intensity"
    CYCLE = "cycle"


@dataclass(frozen=True)
class TrustMaps:
    """What is known about the errors of an output where nobody has the truth.

    Args:
        trust: 0 to 1 on the output's grid: the share of the places of the patients it was calibrated on whose expected
            error was larger; 1 is the most trusted. Where the model did not see the source it is 0.
        expected_error: Expected absolute error in the target's units on the same grid; None where the bundle was never
            calibrated for these maps, and `trust` then only ranks the places of this one output.
        parts: The maps that were joined, on the model's grid or the output's.

    Raises:
        InvalidVolumeError: If a value of `trust` lies outside of 0..1, or `expected_error` on another grid.
    """

    trust: Volume
    expected_error: Volume | None = None
    parts: Mapping[TrustPart, Volume] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Checks range and grid."""
        low, high = float(self.trust.array_kji.min()), float(self.trust.array_kji.max())
        if low < 0 or high > 1:
            msg = f"Trust lies in 0..1, got {low:g} to {high:g}."
            raise InvalidVolumeError(msg)
        if self.expected_error is not None and not self.expected_error.geometry.same_grid(self.trust.geometry):
            msg = "The map of expected errors does not lie on the grid of the trust map."
            raise InvalidVolumeError(msg)

    @property
    def is_calibrated(self) -> bool:
        """Whether the true errors of patients were used to say what to expect."""
        return self.expected_error is not None


def tenth_of(trust: float) -> int:
    """1 for the least trusted tenth of the places of those patients, 10 for the most trusted."""
    return min(TENTHS, int(trust * TENTHS) + 1)
