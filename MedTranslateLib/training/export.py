"""A fitted method and its training file in, a bundle folder with fp16 weights and a card out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save

from MedTranslateLib.bundles.input_statistics import KEY as INPUTS
from MedTranslateLib.bundles.manifest import WEIGHTS, Manifest, Metrics, Scale, Side, Training, write_manifest
from MedTranslateLib.bundles.verify import sha256_of
from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.imaging.files import make_folder
from MedTranslateLib.methods.catalogue import build_method
from MedTranslateLib.methods.contract import Method
from MedTranslateLib.methods.options import options_from
from MedTranslateLib.training.card import CardOptions
from MedTranslateLib.training.cases import measured_high_value
from MedTranslateLib.training.config import ModalityOptions, TrainingConfig
from MedTranslateLib.training.input_statistics import measure_inputs


def check_card(config: TrainingConfig) -> None:
    """Compares the card with the method, before a training is spent on a bundle that cannot be.

    Raises:
        ConfigError: If the method or one of its options is unknown, or the card promises a way back that it lacks.
    """
    card = options_from(CardOptions, config.card)
    method = build_method(config.method, config.method_options)
    if card.reversible and not method.reversible:
        msg = f"{config.method} translates one way only; write `reversible = false` into [card]."
        raise ConfigError(msg)


def export_bundle(config: TrainingConfig, method: Method, folder: Path, data_root: Path) -> Manifest:
    """Writes `weights.safetensors` (fp16) and `bundle.json`, without metrics yet.

    Raises:
        ConfigError: If the card in the training file lacks a key.
        OutputError: If the folder cannot be written to.
    """
    card = options_from(CardOptions, config.card)
    make_folder(folder)
    weights = method.weights_of_use()
    state = {name: tensor.detach().cpu().to(torch.float16).contiguous() for name, tensor in weights.items()}
    (folder / WEIGHTS).write_bytes(save(state))
    manifest = Manifest(
        name=config.name,
        version=card.version,
        summary=card.summary,
        anatomy=card.anatomy,
        method=config.method,
        method_options=dict(config.method_options),
        source=_side(config, config.source, "source", data_root),
        target=_side(config, config.target, "target", data_root),
        reversible=card.reversible,
        plane=config.grid.plane.value,
        spacing_mm=config.grid.spacing_mm,
        spacing_origin=card.spacing_origin,
        spacing_rule=card.spacing_rule,
        slice_spacing_mm=(card.slice_spacing_mm[0], card.slice_spacing_mm[1]),
        size_hw=config.grid.size_hw,
        centre=config.grid.centre.value,
        training=_training(config, card, method),
        metrics=Metrics(card.quality, ()),
        limits=card.limits,
        citation=card.citation,
        licence=card.training_licence,
        files={WEIGHTS: sha256_of(folder / WEIGHTS)},
    )
    inputs = measure_inputs(manifest, config, data_root)
    if inputs is not None:
        manifest = replace(manifest, training_statistics={INPUTS: inputs.to_json()})
    write_manifest(folder, manifest)
    return manifest


def add_metrics(folder: Path, manifest: Manifest, metrics: Metrics) -> Manifest:
    """Writes the card again, with what was measured on held-out patients."""
    complete = replace(manifest, metrics=metrics)
    write_manifest(folder, complete)
    return complete


def _side(config: TrainingConfig, side: ModalityOptions, name: str, data_root: Path) -> Side:
    scale = side.scale
    high_value = measured_high_value(config.data, config.layout, data_root, name)
    return Side(side.modality, side.name, Scale(scale.kind.value, scale.low, scale.high, round(high_value, 4)))


def _training(config: TrainingConfig, card: CardOptions, method: Method) -> Training:
    loss = config.distance
    paired = {loss.distance: loss.distance_weight, "l1": loss.l1_weight, "1 - ssim": loss.ssim_weight}
    return Training(
        data=card.training_data,
        licence=card.training_licence,
        distance="none" if method.loss_terms else loss.distance,
        loss_terms=dict(method.loss_terms) or paired,
        iterations=config.training.iterations,
        seeds=(config.training.seed,),
    )
