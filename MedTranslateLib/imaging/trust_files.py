"""Trust maps and ledger in, their files in a job folder out; and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from MedTranslateLib.core.errors import CorruptResultError
from MedTranslateLib.core.ledger import Ledger, LedgerEntry
from MedTranslateLib.core.result import SYNTHETIC_NOTE, TranslationResult
from MedTranslateLib.core.trust import TrustMaps, TrustPart
from MedTranslateLib.imaging.files import write_json
from MedTranslateLib.imaging.nrrd_stream import Allocate
from MedTranslateLib.imaging.reading import read_mask, read_volume
from MedTranslateLib.imaging.writing import write_mask, write_volume

TRUST_FILES = {
    "trust": "trust.nrrd",
    "expected_error": "expected_error.nrrd",
    **{f"trust_{part.value}": f"trust_{part.value}.nrrd" for part in TrustPart},
}
LEDGER_FILES = {"ledger": "ledger.json", "ledger_regions": "ledger_regions.nrrd"}
CheckedFile = Callable[[str], Path]
"""Gives the path of a part after its bytes were compared with what `result.json` states."""


def write_trust(folder: Path, maps: TrustMaps | None) -> dict[str, str]:
    """Writes the maps that there are; returns their files by role.

    Raises:
        OutputError: If a file cannot be written whole.
    """
    if maps is None:
        return {}
    volumes = {"trust": maps.trust, **{f"trust_{part.value}": volume for part, volume in maps.parts.items()}}
    if maps.expected_error is not None:
        volumes["expected_error"] = maps.expected_error
    for role, volume in volumes.items():
        write_volume(folder / TRUST_FILES[role], volume)
    return {role: TRUST_FILES[role] for role in volumes}


def read_trust(roles: set[str], checked: CheckedFile, allocate: Allocate) -> TrustMaps | None:
    """Reads the maps back; None where the result has none.

    Raises:
        CorruptResultError: If a file is missing or was changed.
    """
    if "trust" not in roles:
        return None
    volumes = {role: read_volume(checked(role), allocate) for role in TRUST_FILES if role in roles}
    parts = {part: volumes[f"trust_{part.value}"] for part in TrustPart if f"trust_{part.value}" in volumes}
    return TrustMaps(volumes["trust"], volumes.get("expected_error"), parts)


def write_ledger(folder: Path, result: TranslationResult) -> dict[str, str]:
    """Writes list and regions of the ledger; returns their files by role, none where there is no ledger.

    Raises:
        OutputError: If a file cannot be written whole.
    """
    ledger = result.ledger
    if ledger is None:
        return {}
    entries = [entry.to_json() for entry in ledger.entries]
    table = {"format": 1, "rule": ledger.rule, "entries": entries, "note": SYNTHETIC_NOTE}
    write_json(folder / LEDGER_FILES["ledger"], table)
    write_mask(folder / LEDGER_FILES["ledger_regions"], ledger.regions_kji, result.translated.geometry)
    return dict(LEDGER_FILES)


def read_ledger(roles: set[str], checked: CheckedFile, allocate: Allocate) -> Ledger | None:
    """Reads the ledger back; None where the result has none.

    Raises:
        CorruptResultError: If a file is missing, was changed or cannot be understood.
    """
    if "ledger" not in roles:
        return None
    path = checked("ledger")
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        entries = tuple(LedgerEntry.from_json(entry) for entry in table["entries"])
        rule = str(table["rule"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{path} cannot be read: {error}"
        raise CorruptResultError(msg) from error
    return Ledger(entries, read_mask(checked("ledger_regions"), allocate), rule)
