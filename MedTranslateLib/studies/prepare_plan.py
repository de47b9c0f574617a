"""What a study folder holds for readers: items, orders and seal, in files that say nothing of what an item is.

STUDY/study.json       the plan: questions, what may be seen, items, and the order of each reader
STUDY/seal.json        SHA-256 of the key, of study.json and of every image
STUDY/items/*.nrrd     the images
STUDY/answers.sqlite   what readers said (made by the first session)
STUDY/key.json         the key, once it has been opened
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from MedTranslateLib.bundles.typed_table import from_table, to_table
from MedTranslateLib.core.errors import BundleInvalidError, StudyChangedError, StudyError
from MedTranslateLib.imaging.files import write_json
from MedTranslateLib.studies.design_grid import StudyGrid
from MedTranslateLib.studies.design_order import Turn
from MedTranslateLib.studies.study import Question, ShowOptions

T = TypeVar("T")
PLAN, SEAL, ITEMS = "study.json", "seal.json", "items"
CHUNK = 1 << 20


@dataclass(frozen=True)
class PlanItem:
    """One item, as readers may know it.

    Args:
        item: Blinded name.
        images: Files, relative to the study folder: one, or two of a pair, the first on the left.
        sources: Files of the sources, one for each image; empty where sources are not shown.
    """

    item: str
    images: tuple[str, ...]
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReadingPlan:
    """All that a reader's computer needs to know, and nothing else.

    Args:
        title: Title of the study.
        questions: What is asked, in this order.
        show: What may be seen.
        washout_days: How long after the first time an item may be shown again.
        time_limit_s: How long an item may be looked at; 0 is without limit.
        grid: Grid of every image.
        window: Grey levels that are shown as black and as white.
        items: The items, by name.
        orders: The turns of each reader.
        format: Version of this file.
    """

    title: str
    questions: tuple[Question, ...]
    show: ShowOptions
    washout_days: float
    time_limit_s: float
    grid: StudyGrid
    window: tuple[float, float]
    items: tuple[PlanItem, ...]
    orders: Mapping[str, tuple[Turn, ...]]
    format: int = 1

    def item(self, name: str) -> PlanItem:
        """The item of that name.

        Raises:
            StudyError: If there is none.
        """
        for item in self.items:
            if item.item == name:
                return item
        msg = f"The study has no item {name!r}."
        raise StudyError(msg)

    def questions_of(self, item: PlanItem) -> tuple[Question, ...]:
        """What is asked about an item.

        Args:
            item: An image, or a pair.
        """
        return tuple(question for question in self.questions if question.kind.of_pairs is (len(item.images) == 2))


@dataclass(frozen=True)
class Seal:
    """What was published when the study began.

    Args:
        key_sha256: SHA-256 of the key's file.
        study_sha256: SHA-256 of `study.json`.
        files: SHA-256 of every image, by its path relative to the study folder.
        format: Version of this file.
    """

    key_sha256: str
    study_sha256: str
    files: Mapping[str, str]
    format: int = 1


def read_plan(folder: Path) -> ReadingPlan:
    """Reads `study.json`.

    Raises:
        StudyError: If the folder holds no study, or the file is damaged.
    """
    return _read(folder / PLAN, ReadingPlan)


def read_seal(folder: Path) -> Seal:
    """Reads `seal.json`.

    Raises:
        StudyError: If the folder holds no study, or the file is damaged.
    """
    return _read(folder / SEAL, Seal)


def write_table(path: Path, value: ReadingPlan | Seal) -> None:
    """Writes a plan or a seal.

    Args:
        path: File to write.
        value: What to write.

    Raises:
        OutputError: If the file cannot be written whole.
    """
    write_json(path, to_table(value))


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits.

    Args:
        path: An existing file.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


def check_sealed(folder: Path) -> None:
    """Compares the plan and every image with the seal.

    Args:
        folder: A study folder.

    Raises:
        StudyError: If the folder holds no study.
        StudyChangedError: If a file is missing or not the one that was sealed.
    """
    seal = read_seal(folder)
    check_file(folder, PLAN, seal.study_sha256)
    for name, expected in seal.files.items():
        check_file(folder, name, expected)


def check_file(folder: Path, name: str, expected: str) -> None:
    """Compares one file of a study with its SHA-256.

    Args:
        folder: The study folder.
        name: The file, relative to it.
        expected: The SHA-256.

    Raises:
        StudyChangedError: If it is missing, cannot be read, or is another.
    """
    advice = "Nothing is asked on changed images. Put back the file as it was prepared, or prepare a new study."
    try:
        found = sha256_of(folder / name)
    except FileNotFoundError as error:
        msg = f"{folder / name} is missing from the study. {advice}"
        raise StudyChangedError(msg) from error
    except OSError as error:
        msg = f"{folder / name} cannot be read ({error.strerror}). {advice}"
        raise StudyChangedError(msg) from error
    if found != expected:
        msg = f"{folder / name} was changed since the study was sealed: SHA-256 {found}, expected {expected}. {advice}"
        raise StudyChangedError(msg)


def _read(path: Path, kind: type[T]) -> T:
    try:
        table: Any = json.loads(path.read_text(encoding="utf-8"))
        return from_table(kind, table)
    except FileNotFoundError as error:
        msg = f"{path.parent} holds no prepared study: {path.name} is missing. `medtranslate study new` makes one."
        raise StudyError(msg) from error
    except (NotADirectoryError, UnicodeDecodeError, json.JSONDecodeError, BundleInvalidError) as error:
        msg = f"{path} is damaged: {error} Put back the file as it was prepared."
        raise StudyError(msg) from error
