"""A design and its images in, a study folder for readers and a sealed key out: both whole, or neither."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from MedTranslateLib.core.errors import StudyError
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.imaging.files import make_folder
from MedTranslateLib.imaging.writing import write_levels
from MedTranslateLib.studies.design_order import OrderItem, draw_orders
from MedTranslateLib.studies.key import Key, KeyEntry, write_key
from MedTranslateLib.studies.prepare_images import BRIGHTEST, Placement, grey_levels, item_geometry, place_grid
from MedTranslateLib.studies.prepare_plan import (
    ITEMS,
    PLAN,
    SEAL,
    PlanItem,
    ReadingPlan,
    Seal,
    sha256_of,
    write_table,
)
from MedTranslateLib.studies.study import Study, StudyCase, StudyPair

NONCE_BYTES = 32
NAME_BYTES = 4
SOURCE_ENDING = "-source"
SAME_TIME = 946_684_800
"""Every file of a study folder says that it was changed at the beginning of the year 2000."""


@dataclass(frozen=True)
class CaseImages:
    """What a case shows.

    Args:
        image: The image that is judged.
        source: Its source; None where sources are not shown.
    """

    image: Volume
    source: Volume | None = None


LoadCase = Callable[[StudyCase], CaseImages]


@dataclass(frozen=True)
class Prepared:
    """A prepared study.

    Args:
        folder: What readers get.
        key_file: What they must not get.
        key_sha256: What is published.
        items: Number of items.
    """

    folder: Path
    key_file: Path
    key_sha256: str
    items: int


@dataclass(frozen=True)
class _Levels:
    """A case as grey levels, in a file of our own; and where the grid lay."""

    image: Path
    source: Path | None
    placement: Placement


def prepare_study(study: Study, folder: Path, key_file: Path, load: LoadCase, nonce: str | None = None) -> Prepared:
    """Prepares a study.

    Args:
        study: The design.
        folder: The study folder; must not exist.
        key_file: Where the key goes; must not exist, and lies outside of `folder`.
        load: Gives the images of a case.
        nonce: See `Key`; None draws one.

    Returns:
        What was made.

    Raises:
        StudyError: If something is in the way, or an image shows nothing where the grid lies.
        OutputError: If a file cannot be written.
    """
    _check_places(folder, key_file)
    nonce = nonce or secrets.token_hex(NONCE_BYTES)
    make_folder(folder.parent)
    make_folder(key_file.parent)
    with tempfile.TemporaryDirectory(prefix=".part-study-", dir=folder.parent) as work:
        levels = _all_levels(study, load, Path(work), nonce)
        part = Path(work) / "study"
        entries, plan = _plan(study, levels, nonce)
        files = _write_items(part, study, entries, levels)
        write_table(part / PLAN, plan)
        key = Key(nonce, study, entries, sha256_of(part / PLAN))
        key_sha256 = write_key(key_file, key)
        try:
            write_table(part / SEAL, Seal(key_sha256, key.study_sha256, files))
            _forget_times(part)
            part.rename(folder)
        except BaseException:
            with suppress(OSError):
                key_file.unlink()
            raise
    return Prepared(folder, key_file, key_sha256, len(entries))


def _check_places(folder: Path, key_file: Path) -> None:
    for path in (folder, key_file):
        if path.exists():
            msg = f"{path} is there already; a study is never written over. Choose another name."
            raise StudyError(msg)
    if folder.resolve() in key_file.resolve().parents:
        msg = f"The key {key_file} would lie in the study folder, where readers find it. Choose a place outside."
        raise StudyError(msg)


def _all_levels(study: Study, load: LoadCase, work: Path, nonce: str) -> dict[str, _Levels]:
    levels = {}
    for number, case in enumerate(study.cases):
        images = load(case)
        placement = place_grid(images.image, study.grid, case.centre_ras)
        chance = np.random.default_rng([study.seed, int(nonce, 16), number])

        def kept(image: Volume, name: str, at: Placement = placement, dice: np.random.Generator = chance) -> Path:
            path = work / f"{name}.npy"
            np.save(path, grey_levels(image, at, study.grid, study.intensity, dice))
            return path

        source = images.source if study.show.source else None
        levels[case.id] = _Levels(
            kept(images.image, f"{number}-image"),
            None if source is None else kept(source, f"{number}-source"),
            placement,
        )
    return levels


def _plan(study: Study, levels: dict[str, _Levels], nonce: str) -> tuple[tuple[KeyEntry, ...], ReadingPlan]:
    """Names, sides and orders; entries and items sorted by their random names."""
    entries = _entries(study, levels, np.random.default_rng([study.seed, int(nonce, 16), len(study.cases)]))
    order_items = [_order_item(entry, study) for entry in entries]
    sources = [_files(entry, SOURCE_ENDING) if study.show.source else () for entry in entries]
    plan = ReadingPlan(
        title=study.title,
        questions=study.questions,
        show=study.show,
        washout_days=study.washout_days,
        time_limit_s=study.time_limit_s,
        grid=study.grid,
        window=(0.0, float(BRIGHTEST)),
        items=tuple(
            PlanItem(entry.item, _files(entry), source) for entry, source in zip(entries, sources, strict=True)
        ),
        orders=draw_orders(order_items, study.readers, (study.seed, int(nonce, 16)), study.repeats),
    )
    return entries, plan


def _entries(study: Study, levels: dict[str, _Levels], dice: np.random.Generator) -> tuple[KeyEntry, ...]:
    names = _names(len(study.singles) + len(study.pairs), dice)
    swapped = _swapped(study, dice)
    singles = [_of_case(names.pop(), case, levels[case.id].placement) for case in study.singles]
    pairs = [_of_pair(names.pop(), pair, study, swapped=pair.id in swapped) for pair in study.pairs]
    return tuple(sorted([*singles, *pairs], key=lambda entry: entry.item))


def _names(count: int, dice: np.random.Generator) -> list[str]:
    names: set[str] = set()
    ordered: list[str] = []
    while len(ordered) < count:
        name = dice.bytes(NAME_BYTES).hex()
        if name not in names:
            names.add(name)
            ordered.append(name)
    return ordered


def _swapped(study: Study, dice: np.random.Generator) -> set[str]:
    """Pairs whose second case comes first: half of those in which the first case is real, half of the others."""
    swapped: set[str] = set()
    for made_by in sorted({study.case(pair.cases[0]).made_by for pair in study.pairs}):
        ids = [pair.id for pair in study.pairs if study.case(pair.cases[0]).made_by == made_by]
        half = (len(ids) + int(dice.integers(2))) // 2
        swapped |= {ids[place] for place in dice.permutation(len(ids))[:half]}
    return swapped


def _of_case(name: str, case: StudyCase, placement: Placement) -> KeyEntry:
    return KeyEntry(
        item=name,
        case=case.id,
        treatment=case.made_by,
        subject=case.of_subject,
        practice=case.practice,
        truth=case.truth,
        regions=tuple(placement.to_item(region) for region in case.regions),
        cases=(case.id,),
    )


def _of_pair(name: str, pair: StudyPair, study: Study, *, swapped: bool) -> KeyEntry:
    first, second = (study.case(case) for case in (reversed(pair.cases) if swapped else pair.cases))
    return KeyEntry(
        item=name,
        case=pair.id,
        treatment=first.made_by,
        subject=first.of_subject,
        practice=pair.practice,
        second_treatment=second.made_by,
        cases=(first.id, second.id),
    )


def _order_item(entry: KeyEntry, study: Study) -> OrderItem:
    treatments = " ".join(sorted({entry.treatment, entry.second_treatment or entry.treatment}))
    subjects = frozenset(study.case(case).of_subject for case in entry.cases)
    return OrderItem(entry.item, f"{len(entry.cases)} {treatments} {entry.truth}", subjects, entry.practice)


def _files(entry: KeyEntry, ending: str = "") -> tuple[str, ...]:
    if len(entry.cases) == 1:
        return (f"{ITEMS}/{entry.item}{ending}.nrrd",)
    return tuple(f"{ITEMS}/{entry.item}-{side}{ending}.nrrd" for side in ("first", "second"))


def _write_items(part: Path, study: Study, entries: Sequence[KeyEntry], levels: dict[str, _Levels]) -> dict[str, str]:
    """Writes the images in the order of their names; gives the SHA-256 of each."""
    make_folder(part / ITEMS)
    geometry = item_geometry(study.grid)
    files: dict[str, Path] = {}
    for entry in entries:
        for place, case in enumerate(entry.cases):
            files[_files(entry)[place]] = levels[case].image
            source = levels[case].source
            if source is not None:
                files[_files(entry, SOURCE_ENDING)[place]] = source
    for name in sorted(files):
        array: npt.NDArray[np.uint8] = np.load(files[name], allow_pickle=False)
        write_levels(part / name, array, geometry)
    return {name: sha256_of(part / name) for name in sorted(files)}


def _forget_times(part: Path) -> None:
    for path in [*sorted(part.rglob("*"), reverse=True), part]:
        os.utime(path, (SAME_TIME, SAME_TIME))
