"""Rows of case scores in; per-patient summaries, CSV, text and card tables out."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import astuple, fields
from typing import Any

import numpy as np

from MedTranslateLib.bundles.manifest import MetricRow
from MedTranslateLib.evaluation.paired import CaseScore
from MedTranslateLib.metrics.intensity import SliceScore

SCORES = [field.name for field in fields(SliceScore)]


def summarise(rows: Sequence[CaseScore]) -> list[dict[str, Any]]:
    """Mean and standard deviation over patients, for each direction and label in order of appearance."""
    groups: dict[tuple[str, str], list[CaseScore]] = {}
    for row in rows:
        groups.setdefault((row.direction, row.label), []).append(row)
    summaries = [_summary(way, label, group) for (way, label), group in groups.items()]
    return sorted(summaries, key=lambda summary: str(summary["direction"]))


def as_csv(rows: Sequence[CaseScore]) -> str:
    """One line a case, direction and label."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["case", "direction", "label", "slices", *SCORES, "cycle_mae"])
    for row in rows:
        scores = [f"{value:.6g}" for value in astuple(row.score)]
        cycle = "" if np.isnan(row.cycle_mae) else f"{row.cycle_mae:.6g}"
        writer.writerow([row.case, row.direction, row.label, row.slices, *scores, cycle])
    return text.getvalue()


def as_text(summaries: Sequence[Mapping[str, Any]]) -> str:
    """An aligned table for the terminal."""
    head = f"{'direction':<9} {'output':<24} {'n':>3}  {'SSIM':>13} {'PSNR dB':>13} {'MAE':>7}"
    head += f" {'SSIM body':>9} {'PSNR body':>9}"
    lines = [head, "-" * len(head)]
    lines += [
        f"{s['direction']:<9} {s['label']:<24} {s['cases']:>3}  {s['ssim']:.3f} ± {s['ssim_sd']:.3f}"
        f" {s['psnr_db']:5.2f} ± {s['psnr_db_sd']:4.2f}  {s['mae']:.4f} {s['ssim_body']:9.3f} {s['psnr_body_db']:9.2f}"
        for s in summaries
    ]
    return "\n".join(lines) + "\n"


def metric_rows(summaries: Sequence[Mapping[str, Any]], test_set: str, bundle: str) -> tuple[MetricRow, ...]:
    """The rows of a bundle's card."""
    return tuple(
        MetricRow(
            direction=s["direction"],
            set=test_set,
            label="this bundle" if s["label"] == bundle else s["label"],
            cases=s["cases"],
            baseline=s["label"] != bundle,
            **{name: round(s[name], 4) for name in SCORES},
        )
        for s in summaries
    )


def _summary(way: str, label: str, group: Sequence[CaseScore]) -> dict[str, Any]:
    values = np.array([astuple(row.score) for row in group])
    table: dict[str, Any] = {"direction": way, "label": label, "cases": len(group)}
    for column, name in enumerate(SCORES):
        table[name] = float(values[:, column].mean())
        table[f"{name}_sd"] = float(values[:, column].std(ddof=1)) if len(group) > 1 else 0.0
    cycles = [row.cycle_mae for row in group]
    if not np.isnan(cycles).any():
        table["cycle_mae"] = float(np.mean(cycles))
    return table
