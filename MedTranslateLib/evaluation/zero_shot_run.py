"""A `[[zero_shot]]` table of an evaluation file in, its figures out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.evaluation.config import ZeroShotComparison
from MedTranslateLib.evaluation.protocols import Figures, Site, layout_of, open_bundle
from MedTranslateLib.evaluation.tissues import TissueClassifier, load_tissues
from MedTranslateLib.evaluation.zero_shot import (
    Judge,
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
    layout = layout_of(bundle)
    cases = _thinned(load_cases(plan.cases, layout, site.data_root), plan.every)
    training = load_cases(plan.training, layout, site.data_root)
    targets = np.concatenate([case.target for case in training if case.target is not None])
    judge = _judge(plan, targets, layout, site)
    some = targets[:: max(1, len(targets) // SLICES_OF_TRAINING)]
    named = ways_to_translate(bundle, plan.starts, some, plan.steps or bundle.method.default_steps, plan.samples)
    rows = []
    for number, case in enumerate(cases):
        for scored in score_zero_shot(case, named, judge, number):
            rows.append(scored)
            site.on_progress("zero-shot", len(rows), len(cases) * len(named))
    table = summarise_zero_shot(rows)
    title = f"Zero-shot with {plan.bundle} on {plan.cases[0].folder}, {plan.cases[0].source} -> {plan.cases[0].target}"
    return Figures(title, [*table, {"label": "margin", **margins(table)}], zero_shot_text(table))


def _thinned(cases: Sequence[TrainingCase], every: int) -> list[TrainingCase]:
    thinned = [
        replace(case, source=case.source[::every], target=case.target[::every])
        for case in cases
        if case.source is not None and case.target is not None and case.paired
    ]
    if not thinned:
        msg = "[[zero_shot]] needs cases with source and target of the same anatomy; there are none."
        raise ConfigError(msg)
    return thinned


def _judge(plan: ZeroShotComparison, targets: Slices, layout: CaseLayout, site: Site) -> Judge:
    clusters = IntensityClusters.fit((targets + 1) / 2, plan.clusters)
    if plan.tissues is None:
        return Judge(clusters)
    training, held_out = (
        [case for entry in entries for case in load_tissues(entry, plan.tissues, layout, site.data_root)]
        for entries in (plan.training, plan.cases)
    )
    classifier = TissueClassifier.fit(clusters, training, len(plan.tissues.groups))
    return Judge(clusters, classifier, {case.name: case.labels[:: plan.every] for case in held_out})
