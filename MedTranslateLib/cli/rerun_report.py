"""A first and a second result of one case in, whether they agree and why they may not out, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from MedTranslateLib.core.errors import CorruptResultError
from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.imaging.job_folder import FILES, PROVENANCE, RESULT, read_result_table, sha256_of_file
from MedTranslateLib.imaging.reading import read_volume

TRANSLATED = FILES["translated"]
EXPLAINING = {
    "software": (
        "version",
        "code_sha256",
        "git_commit",
        "python",
        "torch",
        "numpy",
        "simpleitk",
        "scipy",
        "monai",
        "scikit_image",
        "safetensors",
        "platform",
    ),
    "run": ("device", "device_name", "precision", "batch_size", "slab", "threads"),
}
"""Parts of a record that may explain why two runs differ."""
NOT_STATED = "not stated"


@dataclass(frozen=True)
class FirstResult:
    """What a record belongs to.

    Args:
        folder: Where it lies.
        table: Its `result.json`.
    """

    folder: Path
    table: Mapping[str, Any]


@dataclass(frozen=True)
class Report:
    """What a rerun found: a text, and whether it is as good as can be expected."""

    text: str
    agrees: bool


def first_result(provenance: Path) -> FirstResult | str:
    """The result that lies beside a record, or why it cannot be compared with.

    Args:
        provenance: The record.

    Raises:
        CorruptResultError: If its output was changed since.
    """
    folder = provenance.parent
    if not (folder / RESULT).is_file():
        return "The first result is not beside the record, so they were not compared."
    table = read_result_table(folder)
    hashes = table.get("sha256", {})
    if hashes.get(PROVENANCE) != sha256_of_file(provenance):
        return f"The result beside the record belongs to another one ({RESULT} says so), so they were not compared."
    output = folder / TRANSLATED
    if not output.is_file() or sha256_of_file(output) != hashes.get(TRANSLATED):
        msg = f"The first output {output} was changed or is missing; nothing was run. Restore it to compare."
        raise CorruptResultError(msg)
    return FirstResult(folder, table)


def compare(first: FirstResult | None, again: Path, record: Mapping[str, Any], result: TranslationResult) -> Report:
    """Compares the files of two results, and where the output differs, its voxels.

    Args:
        first: The first result; None where there is none.
        again: Folder of the second.
        record: The first one's record.
        result: The second.
    """
    if first is None:
        return Report("", agrees=True)
    others = _differing_files(first, again)
    if TRANSLATED not in others:
        rest = f"; not so {', '.join(sorted(others))}" if others else ", and all other files as well"
        return Report(f"Identical byte for byte: {TRANSLATED}{rest}.", agrees=True)
    told = _difference(first, result)
    reasons = list(_reasons(record, result.provenance))
    then, now = record["run"], result.provenance["run"]
    if (then["device"], then.get("device_name")) != (now["device"], now["device_name"]):
        devices = f"{_device(then)} then, {_device(now)} now"
        return Report(f"Another device: {devices}. {told}", agrees=True)
    why = f"What differs between the runs: {'; '.join(reasons)}." if reasons else "The records state no difference."
    return Report(f"NOT identical, on the same device. {told} {why}", agrees=False)


def _differing_files(first: FirstResult, again: Path) -> set[str]:
    then, now = first.table["sha256"], read_result_table(again)["sha256"]
    return {name for name in {*then, *now} - {PROVENANCE} if then.get(name) != now.get(name)}


def _difference(first: FirstResult, again: TranslationResult) -> str:
    before = read_volume(first.folder / TRANSLATED).array_kji
    difference = np.abs(before - again.translated.array_kji)
    span = float(before.max()) - float(before.min())
    unit = "HU" if again.output_scale == "hounsfield" else "(relative 0..1)"
    largest, mean = float(difference.max()), float(difference.mean(dtype=np.float64))
    shares = f", {100 * largest / span:.3g} % and {100 * mean / span:.3g} % of the output's range" if span else ""
    return f"Largest difference to the first result {largest:.4g}, mean {mean:.4g} {unit}{shares}."


def _reasons(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for part, keys in EXPLAINING.items():
        for key in keys:
            before, after = (table.get(part, {}).get(key, NOT_STATED) for table in (then, now))
            if before != after:
                yield f"{key} {_short(before)} then, {_short(after)} now"


def _short(value: object) -> str:
    """Hashes are told apart by their first digits."""
    text = "all" if value is None else str(value)
    return text[:12] if len(text) in (40, 64) and text.isalnum() else text


def _device(run: Mapping[str, Any]) -> str:
    return f"{run['device']} ({run.get('device_name', NOT_STATED)})"
