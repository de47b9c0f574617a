"""A `[[compare]]` table of an evaluation file in, a checked plan of which methods to compare on which cases out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.evaluation.metric_names import KMEANS
from MedTranslateLib.methods.options import options_from
from MedTranslateLib.training.config import DataEntry


@dataclass(frozen=True)
class MethodEntry:
    """`[[compare.methods]]`: a bundle, and how it is used.

    Args:
        bundle: Name of an installed bundle, or a bundle folder beside the evaluation file, or any path of one.
        title: What tables call it; empty takes the bundle's name.
        options: Options of use of its method, such as `{ guidance = "both" }`.
        steps: Numbers of steps, a row each; empty takes the bundle's own.
        samples: Translations that are averaged; more than one also gives an uncertainty.
    """

    bundle: str
    title: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[int, ...] = ()
    samples: int = 1

    def __post_init__(self) -> None:
        """Refuses counts that are none."""
        if self.samples < 1 or any(steps < 1 for steps in self.steps):
            msg = f"[[compare.methods]] needs steps and samples of 1 or more, got {self.steps} and {self.samples}."
            raise ConfigError(msg)


@dataclass(frozen=True)
class Family:
    """`[compare.family]`: the variants of a training file; their kept weights, or weights that are trained here.

    Args:
        training: Training file with `[[variants]]`, relative to the evaluation file.
        weights: Folder beside the evaluation file with a bundle folder for each variant, by its name.
        only: Names of the variants to take; empty takes all.
        steps: Numbers of steps for those that can choose, a row each; empty takes their own.
    """

    training: str
    weights: str
    only: tuple[str, ...] = ()
    steps: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuses chains without a step."""
        if any(steps < 1 for steps in self.steps):
            msg = f"[compare.family] needs steps of 1 or more, got {list(self.steps)}."
            raise ConfigError(msg)


@dataclass(frozen=True)
class TissueTruth:
    """`[compare.tissues]`: label maps beside the images, on their grid or on another one of the same patient.

    Args:
        labels: What `target` of the cases would be, were the label maps images: a file name in each case folder
            (volumes), the end of a file name (png-pairs), or the key of a stack (npz).
        groups: Name of each tissue and its values in the label maps.
    """

    labels: str
    groups: Mapping[str, tuple[int, ...]]

    def __post_init__(self) -> None:
        """Refuses a truth without a label map or without a tissue."""
        if not self.labels or not self.groups or not all(self.groups.values()):
            msg = f"[compare.tissues] needs labels and groups of label values, got {self!r:.160}."
            raise ConfigError(msg)


@dataclass(frozen=True)
class Comparison:
    """`[[compare]]`: methods that are judged on the same cases.

    Args:
        cases: The held-out images, source and target of the same anatomy.
        title: Head of its table; empty takes the first folder of the cases.
        bundles: Shorthand for methods that are used as they are.
        methods: Bundles with options.
        family: The variants of a training file.
        training: Training images, for the intensity regression, the clusters and what tells tissues.
        clusters: Numbers of K-means clusters; translations and targets are segmented by clusters that were fitted on
            training images of the target modality alone.
        tissues: True tissues of the target's anatomy; translations are segmented by the intensities that each tissue
            has in training images of the target, forward only.
        anatomy: What the images show; a bundle of another anatomy is refused. Empty: not checked.
        resample: Whether methods on other slice grids than the first one's may take part; their input and output are
            resampled.
        every: Takes each so many-th slice of a case.
        baselines: Whether untranslated source, histogram matching and intensity regression stand in the table.
        pictures: Number of cases that are shown.
    """

    cases: tuple[DataEntry, ...]
    title: str = ""
    bundles: tuple[str, ...] = ()
    methods: tuple[MethodEntry, ...] = ()
    family: Family | None = None
    training: tuple[DataEntry, ...] = ()
    clusters: tuple[int, ...] = ()
    tissues: TissueTruth | None = None
    anatomy: str = ""
    resample: bool = False
    every: int = 1
    baselines: bool = True
    pictures: int = 2

    def __post_init__(self) -> None:
        """Refuses a comparison of nothing, and counts that are none."""
        if not (self.bundles or self.methods or self.family):
            msg = "[[compare]] needs bundles = [...], [[compare.methods]] or [compare.family]; there is none."
            raise ConfigError(msg)
        if self.every < 1 or self.pictures < 0 or any(count not in KMEANS for count in self.clusters):
            msg = "[[compare]] needs every of 1 or more, pictures of 0 or more and clusters of 2 to 10."
            raise ConfigError(msg)
        if (self.clusters or self.tissues) and not any(entry.target for entry in self.training):
            msg = (
                "[[compare]]: clusters and tissues are learnt from training images of the target; "
                "add [[compare.training]] with `target`."
            )
            raise ConfigError(msg)
        if self.tissues and any(entry.kind == "generated" for entry in (*self.cases, *self.training)):
            msg = "[compare.tissues]: generated heads have no label maps; compare them in a table without tissues."
            raise ConfigError(msg)

    @property
    def name(self) -> str:
        """Head of the table."""
        return self.title or self.cases[0].folder

    @property
    def entries(self) -> tuple[MethodEntry, ...]:
        """All bundles that are named one by one."""
        return (*(MethodEntry(bundle) for bundle in self.bundles), *self.methods)


def comparison_from(table: Mapping[str, Any]) -> Comparison:
    """Reads a `[[compare]]` table.

    Raises:
        ConfigError: If a key is unknown, missing or wrong.
    """
    values: dict[str, Any] = dict(table)
    if "bundle" in values:
        msg = f'[[compare]] compares several: write bundles = ["{values["bundle"]}"] instead of bundle.'
        raise ConfigError(msg)
    for name in ("bundles", "clusters"):
        if not isinstance(values.get(name, []), list):
            msg = f"[[compare]] needs a list in brackets for {name}, got {values[name]!r}."
            raise ConfigError(msg)
    for name, kind in (("cases", DataEntry), ("training", DataEntry), ("methods", MethodEntry)):
        if name in values:
            values[name] = tuple(options_from(kind, entry) for entry in values[name])
    if not values.get("cases"):
        msg = f"[[compare]] needs at least one [[compare.cases]], got {sorted(table)}."
        raise ConfigError(msg)
    if "family" in values:
        values["family"] = options_from(Family, values["family"])
    if "tissues" in values:
        values["tissues"] = _tissues(values["tissues"])
    return options_from(Comparison, values)


def _tissues(table: Any) -> TissueTruth:
    groups = table.get("groups") if isinstance(table, dict) else None
    if not isinstance(groups, dict) or not all(map(_are_labels, groups.values())):
        msg = f"[compare.tissues] needs labels and groups of label values, got {table!r:.120}."
        raise ConfigError(msg)
    return options_from(TissueTruth, {**table, "groups": {name: tuple(values) for name, values in groups.items()}})


def _are_labels(values: object) -> bool:
    return isinstance(values, list) and all(type(value) is int for value in values)
