"""A bundle and paired cases in, a row of scores for each case, direction and competitor out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, replace

import numpy as np
import numpy.typing as npt

from MedTranslateLib.evaluation.baselines import IntensityRegression, histogram_matched, source_as_it_is
from MedTranslateLib.inference.slicewise import SliceRun, translate_slices
from MedTranslateLib.inference.weights import LoadedBundle
from MedTranslateLib.methods.contract import Direction
from MedTranslateLib.metrics.body import body_mask
from MedTranslateLib.metrics.intensity import SliceScore, score_slice
from MedTranslateLib.training.cases import TrainingCase

Slices = npt.NDArray[np.float32]
BASELINES = ("source as it is", "histogram matching", "intensity regression")
DEFINITION = (
    "Images in 0..1, data range 1, on the bundle's slice grid; SSIM of scikit-image with a Gaussian window of sigma "
    "1.5, whole slice; mean over the slices of a patient, then over patients. Body: inside the head's filled outline. "
    "Histogram matching is given the true target's histogram. Intensity regression is fitted on the training patients."
)
OnCase = Callable[[int, int], None]


@dataclass(frozen=True)
class CaseScore:
    """Mean over the slices of one patient.

    Args:
        case: Name of the patient.
        direction: `forward` or `reverse`.
        label: What made the output: a bundle or a baseline.
        slices: Number of slices.
        score: Their mean score.
        cycle_mae: Mean absolute difference of source and A -> B -> A; NaN for a baseline and where there is no way
            back.
    """

    case: str
    direction: str
    label: str
    slices: int
    score: SliceScore
    cycle_mae: float


def evaluate_pairs(
    bundle: LoadedBundle, cases: list[TrainingCase], training: list[TrainingCase], on_case: OnCase
) -> list[CaseScore]:
    """Scores a bundle and the baselines on paired cases, in each direction it has.

    Args:
        bundle: The bundle to judge.
        cases: Held-out cases on the bundle's grid, in [-1, 1].
        training: The bundle's training cases, which the intensity regression is fitted on; without pairs there is none.
        on_case: Called as `on_case(done, total)`.
    """
    rows: list[CaseScore] = []
    pairs = [case for case in cases if case.paired]
    steps = bundle.method.default_steps
    ways = tuple(Direction) if bundle.manifest.reversible else (Direction.FORWARD,)
    learnt = any(case.paired for case in training)
    regression = {way: IntensityRegression.fit(_unit_pairs(training, way)) if learnt else None for way in ways}
    for number, case in enumerate(pairs):
        for way in ways:
            # one seed a patient: a draw that all of them share would be a matter of luck
            rows += _score_case(bundle, case, SliceRun(way, steps, 1, number, case.slice_spacing_mm), regression[way])
        on_case(number + 1, len(pairs))
    return rows


def _score_case(
    bundle: LoadedBundle, case: TrainingCase, run: SliceRun, regression: IntensityRegression | None
) -> Iterator[CaseScore]:
    source, target = _ordered(case, run.direction)
    unit_source, unit_target = to_unit(source), to_unit(target)
    kept = [n for n in range(len(target)) if np.ptp(unit_target[n]) > 0]
    bodies = [body_mask(unit_source[n], unit_target[n]) for n in kept]
    made = _translated(bundle, source, run)
    outputs: dict[str, Slices] = {
        bundle.manifest.name: to_unit(made),
        BASELINES[0]: source_as_it_is(unit_source, unit_target),
        BASELINES[1]: histogram_matched(unit_source, unit_target),
    }
    if regression is not None:
        outputs[BASELINES[2]] = regression(unit_source, unit_target)
    cycle_mae = _cycle_mae(bundle, unit_source, made, run)
    for label, output in outputs.items():
        scores = [score_slice(output[n], unit_target[n], body) for n, body in zip(kept, bodies, strict=True)]
        mean = SliceScore(*np.mean([astuple(score) for score in scores], axis=0).tolist())
        cycle = cycle_mae if label == bundle.manifest.name else float("nan")
        yield CaseScore(case.name, run.direction.value, label, len(kept), mean, cycle)


def _cycle_mae(bundle: LoadedBundle, unit_source: Slices, made: Slices, run: SliceRun) -> float:
    if not bundle.manifest.reversible:
        return float("nan")
    home = Direction.REVERSE if run.direction is Direction.FORWARD else Direction.FORWARD
    back = _translated(bundle, made, replace(run, direction=home))
    return float(np.abs(to_unit(back) - unit_source).mean())


def _translated(bundle: LoadedBundle, slices: Slices, run: SliceRun) -> Slices:
    return translate_slices(slices, bundle, run, lambda _done, _total: None).mean


def _unit_pairs(cases: list[TrainingCase], way: Direction) -> Iterator[tuple[Slices, Slices]]:
    for case in cases:
        if case.paired:
            source, target = _ordered(case, way)
            yield to_unit(source), to_unit(target)


def _ordered(case: TrainingCase, way: Direction) -> tuple[Slices, Slices]:
    source, target = case.source, case.target
    if source is None or target is None:
        msg = f"Case {case.name} is marked as paired but lacks one side."
        raise ValueError(msg)
    return (source, target) if way is Direction.FORWARD else (target, source)


def to_unit(slices: Slices) -> Slices:
    """From [-1, 1] to [0, 1]."""
    return np.asarray((slices + 1) / 2, dtype=np.float32)
