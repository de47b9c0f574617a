"""A bundle and its held-out cases in, the quality rows of its card out: by the rules of every other comparison."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from MedTranslateLib.bundles.parts import MetricRow
from MedTranslateLib.evaluation.aggregate import Arrangement, Summary, summarise
from MedTranslateLib.evaluation.baselines import IntensityRegression
from MedTranslateLib.evaluation.competitors import BASELINES, Competitor
from MedTranslateLib.evaluation.measurement import Measurement
from MedTranslateLib.evaluation.pairs import Pair, pair_of
from MedTranslateLib.evaluation.preparation import unit_pairs
from MedTranslateLib.evaluation.score_case import Judge, score_case
from MedTranslateLib.evaluation.translators import Baseline, Network, Translator
from MedTranslateLib.inference.weights import LoadedBundle
from MedTranslateLib.methods.contract import Direction
from MedTranslateLib.training.cases import TrainingCase

DEFINITION = (
    "Images in 0..1, data range 1, on the bundle's slice grid; SSIM of scikit-image with a Gaussian window of sigma "
    "1.5, whole slice; mean over the slices of a patient, then over patients. Body: inside the head's filled outline. "
    "Histogram matching is given the true target's histogram. Intensity regression is fitted on the training patients."
)
THIS_BUNDLE = "this bundle"
CARD_METRICS = ("ssim", "psnr_db", "mae", "ssim_body", "psnr_body_db", "mae_body")
OnCase = Callable[[int, int], None]


def card_summaries(
    bundle: LoadedBundle, cases: Sequence[TrainingCase], training: Sequence[TrainingCase], on_case: OnCase
) -> list[Summary]:
    """Scores a bundle and the baselines on paired cases, in each direction it has.

    Args:
        bundle: The bundle to judge.
        cases: Held-out cases on the bundle's grid, in [-1, 1].
        training: The bundle's training cases, which the intensity regression is fitted on; without pairs there is none.
        on_case: Called as `on_case(done, total)`.
    """
    pairs = [case for case in cases if case.paired]
    regressions = {way: IntensityRegression.fit(unit_pairs(training, way)) for way in _learnt(bundle, training)}
    measured: list[Measurement] = []
    for number, case in enumerate(pairs):
        measured += _measured(bundle, case, number, regressions)
        on_case(number + 1, len(pairs))
    return summarise(measured, Arrangement(methods=(THIS_BUNDLE, *BASELINES)))


def metric_rows(summaries: Sequence[Summary], test_set: str) -> tuple[MetricRow, ...]:
    """The rows of a bundle's card; a figure that is not defined, without a body say, is left out."""
    rows: dict[tuple[str, str], dict[str, Summary]] = {}
    for one in summaries:
        rows.setdefault((one.direction, one.method), {})[one.metric] = one
    return tuple(
        MetricRow(
            direction="forward" if direction == Direction.FORWARD.value else "reverse",
            set=test_set,
            label=method,
            cases=figures["ssim"].n,
            baseline=method != THIS_BUNDLE,
            **{name: round(figures[name].mean, 4) for name in CARD_METRICS if not math.isnan(figures[name].mean)},
        )
        for (direction, method), figures in rows.items()
    )


def _measured(
    bundle: LoadedBundle, case: TrainingCase, number: int, regressions: Mapping[Direction, IntensityRegression]
) -> Iterator[Measurement]:
    network = Network(bundle, Competitor(THIS_BUNDLE), 1000 * number)
    named: dict[str, Translator] = {THIS_BUNDLE: network}
    named |= {title: Baseline(title, regressions, network.ways) for title in BASELINES[:2]}
    if regressions:
        named[BASELINES[2]] = Baseline(BASELINES[2], regressions, network.ways)
    for way in network.ways:
        pair: Pair = pair_of(case, way)
        for method, translator in named.items():
            whole = score_case(translator.translate(pair, way).images, pair, Judge({})).whole
            for name in CARD_METRICS:
                yield Measurement("", case.name, way.value, method, name, whole[name])


def _learnt(bundle: LoadedBundle, training: Sequence[TrainingCase]) -> tuple[Direction, ...]:
    if not any(case.paired for case in training):
        return ()
    return tuple(Direction) if bundle.manifest.reversible else (Direction.FORWARD,)
