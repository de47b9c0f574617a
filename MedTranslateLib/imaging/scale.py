"""Between an image's own intensities and the [-1, 1] a network sees; target units come from the bundle alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from MedTranslateLib.core.errors import InvalidVolumeError
from MedTranslateLib.core.volume import FloatArray


class ScaleKind(str, Enum):
    """`hounsfield` only where the training data were in HU, otherwise `relative` 0..1."""

    HOUNSFIELD = "hounsfield"
    RELATIVE = "relative"


@dataclass(frozen=True)
class IntensityScale:
    """How intensities of one modality are normalised.

    Args:
        kind: `hounsfield`: `low` and `high` are HU. `relative`: they are percentiles (0 to 100).
        low: Mapped to -1. Relative: percentile of all voxels, so the background.
        high: Mapped to 1 (hounsfield), or to `high_value` (relative): percentile of the foreground voxels.
        high_value: Relative only: where in 0..1 the high percentile lies in the training images.
    """

    kind: ScaleKind
    low: float
    high: float
    high_value: float = 1.0


@dataclass(frozen=True)
class IntensityRange:
    """A scale measured on one image: its own intensities `low` and `high` become 0 and 1."""

    low: float
    high: float

    def normalise(self, array: FloatArray) -> npt.NDArray[np.float32]:
        """Maps own intensities to [-1, 1], clipped."""
        scaled = (np.asarray(array, dtype=np.float32) - np.float32(self.low)) * np.float32(2 / (self.high - self.low))
        scaled -= 1
        return np.clip(scaled, -1, 1, out=scaled)


def measure(array: FloatArray, scale: IntensityScale, threshold: float) -> IntensityRange:
    """Measures `scale` on an image.

    Args:
        array: Intensities, any shape.
        scale: The bundle's scale of this modality.
        threshold: Intensities above it are foreground.

    Raises:
        InvalidVolumeError: If the image has no contrast on this scale.
    """
    if scale.kind is ScaleKind.HOUNSFIELD:
        return IntensityRange(scale.low, scale.high)
    low = float(np.percentile(array, scale.low))
    high = float(np.percentile(array[array > threshold], scale.high, overwrite_input=True))
    if not high > low:
        msg = f"The image has no contrast: its {scale.low:g}th percentile is {low:g}, its high end {high:g}."
        raise InvalidVolumeError(msg)
    return IntensityRange(low, low + (high - low) / scale.high_value)


def to_target_units(normalised: FloatArray, scale: IntensityScale) -> npt.NDArray[np.float32]:
    """Network output in [-1, 1] to the target's units: HU, or relative 0..1; clipped, never per slice."""
    unit = np.clip(np.asarray(normalised, dtype=np.float32), -1, 1)  # a copy; the rest is done in its place
    unit += 1
    unit /= 2
    if scale.kind is ScaleKind.HOUNSFIELD:
        unit *= scale.high - scale.low
        unit += scale.low
    return np.asarray(unit, dtype=np.float32)


def background_value(scale: IntensityScale) -> float:
    """The target's background in its own units: what lies outside the model's field of view."""
    return scale.low if scale.kind is ScaleKind.HOUNSFIELD else 0.0
