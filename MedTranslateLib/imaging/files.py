"""Text or a block that writes in, a file on disk out: under another name first, so that none is ever torn."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from MedTranslateLib.core.errors import OutputError


@contextmanager
def renamed_when_whole(path: Path) -> Iterator[Path]:
    """Gives another name to write under; afterwards the file has its own name, or there is none.

    Raises:
        OutputError: If what is written inside fails.
    """
    temporary = path.with_name(f".part-{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    except (RuntimeError, OSError) as error:
        with suppress(OSError):
            temporary.unlink()
        raise output_error(path, error) from error


def write_json(path: Path, table: Mapping[str, Any]) -> None:
    """Writes UTF-8 JSON with sorted keys, then renames it into place.

    Raises:
        OutputError: If the file cannot be written whole.
    """
    write_text(path, json.dumps(table, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text, then renames it into place.

    Raises:
        OutputError: If the file cannot be written whole.
    """
    with renamed_when_whole(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def make_folder(folder: Path, *, private: bool = False) -> None:
    """Creates a folder with its parents.

    Args:
        folder: The folder; one that is there stays as it is.
        private: Whether only this user may open a folder that is made (where the system knows that).

    Raises:
        OutputError: If it cannot be created, written to, or a file is in the way.
    """
    try:
        folder.mkdir(mode=0o700 if private else 0o777, parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(folder, error) from error
    if not os.access(folder, os.W_OK):
        msg = f"The folder {folder} cannot be written to: no permission. Choose another folder."
        raise OutputError(msg)


def output_error(path: Path, error: Exception) -> OutputError:
    """Turns a failed write into a sentence about space, permission or the path."""
    free = _free_bytes(path.parent)
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ENOSPC or (free is not None and free < 1 << 20):
        return OutputError(f"{path} could not be written: the disk is full. Free some space or choose another folder.")
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(f"{path} could not be written: no permission. Choose another folder.")
    return OutputError(f"{path} could not be written: {str(error).strip().splitlines()[-1]}")


def _free_bytes(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
