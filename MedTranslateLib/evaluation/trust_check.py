"""A bundle with a calibrated trust map and validation patients in, what the map is worth on them out.

Each map ranks the same places from the least to the most believed; they are cut into tenths, and the mean true error of
a tenth says whether the ranks mean anything. Nothing is fitted here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from MedTranslateLib.bundles.trust_statistics import TrustCalibration, TrustStatistics, trust_statistics_of
from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.core.trust import TENTHS, TrustPart
from MedTranslateLib.evaluation.trust_config import TrustCheck
from MedTranslateLib.inference.weights import LoadedBundle
from MedTranslateLib.methods.contract import Direction
from MedTranslateLib.training.cases import TrainingCase, load_cases
from MedTranslateLib.training.config import CaseLayout
from MedTranslateLib.training.trust_cases import Drawing, JudgedSlices, judged_slices
from MedTranslateLib.trust.combine import expected_error
from MedTranslateLib.trust.inputs import inputs_of

Values = npt.NDArray[np.floating[Any]]
COMBINED = "combined"
SINGLE: dict[str, str] = {
    "spread": "sampling deviation alone",
    "cycle": "A to B to A residual alone",
    "output_contrast": "contrast of the output alone",
}
"""Inputs that are also measured by themselves, each already smoothed as it is used."""
PARTS = {TrustPart.ROUND_TRIP: "round trip alone", TrustPart.FOLDING: "folding alone"}
ENOUGH_FOR_RANKS = 200_000
"""Places of which ranks are correlated; more add nothing but time."""


@dataclass(frozen=True)
class TrustRow:
    """Figures of one map.

    Args:
        direction: Which way was translated.
        case: A patient; empty for all places of all patients together.
        name: The map, or a tenth of the combined one.
        figures: See `evaluation.metric_names`.
        of_tenth: Whether the row is that of a tenth.
    """

    direction: Direction
    case: str
    name: str
    figures: Mapping[str, float]
    of_tenth: bool = False


@dataclass(frozen=True)
class _Measured:
    """Places of one patient: how much each map doubts them, their true error, which are in the body, which shown."""

    case: str
    doubts: Mapping[str, Values]
    error: Values
    inside: npt.NDArray[np.bool_]
    shown: npt.NDArray[np.bool_]


def score_trust(plan: TrustCheck, bundle: LoadedBundle, layout: CaseLayout, data_root: Path) -> Iterator[TrustRow]:
    """Rows of every direction that has a calibration: of all patients together, of each, and of the tenths.

    Args:
        plan: The table of the evaluation file.
        bundle: The network.
        layout: Its slice grid and scales.
        data_root: What the data folders are relative to.

    Raises:
        ConfigError: If the card has no calibration for this, or the cases no pairs.
    """
    cases = load_cases(plan.cases, layout, data_root)
    statistics = trust_statistics_of(bundle.manifest)
    ways = (Direction.FORWARD, Direction.REVERSE) if bundle.manifest.reversible else (Direction.FORWARD,)
    for way in ways:
        calibration = _calibration(plan, statistics, way)
        patients = list(_patients(plan, bundle, cases, calibration))
        if not patients:
            msg = f"[[trust]] of {plan.bundle}: no case has slices of both modalities."
            raise ConfigError(msg)
        yield from _rows(way, patients)


def tenth_means(doubt: Values, values: Values) -> Values:
    """Mean of `values` in each tenth of the places, from the most doubted to the least.

    Args:
        doubt: How much a map doubts each place; equal ones stay in their order.
        values: One a place.
    """
    order = np.argsort(-doubt, kind="stable")
    return np.array([part.mean() for part in np.array_split(values[order].astype(np.float64), TENTHS)])


def _calibration(plan: TrustCheck, statistics: TrustStatistics | None, way: Direction) -> TrustCalibration:
    steps = plan.steps or 1 << 30
    found = None if statistics is None else statistics.best_for(way.value, plan.samples, steps)
    if found is None:
        msg = (
            f"[[trust]]: the card of {plan.bundle} has no calibration {way.value} for {plan.samples} sample(s). Make "
            "one with `medtranslate statistics`."
        )
        raise ConfigError(msg)
    return found


def _patients(
    plan: TrustCheck, bundle: LoadedBundle, cases: Sequence[TrainingCase], calibration: TrustCalibration
) -> Iterator[_Measured]:
    way = Direction(calibration.direction)
    steps = plan.steps or calibration.steps
    for seed, case in enumerate(cases):
        judged = judged_slices(bundle, case, Drawing(way, steps, plan.samples, 1000 * seed, plan.slices))
        if judged is not None:
            doubts = {name: array.ravel() for name, array in _doubts(judged, calibration).items()}
            yield _Measured(case.name, doubts, judged.error.ravel(), judged.bodies.ravel(), judged.shown.ravel())


def _doubts(judged: JudgedSlices, calibration: TrustCalibration) -> dict[str, Values]:
    places, inputs = judged.places, inputs_of(judged.places)
    alone: dict[str, Values] = {title: array for name, array in inputs.items() if (title := SINGLE.get(name))}
    alone |= {title: places.parts[part] for part, title in PARTS.items() if part in places.parts}
    return {COMBINED: expected_error(places, calibration), **alone}


def _rows(way: Direction, patients: Sequence[_Measured]) -> Iterator[TrustRow]:
    everyone = _together(patients)
    for one in (everyone, *patients):
        for name, doubt in one.doubts.items():
            yield TrustRow(way, one.case, name, _figures(name, doubt, one))
    yield from _tenths(way, everyone)


def _together(patients: Sequence[_Measured]) -> _Measured:
    doubts = {name: np.concatenate([one.doubts[name] for one in patients]) for name in patients[0].doubts}
    error, inside, shown = (
        np.concatenate([getattr(one, name) for one in patients]) for name in ("error", "inside", "shown")
    )
    return _Measured("", doubts, error, inside, shown)


def _figures(name: str, doubt: Values, one: _Measured) -> dict[str, float]:
    body, error = doubt[one.inside], one.error[one.inside]
    tenths = tenth_means(body, error)
    every = max(1, len(body) // ENOUGH_FOR_RANKS)
    figures = {
        "trust_ratio": _share(tenths[0], tenths[-1]),
        "trust_ratio_shown": _share(*tenth_means(doubt[one.shown], one.error[one.shown])[[0, -1]]),
        "trust_ratio_slice": _share(*tenth_means(doubt, one.error)[[0, -1]]),
        "trust_rank": float(spearmanr(body[::every], error[::every]).statistic) if np.ptp(body) > 0 else float("nan"),
    }
    return {**figures, "trust_level": _share(body.mean(), error.mean())} if name == COMBINED else figures


def _tenths(way: Direction, everyone: _Measured) -> Iterator[TrustRow]:
    """The reliability of the expected error: what was expected and what was found, from the least trusted tenth on."""
    expected, error = everyone.doubts[COMBINED][everyone.inside], everyone.error[everyone.inside]
    columns = zip(tenth_means(expected, expected), tenth_means(expected, error), strict=True)
    for number, (mean, found) in enumerate(columns, start=1):
        figures = {"trust_expected": float(mean), "trust_found": float(found)}
        yield TrustRow(way, "", f"tenth {number}", figures, of_tenth=True)


def _share(one: float, other: float) -> float:
    return float(one / other) if other > 0 else float("nan")
