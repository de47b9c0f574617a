"""An evaluation file (TOML) in, a checked and frozen plan of what to measure out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.evaluation.compare_config import Comparison, comparison_from
from MedTranslateLib.evaluation.known_deformation import KnownDeformation
from MedTranslateLib.evaluation.ledger_config import LedgerCheck
from MedTranslateLib.evaluation.report.content import PageWords
from MedTranslateLib.evaluation.trust_config import TrustCheck
from MedTranslateLib.methods.options import options_from
from MedTranslateLib.training.config import DataEntry, TrainingOptions

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")


@dataclass(frozen=True)
class LabelledData:
    """Images whose `target` files are label maps, and the value of the structure in them."""

    images: DataEntry
    label: float


@dataclass(frozen=True)
class Adaptation:
    """`[[adapt]]`: adaptation segmentation.

    Args:
        bundles: Bundles on one slice grid; the first gives grid and intensity scales.
        target: Labelled images of the target domain, which the segmenter is trained on.
        cases: Labelled images of the source domain.
        segmenter: How the segmenter is trained.
        held_out: Every so many-th patient of the target domain tests the segmenter instead of training it.
        steps: Steps of bundles that can choose; 0 takes their own.
    """

    bundles: tuple[str, ...]
    target: LabelledData
    cases: LabelledData
    segmenter: TrainingOptions
    held_out: int = 6
    steps: int = 0

    def __post_init__(self) -> None:
        """Refuses a plan without bundles, without patients to test the segmenter, or with negative steps."""
        if not self.bundles or self.held_out < 2 or self.steps < 0:
            msg = f"[[adapt]] needs bundles, held_out of 2 or more and steps of 0 or more, got {self!r:.160}."
            raise ConfigError(msg)


@dataclass(frozen=True)
class FieldCheck:
    """`[[fields]]`: round trip, folding and agreement with the pictures of one bundle's fields."""

    bundle: str
    cases: tuple[DataEntry, ...]


@dataclass(frozen=True)
class RecoveryCheck:
    """`[[recover]]`: a method is trained on two domains with a known deformation between them.

    Args:
        training: The training file, relative to the evaluation file; its data and validation are the heads.
        known: The deformation.
        seed: Of the random parts.
    """

    training: str
    known: KnownDeformation
    seed: int = 0


@dataclass(frozen=True)
class FeatureNetworks:
    """`[features]`: networks for distances between sets and pairs of images; paths relative to the data root.

    Args:
        squeezenet: .npz of SqueezeNet 1.0; empty does without.
        inception: Weights of the FID Inception v3; empty does without.
    """

    squeezenet: str = ""
    inception: str = ""


@dataclass(frozen=True)
class EvaluationPlan:
    """Everything one evaluation file asks for."""

    title: str
    features: FeatureNetworks
    page: PageWords
    compare: tuple[Comparison, ...]
    adapt: tuple[Adaptation, ...]
    fields: tuple[FieldCheck, ...]
    recover: tuple[RecoveryCheck, ...]
    ledger: tuple[LedgerCheck, ...]
    trust: tuple[TrustCheck, ...]


def read_plan(path: Path) -> EvaluationPlan:
    """Reads an evaluation file.

    Raises:
        ConfigError: If the file is missing, is not TOML, asks for nothing, or has a wrong, missing or unknown key.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        msg = f"The evaluation file {path} does not exist."
        raise ConfigError(msg) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{path} is not valid TOML: {error}"
        raise ConfigError(msg) from error
    readers: dict[str, Callable[[Mapping[str, Any]], Any]] = {
        "compare": comparison_from,
        "adapt": _adaptation,
        "fields": lambda table: options_from(FieldCheck, {**table, "cases": _entries(table, "cases")}),
        "recover": _recovery,
        "ledger": lambda table: options_from(LedgerCheck, {**table, "cases": _entries(table, "cases")}),
        "trust": lambda table: options_from(TrustCheck, {**table, "cases": _entries(table, "cases")}),
    }
    unknown = sorted(set(raw) - set(readers) - {"title", "features", "page"})
    if unknown or not set(raw) & set(readers):
        known = ", ".join(f"[[{name}]]" for name in readers) + ", [features], [page] and title"
        what = f"unknown table {unknown[0]!r}" if unknown else "nothing is asked for"
        msg = f"{path}: {what}; known are {known}."
        raise ConfigError(msg)
    tables = {name: _read_all(raw, name, readers) for name in readers}
    features = options_from(FeatureNetworks, raw.get("features", {}))
    title = str(raw.get("title", path.stem))
    page = options_from(PageWords, {"title": title, **raw.get("page", {})})
    return EvaluationPlan(title=title, features=features, page=page, **tables)


def _read_all(raw: Mapping[str, Any], name: str, readers: Mapping[str, Callable[..., T]]) -> tuple[T, ...]:
    tables = raw.get(name, [])
    if not isinstance(tables, list):
        msg = f"Write [[{name}]] with two brackets: an evaluation file may hold several of them."
        raise ConfigError(msg)
    return tuple(readers[name](table) for table in tables)


def _entries(table: Mapping[str, Any], name: str) -> tuple[DataEntry, ...]:
    entries = tuple(options_from(DataEntry, entry) for entry in table.get(name, []))
    if not entries:
        msg = f"A table of the evaluation file needs at least one [[...{name}]], got {sorted(table)}."
        raise ConfigError(msg)
    return entries


def _adaptation(table: Mapping[str, Any]) -> Adaptation:
    for name in ("target", "cases", "segmenter"):
        if not isinstance(table.get(name), dict):
            msg = f"[[adapt]] needs a table [adapt.{name}], got {sorted(table)}."
            raise ConfigError(msg)
    labelled = {name: _labelled(table[name]) for name in ("target", "cases")}
    return options_from(
        Adaptation, {**table, **labelled, "segmenter": options_from(TrainingOptions, table["segmenter"])}
    )


def _labelled(table: Mapping[str, Any]) -> LabelledData:
    images = {key: value for key, value in table.items() if key != "label"}
    if "label" not in table:
        msg = f"Labelled images need the key 'label', the structure's value in the label maps; got {sorted(table)}."
        raise ConfigError(msg)
    return LabelledData(options_from(DataEntry, images), float(table["label"]))


def _recovery(table: Mapping[str, Any]) -> RecoveryCheck:
    known = options_from(KnownDeformation, table.get("known", {}))
    return options_from(RecoveryCheck, {**table, "known": known})
