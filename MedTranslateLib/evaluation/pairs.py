"""A case and a direction in, the slices to translate and the slices they are judged by out, in 0..1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.methods.contract import Direction
from MedTranslateLib.metrics.body import body_mask
from MedTranslateLib.training.cases import Slices, TrainingCase


@dataclass(frozen=True)
class Pair:
    """Slices of one case.

    Args:
        source: What is translated, (N, H, W) in 0..1.
        target: The true target, (N, H, W) in 0..1.
        indices: Number of each slice in the case.
        bodies: (N, H, W), True inside the patient.
        slice_spacing_mm: Distance of neighbouring slices among these; None where it is not known.
        tissues: (N, H, W), number of the true tissue of each pixel; None where it is not known.
    """

    source: Slices
    target: Slices
    indices: tuple[int, ...]
    bodies: npt.NDArray[np.bool_]
    slice_spacing_mm: float | None
    tissues: npt.NDArray[np.intp] | None = None


def pair_of(case: TrainingCase, direction: Direction, every: int = 1) -> Pair:
    """Every so many-th slice of a case, without those whose target is blank: nothing can be compared there.

    Raises:
        ConfigError: If the case has no partner, or all its targets are blank.
    """
    if case.source is None or case.target is None or not case.paired:
        missing = "source" if case.source is None else "target" if case.target is None else "pairing"
        msg = f"The case has no {missing}; a comparison needs source and target of the same anatomy. Add or exclude it."
        raise ConfigError(msg)
    source, target = (case.source, case.target) if direction is Direction.FORWARD else (case.target, case.source)
    kept = [n for n in range(0, len(target), every) if np.ptp(target[n]) > 0]
    if not kept:
        msg = f"All {len(target)} slices of the {direction.value} target are blank; there is nothing to compare with."
        raise ConfigError(msg)
    unit = to_unit(source[kept]), to_unit(target[kept])
    bodies = np.stack([body_mask(one, other) for one, other in zip(*unit, strict=True)])
    spacing = None if case.slice_spacing_mm is None else every * case.slice_spacing_mm
    return Pair(unit[0], unit[1], tuple(kept), bodies, spacing)


def to_unit(slices: Slices) -> Slices:
    """From [-1, 1] to [0, 1]."""
    return np.asarray((slices + 1) / 2, dtype=np.float32)


def from_unit(slices: Slices) -> Slices:
    """From [0, 1] to [-1, 1]."""
    return np.asarray(2 * slices - 1, dtype=np.float32)
