"""A `[[zero_shot]]` table of an evaluation file in, its figures out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.evaluation.config import ZeroShotComparison
from MedTranslateLib.evaluation.paired import to_unit
from MedTranslateLib.evaluation.protocols import Figures, Site, layout_of, open_bundle
from MedTranslateLib.evaluation.tissues import TissueClassifier, load_tissues
from MedTranslateLib.evaluation.zero_shot import (
    GUIDED,
    MAPS_ALONE,
    Judge,
    ZeroShotPair,
    margins,
    score_zero_shot,
    summarise_zero_shot,
    ways_to_translate,
    zero_shot_text,
)
from MedTranslateLib.metrics.clusters import IntensityClusters
from MedTranslateLib.training.cases import Slices, TrainingCase, load_cases
from MedTranslateLib.training.config import CaseLayout

SLICES_OF_TRAINING = 64
"""Training slices whose histogram stands for the target modality."""


def compare_zero_shot(plan: ZeroShotComparison, site: Site) -> Figures:
    """Every way to translate without having seen the source, on the same slices, seeds and steps.

    Raises:
        ConfigError: If the bundle did learn from its source, or no case has both sides.
    """
    bundle = open_bundle(plan.bundle, site)
    if not bundle.method.learns_from_target_alone or "guidance" not in bundle.method.options_of_use:
        msg = f"[[zero_shot]] leaves guidance out to compare; {plan.bundle} ({bundle.manifest.method}) has none."
        raise ConfigError(msg)
    steps = plan.steps or bundle.method.default_steps
    if steps not in bundle.method.supported_steps:
        msg = f"[[zero_shot]]: {steps} steps are not possible with {plan.bundle}."
        raise ConfigError(msg)
    layout = layout_of(bundle)
    pairs = _pairs(plan, layout, site)
    training = load_cases(plan.training, layout, site.data_root)
    targets = np.concatenate([case.target for case in training if case.target is not None])
    judge = _judge(plan, training, targets, layout, site)
    some = targets[:: max(1, len(targets) // SLICES_OF_TRAINING)]
    named = ways_to_translate(bundle, plan.starts, some, steps, plan.samples)
    rows = []
    for number, pair in enumerate(pairs):
        for scored in score_zero_shot(pair, named, judge, number):
            rows.append(scored)
            site.on_progress("zero-shot", len(rows), len(pairs) * len(named))
    table = summarise_zero_shot(rows)
    title = f"Zero-shot with {plan.bundle} on {plan.cases[0].folder}, {plan.cases[0].source} -> {plan.cases[0].target}"
    ahead = [{"label": f"margin of {label}", **margins(table, label)} for label in (GUIDED, MAPS_ALONE)]
    return Figures(title, [*table, *ahead], zero_shot_text(table))


def _pairs(plan: ZeroShotComparison, layout: CaseLayout, site: Site) -> list[ZeroShotPair]:
    """Every so many-th slice of the cases with both sides, without those whose target is blank."""
    pairs = []
    for entry in plan.cases:
        cases = load_cases((entry,), layout, site.data_root)
        truth = load_tissues(entry, plan.tissues, layout, site.data_root) if plan.tissues else [None] * len(cases)
        for case, tissues in zip(cases, truth, strict=True):
            if case.source is None or case.target is None or not case.paired:
                continue
            kept = [n for n in range(0, len(case.target), plan.every) if np.ptp(case.target[n]) > 0]
            if kept:
                pairs.append(
                    ZeroShotPair(case.source[kept], case.target[kept], None if tissues is None else tissues[kept])
                )
    if not pairs:
        msg = "[[zero_shot]] needs cases with source and target of the same anatomy; there are none."
        raise ConfigError(msg)
    return pairs


def _judge(
    plan: ZeroShotComparison, training: Sequence[TrainingCase], targets: Slices, layout: CaseLayout, site: Site
) -> Judge:
    clusters = IntensityClusters.fit(to_unit(targets), plan.clusters)
    if plan.tissues is None:
        return Judge(clusters)
    labels = [one for entry in plan.training for one in load_tissues(entry, plan.tissues, layout, site.data_root)]
    images = [to_unit(case.target) for case in training if case.target is not None]
    return Judge(clusters, TissueClassifier.fit(images, labels, len(plan.tissues.groups)))
