"""A table as JSON gives it in, a frozen dataclass out: every unknown, missing or mistyped key is named; and back."""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from MedTranslateLib.core.errors import BundleInvalidError

T = TypeVar("T")


def from_table(kind: type[T], table: object, key: str = "") -> T:
    """Builds the dataclass `kind`, following its type hints into nested tables.

    Args:
        kind: A dataclass whose hints are str, bool, int, float, Literal, enums of str, dataclasses, tuples of those,
            or mappings from str. A field with a default may be missing.
        table: What was read.
        key: Where the table stands in the whole, such as `source.scale`; empty for the whole.

    Returns:
        The dataclass.

    Raises:
        BundleInvalidError: Naming the first key that is unknown, missing or of the wrong kind.
    """
    if not isinstance(table, dict):
        raise _mistyped(key or "the whole", "a table", table)
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]  # every kind is a dataclass
    _check_keys(known, table, key)
    hints = get_type_hints(kind)
    return kind(**{name: _convert(hints[name], value, _join(key, name)) for name, value in table.items()})


def to_table(value: Any) -> Any:
    """The inverse of `from_table`: dataclasses become tables, tuples lists; fields that are None are left out."""
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value):
        items = {field.name: getattr(value, field.name) for field in fields(value)}
        return {name: to_table(item) for name, item in items.items() if item is not None}
    if isinstance(value, Mapping):
        return {name: to_table(item) for name, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_table(item) for item in value]
    return value


def _check_keys(known: Mapping[str, Field[Any]], table: Mapping[str, Any], key: str) -> None:
    unknown = sorted(set(table) - set(known))
    if unknown:
        msg = f"unknown key {_join(key, unknown[0])!r}; known here are {', '.join(known)}."
        raise BundleInvalidError(msg)
    required = [name for name, f in known.items() if f.default is MISSING and f.default_factory is MISSING]
    missing = [name for name in required if name not in table]
    if missing:
        msg = f"the key {_join(key, missing[0])!r} is missing."
        raise BundleInvalidError(msg)


def _convert(hint: Any, value: object, key: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        # "X | None" means that the key may be missing; a written null is as wrong as any other kind.
        return _convert(get_args(hint)[0], value, key)
    if origin is Literal:
        return _choice(get_args(hint), value, key)
    if origin is tuple:
        return _items(get_args(hint), value, key)
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(get_args(hint)[1], value, key)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(_choice(tuple(member.value for member in hint), value, key))
    if is_dataclass(hint):
        return from_table(hint, value, key)  # type: ignore[arg-type]  # is_dataclass also admits instances
    return value if hint is Any else SCALARS[hint](value, key)


def _choice(allowed: tuple[Any, ...], value: object, key: str) -> Any:
    if not isinstance(value, str) or value not in allowed:
        raise _mistyped(key, " or ".join(repr(choice) for choice in allowed), value)
    return value


def _items(hints: tuple[Any, ...], value: object, key: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _mistyped(key, "a list", value)
    if hints[1:] == (...,):
        hints = hints[:1] * len(value)
    if len(hints) != len(value):
        raise _mistyped(key, f"a list of {len(hints)}", value)
    return tuple(_convert(hint, item, f"{key}[{i}]") for i, (hint, item) in enumerate(zip(hints, value, strict=True)))


def _mapping(hint: Any, value: object, key: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _mistyped(key, "a table", value)
    return {name: _convert(hint, item, _join(key, name)) for name, item in value.items()}


def _text(value: object, key: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _mistyped(key, "a text that is not empty", value)
    return value


def _flag(value: object, key: str) -> bool:
    if not isinstance(value, bool):
        raise _mistyped(key, "true or false", value)
    return value


def _integer(value: object, key: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _mistyped(key, "a whole number", value)
    return value


def _number(value: object, key: str) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise _mistyped(key, "a finite number", value)
    return float(value)


SCALARS: dict[Any, Callable[[object, str], Any]] = {str: _text, bool: _flag, int: _integer, float: _number}


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _mistyped(key: str, expected: str, value: object) -> BundleInvalidError:
    return BundleInvalidError(f"{key} must be {expected}, got {value!r:.80}.")
