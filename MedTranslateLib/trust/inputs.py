"""Slices of a source and of its translation in, what is known about each place without the truth out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, maximum_filter, minimum_filter, uniform_filter

from MedTranslateLib.bundles.trust_statistics import TrustInput
from MedTranslateLib.core.trust import TrustPart

Slices = npt.NDArray[np.float32]
SMOOTHED_PX = 1.5
"""Standard deviation of the Gaussian over spread and cycle residual: at a single pixel they vanish by chance."""
CONTRAST_PX, EXTREMES_PX = 5, 9
"""Sides of the squares whose standard deviation is the local contrast, and whose extremes are looked for."""
NEAR_PX, WIDE_PX = 21, 41
"""Sides of the squares whose mean tells the inside of a body from the air around it, and one part from another."""


@dataclass(frozen=True)
class OutputSlices:
    """Slices of an output and what was found out about them, all (N, H, W), seen from the output.

    Args:
        source: What was translated, in [-1, 1].
        output: The mean of the samples, in [-1, 1].
        spread: Standard deviation of the samples in the same units; None for a single one.
        cycle: |A - (A -> B -> A)| as a share of the range; None where there is no way back.
        parts: Maps of what training patients hardly show, see `trust.combine.LIMITS`; the round trip in pixels.
    """

    source: Slices
    output: Slices
    spread: Slices | None = None
    cycle: Slices | None = None
    parts: Mapping[TrustPart, Slices] = field(default_factory=dict)

    def one(self, number: int) -> OutputSlices:
        """One of the slices as a stack, without a copy."""
        only = slice(number, number + 1)
        return OutputSlices(
            source=self.source[only],
            output=self.output[only],
            spread=None if self.spread is None else self.spread[only],
            cycle=None if self.cycle is None else self.cycle[only],
            parts={part: array[only] for part, array in self.parts.items()},
        )


def inputs_of(places: OutputSlices) -> dict[TrustInput, Slices]:
    """Everything a calibration may use, each (N, H, W), every slice for itself.

    Args:
        places: Source and output.

    Returns:
        Intensities, contrasts, spread and cycle residual as shares of the range; `row` from 0 at the top to 1 at the
        bottom; `column` from 0 in the middle to 1 at either side, because slices come mirrored in training.
    """
    source, output = to_share(places.source), to_share(places.output)
    inputs: dict[TrustInput, Slices] = {
        "source": source,
        "output": output,
        "source_contrast": _contrast(source),
        "output_contrast": _contrast(output),
        "source_lowest": minimum_filter(source, (0, EXTREMES_PX, EXTREMES_PX)),
        "source_highest": maximum_filter(source, (0, EXTREMES_PX, EXTREMES_PX)),
        "output_lowest": minimum_filter(output, (0, EXTREMES_PX, EXTREMES_PX)),
        "output_highest": maximum_filter(output, (0, EXTREMES_PX, EXTREMES_PX)),
        "source_near": _mean(source, NEAR_PX),
        "source_wide": _mean(source, WIDE_PX),
        "output_wide": _mean(output, WIDE_PX),
        **_position(output),
    }
    if places.spread is not None:
        inputs["spread"] = _smooth(places.spread / np.float32(2))
    if places.cycle is not None:
        inputs["cycle"] = _smooth(places.cycle)
    return inputs


def to_share(slices: Slices) -> Slices:
    """From [-1, 1] to [0, 1]."""
    return (slices + np.float32(1)) / np.float32(2)


def _position(images: Slices) -> dict[TrustInput, Slices]:
    height, width = images.shape[1:]
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    columns = np.abs(np.linspace(-1, 1, width, dtype=np.float32))
    return {"row": np.broadcast_to(rows, images.shape), "column": np.broadcast_to(columns, images.shape)}


def _contrast(images: Slices) -> Slices:
    mean, square = _mean(images, CONTRAST_PX), _mean(images * images, CONTRAST_PX)
    return np.sqrt(np.maximum(square - mean * mean, 0))


def _mean(images: Slices, side: int) -> Slices:
    return np.asarray(uniform_filter(images, (0, side, side), mode="nearest"), dtype=np.float32)


def _smooth(maps: Slices) -> Slices:
    return np.asarray(gaussian_filter(maps, (0, SMOOTHED_PX, SMOOTHED_PX), mode="nearest"), dtype=np.float32)
