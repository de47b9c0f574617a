"""From the option table of a bundle or a training file to a frozen dataclass; an unknown key is an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from MedTranslateLib.core.errors import ConfigError

T = TypeVar("T")


def options_from(kind: type[T], values: Mapping[str, Any]) -> T:
    """Builds the dataclass `kind` from a table, lists turned into tuples.

    Raises:
        ConfigError: If a key is unknown, missing, or refused by the dataclass.
    """
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # every options class is a dataclass
    unknown = sorted(set(values) - set(known))
    if unknown:
        msg = f"Unknown key {unknown[0]!r} for {kind.__name__}; known are {', '.join(known)}."
        raise ConfigError(msg)
    try:
        return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
    except TypeError as error:
        msg = f"{kind.__name__}: {error}. Known keys are {', '.join(known)}."
        raise ConfigError(msg) from error
