"""An evaluation file (TOML) in, a checked and frozen plan of what to measure out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.evaluation.known_deformation import KnownDeformation
from MedTranslateLib.methods.options import options_from
from MedTranslateLib.training.config import DataEntry, TrainingOptions

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")


@dataclass(frozen=True)
class Comparison:
    """`[[compare]]`: one bundle with the pairs it is judged on.

    Args:
        bundle: Name of an installed bundle, or the path of a bundle folder.
        cases: The held-out images.
        training: The bundle's training images, which the intensity regression is fitted on.
    """

    bundle: str
    cases: tuple[DataEntry, ...]
    training: tuple[DataEntry, ...]


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
class ScheduleSweep:
    """`[[schedule]]`: quality and time of one bundle at several numbers of steps, on pairs.

    Args:
        bundle: As in `Comparison`.
        cases: The pairs.
        steps: Numbers of steps.
        options: Options of use of the bundle's method, such as `{ sampler = "euler-maruyama" }`.
        every: Takes each so many-th slice of a case.
    """

    bundle: str
    cases: tuple[DataEntry, ...]
    steps: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    every: int = 1

    def __post_init__(self) -> None:
        """Refuses a sweep over nothing, or over chains without a step."""
        if not self.steps or min(self.steps) < 1 or self.every < 1:
            msg = f"[[schedule]] needs steps and every of 1 or more, got {list(self.steps)} and {self.every}."
            raise ConfigError(msg)


@dataclass(frozen=True)
class TissueTruth:
    """Label maps beside the images of a zero-shot comparison.

    Args:
        labels: File name of the label map in each case folder.
        groups: Name of each tissue and its values in the label maps.
    """

    labels: str
    groups: Mapping[str, tuple[int, ...]]

    def __post_init__(self) -> None:
        """Refuses a truth without a tissue."""
        if not self.groups or not all(self.groups.values()):
            msg = f"[zero_shot.tissues] needs groups of label values, got {dict(self.groups)}."
            raise ConfigError(msg)


@dataclass(frozen=True)
class ZeroShotComparison:
    """`[[zero_shot]]`: a bundle that learnt its target alone, on a source it never saw, beside SDEdit.

    Args:
        bundle: As in `Comparison`.
        cases: Held-out images, `source` the unseen modality and `target` the true one.
        training: Training images of the target, which the clusters are fitted on.
        starts: Deviations of the noise that SDEdit gives the source (its t0), in [-1, 1].
        steps: Evaluations of the network; 0 takes the bundle's own number.
        samples: Translations that are averaged.
        clusters: Of the K-means segmentation; 5 in LMIDiffusion.
        every: Takes each so many-th slice of a case.
        tissues: True labels, where there are some.
    """

    bundle: str
    cases: tuple[DataEntry, ...]
    training: tuple[DataEntry, ...]
    starts: tuple[float, ...]
    steps: int = 0
    samples: int = 1
    clusters: int = 5
    every: int = 1
    tissues: TissueTruth | None = None

    def __post_init__(self) -> None:
        """Refuses a comparison with nothing, and counts that are none."""
        if not isinstance(self.starts, tuple) or not self.starts or min(self.starts) <= 0:
            msg = f"[[zero_shot]] needs starts above 0 for SDEdit, got {self.starts!r}."
            raise ConfigError(msg)
        if min(self.samples, self.every) < 1 or self.clusters < 2 or self.steps < 0:
            msg = "[[zero_shot]] needs samples and every of 1 or more, clusters of 2 or more, steps of 0 or more."
            raise ConfigError(msg)


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
class EvaluationPlan:
    """Everything one evaluation file asks for."""

    compare: tuple[Comparison, ...]
    adapt: tuple[Adaptation, ...]
    fields: tuple[FieldCheck, ...]
    schedule: tuple[ScheduleSweep, ...]
    recover: tuple[RecoveryCheck, ...]
    zero_shot: tuple[ZeroShotComparison, ...]


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
        "compare": _comparison,
        "adapt": _adaptation,
        "fields": lambda table: options_from(FieldCheck, {**table, "cases": _entries(table, "cases")}),
        "schedule": lambda table: options_from(ScheduleSweep, {**table, "cases": _entries(table, "cases")}),
        "recover": _recovery,
        "zero_shot": _zero_shot,
    }
    unknown = sorted(set(raw) - set(readers))
    if unknown or not raw:
        known = ", ".join(f"[[{name}]]" for name in readers)
        what = f"unknown table {unknown[0]!r}" if unknown else "nothing is asked for"
        msg = f"{path}: {what}; known are {known}."
        raise ConfigError(msg)
    return EvaluationPlan(**{part.name: _read_all(raw, part.name, readers) for part in fields(EvaluationPlan)})


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


def _comparison(table: Mapping[str, Any]) -> Comparison:
    entries = {name: _entries(table, name) for name in ("cases", "training")}
    return options_from(Comparison, {**table, **entries})


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


def _zero_shot(table: Mapping[str, Any]) -> ZeroShotComparison:
    entries: dict[str, Any] = {name: _entries(table, name) for name in ("cases", "training")}
    if "tissues" in table:
        groups = table["tissues"].get("groups") if isinstance(table["tissues"], dict) else None
        if not isinstance(groups, dict) or not all(isinstance(values, list) for values in groups.values()):
            msg = f"[zero_shot.tissues] needs labels and groups of label values, got {table['tissues']!r:.120}."
            raise ConfigError(msg)
        groups = {name: tuple(values) for name, values in groups.items()}
        entries["tissues"] = options_from(TissueTruth, {**table["tissues"], "groups": groups})
    return options_from(ZeroShotComparison, {**table, **entries})
