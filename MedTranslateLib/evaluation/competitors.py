"""A comparison in, the methods that take part with their bundle folders, and why others cannot, out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from MedTranslateLib.bundles.manifest import Manifest
from MedTranslateLib.bundles.store import default_store
from MedTranslateLib.bundles.verify import verify_bundle
from MedTranslateLib.checks.gate_slices import scale_of, slice_grid_of
from MedTranslateLib.core.errors import ConfigError, MedTranslateError
from MedTranslateLib.evaluation.compare_config import Comparison, Family, MethodEntry
from MedTranslateLib.evaluation.measurement import Problem
from MedTranslateLib.methods.catalogue import build_method
from MedTranslateLib.training.config import CaseLayout
from MedTranslateLib.training.variants import VariantConfig, read_variants

BASELINES = ("source as it is", "histogram matching", "intensity regression")


@dataclass(frozen=True)
class Competitor:
    """A method of a table.

    Args:
        title: What the table calls it.
        folder: Its bundle; empty for one of the `BASELINES`.
        options: Options of use.
        steps: Steps; 0 where the method has no choice.
        samples: Translations that are averaged.
    """

    title: str
    folder: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 0
    samples: int = 1

    def as_work(self) -> dict[str, Any]:
        """As a JSON-able table; `Competitor(**table)` is it again."""
        return asdict(self)


@dataclass(frozen=True)
class Lineup:
    """Who takes part in a comparison.

    Args:
        competitors: In the order of the table.
        layout: Slice grid and intensity scales that figures are taken on: those of the first bundle.
        reversible: Whether any of them translates back.
        problems: Methods that cannot take part.
    """

    competitors: tuple[Competitor, ...]
    layout: CaseLayout
    reversible: bool
    problems: tuple[Problem, ...]


def line_up(comparison: Comparison, config_folder: Path, trained: Mapping[str, Path]) -> Lineup:
    """Finds all bundles of a comparison.

    Args:
        comparison: The table.
        config_folder: Folder of the evaluation file.
        trained: Bundle folder of each variant of the family.

    Raises:
        ConfigError: If no bundle can take part at all.
    """
    entries = [*comparison.entries, *_family_entries(comparison, config_folder, trained)]
    found: list[tuple[MethodEntry, Manifest, Path]] = []
    problems: list[Problem] = []
    for entry in entries:
        one = _found(entry, comparison, config_folder, found[0][1] if found else None)
        if isinstance(one, Problem):
            problems.append(one)
        else:
            found.append(one)
    if not found:
        msg = f"{comparison.name}: no bundle can be compared. {' '.join(problem.message for problem in problems)}"
        raise ConfigError(msg)
    competitors = [one for entry, manifest, folder in found for one in _with_steps(entry, manifest, folder)]
    baselines = [Competitor(title) for title in _baselines(comparison)]
    reversible = any(manifest.reversible for _, manifest, _ in found)
    return Lineup((*baselines, *_distinct(competitors)), layout_of(found[0][1]), reversible, tuple(problems))


def bundle_folder(name: str, config_folder: Path) -> Path:
    """The bundle in a folder beside the evaluation file, or an installed one, or that in a folder.

    Raises:
        BundleNotFoundError: If there is none.
    """
    beside = config_folder / name
    return default_store().find(str(beside) if beside.is_dir() else name).folder


def layout_of(manifest: Manifest) -> CaseLayout:
    """Grid and scales of a bundle's cases."""
    return CaseLayout(slice_grid_of(manifest), scale_of(manifest.source), scale_of(manifest.target))


def variants_of(family: Family, config_folder: Path) -> tuple[VariantConfig, ...]:
    """The variants that a family takes part with.

    Raises:
        ConfigError: If one that is asked for does not exist.
    """
    known = {entry.variant.name: entry for entry in read_variants(config_folder / family.training)}
    unknown = sorted(set(family.only) - set(known))
    if unknown:
        msg = f"[compare.family]: {family.training} has no variant {unknown[0]!r}; it has {', '.join(known)}."
        raise ConfigError(msg)
    return tuple(known[name] for name in family.only or known)


def _family_entries(comparison: Comparison, config_folder: Path, trained: Mapping[str, Path]) -> list[MethodEntry]:
    family = comparison.family
    if family is None:
        return []
    entries = []
    for one in variants_of(family, config_folder):
        method = build_method(one.config.method, one.config.method_options)
        steps = tuple(number for number in family.steps if number in method.supported_steps)
        entries.append(MethodEntry(str(trained[one.variant.name]), one.variant.title, steps=steps))
    return entries


def _found(
    entry: MethodEntry, comparison: Comparison, config_folder: Path, first: Manifest | None
) -> tuple[MethodEntry, Manifest, Path] | Problem:
    try:
        folder = bundle_folder(entry.bundle, config_folder)
        manifest = verify_bundle(folder)
        _check(entry, manifest, comparison, first)
    except MedTranslateError as error:
        return Problem(comparison.name, "", entry.title or entry.bundle, str(error))
    return entry, manifest, folder


def _check(entry: MethodEntry, manifest: Manifest, comparison: Comparison, first: Manifest | None) -> None:
    if comparison.anatomy and manifest.anatomy != comparison.anatomy:
        msg = (
            f"The bundle {manifest.name} was trained on the {manifest.anatomy}, the images show the "
            f"{comparison.anatomy}; leave it out of this table."
        )
        raise ConfigError(msg)
    method = build_method(manifest.method, {**manifest.method_options, **entry.options})
    wrong = [number for number in entry.steps if number not in method.supported_steps]
    if wrong:
        msg = f"{wrong[0]} steps are not possible with {manifest.name}; it takes {method.supported_steps}."
        raise ConfigError(msg)
    if first is None:
        return
    mine, theirs = layout_of(manifest), layout_of(first)
    if (mine.source.kind, mine.target.kind) != (theirs.source.kind, theirs.target.kind):
        msg = f"{manifest.name} has other units than {first.name}; compare it in a table of its own."
        raise ConfigError(msg)
    if mine.grid != theirs.grid and not comparison.resample:
        msg = (
            f"{manifest.name} works on another slice grid than {first.name}; `resample = true` in the table has its "
            "input and output resampled."
        )
        raise ConfigError(msg)


def _with_steps(entry: MethodEntry, manifest: Manifest, folder: Path) -> list[Competitor]:
    """A row for each number of steps; its name says the number where there are several."""
    title = entry.title or manifest.name
    method = build_method(manifest.method, {**manifest.method_options, **entry.options})
    one = Competitor(title, str(folder), entry.options, method.default_steps, entry.samples)
    if not entry.steps:
        return [one]
    stem = title.partition(" @ ")[0]
    return [
        replace(one, title=f"{stem} @ {steps} step{'s' if steps > 1 else ''}", steps=steps) for steps in entry.steps
    ]


def _baselines(comparison: Comparison) -> Sequence[str]:
    if not comparison.baselines:
        return ()
    return BASELINES if any(entry.paired and entry.source for entry in comparison.training) else BASELINES[:2]


def _distinct(competitors: Sequence[Competitor]) -> list[Competitor]:
    titles = [*BASELINES, *(one.title for one in competitors)]
    twice = sorted({title for title in titles if titles.count(title) > 1})
    if twice:
        msg = f"Two methods are called {twice[0]!r}; give each a title of its own."
        raise ConfigError(msg)
    return list(competitors)
