"""From the option table of a bundle or a training file to a frozen dataclass; an unknown key is an error."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from MedTranslateLib.core.errors import ConfigError

T = TypeVar("T")
KINDS: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,)}
"""The plain types that fields are annotated with, and what is taken for each."""


def options_from(kind: type[T], values: Mapping[str, Any]) -> T:
    """Builds the dataclass `kind` from a table, lists turned into tuples.

    Raises:
        ConfigError: If a key is unknown, missing, of the wrong type, or refused by the dataclass.
    """
    types = {field.name: field.type for field in fields(kind)}  # type: ignore[arg-type]  # every options class is one
    known = list(types)
    unknown = sorted(set(values) - set(known))
    if unknown:
        msg = f"Unknown key {unknown[0]!r} for {kind.__name__}; known are {', '.join(known)}."
        raise ConfigError(msg)
    for key, value in values.items():
        _check_type(key, value, str(types[key]))
    try:
        return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
    except TypeError as error:
        msg = f"{kind.__name__}: {error}. Known keys are {', '.join(known)}."
        raise ConfigError(msg) from error


def _check_type(key: str, value: object, wanted: str) -> None:
    """Refuses a text for a number, a number for a switch, and numbers that are none."""
    kinds = KINDS.get(wanted)
    if kinds is None:
        return
    plain = isinstance(value, kinds) and (wanted == "bool" or not isinstance(value, bool))
    if not plain or (isinstance(value, float) and not math.isfinite(value)):
        msg = f"{key} must be {wanted}, got {value!r}."
        raise ConfigError(msg)
