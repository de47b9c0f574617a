"""`medtranslate train`: a training file and folders of images in, a bundle with held-out metrics on its card out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from MedTranslateLib.bundles.manifest import Metrics
from MedTranslateLib.bundles.parts import ANY_MODALITY
from MedTranslateLib.evaluation.aggregate import Arrangement
from MedTranslateLib.evaluation.card_metrics import DEFINITION, card_summaries, metric_rows
from MedTranslateLib.evaluation.report.markdown import markdown_tables
from MedTranslateLib.evaluation.report.score_table import score_tables
from MedTranslateLib.inference.devices import choose_device
from MedTranslateLib.inference.weights import load_bundle
from MedTranslateLib.training.cases import TrainingCase, load_cases
from MedTranslateLib.training.config import TrainingConfig, read_config
from MedTranslateLib.training.export import add_metrics, check_card, export_bundle
from MedTranslateLib.training.loop import TrainingRun, fit
from MedTranslateLib.training.variants import read_variant


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("config", metavar="CONFIG.toml", type=Path, help="training file (see Resources/Training)")
    parser.add_argument("--out", required=True, type=Path, metavar="BUNDLE_FOLDER", help="folder for the bundle")
    parser.add_argument("--variant", metavar="NAME", help="train this one of the [[variants]] that CONFIG has")
    parser.add_argument("--data", type=Path, default=None, help="root of the data folders (default: that of CONFIG)")
    parser.add_argument("--checkpoints", type=Path, default=None, help="folder for checkpoints; default: OUT-training")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda:0 or mps (default auto)")


def run(arguments: argparse.Namespace) -> int:
    """Fits, exports, and measures on the validation cases with the exported weights."""
    name = arguments.variant
    config = read_config(arguments.config) if name is None else read_variant(arguments.config, name)
    check_card(config)
    root = arguments.data or arguments.config.parent
    checkpoints = arguments.checkpoints or arguments.out.with_name(f"{arguments.out.name}-training")
    device = choose_device(arguments.device)
    training = load_cases(config.data, config.layout, root)
    validation = load_cases(config.validation, config.layout, root) if config.validation else []
    with tqdm(total=config.training.iterations, desc=config.name, unit="it", file=sys.stderr) as bar:

        def show(done: int, _total: int, loss: float) -> None:
            bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
            bar.update(done - bar.n)

        trained = TrainingRun(config, checkpoints, root, device, arguments.resume)
        method = fit(trained, training, validation, show)
    manifest = export_bundle(config, method, arguments.out, root)
    if validation:
        metrics = _measure(config, arguments.out, training, validation, arguments.device)
        add_metrics(arguments.out, manifest, metrics)
    sys.stdout.write(
        f"Wrote the bundle {config.name} to {arguments.out}; install it with `medtranslate bundles add`.\n"
    )
    return 0


def _measure(
    config: TrainingConfig, folder: Path, training: list[TrainingCase], validation: list[TrainingCase], device: str
) -> Metrics:
    bundle = load_bundle(folder, choose_device(device))
    with tqdm(desc="held-out patients", unit="case", file=sys.stderr) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        summaries = card_summaries(bundle, validation, training, show)
    sys.stdout.write(markdown_tables(score_tables(summaries, Arrangement())))
    first = config.validation[0]
    unseen = config.source.modality == ANY_MODALITY  # then the set does not say which source was translated
    test_set = f"{first.folder}, from {first.source}" if unseen else first.folder
    return Metrics(DEFINITION, metric_rows(summaries, test_set))
