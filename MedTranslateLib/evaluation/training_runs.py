"""The variants of a training file in, a bundle folder of each out: kept weights, or weights that are trained here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from MedTranslateLib.bundles.manifest import WEIGHTS
from MedTranslateLib.evaluation.compare_config import Family
from MedTranslateLib.evaluation.competitors import variants_of
from MedTranslateLib.evaluation.hashes import key_of
from MedTranslateLib.inference.devices import choose_device
from MedTranslateLib.training.cases import TrainingCase, load_cases
from MedTranslateLib.training.config import TrainingConfig
from MedTranslateLib.training.export import export_bundle
from MedTranslateLib.training.loop import TrainingRun, fit
from MedTranslateLib.training.variants import VariantConfig

OnProgress = Callable[[str, int, int], None]
"""Called as `on_progress(what, done, total)`."""
CARD = "bundle.json"


@dataclass(frozen=True)
class TrainingSite:
    """Where variants are trained.

    Args:
        config_folder: Folder of the evaluation file.
        data_root: What data folders are relative to.
        folder: Where checkpoints and bundles go.
        device: Name of the device.
        on_progress: Told how far it is.
    """

    config_folder: Path
    data_root: Path
    folder: Path
    device: str
    on_progress: OnProgress


def kept_bundles(family: Family, config_folder: Path) -> dict[str, Path]:
    """Folder of the kept bundle of each variant, whether it exists or not."""
    return {
        one.variant.name: config_folder / family.weights / one.variant.name
        for one in variants_of(family, config_folder)
    }


def trained_bundles(family: Family, site: TrainingSite) -> dict[str, Path]:
    """Trains every variant that is not finished yet, each from its last checkpoint.

    Raises:
        ConfigError: If the training data are missing, or a checkpoint is of another setup.
    """
    folders, cases = {}, None
    for one in variants_of(family, site.config_folder):
        folder = site.folder / folder_name(one.config)
        if not (folder / CARD).is_file() or not (folder / WEIGHTS).is_file():
            cases = cases or load_cases(one.config.data, one.config.layout, site.data_root)
            _train(one, cases, folder, site)
        folders[one.variant.name] = folder
    return folders


def folder_name(config: TrainingConfig) -> str:
    """Name and mark of a training: weights of a file that was changed since must not be taken for those of the file."""
    return f"{config.name}-{key_of(config.raw)[:8]}"


def _train(one: VariantConfig, cases: Sequence[TrainingCase], folder: Path, site: TrainingSite) -> None:
    checkpoints = folder.with_name(f"{folder.name}-training")
    run = TrainingRun(one.config, checkpoints, site.data_root, choose_device(site.device), resume=True)
    method = fit(run, list(cases), [], lambda done, total, _loss: site.on_progress(one.variant.name, done, total))
    export_bundle(one.config, method, folder, site.data_root)
