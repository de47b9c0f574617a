"""What is known about each place of an output in, its expected error and its trust out.

Where the bundle has a calibration, the expected error comes from it and trust is a rank among the places of the
patients it was fitted on. Where it has none, the places of the one output are ranked among themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates

from MedTranslateLib.bundles.trust_statistics import TrustCalibration, TrustInput, TrustTable
from MedTranslateLib.core.trust import TrustPart
from MedTranslateLib.trust.inputs import OutputSlices, Slices, inputs_of

LIMITS = {TrustPart.INTENSITY: (0.0, 0.5), TrustPart.FOLDING: (0.8, 1.0), TrustPart.ROUND_TRIP: (0.25, 1.0)}
"""Where a place begins to be trusted less, and where not at all, for what training patients hardly show, so that no
calibration can know: share of the range, nearness to a fold (0.8 is det J = 0.2), round trip in pixels."""
LOOKED_AT = 200_000
"""Places of an output from which its own ranks are made, where there is no calibration."""
DOUBTS: tuple[TrustInput, ...] = ("spread", "cycle", "output_contrast", "source_contrast")
"""Inputs of which more means more doubt, whatever the bundle."""


def expected_error(places: OutputSlices, calibration: TrustCalibration) -> Slices:
    """Expected absolute error of each place, (N, H, W), as a share of the target's range.

    Args:
        places: The output; taken slice by slice, so that the memory does not grow with their number.
        calibration: That of the bundle; its inputs must be there.
    """
    result = np.empty_like(places.output)
    for n in range(len(result)):
        some = places.one(n)
        expected = calibrated_error(inputs_of(some), calibration)
        result[n] = lifted(expected, unseen_share(some), calibration.quantiles[-1])[0]
    return result


def calibrated_error(inputs: Mapping[TrustInput, Slices], calibration: TrustCalibration) -> Slices:
    """What the calibration alone expects.

    Args:
        inputs: Values of any shape, see `trust.inputs`.
        calibration: That of the bundle.
    """
    some = next(iter(inputs.values()))
    total = np.full(some.shape, calibration.level, dtype=np.float32)
    for table in calibration.tables:
        total += _from_table(table, inputs)
    for curve in calibration.curves:
        total += np.interp(inputs[curve.input], curve.knots, curve.values).astype(np.float32)
    return np.exp(total, out=total)


def trust_of(expected: Slices, calibration: TrustCalibration) -> Slices:
    """The share of the calibration's places, inside of bodies, whose expected error was larger.

    Args:
        expected: Expected errors as a share of the target's range, any shape.
        calibration: That of the bundle.
    """
    quantiles = np.asarray(calibration.quantiles)
    return np.interp(expected, quantiles, np.linspace(1, 0, len(quantiles))).astype(np.float32)


def rank_of_own(places: OutputSlices) -> Slices:
    """For bundles without a calibration: how the places of one output rank among each other, (N, H, W).

    Each of `DOUBTS` that there is, is ranked by itself; the mean of these ranks is ranked again. Nothing says how large
    an error goes with a rank.

    Args:
        places: The output.

    Returns:
        The share of the output's places inside the body whose doubts are greater: 0 to 1, 1 where there are least.
    """
    known = _own_ranks(places)
    result = np.empty_like(places.output)
    for n in range(len(result)):
        some = places.one(n)
        doubt = _rank(_mean_rank(inputs_of(some), known.inputs), known.doubts)
        result[n] = 1 - lifted(doubt, unseen_share(some), 1.0)[0]
    return result


def unseen_share(places: OutputSlices) -> Slices:
    """0 to 1: how far a place is beyond what training patients show, the worst of `LIMITS`."""
    worst = np.zeros_like(places.output)
    for part, array in places.parts.items():
        begins, ends = LIMITS[part]
        np.maximum(worst, np.clip((array - np.float32(begins)) / np.float32(ends - begins), 0, 1), out=worst)
    return worst


def lifted(expected: Slices, unseen: Slices, worst: float) -> Slices:
    """An expected error, moved towards the worst by the share of what is unseen; never lowered."""
    return expected + unseen * np.maximum(np.float32(worst) - expected, 0)


def _from_table(table: TrustTable, inputs: Mapping[TrustInput, Slices]) -> Slices:
    """Bilinear between the table's values, its border beyond them."""
    knots = (table.rows, table.columns)
    places = [
        np.interp(inputs[name], values, np.arange(len(values)))
        for name, values in zip(table.inputs, knots, strict=True)
    ]
    return np.asarray(map_coordinates(np.asarray(table.values), places, order=1, mode="nearest"), dtype=np.float32)


@dataclass(frozen=True)
class _OwnRanks:
    """Sorted values at places of an output: of each input, and of the mean of their ranks."""

    inputs: Mapping[TrustInput, Slices]
    doubts: Slices


def _own_ranks(places: OutputSlices) -> _OwnRanks:
    drawn: dict[TrustInput, list[Slices]] = {}
    edge = float(places.source.mean() + 1) / 4  # half the mean brightness
    for some in _few_slices(places):
        inputs = inputs_of(some)
        inside = inputs["source_near"] > edge
        for name in DOUBTS:
            if name in inputs:
                drawn.setdefault(name, []).append(inputs[name][inside])
    values = {name: np.concatenate(parts) for name, parts in drawn.items()}
    ranked = {name: np.sort(array) for name, array in values.items()}
    return _OwnRanks(ranked, np.sort(_mean_rank(values, ranked)))


def _few_slices(places: OutputSlices) -> Iterator[OutputSlices]:
    """Slices at equal distances, with about `LOOKED_AT` places together."""
    count, size = len(places.output), places.output[0].size
    step = max(1, count * size // LOOKED_AT)
    return (places.one(n) for n in range(min(step, count) // 2, count, step))


def _mean_rank(values: Mapping[TrustInput, Slices], ranked: Mapping[TrustInput, Slices]) -> Slices:
    total = np.zeros(values[DOUBTS[-1]].shape, dtype=np.float32)
    for name, known in ranked.items():
        total += _rank(values[name], known)
    return total / np.float32(len(ranked))


def _rank(values: Slices, known: Slices) -> Slices:
    """The share of sorted `known` values below each value."""
    return (np.searchsorted(known, values) / max(len(known), 1)).astype(np.float32)
