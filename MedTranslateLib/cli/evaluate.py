"""`medtranslate evaluate`: an evaluation file and images in, tables of what was measured out."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from MedTranslateLib.evaluation.config import Comparison, EvaluationPlan, read_plan
from MedTranslateLib.evaluation.paired import DEFINITION, CaseScore, evaluate_pairs
from MedTranslateLib.evaluation.protocols import (
    Figures,
    Site,
    adapt,
    check_fields,
    layout_of,
    open_bundle,
    recover,
    sweep_steps,
)
from MedTranslateLib.evaluation.tables import as_csv, as_text, summarise
from MedTranslateLib.evaluation.zero_shot_run import compare_zero_shot
from MedTranslateLib.imaging.files import make_folder, write_json, write_text
from MedTranslateLib.training.cases import load_cases

PROTOCOLS: dict[str, Callable[[Any, Site], Figures]] = {
    "adapt": adapt,
    "fields": check_fields,
    "schedule": sweep_steps,
    "recover": recover,
    "zero_shot": compare_zero_shot,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("config", metavar="CONFIG.toml", type=Path, help="evaluation file (see Resources/Evaluation)")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="folder for the tables")
    parser.add_argument("--data", type=Path, default=None, help="root of the data folders (default: that of CONFIG)")
    parser.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda:0 or mps (default auto)")


def run(arguments: argparse.Namespace) -> int:
    """Does what each table of the file asks for, prints it, and writes it beside."""
    plan = read_plan(arguments.config)
    root = arguments.data or arguments.config.parent
    make_folder(arguments.out)
    with _Bar() as bar:
        site = Site(root, arguments.config.parent, arguments.out / "training", arguments.device, bar.show)
        _compare_all(plan, site, arguments.out)
        _run_protocols(plan, site, arguments.out)
    sys.stdout.write(f"Wrote the tables to {arguments.out}.\n")
    return 0


class _Bar:
    """One bar on standard error for whatever is going on."""

    def __init__(self) -> None:
        self._bar = tqdm(total=1, bar_format="{desc:>16} |{bar:30}| {n_fmt}/{total_fmt} {remaining}", file=sys.stderr)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def show(self, what: str, done: int, total: int) -> None:
        """Draws how far `what` is; a new piece of work starts the clock again."""
        if what != self._bar.desc:
            self._bar.reset(total)
            self._bar.set_description_str(what, refresh=False)
        self._bar.update(done - self._bar.n)


def _compare_all(plan: EvaluationPlan, site: Site, out: Path) -> None:
    """Scores each comparison and writes a row per case and a summary per patient group."""
    if not plan.compare:
        return
    texts, rows, summaries = [], [], []
    for comparison in plan.compare:
        scored = _compare(comparison, site)
        summary = summarise(scored)
        rows += scored
        summaries.append({"bundle": comparison.bundle, "set": comparison.cases[0].folder, "rows": summary})
        texts.append(f"{comparison.bundle} on {comparison.cases[0].folder}\n{as_text(summary)}")
    write_text(out / "metrics.csv", as_csv(rows))
    write_json(out / "summary.json", {"definition": DEFINITION, "comparisons": summaries})
    sys.stdout.write("\n".join(texts) + f"\n{DEFINITION}\n\n")


def _compare(comparison: Comparison, site: Site) -> list[CaseScore]:
    bundle = open_bundle(comparison.bundle, site)
    cases = load_cases(comparison.cases, layout_of(bundle), site.data_root)
    training = load_cases(comparison.training, layout_of(bundle), site.data_root)
    return evaluate_pairs(
        bundle, cases, training, lambda done, total: site.on_progress(bundle.manifest.name, done, total)
    )


def _run_protocols(plan: EvaluationPlan, site: Site, out: Path) -> None:
    """Measures table by table; what is finished is written before the next one begins."""
    for name, measure in PROTOCOLS.items():
        measured: list[dict[str, object]] = []
        for table in getattr(plan, name):
            figures = measure(table, site)
            sys.stdout.write(f"{figures.title}\n{figures.text}\n")
            sys.stdout.flush()
            measured.append({"title": figures.title, "rows": [_defined(row) for row in figures.rows]})
            write_json(out / f"{name}.json", {"tables": measured})


def _defined(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row in which what is not defined is null: JSON has no NaN, and no infinity."""
    return {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row.items()}
