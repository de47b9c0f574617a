"""A training file with variants in, one training configuration a variant out: same data, grid, network and budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.methods.catalogue import METHODS
from MedTranslateLib.methods.options import options_from
from MedTranslateLib.training.config import TrainingConfig, parse_config, read_tables

SHARED_NETWORK = ("channels", "residual_blocks", "patch")
"""Options of a method that a variant takes from the file, so that all have the same network."""


@dataclass(frozen=True)
class Variant:
    """`[[variants]]`: what one variant changes of the training file it stands in.

    Args:
        name: Its key, also the name of its bundle's folder.
        title: What tables call it.
        method: Replaces `[method]`, but for the network's size.
        training: Changes of `[training]`.
        loss: Changes of `[loss]`.
    """

    name: str
    title: str
    method: Mapping[str, Any]
    training: Mapping[str, Any] = field(default_factory=dict)
    loss: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuses names that cannot be folders, changes that are no tables, and a variant without a method."""
        if not self.name or set(self.name) - set("abcdefghijklmnopqrstuvwxyz0123456789-"):
            msg = f"A variant's name may hold small letters, digits and hyphens, got {self.name!r}."
            raise ConfigError(msg)
        wrong = [name for name in ("method", "training", "loss") if not isinstance(getattr(self, name), Mapping)]
        if wrong:
            msg = f"Variant {self.name}: {wrong[0]} must be a table such as {{ key = value }}."
            raise ConfigError(msg)
        if self.method.get("name") not in METHODS:
            msg = f"Variant {self.name}: method.name = {self.method.get('name')!r}; known are {', '.join(METHODS)}."
            raise ConfigError(msg)


@dataclass(frozen=True)
class VariantConfig:
    """A variant and the training configuration it stands for."""

    variant: Variant
    config: TrainingConfig


def read_variants(path: Path) -> tuple[VariantConfig, ...]:
    """Reads all variants of a training file, in their order.

    Raises:
        ConfigError: If the file is wrong (see `read_config`), has no variants, or two of the same name.
    """
    raw = read_tables(path)
    tables = raw.get("variants")
    variants = [options_from(Variant, table) for table in tables] if isinstance(tables, list) else []
    names = [variant.name for variant in variants]
    twice = sorted({name for name in names if names.count(name) > 1})
    if not variants or twice:
        what = f"the variant {twice[0]!r} stands twice" if twice else "it has no [[variants]]"
        msg = f"{path}: {what}; each [[variants]] table needs a name of its own."
        raise ConfigError(msg)
    return tuple(VariantConfig(variant, parse_config(_tables(raw, variant))) for variant in variants)


def read_variant(path: Path, name: str) -> TrainingConfig:
    """Reads one variant of a training file.

    Raises:
        ConfigError: As `read_variants`, or if there is none of that name.
    """
    variants = {entry.variant.name: entry.config for entry in read_variants(path)}
    if name not in variants:
        msg = f"{path} has no variant {name!r}; it has {', '.join(variants)}."
        raise ConfigError(msg)
    return variants[name]


def _tables(raw: Mapping[str, Any], variant: Variant) -> dict[str, Any]:
    """The training file as it would be written for this variant alone."""
    network = {key: raw["method"][key] for key in SHARED_NETWORK if key in raw["method"]}
    alone = METHODS[variant.method["name"]]
    card = {**raw["card"], "reversible": alone.reversible}
    if "summary" in card:  # one that is missing is refused with the rest of the card
        card["summary"] = f"{variant.title}, for comparison. {card['summary']}"
    changed = {
        "name": f"{raw['name']}-{variant.name}",
        "card": card,
        "method": {**network, **variant.method},
        "training": {**raw["training"], **variant.training},
        "loss": {**raw.get("loss", {}), **variant.loss},
    }
    return {key: value for key, value in {**raw, **changed}.items() if key != "variants"}
