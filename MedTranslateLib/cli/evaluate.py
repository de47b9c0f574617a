"""`medtranslate evaluate`: bundles and held-out pairs in, a table of scores beside the simplest baselines out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from MedTranslateLib.bundles.store import default_store
from MedTranslateLib.evaluation.config import Comparison, read_comparisons
from MedTranslateLib.evaluation.paired import DEFINITION, CaseScore, evaluate_pairs
from MedTranslateLib.evaluation.tables import as_csv, as_text, summarise
from MedTranslateLib.imaging.files import make_folder, write_json, write_text
from MedTranslateLib.inference.devices import choose_device
from MedTranslateLib.inference.pipeline import intensity_scale, slice_grid
from MedTranslateLib.inference.weights import load_bundle
from MedTranslateLib.training.cases import load_cases
from MedTranslateLib.training.config import CaseLayout


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("config", metavar="CONFIG.toml", type=Path, help="evaluation file (see Resources/Evaluation)")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="folder for the tables")
    parser.add_argument("--data", type=Path, default=None, help="root of the data folders (default: that of CONFIG)")
    parser.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda:0 or mps (default auto)")


def run(arguments: argparse.Namespace) -> int:
    """Scores each comparison and writes a row per case and a summary per patient group."""
    comparisons = read_comparisons(arguments.config)
    root = arguments.data or arguments.config.parent
    make_folder(arguments.out)
    texts, rows, summaries = [], [], []
    for comparison in comparisons:
        scored = _score(comparison, root, arguments.device)
        summary = summarise(scored)
        rows += scored
        summaries.append({"bundle": comparison.bundle, "set": comparison.cases[0].folder, "rows": summary})
        texts.append(f"{comparison.bundle} on {comparison.cases[0].folder}\n{as_text(summary)}")
    write_text(arguments.out / "metrics.csv", as_csv(rows))
    write_json(arguments.out / "summary.json", {"definition": DEFINITION, "comparisons": summaries})
    sys.stdout.write("\n".join(texts) + f"\n{DEFINITION}\nWrote metrics.csv and summary.json to {arguments.out}.\n")
    return 0


def _score(comparison: Comparison, root: Path, device: str) -> list[CaseScore]:
    bundle = load_bundle(default_store().find(comparison.bundle).folder, choose_device(device))
    manifest = bundle.manifest
    layout = CaseLayout(slice_grid(manifest), intensity_scale(manifest.source), intensity_scale(manifest.target))
    cases = load_cases(comparison.cases, layout, root)
    training = load_cases(comparison.training, layout, root)
    with tqdm(desc=manifest.name, unit="case", file=sys.stderr) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return evaluate_pairs(bundle, cases, training, show)
