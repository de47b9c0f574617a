"""One table of an evaluation file in, its figures as rows and as text out."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from MedTranslateLib.bundles.store import default_store
from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.evaluation.adaptation import (
    adaptation_text,
    score_adaptation,
    summarise_adaptation,
    translators,
)
from MedTranslateLib.evaluation.config import Adaptation, FieldCheck, LabelledData, RecoveryCheck, ScheduleSweep
from MedTranslateLib.evaluation.field_trust import score_fields
from MedTranslateLib.evaluation.known_deformation import deformed_cases, score_recovery, target_cases
from MedTranslateLib.imaging.scale import IntensityScale
from MedTranslateLib.inference.correspond import displacements_of
from MedTranslateLib.inference.devices import choose_device
from MedTranslateLib.inference.pipeline import intensity_scale, slice_grid
from MedTranslateLib.inference.slicewise import SliceRun, translate_slices, velocity_of
from MedTranslateLib.inference.weights import LoadedBundle, load_bundle, with_options
from MedTranslateLib.methods.contract import Direction
from MedTranslateLib.metrics.intensity import score_slice
from MedTranslateLib.metrics.structure import boundary_distance_px, score_overlap
from MedTranslateLib.training.cases import TrainingCase, load_cases
from MedTranslateLib.training.config import CaseLayout, read_config
from MedTranslateLib.training.labelled import LabelledCase, LabelledEntry, load_labelled
from MedTranslateLib.training.loop import TrainingRun, fit
from MedTranslateLib.training.segmentation import train_segmenter

OnProgress = Callable[[str, int, int], None]
"""Called as `on_progress(what, done, total)`."""


@dataclass(frozen=True)
class Site:
    """Where an evaluation runs.

    Args:
        data_root: What data folders are relative to.
        config_folder: What training files are relative to.
        work_folder: Where checkpoints of a training go.
        device: Name of the device.
        on_progress: Told how far it is.
    """

    data_root: Path
    config_folder: Path
    work_folder: Path
    device: str
    on_progress: OnProgress


@dataclass(frozen=True)
class Figures:
    """What a protocol measured.

    Args:
        title: One line.
        rows: One table a row of figures.
        text: The same for the terminal.
    """

    title: str
    rows: list[dict[str, Any]]
    text: str


def open_bundle(name: str, site: Site) -> LoadedBundle:
    """The bundle in a folder beside the evaluation file, or an installed one, or that in a folder; ready to run."""
    beside = site.config_folder / name
    found = default_store().find(str(beside) if beside.is_dir() else name)
    return load_bundle(found.folder, choose_device(site.device))


def layout_of(bundle: LoadedBundle) -> CaseLayout:
    """Grid and scales of a bundle's cases."""
    manifest = bundle.manifest
    return CaseLayout(slice_grid(manifest), intensity_scale(manifest.source), intensity_scale(manifest.target))


def adapt(plan: Adaptation, site: Site) -> Figures:
    """Adaptation segmentation, see `evaluation.adaptation`."""
    bundles = {name: open_bundle(name, site) for name in plan.bundles}
    layout = layout_of(next(iter(bundles.values())))
    if any(layout_of(bundle) != layout for bundle in bundles.values()):
        msg = f"[[adapt]] compares bundles on one slice grid and intensity scale; {', '.join(plan.bundles)} differ."
        raise ConfigError(msg)
    target = _labelled(plan.target, layout, layout.target, site)
    patients = sorted({case.name for case in target})
    tests = set(patients[:: plan.held_out])
    segment = train_segmenter(
        [case for case in target if case.name not in tests],
        plan.segmenter,
        choose_device(site.device),
        lambda done, total: site.on_progress("segmenter", done, total),
    )
    held_out = [case for case in target if case.name in tests]
    found, truth = _all(segment(case.images) for case in held_out), _all(case.masks for case in held_out)
    own = score_overlap(found, truth)
    own_px = float(np.nanmean([boundary_distance_px(one, other) for one, other in zip(found, truth, strict=True)]))
    slices = _all(case.images for case in target if case.name not in tests)
    named = translators(bundles, slices, plan.segmenter.seed, plan.steps or None)
    cases = _labelled(plan.cases, layout, layout.source, site)
    scores = []
    for number, score in enumerate(score_adaptation(cases, named, segment)):
        scores.append(score)
        site.on_progress("adaptation", number + 1, len(cases) * len(named))
    rows = summarise_adaptation(scores)
    title = f"Adaptation segmentation on {plan.cases.images.folder}"
    text = (
        f"The segmenter in its own domain, {len(tests)} patients it never saw: Dice {own.dice:.3f} over all slices, "
        f"boundary {own_px:.2f} px\n"
    )
    ceiling = {"label": "segmenter in its own domain", "dice": own.dice, "boundary_px": own_px}
    return Figures(title, [ceiling, *rows], text + adaptation_text(rows))


def check_fields(plan: FieldCheck, site: Site) -> Figures:
    """Trust in the fields of a bundle, see `evaluation.field_trust`."""
    bundle = open_bundle(plan.bundle, site)
    trust = score_fields(bundle, load_cases(plan.cases, layout_of(bundle), site.data_root))
    table = {name: value for name, value in asdict(trust).items() if not np.isnan(value)}
    width = max(map(len, table))
    text = "".join(f"{name:<{width}}  {value:.5g}\n" for name, value in table.items())
    return Figures(f"Fields of {plan.bundle} on {plan.cases[0].folder}", [table], text)


def sweep_steps(plan: ScheduleSweep, site: Site) -> Figures:
    """SSIM, PSNR and seconds a slice for each number of steps, mean over the slices of all pairs."""
    bundle = with_options(open_bundle(plan.bundle, site), plan.options)
    cases = [case for case in load_cases(plan.cases, layout_of(bundle), site.data_root) if case.paired]
    wrong = [steps for steps in plan.steps if steps not in bundle.method.supported_steps]
    if not cases or wrong:
        what = f"{wrong[0]} steps are not possible with {plan.bundle}" if wrong else f"{plan.bundle} has no pairs here"
        msg = f"[[schedule]] of {plan.bundle}: {what}."
        raise ConfigError(msg)
    rows = []
    for number, steps in enumerate(plan.steps):
        rows.append(_at_steps(bundle, cases, steps, plan.every))
        site.on_progress("schedules", number + 1, len(plan.steps))
    head = f"{'steps':>5} {'SSIM':>7} {'PSNR dB':>8} {'s a slice':>9}\n"
    lines = [f"{r['steps']:>5} {r['ssim']:7.4f} {r['psnr_db']:8.2f} {r['seconds_a_slice']:9.3f}\n" for r in rows]
    chosen = "".join(f", {name} {value}" for name, value in plan.options.items())
    return Figures(f"Schedules of {plan.bundle} on {plan.cases[0].folder}{chosen}", rows, head + "".join(lines))


def recover(plan: RecoveryCheck, site: Site) -> Figures:
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
    method = fit(
        run,
        sources + list(target_cases(heads)),
        [],
        lambda done, total, _loss: site.on_progress("training", done, total),
    )
    moves = [
        displacements_of(velocity_of(method, test.case.source))[0, 0] for test in tests if test.case.source is not None
    ]
    result = score_recovery(tests, [move.astype(np.float64) for move in moves], plan.known, config.grid.spacing_mm)
    table = {**asdict(result), "reached": result.reached}
    text = "".join(
        f"{label:<36} {value:5.2f} px  {value * result.pixel_mm:5.2f} mm\n"
        for label, value in (
            ("known displacement, mean in the body", result.known_px),
            ("error of the recovered field", result.error_px),
            ("floor (the random part alone)", result.floor_px),
        )
    )
    return Figures(f"Known deformation, {result.cases} held-out heads", [table], text)


def _labelled(data: LabelledData, layout: CaseLayout, scale: IntensityScale, site: Site) -> list[LabelledCase]:
    return load_labelled(LabelledEntry(data.images, data.label, scale), layout.grid, site.data_root)


def _all(parts: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate(list(parts))


def _at_steps(bundle: LoadedBundle, cases: Sequence[TrainingCase], steps: int, every: int) -> dict[str, Any]:
    scores, seconds, count = [], 0.0, 0
    for seed, case in enumerate(cases):
        if case.source is None or case.target is None:
            continue
        spacing = None if case.slice_spacing_mm is None else every * case.slice_spacing_mm
        run = SliceRun(Direction.FORWARD, steps, 1, seed, spacing)
        started = time.perf_counter()
        made = translate_slices(case.source[::every], bundle, run, lambda _done, _total: None)
        seconds += time.perf_counter() - started
        count += len(made.mean)
        for output, wanted in zip(made.mean, case.target[::every], strict=True):
            scores.append(score_slice((output + 1) / 2, (wanted + 1) / 2, np.ones(output.shape, bool)))
    return {
        "steps": steps,
        "ssim": float(np.mean([score.ssim for score in scores])),
        "psnr_db": float(np.mean([score.psnr_db for score in scores])),
        "seconds_a_slice": seconds / count,
    }
