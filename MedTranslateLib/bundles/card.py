"""A manifest in, the text a clinician reads before trusting a bundle out."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from MedTranslateLib.bundles.columns import aligned
from MedTranslateLib.bundles.manifest import Manifest, MetricRow, Scale, Side, Training
from MedTranslateLib.bundles.parts import ANY_MODALITY
from MedTranslateLib.bundles.trust_statistics import trust_statistics_of

WIDTH = 100
LABEL_WIDTH = 16
RESEARCH_NOTE = "For research only, not for diagnosis. Every output is SYNTHETIC."
HEADER = ("direction", "set", "output", "cases", "SSIM", "PSNR dB", "MAE")
BODY_HEADER = ("SSIM body", "PSNR body", "MAE body")


def card_text(manifest: Manifest) -> str:
    """The whole card as plain text, wrapped at 100 characters, with a line end at its end."""
    blocks = [
        _heading(manifest),
        _facts(manifest),
        _quality(manifest),
        _section("Limits", [f"- {limit}" for limit in manifest.limits] or ["None are stated."]),
        _section("Citation", [manifest.citation]),
        ["Files (SHA-256)", *(f"  {line}" for line in aligned(sorted(manifest.files.items()) or [("none", "")]))],
    ]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _heading(manifest: Manifest) -> list[str]:
    way_back = " (and back)" if manifest.reversible else ""
    arrow = f"{manifest.source.name} -> {manifest.target.name}{way_back}"
    return [f"{manifest.name} {manifest.version}", arrow, *textwrap.wrap(manifest.summary, WIDTH), RESEARCH_NOTE]


def _facts(manifest: Manifest) -> list[str]:
    rows, columns = manifest.size_hw
    low, high = manifest.slice_spacing_mm
    estimated = ", estimated" if manifest.spacing_origin == "estimated" else ""
    facts = [
        ("Anatomy", manifest.anatomy),
        ("Slices", f"{manifest.plane}, {rows} rows x {columns} columns, {low:g} to {high:g} mm apart"),
        ("Pixel spacing", f"{manifest.spacing_mm:g} mm{estimated} ({manifest.spacing_rule})"),
        *((f"{side.name} scale", _scale(side)) for side in (manifest.source, manifest.target)),
        ("Method", f"{manifest.method} ({_options(manifest.method_options)})"),
        ("Training data", manifest.training.data),
        ("Data licence", manifest.training.licence),
        ("Training", _training(manifest.training)),
        ("Trust map", _trust(manifest)),
        ("Bundle licence", manifest.licence),
    ]
    return [line for label, text in facts for line in _fact(label, text)]


def _fact(label: str, text: str) -> list[str]:
    start = label.ljust(LABEL_WIDTH) if len(label) < LABEL_WIDTH else f"{label} "
    return _wrapped(text, start, " " * LABEL_WIDTH)


def _scale(side: Side) -> str:
    modality = "any source contrast of this anatomy" if side.modality == ANY_MODALITY else side.modality
    return f"{modality}, {_unit(side.scale)}"


def _unit(scale: Scale) -> str:
    if scale.kind == "hounsfield":
        return f"Hounsfield units, {scale.low:g} to {scale.high:g} HU"
    return f"relative, not HU: 0 is percentile {scale.low:g}, {scale.high_value:.3g} is percentile {scale.high:g}"


def _options(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items()) or "no options"


def _training(training: Training) -> str:
    terms = " + ".join(f"{weight:g} {name}" for name, weight in training.loss_terms.items()) or "none"
    seeds = ", ".join(map(str, training.seeds)) or "none"
    return f"{training.iterations} iterations, paired distance {training.distance}, loss {terms}, seeds {seeds}"


def _trust(manifest: Manifest) -> str:
    """What the trust map was calibrated on: an image of another kind may have other errors."""
    statistics = trust_statistics_of(manifest)
    if statistics is None:
        return "not calibrated: it ranks the places of one output among themselves"
    told = [
        f"{one.direction} with {one.samples} sample(s) and {one.steps} step(s), on {one.patients} training patients of "
        f"{one.pairs}"
        for one in statistics.calibrations
    ]
    return f"calibrated {'; '.join(told)}"


def _quality(manifest: Manifest) -> list[str]:
    metrics = manifest.metrics
    if not metrics.rows:
        return _section("Quality on held-out patients", [f"No pairs to compare with: {metrics.definition}"])
    body = any(row.ssim_body is not None for row in metrics.rows)
    header = HEADER + BODY_HEADER if body else HEADER
    table = aligned([header, *(_metric_row(manifest, row, body=body) for row in metrics.rows)], range(3, len(header)))
    return [*_section("Quality on held-out patients", [metrics.definition]), *(f"  {line}" for line in table)]


def _metric_row(manifest: Manifest, row: MetricRow, *, body: bool) -> tuple[str, ...]:
    names = (manifest.source.name, manifest.target.name)
    start, end = names if row.direction == "forward" else names[::-1]
    label = f"{row.label} (baseline)" if row.baseline else row.label
    whole = (f"{row.ssim:.3f}", f"{row.psnr_db:.2f}", f"{row.mae:.4f}")
    inside = (_figure(row.ssim_body, 3), _figure(row.psnr_body_db, 2), _figure(row.mae_body, 4))
    return (f"{start} -> {end}", row.set, label, str(row.cases), *whole, *(inside if body else ()))


def _figure(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _section(title: str, paragraphs: Iterable[str]) -> list[str]:
    return [title, *(line for text in paragraphs for line in _wrapped(text, "  ", "    "))]


def _wrapped(text: str, first: str, later: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=later, break_on_hyphens=False)
