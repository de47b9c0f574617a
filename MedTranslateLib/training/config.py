"""A training file (TOML) in, a checked and frozen configuration out; an unknown key is an error."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.imaging.geometry import Centre, Plane, SliceGrid
from MedTranslateLib.imaging.scale import IntensityScale, ScaleKind
from MedTranslateLib.methods.distances import DistanceOptions
from MedTranslateLib.methods.options import options_from
from MedTranslateLib.training.card import CardOptions

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class DataEntry:
    """One folder of training images.

    Args:
        kind: `npz` (stacks of slices), `png-pairs`, `volumes`, or `generated` (head-like phantoms, no files).
        folder: Folder, relative to the data root; generated: what the cases are called.
        source: npz: key of the source stack; png-pairs: file suffix such as `_mri.png`; volumes: file name in each
            case folder. Empty where the entry has no source images.
        target: The same of the target.
        exclude: png-pairs: glob of files that end alike but are no images, such as `*_mask.png`.
        case_pattern: png-pairs: regular expression whose first group is the patient; default the text before `_`.
        paired: Whether source and target of a case show the same anatomy pixel by pixel.
        pixel_mm: png-pairs and npz: pixel spacing; 0 stands for 1 mm, and for stacks already on the bundle's grid.
        transpose: png-pairs: swap rows and columns to reach display order.
        flip_rows: png-pairs: then turn the rows upside down.
        stored_range: The stored values that are 0 and 1; empty: measured per case by the modality's scale.
        stored_sides: The sides that `stored_range` holds for; an unseen source is measured, as it will be in use.
        repeat: How often each slice stands in the pool that batches are drawn from.
        count: generated: number of cases.
        first: generated: number of the first case; other numbers are other heads.
        resample: volumes: whether source and target may lie on different grids, because they are registered.
    """

    kind: str
    folder: str
    source: str = ""
    target: str = ""
    exclude: str = ""
    case_pattern: str = r"([^_]+)_"
    paired: bool = True
    pixel_mm: float = 0.0
    transpose: bool = False
    flip_rows: bool = False
    stored_range: tuple[float, ...] = ()
    stored_sides: tuple[str, ...] = ("source", "target")
    repeat: int = 1
    resample: bool = False
    count: int = 0
    first: int = 0

    def __post_init__(self) -> None:
        """Refuses unknown kinds and entries without images."""
        if self.kind not in ("npz", "png-pairs", "volumes", "generated"):
            msg = f"data.kind = {self.kind!r} is unknown; choose npz, png-pairs, volumes or generated."
            raise ConfigError(msg)
        if (self.count < 1) == (self.kind == "generated"):
            msg = f"data.count belongs to kind = 'generated', which needs 1 or more; got {self.count}."
            raise ConfigError(msg)
        if not (self.source or self.target):
            msg = f"The data entry {self.folder!r} names neither source nor target images."
            raise ConfigError(msg)
        if self.repeat < 1:
            msg = f"data.repeat must be at least 1, got {self.repeat}."
            raise ConfigError(msg)
        if not set(self.stored_sides) <= {"source", "target"}:
            msg = f"data.stored_sides may name source and target, got {list(self.stored_sides)}."
            raise ConfigError(msg)
        if len(self.stored_range) not in (0, 2):
            msg = f"data.stored_range needs two numbers, got {list(self.stored_range)}."
            raise ConfigError(msg)


@dataclass(frozen=True)
class TrainingOptions:
    """How the network is fitted.

    Args:
        iterations: Number of optimiser steps.
        batch_size: Slices a step.
        learning_rate: Adam's step size.
        schedule: `constant` (the papers) or `cosine` to zero at the last iteration.
        warmup: First iterations, over which the step size grows linearly.
        ema: Decay of the exponential moving average of the weights, warmed up as min(ema, (1 + n) / (10 + n)).
        crop: Side in pixels of the random crop a step sees; 0 uses whole slices.
        whole_from: Iteration from which a step sees whole slices instead of crops; 0 never. The network normalises its
            features over the picture, and a whole slice, as in use, has more background than a crop.
        whole_batch_size: Slices a step from then on.
        flip: Whether left and right are swapped in half of the slices.
        rotation_deg, zoom, shift: Half widths of the random rotation, zoom factor and shift (share of the slice).
        paired_ratio: Share of the paired cases whose pairing is used; the rest counts as unpaired.
        precision: `auto` (bfloat16 where it is fast), `float32` or `bfloat16`.
        seed: Seed of weights, batches and augmentation.
        threads: CPU threads; 0 leaves torch's choice.
        save_every, validate_every: Iterations between checkpoints and between validations.
    """

    iterations: int
    batch_size: int = 8
    learning_rate: float = 1e-4
    schedule: str = "constant"
    warmup: int = 0
    ema: float = 0.9999
    crop: int = 0
    whole_from: int = 0
    whole_batch_size: int = 2
    flip: bool = True
    rotation_deg: float = 0.0
    zoom: float = 0.0
    shift: float = 0.0
    paired_ratio: float = 1.0
    precision: str = "auto"
    seed: int = 0
    threads: int = 0
    save_every: int = 200
    validate_every: int = 500

    def __post_init__(self) -> None:
        """Refuses values out of range."""
        if min(self.iterations, self.batch_size, self.whole_batch_size) < 1:
            msg = "training.iterations, batch_size and whole_batch_size must be at least 1."
            raise ConfigError(msg)
        if self.schedule not in ("constant", "cosine") or self.precision not in ("auto", "float32", "bfloat16"):
            msg = "training.schedule is constant or cosine; training.precision is auto, float32 or bfloat16."
            raise ConfigError(msg)
        if not 0 <= self.paired_ratio <= 1:
            msg = f"training.paired_ratio must lie in 0..1, got {self.paired_ratio}."
            raise ConfigError(msg)

    def at(self, iteration: int) -> TrainingOptions:
        """The options in force at an iteration: crops first, then whole slices."""
        if not self.whole_from or iteration < self.whole_from:
            return self
        return replace(self, crop=0, batch_size=self.whole_batch_size)


@dataclass(frozen=True)
class ModalityOptions:
    """One side of the translation: what it is called and how its intensities are normalised."""

    modality: str
    name: str
    scale: IntensityScale


@dataclass(frozen=True)
class CaseLayout:
    """What cases are brought to: the slice grid and the intensity scale of either side."""

    grid: SliceGrid
    source: IntensityScale
    target: IntensityScale


@dataclass(frozen=True)
class TrainingConfig:
    """Everything `medtranslate train` needs, as read from one file."""

    name: str
    card: Mapping[str, Any]
    grid: SliceGrid
    source: ModalityOptions
    target: ModalityOptions
    method: str
    method_options: Mapping[str, Any]
    distance: DistanceOptions
    training: TrainingOptions
    data: tuple[DataEntry, ...]
    validation: tuple[DataEntry, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict)

    @property
    def layout(self) -> CaseLayout:
        """Grid and scales of the cases."""
        return CaseLayout(self.grid, self.source.scale, self.target.scale)


NEEDED_TABLES = ("name", "card", "grid", "source", "target", "method", "training", "data")
TABLES = (*NEEDED_TABLES, "loss", "validation")


def read_config(path: Path) -> TrainingConfig:
    """Reads and checks a training file.

    Raises:
        ConfigError: If the file is missing, is not TOML, or has a wrong, missing or unknown key.
    """
    return parse_config({key: value for key, value in read_tables(path).items() if key != "variants"})


def read_tables(path: Path) -> dict[str, Any]:
    """Reads the tables of a training file, unchecked but for their names; `variants` may be among them.

    Raises:
        ConfigError: If the file is missing, is not TOML, lacks a table, or has an unknown one.
    """
    if not path.is_file():
        msg = f"The training file {path} does not exist."
        raise ConfigError(msg)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{path} is not valid TOML: {error}"
        raise ConfigError(msg) from error
    _check_names({key: value for key, value in raw.items() if key != "variants"})
    return raw


def parse_config(raw: Mapping[str, Any]) -> TrainingConfig:
    """Checks the tables of a training file; see `read_config`.

    Raises:
        ConfigError: If a key is unknown, missing or wrong.
    """
    _check_names(raw)
    try:
        return _parsed(raw)
    except KeyError as error:
        msg = f"Training file: the key {error} is missing."
        raise ConfigError(msg) from error


def _check_names(raw: Mapping[str, Any]) -> None:
    unknown = sorted(set(raw) - set(TABLES))
    if unknown:
        msg = f"Unknown table {unknown[0]!r} in the training file; known are {', '.join(TABLES)}."
        raise ConfigError(msg)
    missing = [key for key in NEEDED_TABLES if key not in raw]
    if missing:
        msg = f"Training file: the key {missing[0]!r} is missing."
        raise ConfigError(msg)


def _parsed(raw: Mapping[str, Any]) -> TrainingConfig:
    options_from(CardOptions, raw["card"])  # a card that cannot be written must not cost a whole training first
    method = dict(raw["method"])
    return TrainingConfig(
        name=raw["name"],
        card=raw["card"],
        grid=_grid(raw["grid"]),
        source=_modality(raw["source"]),
        target=_modality(raw["target"]),
        method=method.pop("name"),
        method_options=method,
        distance=options_from(DistanceOptions, raw.get("loss", {})),
        training=options_from(TrainingOptions, raw["training"]),
        data=tuple(options_from(DataEntry, entry) for entry in raw["data"]),
        validation=tuple(options_from(DataEntry, entry) for entry in raw.get("validation", [])),
        raw=raw,
    )


def _grid(table: Mapping[str, Any]) -> SliceGrid:
    checked = options_from(SliceGrid, table)
    if checked.plane not in set(Plane) or not checked.spacing_mm > 0 or min(checked.size_hw) < 16:
        msg = f"[grid] needs a plane, a positive spacing_mm and a size_hw of at least 16 pixels, got {dict(table)}."
        raise ConfigError(msg)
    if checked.centre not in set(Centre):
        msg = f"grid.centre = {checked.centre!r} is unknown; choose {', '.join(centre.value for centre in Centre)}."
        raise ConfigError(msg)
    height, width = checked.size_hw
    size = (int(height), int(width))
    return SliceGrid(Plane(checked.plane), float(checked.spacing_mm), size, Centre(checked.centre))


def _modality(table: Mapping[str, Any]) -> ModalityOptions:
    scale = options_from(IntensityScale, table["scale"])
    if scale.kind not in {kind.value for kind in ScaleKind}:
        msg = f"scale.kind = {scale.kind!r} is unknown; choose hounsfield or relative."
        raise ConfigError(msg)
    checked = IntensityScale(ScaleKind(scale.kind), scale.low, scale.high, scale.high_value)
    return options_from(ModalityOptions, {**table, "scale": checked})
