"""`medtranslate statistics`: a bundle and its training images in, statistics of those images on its card out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from MedTranslateLib.bundles import input_statistics, ledger_statistics, trust_statistics
from MedTranslateLib.bundles.manifest import Manifest, write_manifest
from MedTranslateLib.bundles.verify import verify_bundle
from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.evaluation.competitors import layout_of
from MedTranslateLib.inference.devices import choose_device
from MedTranslateLib.inference.weights import load_bundle
from MedTranslateLib.training.config import TrainingConfig, read_config
from MedTranslateLib.training.input_statistics import FEWEST_PATIENTS, measure_inputs
from MedTranslateLib.training.ledger_thresholds import LedgerPatients, measure_ledger
from MedTranslateLib.training.trust_calibration import TrustPatients, measure_trust

Part = Callable[[Path, Manifest, TrainingConfig, argparse.Namespace], "dict[str, Any]"]
"""Measures one part: the bundle's folder, its card, the training file and all arguments in, the table out."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument(
        "bundle", metavar="BUNDLE_FOLDER", type=Path, help="folder of the bundle; its card is rewritten"
    )
    parser.add_argument("--config", required=True, type=Path, metavar="CONFIG.toml", help="its training file")
    parser.add_argument("--data", type=Path, default=None, help="root of the data folders (default: that of CONFIG)")
    parser.add_argument("--lesions", default="", metavar="MASK", help="ledger: lesion masks, named as the images are")
    parser.add_argument("--patients", type=int, default=40, metavar="N", help="trust: training patients (default 40)")
    parser.add_argument("--slices", type=int, default=3, metavar="N", help="trust: slices of each (default 3)")
    parser.add_argument("--steps", type=int, default=None, metavar="N", help="trust: steps (default: the bundle's)")
    parser.add_argument("--part", action="append", choices=sorted(PARTS), help="measure this part only; default: all")


def run(arguments: argparse.Namespace) -> int:
    """Measures what is wanted, or all that can be, then writes the card once; other parts of it stay as they are."""
    manifest, config = verify_bundle(arguments.bundle), read_config(arguments.config)
    _check_pair(manifest, config)
    arguments.data = arguments.data or arguments.config.parent
    wanted = arguments.part or sorted(PARTS)
    parts = {name: _part(name, arguments, manifest, config) for name in wanted}
    measured = {name: part for name, part in parts.items() if part is not None}
    if not measured:
        msg = f"Nothing could be measured for {manifest.name}; its card was not changed."
        raise ConfigError(msg)
    write_manifest(
        arguments.bundle, replace(manifest, training_statistics={**(manifest.training_statistics or {}), **measured})
    )
    sys.stdout.write(f"Wrote the statistics of {', '.join(measured)} into the card of {manifest.name}.\n")
    return 0


def _part(
    name: str, arguments: argparse.Namespace, manifest: Manifest, config: TrainingConfig
) -> dict[str, Any] | None:
    """One part; None, with the reason told, where it cannot be measured and was not asked for by name."""
    try:
        return PARTS[name](arguments.bundle, manifest, config, arguments)
    except ConfigError as error:
        if arguments.part:
            raise
        sys.stderr.write(f"Left out {name}: {error}\n")
        return None


def _check_pair(manifest: Manifest, config: TrainingConfig) -> None:
    """Statistics on another slice grid would be those of another bundle."""
    grid = config.grid
    stated = (manifest.plane, manifest.spacing_mm, tuple(manifest.size_hw))
    if stated != (grid.plane.value, grid.spacing_mm, tuple(grid.size_hw)):
        msg = (
            f"The training file of {config.name} makes {grid.plane.value} slices of {grid.size_hw} pixels at "
            f"{grid.spacing_mm:g} mm, the bundle {manifest.name} sees {stated[0]} ones of {stated[2]} at "
            f"{stated[1]:g} mm. Give the file that the bundle was trained with."
        )
        raise ConfigError(msg)


def _inputs(_folder: Path, manifest: Manifest, config: TrainingConfig, arguments: argparse.Namespace) -> dict[str, Any]:
    statistics = measure_inputs(manifest, config, arguments.data)
    if statistics is None:
        msg = (
            f"The training images of {config.name} show fewer than {FEWEST_PATIENTS} patients a side: too few to say "
            "what is usual. Nothing was changed."
        )
        raise ConfigError(msg)
    return statistics.to_json()


def _ledger(folder: Path, _manifest: Manifest, config: TrainingConfig, arguments: argparse.Namespace) -> dict[str, Any]:
    bundle = load_bundle(folder, choose_device("auto"))
    with tqdm(desc="training patients", unit="patient", file=sys.stderr) as bar:
        which = LedgerPatients(lesions=arguments.lesions)
        return measure_ledger(bundle, config, arguments.data, which, lambda done: bar.update(done - bar.n)).to_json()


def _trust(folder: Path, manifest: Manifest, config: TrainingConfig, arguments: argparse.Namespace) -> dict[str, Any]:
    bundle = load_bundle(folder, choose_device("auto"))
    which = TrustPatients(arguments.patients, arguments.slices, arguments.steps)
    with tqdm(desc="training patients, each way", unit="patient", file=sys.stderr) as bar:
        where = (arguments.data, which)
        return measure_trust(bundle, config, layout_of(manifest), where, bar.update).to_json()


PARTS: dict[str, Part] = {
    input_statistics.KEY: _inputs,
    ledger_statistics.KEY: _ledger,
    trust_statistics.KEY: _trust,
}
"""What can be measured, by its key in `training_statistics`."""
