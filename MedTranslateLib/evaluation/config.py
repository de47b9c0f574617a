"""An evaluation file (TOML) in, a checked and frozen configuration out."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.methods.options import options_from
from MedTranslateLib.training.config import DataEntry

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Comparison:
    """One bundle with the cases it is judged on.

    Args:
        bundle: Name of an installed bundle, or the path of a bundle folder.
        cases: The held-out images.
        training: The bundle's training images, which the intensity regression is fitted on.
    """

    bundle: str
    cases: tuple[DataEntry, ...]
    training: tuple[DataEntry, ...]


def read_comparisons(path: Path) -> tuple[Comparison, ...]:
    """Reads the `[[compare]]` tables of an evaluation file.

    Raises:
        ConfigError: If the file is missing, is not TOML, or has a wrong, missing or unknown key.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        msg = f"The evaluation file {path} does not exist."
        raise ConfigError(msg) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{path} is not valid TOML: {error}"
        raise ConfigError(msg) from error
    unknown = sorted(set(raw) - {"compare"})
    if unknown or not raw.get("compare"):
        msg = f"{path}: unknown table {unknown[0]!r}." if unknown else f"{path} needs at least one [[compare]] table."
        raise ConfigError(msg)
    return tuple(_comparison(table) for table in raw["compare"])


def _comparison(table: dict[str, Any]) -> Comparison:
    entries = {name: tuple(options_from(DataEntry, e) for e in table.get(name, [])) for name in ("cases", "training")}
    comparison = options_from(Comparison, {**table, **entries})
    if not comparison.cases or not comparison.training:
        msg = f"[[compare]] of {comparison.bundle} needs [[compare.cases]] and [[compare.training]]."
        raise ConfigError(msg)
    return comparison
