"""A folder in, whether it is a DICOM export of ours out: only what we wrote may be removed again."""

from __future__ import annotations

import json
from pathlib import Path

EXPORT = "export.json"
"""Lies in every export and names its files."""


def is_export(folder: Path) -> bool:
    """Whether a folder holds a DICOM export as it was written, and nothing that was put there since.

    Args:
        folder: Any path.
    """
    try:
        table = json.loads((folder / EXPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    named = table.get("files") if isinstance(table, dict) else None
    if not isinstance(named, list):
        return False
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    return there <= {EXPORT, *map(str, named)}
