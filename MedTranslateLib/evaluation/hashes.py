"""Files and settings in, hashes out: a result carries what it was made of, and is made again when that changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import MedTranslateLib
from MedTranslateLib.bundles.verify import sha256_of
from MedTranslateLib.core.code_version import source_hashes
from MedTranslateLib.core.errors import BundleInvalidError

WITHOUT_FIGURES = ("cli", "mrml", "evaluation/report")
"""Parts of the library that change no figure."""
UNREADABLE = "cannot be read"


def key_of(*parts: Any) -> str:
    """SHA-256 of values that JSON can hold."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


@lru_cache(maxsize=1)
def hash_of_code() -> str:
    """SHA-256 over all source files of the library that figures depend on."""
    told_by = tuple(f"{part}/" for part in WITHOUT_FIGURES)
    hashes = source_hashes(Path(MedTranslateLib.__file__).parent)
    return key_of([item for item in hashes.items() if not item[0].startswith(told_by)])


def hash_of_files(paths: Iterable[Path]) -> str:
    """SHA-256 over the contents of files, in their order; that one cannot be read is found out by whoever reads it."""
    return key_of([_hash_or_unreadable(path) for path in paths])


def _hash_or_unreadable(path: Path) -> str:
    try:
        return _hash_of_file(path, path.stat().st_mtime_ns)
    except (OSError, BundleInvalidError):
        return UNREADABLE


@lru_cache(maxsize=100_000)
def _hash_of_file(path: Path, changed_ns: int) -> str:
    """Of one file, or of all files of a folder with a DICOM series."""
    if path.is_dir():
        return key_of([sha256_of(file) for file in sorted(path.iterdir()) if file.is_file()])
    return sha256_of(path)
