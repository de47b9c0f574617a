"""A patient whose target is known in, a few slices of it translated as a run would, with what is known of them, out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from MedTranslateLib.core.correspondence import Correspondence, Origin
from MedTranslateLib.core.trust import TrustPart
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.inference.correspond import correspondence_from_velocity
from MedTranslateLib.inference.cycle import translate_back
from MedTranslateLib.inference.slicewise import SliceRun, SliceRunResult, translate_slices
from MedTranslateLib.inference.weights import LoadedBundle
from MedTranslateLib.methods.contract import Direction
from MedTranslateLib.metrics.body import body_mask
from MedTranslateLib.training.cases import Slices, TrainingCase
from MedTranslateLib.trust.inputs import OutputSlices, to_share
from MedTranslateLib.trust.parts import carried_to_output, cycle_map, folding_map, round_trip_map


@dataclass(frozen=True)
class Drawing:
    """How slices are translated.

    Args:
        direction: Which way.
        steps: Steps of the method.
        samples: Number of translations drawn of each slice.
        seed: Of the first.
        slices: Slices of a patient, at equal distances; all where there are fewer.
    """

    direction: Direction
    steps: int
    samples: int
    seed: int = 0
    slices: int = 3


@dataclass(frozen=True)
class JudgedSlices:
    """Slices of an output whose truth is known.

    Args:
        places: Source, output, and what is known of it without the truth; no distances of intensities, which the stored
            slices are clipped to.
        error: True absolute errors, (N, H, W) as a share of the target's range.
        bodies: (N, H, W), True inside the patient, see `metrics.body`.
        shown: The same, as the source alone shows the patient.
    """

    places: OutputSlices
    error: Slices
    bodies: npt.NDArray[np.bool_]
    shown: npt.NDArray[np.bool_]


def judged_slices(bundle: LoadedBundle, case: TrainingCase, drawing: Drawing) -> JudgedSlices | None:
    """Translates a few slices of a patient and compares them with the truth.

    Args:
        bundle: The network.
        case: The patient.
        drawing: How.

    Returns:
        None where the case has no pair of slices that both show something.
    """
    if case.source is None or case.target is None or not case.paired:
        return None
    forward = drawing.direction is Direction.FORWARD
    source, target = (case.source, case.target) if forward else (case.target, case.source)
    both = [n for n in range(len(source)) if np.ptp(source[n]) > 0 and np.ptp(target[n]) > 0]
    some = [both[n] for n in at_equal_distances(len(both), drawing.slices)]
    if not some:
        return None
    places = _translated(bundle, source[some], drawing)
    pairs = list(zip(to_share(source[some]), to_share(target[some]), strict=True))
    bodies = np.stack([body_mask(one, other) for one, other in pairs])
    shown = np.stack([body_mask(one, one) for one, _ in pairs])
    return JudgedSlices(places, np.abs(places.output - target[some]) / np.float32(2), bodies, shown)


def at_equal_distances(count: int, number: int) -> list[int]:
    """`number` places among `count`, the middles of equal parts; all where there are fewer.

    Args:
        count: How many there are.
        number: How many are wanted.
    """
    kept = min(count, number)
    return [int((n + 0.5) * count / kept) for n in range(kept)]


def _translated(bundle: LoadedBundle, source: Slices, drawing: Drawing) -> OutputSlices:
    """The slices lie apart, so each is a picture of its own: no neighbours, no volume."""
    run = SliceRun(drawing.direction, drawing.steps, drawing.samples, drawing.seed)
    made = translate_slices(source, bundle, run, _ignore)
    back = translate_back(made.mean, bundle, run, _ignore)
    cycle = None if back is None else cycle_map(source, back)
    places = OutputSlices(source, made.mean, made.deviation, cycle)
    return places if made.velocity is None else _seen_from_output(places, made)


def _seen_from_output(places: OutputSlices, made: SliceRunResult) -> OutputSlices:
    slices = [_one_seen(places.one(n), fields) for n, fields in enumerate(_fields(made))]
    cycles = [one.cycle for one in slices if one.cycle is not None]
    return replace(
        places,
        source=np.concatenate([one.source for one in slices]),
        cycle=np.concatenate(cycles) if cycles else None,
        parts={part: np.concatenate([one.parts[part] for one in slices]) for part in slices[0].parts},
    )


def _one_seen(places: OutputSlices, fields: Correspondence) -> OutputSlices:
    """The grid has pixels of 1 mm, so that lengths in mm are lengths in pixels."""
    grid = fields.forward.geometry
    found = {TrustPart.ROUND_TRIP: round_trip_map(fields, grid), TrustPart.FOLDING: folding_map(fields, grid)}
    return replace(
        places,
        source=carried_to_output(places.source, fields, grid),
        cycle=None if places.cycle is None else carried_to_output(places.cycle, fields, grid),
        parts={part: array for part, array in found.items() if array is not None},
    )


def _fields(made: SliceRunResult) -> Iterator[Correspondence]:
    height, width = made.mean.shape[1:]
    pixels = Geometry((width, height, 1), np.eye(4))
    for velocity in () if made.velocity is None else made.velocity:
        yield correspondence_from_velocity(torch.from_numpy(velocity[None]), pixels, Origin.MODEL)


def _ignore(_done: int, _total: int) -> None:
    """Progress is told by patients."""
