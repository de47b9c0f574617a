"""A table of an evaluation file that cannot be cut into cases in, what it measured out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.evaluation.adaptation import figures_of, score_adaptation, translators
from MedTranslateLib.evaluation.competitors import bundle_folder, layout_of
from MedTranslateLib.evaluation.config import Adaptation, FieldCheck, LabelledData, RecoveryCheck
from MedTranslateLib.evaluation.field_trust import score_fields
from MedTranslateLib.evaluation.known_deformation import deformed_cases, score_recovery, target_cases
from MedTranslateLib.evaluation.ledger_check import score_ledger
from MedTranslateLib.evaluation.ledger_config import LedgerCheck
from MedTranslateLib.evaluation.measurement import Findings, Measurement
from MedTranslateLib.evaluation.trust_check import score_trust
from MedTranslateLib.evaluation.trust_config import TrustCheck
from MedTranslateLib.imaging.scale import IntensityScale
from MedTranslateLib.inference.correspond import displacements_of
from MedTranslateLib.inference.devices import choose_device
from MedTranslateLib.inference.slicewise import velocity_of
from MedTranslateLib.inference.weights import LoadedBundle, load_bundle
from MedTranslateLib.methods.contract import Direction
from MedTranslateLib.metrics.averages import average
from MedTranslateLib.metrics.structure import boundary_distance_px, score_overlap
from MedTranslateLib.training.cases import load_cases
from MedTranslateLib.training.config import CaseLayout, read_config
from MedTranslateLib.training.labelled import LabelledCase, LabelledEntry, load_labelled
from MedTranslateLib.training.loop import TrainingRun, fit
from MedTranslateLib.training.segmentation import Segmenter, train_segmenter

OWN_DOMAIN = "segmenter in its own domain"


@dataclass(frozen=True)
class Site:
    """Where an evaluation runs.

    Args:
        data_root: What data folders are relative to.
        config_folder: What training files are relative to.
        work_folder: Where checkpoints of a training go.
        device: Name of the device.
    """

    data_root: Path
    config_folder: Path
    work_folder: Path
    device: str


def open_bundle(name: str, site: Site) -> LoadedBundle:
    """The bundle in a folder beside the evaluation file, or an installed one, or that in a folder; ready to run."""
    return load_bundle(bundle_folder(name, site.config_folder), choose_device(site.device))


def adapt(plan: Adaptation, site: Site) -> Findings:
    """Adaptation segmentation, see `evaluation.adaptation`; figures of each patient.

    Raises:
        ConfigError: If the bundles do not share grid and scales.
    """
    bundles = {name: open_bundle(name, site) for name in plan.bundles}
    layout = layout_of(next(iter(bundles.values())).manifest)
    if any(layout_of(bundle.manifest) != layout for bundle in bundles.values()):
        msg = f"[[adapt]] compares bundles on one slice grid and intensity scale; {', '.join(plan.bundles)} differ."
        raise ConfigError(msg)
    title = f"Adaptation segmentation on {plan.cases.images.folder}"
    target = _labelled(plan.target, layout, layout.target, site)
    tests = set(sorted({case.name for case in target})[:: plan.held_out])
    training = [case for case in target if case.name not in tests]
    segment = train_segmenter(training, plan.segmenter, choose_device(site.device), lambda _done, _total: None)
    slices = np.concatenate([case.images for case in training])
    named = translators(bundles, slices, plan.segmenter.seed, plan.steps or None)
    scores = list(score_adaptation(_labelled(plan.cases, layout, layout.source, site), named, segment))
    own = [_in_own_domain(case, segment) for case in target if case.name in tests]
    rows = [(case, OWN_DOMAIN, figures) for case, figures in own]
    rows += [(score.case, score.label, figures_of(score)) for score in scores]
    return Findings(tuple(_measurements(title, rows)))


def check_fields(plan: FieldCheck, site: Site) -> Findings:
    """Trust in the fields of a bundle, see `evaluation.field_trust`; figures of all slices together."""
    bundle = open_bundle(plan.bundle, site)
    trust = score_fields(bundle, load_cases(plan.cases, layout_of(bundle.manifest), site.data_root))
    title = f"Fields of {plan.bundle} on {plan.cases[0].folder}"
    return Findings(tuple(_measurements(title, [("", bundle.manifest.name, asdict(trust))])))


def recover(plan: RecoveryCheck, site: Site) -> Findings:
    """Trains on two domains with a known deformation and compares, see `evaluation.known_deformation`."""
    config = read_config(site.config_folder / plan.training)
    rng = np.random.default_rng(plan.seed)
    heads = load_cases(config.data, config.layout, site.data_root)
    held_out = load_cases(config.validation, config.layout, site.data_root)
    sources = [case.case for case in deformed_cases(heads, plan.known, rng)]
    tests = list(deformed_cases(held_out, plan.known, rng))
    # another deformation is another training: its checkpoint must not be mistaken for this one's
    mark = hashlib.sha256(repr((plan.known, plan.seed)).encode()).hexdigest()[:8]
    folder = site.work_folder / f"{config.name}-{mark}"
    run = TrainingRun(config, folder, site.data_root, choose_device(site.device), resume=True)
    method = fit(run, sources + list(target_cases(heads)), [], lambda _done, _total, _loss: None)
    moves = [
        displacements_of(velocity_of(method, test.case.source))[0, 0] for test in tests if test.case.source is not None
    ]
    result = score_recovery(tests, [move.astype(np.float64) for move in moves], plan.known, config.grid.spacing_mm)
    title = f"Known deformation, {result.cases} held-out heads"
    figures = {**asdict(result), "reached": float(result.reached), "known_error_mm": result.error_px * result.pixel_mm}
    return Findings(tuple(_measurements(title, [("", config.name, figures)])))


def check_ledger(plan: LedgerCheck, site: Site) -> Findings:
    """Whether the ledger lists lesions and what was put into one side, see `evaluation.ledger_check`."""
    bundle = open_bundle(plan.bundle, site)
    titles = {
        "strength": f"Lesions that the ledger of {plan.bundle} lists, by strength",
        "lesion": f"Each lesion, {plan.bundle}",
        "ball": f"Balls put into one side, {plan.bundle}",
    }
    found = [
        Measurement(titles[row.table], "", row.direction.value, row.name, metric, float(value))
        for row in score_ledger(plan, bundle, layout_of(bundle.manifest), site.data_root)
        for metric, value in row.figures.items()
    ]
    return Findings(tuple(found))


def check_trust(plan: TrustCheck, site: Site) -> Findings:
    """Whether the trust map of a bundle tells large errors from small ones, see `evaluation.trust_check`."""
    bundle = open_bundle(plan.bundle, site)
    of = f"{plan.bundle}, {plan.samples} sample{'s' if plan.samples > 1 else ''}"
    found = []
    for row in score_trust(plan, bundle, layout_of(bundle.manifest), site.data_root):
        title = "Trust by tenths" if row.of_tenth else "Trust, each patient" if row.case else "Trust, all patients"
        for metric, value in row.figures.items():
            found.append(Measurement(f"{title}: {of}", row.case, row.direction.value, row.name, metric, value))
    return Findings(tuple(found))


PROTOCOLS: dict[str, Callable[[Any, Site], Findings]] = {
    "adapt": adapt,
    "fields": check_fields,
    "recover": recover,
    "ledger": check_ledger,
    "trust": check_trust,
}


def _measurements(title: str, rows: Iterable[tuple[str, str, Mapping[str, float]]]) -> Iterable[Measurement]:
    """Case, method and figures of each row; a case without a name is the whole set."""
    for case, method, figures in rows:
        for name, value in figures.items():
            yield Measurement(title, case, Direction.FORWARD.value, method, name, float(value))


def _in_own_domain(case: LabelledCase, segment: Segmenter) -> tuple[str, dict[str, float]]:
    """What the segmenter does with a patient of its domain that it never saw: the ceiling of every translation."""
    found = segment(case.images)
    overlap = asdict(score_overlap(found, case.masks))
    boundary = average(boundary_distance_px(one, other) for one, other in zip(found, case.masks, strict=True))
    return case.name, {**{name: overlap[name] for name in ("accuracy", "dice", "miou")}, "boundary_px": boundary}


def _labelled(data: LabelledData, layout: CaseLayout, scale: IntensityScale, site: Site) -> list[LabelledCase]:
    return load_labelled(LabelledEntry(data.images, data.label, scale), layout.grid, site.data_root)
