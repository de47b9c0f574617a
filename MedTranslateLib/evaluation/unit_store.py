"""The result of a finished unit of work in, files that a later run finds again out: whole ones, or none.

A result is `KEY.json`, a table with the content and the SHA-256 of `KEY.npz`, which holds the arrays. Both are written
under other names and renamed, the table last: a process that is killed leaves a result that counts, or none.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import platform
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from MedTranslateLib.core.errors import ConfigError, CorruptResultError
from MedTranslateLib.imaging.files import make_folder, output_error

Arrays = Mapping[str, npt.NDArray[Any]]
FORMAT = 1
KEY = re.compile(r"[0-9a-f]{1,128}")
FLOAT = "$float"
"""JSON has no NaN and no infinity: such a number is a table with this one key."""
PART = re.compile(r"\.part-(?P<process>\d+)-(?P<machine>.*)-[0-9a-f]+\.(json|npz)")
ABANDONED_S = 24 * 3600.0
"""Where nobody can ask whether the writing process lives, a part that did not grow for so long has none."""


class UnitStore:
    """Results in a folder, each under a key; several processes may write different keys at once.

    Args:
        folder: Made where there is none. What killed processes left unfinished there is removed.

    Raises:
        OutputError: If the folder cannot be made or written to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        make_folder(folder)
        _remove_abandoned(folder)

    def has(self, key: str) -> bool:
        """Whether there is a whole result; one that is torn, or was put there by somebody else, is none.

        Args:
            key: Hexadecimal digits, lower case.

        Raises:
            ConfigError: If that is no key.
        """
        return self._stored(key) is not None

    def write(self, key: str, content: Mapping[str, Any], arrays: Arrays) -> None:
        """Stores a result, in place of an earlier one of that key.

        Args:
            key: Hexadecimal digits, lower case.
            content: Tables with texts as keys, lists, texts, numbers, switches and None; NaN and infinity included.
            arrays: Numbers and texts by name, of any shape.

        Raises:
            ConfigError: If the key, or something of the content or of the arrays, is of another kind.
            OutputError: If it cannot be written whole.
        """
        packed = _packed(arrays)
        table = {
            "format": FORMAT,
            "key": _checked(key),
            "sha256": hashlib.sha256(packed).hexdigest(),
            "arrays": list(arrays),
            "content": _to_json(content),
        }
        text = json.dumps(table, indent=1, allow_nan=False) + "\n"
        self._put(self._folder / f"{key}.npz", packed)
        self._put(self._folder / f"{key}.json", text.encode("ascii"))

    def read(self, key: str) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Reads a result back: the content, tuples as lists, and the arrays, both exactly as they were.

        Args:
            key: Hexadecimal digits, lower case.

        Raises:
            ConfigError: If that is no key.
            CorruptResultError: If there is no whole result of that key.
        """
        stored = self._stored(key)
        if stored is None:
            msg = f"{self._folder} holds no whole result {key}; work on that unit again."
            raise CorruptResultError(msg)
        table, packed = stored
        with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
            named = {name: arrays[f"arr_{number}"] for number, name in enumerate(table["arrays"])}
        return _from_json(table["content"]), named

    def _stored(self, key: str) -> tuple[dict[str, Any], bytes] | None:
        path = self._folder / f"{_checked(key)}.json"
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
            packed = path.with_suffix(".npz").read_bytes()
        except (OSError, ValueError, RecursionError):
            return None
        stated = {"format": FORMAT, "key": key, "sha256": hashlib.sha256(packed).hexdigest()}
        ours = isinstance(table, dict) and {name: table.get(name) for name in stated} == stated
        return (table, packed) if ours else None

    def _put(self, path: Path, content: bytes) -> None:
        with _part_of(path) as part, part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def _part_of(path: Path) -> Iterator[Path]:
    """A name that tells which process is writing; afterwards the file has its own name, or there is none."""
    part = path.with_name(f".part-{os.getpid()}-{platform.node()}-{path.name}")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise output_error(path, error) from error


def _remove_abandoned(folder: Path) -> None:
    for path in folder.glob(".part-*"):
        name = PART.fullmatch(path.name)
        with suppress(OSError):  # another process may be removing the same, or its writer have renamed it
            if name and _is_abandoned(path, int(name["process"]), name["machine"]):
                path.unlink()


def _is_abandoned(path: Path, process: int, machine: str) -> bool:
    # Windows has no way to ask without ending the process that is asked for.
    if machine == platform.node() and sys.platform != "win32":
        return not _is_running(process)
    return time.time() - path.stat().st_mtime > ABANDONED_S


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _checked(key: str) -> str:
    if not KEY.fullmatch(key):
        msg = f"Got the key {key!r:.80}; expected 1 to 128 hexadecimal digits in lower case, such as a SHA-256."
        raise ConfigError(msg)
    return key


def _packed(arrays: Arrays) -> bytes:
    """An .npz; arrays are numbered, so that any text can be a name."""
    for name, array in arrays.items():
        if array.dtype.hasobject:
            msg = f"The array {name!r} holds Python objects ({array.dtype}); expected numbers or texts."
            raise ConfigError(msg)
    file = io.BytesIO()
    np.savez(file, *arrays.values())
    return file.getvalue()


def _to_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) and key != FLOAT for key in value):
            msg = f"Got the keys {list(value)!r:.80}; expected texts other than {FLOAT!r}."
            raise ConfigError(msg)
        return {key: _to_json(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_json(part) for part in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {FLOAT: str(float(value))}
    if value is None or isinstance(value, (str, int)):
        return value
    msg = f"Got {value!r:.80} of type {type(value).__name__}; expected a table, list, text, number, switch or None."
    raise ConfigError(msg)


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        return float(value[FLOAT]) if set(value) == {FLOAT} else {key: _from_json(part) for key, part in value.items()}
    return [_from_json(part) for part in value] if isinstance(value, list) else value
