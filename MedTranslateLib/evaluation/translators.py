"""A method of a comparison in, something that translates slices in 0..1 on the grid of the table out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.evaluation.baselines import IntensityRegression, histogram_matched, source_as_it_is
from MedTranslateLib.evaluation.competitors import BASELINES, Competitor, layout_of
from MedTranslateLib.evaluation.pairs import Pair, from_unit, to_unit
from MedTranslateLib.evaluation.regrid import Regrid
from MedTranslateLib.imaging.geometry import SliceGrid
from MedTranslateLib.imaging.scale import IntensityRange, IntensityScale
from MedTranslateLib.inference.correspond import displacements_of
from MedTranslateLib.inference.devices import choose_device
from MedTranslateLib.inference.slicewise import SliceRun, SliceRunResult, translate_slices
from MedTranslateLib.inference.weights import LoadedBundle, load_bundle, with_options
from MedTranslateLib.methods.contract import Direction
from MedTranslateLib.training.cases import (
    RawCase,
    Slices,
    TrainingCase,
    case_geometry,
    intensities_of,
    prepare_case,
)
from MedTranslateLib.training.config import CaseLayout, DataEntry


@dataclass(frozen=True)
class Made:
    """A translation, in 0..1 on the grid of the table.

    Args:
        images: (N, H, W).
        uncertainty: Standard deviation of the samples; None for one sample.
        displacements: Forward and inverse, (2, N, 2, H, W) in pixels; None where every pixel stays in its place.
        cycle_mae: Mean absolute difference of the source and A -> B -> A; NaN where there is no way back.
    """

    images: Slices
    uncertainty: Slices | None = None
    displacements: Slices | None = None
    cycle_mae: float = float("nan")


class Ranges(NamedTuple):
    """The stored intensities that become 0 and 1 for a bundle and for the table."""

    own: IntensityRange
    table: IntensityRange


@dataclass(frozen=True)
class StoredCase:
    """A case as stored, with the entry of the evaluation file that says how to read it."""

    raw: RawCase
    entry: DataEntry


class Translator(Protocol):
    """A method, ready to translate one case."""

    @property
    def ways(self) -> tuple[Direction, ...]:
        """The directions it has."""

    def translate(self, pair: Pair, way: Direction) -> Made:
        """Translates the source slices of a pair."""


@dataclass(frozen=True)
class Baseline:
    """One of the translations that any method has to beat.

    Args:
        title: Which of the `BASELINES`.
        regressions: Mean target intensity for each source intensity, by direction.
        ways: Directions of the table.
    """

    title: str
    regressions: Mapping[Direction, IntensityRegression | None]
    ways: tuple[Direction, ...]

    def translate(self, pair: Pair, way: Direction) -> Made:
        """Only histogram matching looks at the target.

        Raises:
            ConfigError: If the regression had no pairs to learn from.
        """
        if self.title == BASELINES[0]:
            return Made(source_as_it_is(pair.source, pair.target))
        if self.title == BASELINES[1]:
            return Made(histogram_matched(pair.source, pair.target))
        regression = self.regressions.get(way)
        if regression is None:
            msg = f"There are no training pairs to fit the {self.title} on."
            raise ConfigError(msg)
        return Made(regression(pair.source, pair.target))


@dataclass(frozen=True)
class OwnForm:
    """A case in the form a bundle takes, where that is not the form of the table.

    Args:
        case: On the bundle's grid and scales.
        regrid: Way from the bundle's grid to the table's; None where they are the same.
        ranges: Intensities that are 0 and 1 for the bundle, and for the table: of the source side, of the target side.
    """

    case: TrainingCase
    regrid: Regrid | None
    ranges: tuple[Ranges, Ranges]

    def source(self, pair: Pair, way: Direction) -> Slices:
        """The source slices of a pair, (N, H, W) in [-1, 1]."""
        side = self.case.source if way is Direction.FORWARD else self.case.target
        if side is None:
            msg = f"Case {self.case.name} has no {way.value} source."
            raise ConfigError(msg)
        return side[list(pair.indices)]

    def to_table(self, images: Slices, way: Direction) -> Slices:
        """A translation, (N, H, W) in [-1, 1], as images of the table in 0..1."""
        own, table = self.ranges[1] if way is Direction.FORWARD else self.ranges[0]
        stored = own.low + to_unit(images) * (own.high - own.low)
        unit = np.clip((stored - table.low) / (table.high - table.low), 0, 1)
        return np.asarray(self.on_table(np.asarray(unit, np.float32)), np.float32)

    def on_table(self, images: Slices) -> Slices:
        """Images on the grid of the table; what lies beyond the bundle's grid is 0."""
        return images if self.regrid is None else self.regrid(images, 0.0)


@dataclass(frozen=True)
class Network:
    """A bundle, used as its competitor says.

    Args:
        bundle: The network.
        competitor: Steps and samples.
        seed: Of the noise.
        own: The case in the bundle's own form; None where it is that of the table.
    """

    bundle: LoadedBundle
    competitor: Competitor
    seed: int
    own: OwnForm | None = None

    @property
    def ways(self) -> tuple[Direction, ...]:
        """Both where the bundle is reversible."""
        return tuple(Direction) if self.bundle.manifest.reversible else (Direction.FORWARD,)

    def translate(self, pair: Pair, way: Direction) -> Made:
        """The mean of the samples, and back again where the bundle can.

        Raises:
            ConfigError: If the bundle moves pixels on another grid than the table's.
        """
        source = from_unit(pair.source) if self.own is None else self.own.source(pair, way)
        made = self._run(source, way, pair)
        if made.velocity is not None and self.own is not None and self.own.regrid is not None:
            msg = "Its fields lie on another slice grid than the table's; give this bundle a table of its own."
            raise ConfigError(msg)
        spread = None if made.deviation is None else np.asarray(made.deviation / 2, np.float32)
        return Made(
            images=to_unit(made.mean) if self.own is None else self.own.to_table(made.mean, way),
            uncertainty=spread if spread is None or self.own is None else self.own.on_table(spread),
            displacements=None if made.velocity is None else displacements_of(made.velocity),
            cycle_mae=self._cycle_mae(source, made, way, pair),
        )

    def _run(self, slices: Slices, way: Direction, pair: Pair) -> SliceRunResult:
        steps = self.competitor.steps or self.bundle.method.default_steps
        run = SliceRun(way, steps, self.competitor.samples, self.seed, pair.slice_spacing_mm)
        return translate_slices(slices, self.bundle, run, lambda _done, _total: None)

    def _cycle_mae(self, source: Slices, made: SliceRunResult, way: Direction, pair: Pair) -> float:
        """In the bundle's own form: source and return have the same scale."""
        if not self.bundle.manifest.reversible:
            return float("nan")
        home = Direction.REVERSE if way is Direction.FORWARD else Direction.FORWARD
        back = self._run(made.mean, home, pair).mean
        return float(np.abs(to_unit(back) - to_unit(source)).mean())


def open_network(competitor: Competitor, case: StoredCase, layout: CaseLayout, device: str, seed: int) -> Network:
    """Loads a bundle for one case; a process keeps the last few.

    Args:
        competitor: The bundle and its use.
        case: The case as stored.
        layout: Of the table.
        device: What the bundle runs on.
        seed: Of the noise.

    Raises:
        ConfigError: If the case has no geometry to resample by.
    """
    loaded = _load(competitor.folder, device)
    used = with_options(loaded, competitor.options)
    own = layout_of(loaded.manifest)
    return Network(used, competitor, seed, None if own == layout else _own_form(case, own, layout))


def _own_form(case: StoredCase, own: CaseLayout, table: CaseLayout) -> OwnForm:
    raw, entry = case.raw, case.entry
    sides = ((raw.source, "source"), (raw.target, "target"))
    ranges = []
    for volume, side in sides:
        if volume is None:
            msg = f"Case {raw.name} has no {side}; a comparison needs both."
            raise ConfigError(msg)
        scales: tuple[IntensityScale, IntensityScale] = (getattr(own, side), getattr(table, side))
        ranges.append(Ranges(*(intensities_of(volume, entry, scale, side) for scale in scales)))
    return OwnForm(prepare_case(raw, entry, own), _regrid(raw, own.grid, table.grid), (ranges[0], ranges[1]))


def _regrid(raw: RawCase, own: SliceGrid, table: SliceGrid) -> Regrid | None:
    if own == table:
        return None
    grids = [case_geometry(raw, grid) for grid in (own, table)]
    if grids[0] is None or grids[1] is None:
        msg = f"{raw.name} is stored on one slice grid, without its pixel size; state pixel_mm to have it resampled."
        raise ConfigError(msg)
    return Regrid(grids[0], grids[1])


@lru_cache(maxsize=4)
def _load(folder: str, device: str) -> LoadedBundle:
    return load_bundle(Path(folder), choose_device(device))
