"""The installed library in, what tells its code from any other out: a hash of its files, the commit of a clone."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def source_hashes(package: Path) -> Mapping[str, str]:
    """SHA-256 of every source file below the package's folder, by its path there, in order.

    Args:
        package: The folder `MedTranslateLib`.
    """
    names = sorted(path.relative_to(package).as_posix() for path in package.rglob("*.py"))
    return {name: hashlib.sha256((package / name).read_bytes()).hexdigest() for name in names}


@lru_cache(maxsize=4)
def hash_of_library(package: Path) -> str:
    """SHA-256 over names and contents of all source files of the package."""
    digest = hashlib.sha256()
    for name, content in source_hashes(package).items():
        digest.update(f"{name} {content}\n".encode())
    return digest.hexdigest()


def commit_of(repository: Path) -> str | None:
    """The commit that a clone stands on; None where the folder is no clone. Changes since then are not seen.

    Args:
        repository: The folder that holds `.git`.
    """
    folder = repository / ".git"
    if folder.is_file():  # a second work tree of a clone says where the rest lies
        folder = repository / _text(folder).removeprefix("gitdir:").strip()
    head = _text(folder / "HEAD").strip()
    if head.startswith("ref:"):
        head = _commit_of_branch(folder, head.removeprefix("ref:").strip())
    return head if COMMIT.fullmatch(head) else None


def _commit_of_branch(folder: Path, branch: str) -> str:
    shared = folder / (_text(folder / "commondir").strip() or ".")
    loose = _text(shared / branch).strip()
    packed = (line.split() for line in _text(shared / "packed-refs").splitlines())
    return loose or next((parts[0] for parts in packed if parts[1:] == [branch]), "")


def _text(path: Path) -> str:
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8")
    return ""
