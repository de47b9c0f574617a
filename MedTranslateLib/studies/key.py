"""Which item is which: sealed at the start by a published SHA-256, opened at the end and checked against it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from MedTranslateLib.bundles.typed_table import from_table, to_table
from MedTranslateLib.core.errors import BundleInvalidError, StudyChangedError, StudyError
from MedTranslateLib.imaging.files import write_text
from MedTranslateLib.studies.prepare_plan import PLAN, check_file, read_seal
from MedTranslateLib.studies.study import Region, Study

KEY = "key.json"
"""Name of the opened key in a study folder."""


@dataclass(frozen=True)
class KeyEntry:
    """What one item really shows.

    Args:
        item: Blinded name of the item.
        case: Id of the case; of a pair the pair's id.
        treatment: `real`, or what made the image; of a pair that of the first image.
        subject: Whose image it is; of a pair whose the first is.
        practice: Whether it is there to practise.
        second_treatment: Of a pair that of the second image; else None.
        truth: 1 where a lesion is there, 0 where none is; None where nobody asks.
        regions: Where it is, in RAS mm of the item.
        cases: Ids of the cases shown, in the order in which they are shown: one, or two of a pair.
    """

    item: str
    case: str
    treatment: str
    subject: str
    practice: bool = False
    second_treatment: str | None = None
    truth: int | None = None
    regions: tuple[Region, ...] = ()
    cases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Key:
    """The whole key.

    Args:
        nonce: 256 random bits, in hexadecimal digits: without them, all possible keys could be tried out against the
            published SHA-256. Names of items and orders follow from it and the design's seed.
        study: The design, with all that readers must not see.
        entries: One for each item.
        study_sha256: SHA-256 of the `study.json` that it belongs to.
    """

    nonce: str
    study: Study
    entries: tuple[KeyEntry, ...]
    study_sha256: str

    def entry(self, item: str) -> KeyEntry:
        """The entry of an item.

        Raises:
            StudyError: If the key has none.
        """
        for entry in self.entries:
            if entry.item == item:
                return entry
        msg = f"The key has no item {item!r}; it belongs to another study."
        raise StudyError(msg)


def write_key(path: Path, key: Key) -> str:
    """Writes the key's file.

    Args:
        path: A file outside of the study folder, which readers have no access to.
        key: The key.

    Returns:
        Its SHA-256, which is published.

    Raises:
        OutputError: If the file cannot be written whole.
    """
    text = json.dumps(to_table(key), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_text(path, text)
    path.chmod(0o600)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def checked_key(folder: Path, path: Path) -> Key:
    """Reads a key and compares it with what was published in the study folder.

    Args:
        folder: A study folder.
        path: The key's file.

    Returns:
        The key.

    Raises:
        StudyError: If there is no study or no key, or the key is damaged.
        StudyChangedError: If it is not the key, or not the study, that was sealed.
    """
    seal = read_seal(folder)
    content = _read(path)
    found = hashlib.sha256(content).hexdigest()
    if found != seal.key_sha256:
        msg = (
            f"{path} is not the key that was sealed: its SHA-256 is {found}, published was {seal.key_sha256}. "
            "Take the file that `study new` wrote, unchanged."
        )
        raise StudyChangedError(msg)
    try:
        key = from_table(Key, json.loads(content))
    except (ValueError, BundleInvalidError) as error:
        msg = f"{path} is the sealed file, but cannot be read as a key: {error}"
        raise StudyError(msg) from error
    check_file(folder, PLAN, key.study_sha256)
    return key


def opened_key(folder: Path) -> Key:
    """The key of a study whose key has been opened, for its analysis.

    Args:
        folder: A study folder.

    Raises:
        StudyError: If the key has not been opened yet.
        StudyChangedError: If it is not the key, or not the study, that was sealed.
    """
    if not (folder / KEY).is_file():
        msg = f"The key of {folder} has not been opened; `medtranslate study open-key` does so once all have finished."
        raise StudyError(msg)
    return checked_key(folder, folder / KEY)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        msg = f"The key {path} cannot be read: {error.strerror}. Give the file that `study new` wrote."
        raise StudyError(msg) from error
