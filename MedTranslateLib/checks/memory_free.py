"""This machine and this process in, the bytes that may still be taken out: the system's, a container's, its limits'."""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC, CGROUP = Path("/proc"), Path("/sys/fs/cgroup")
ENDLESS = 1 << 60
"""A limit from here on is none."""
MACOS_REUSABLE = ("Pages free", "Pages inactive", "Pages speculative")


@dataclass(frozen=True)
class Room:
    """How much memory a run may have.

    Args:
        free: Bytes that may still be taken; None where nobody says.
        held: Bytes that the process of the run has already; 0 before it is started.
        device_free: Bytes free on the graphics card; None where there is none, or nobody says.
    """

    free: int | None
    held: int = 0
    device_free: int | None = None

    @property
    def total(self) -> int | None:
        """What the process may have in all."""
        return None if self.free is None else self.free + self.held


def free_bytes() -> int | None:
    """Bytes that this process may still take; None where the system does not say."""
    if sys.platform == "win32":
        return _windows_free()
    if sys.platform == "darwin":
        return _smallest([_macos_free()])
    return linux_free_bytes(PROC, CGROUP)


def held_bytes() -> int:
    """Bytes of memory that this process has; 0 where the system does not say."""
    return _table(PROC / "self" / "status").get("VmRSS", 0)


def linux_free_bytes(proc: Path, cgroup: Path) -> int | None:
    """The least of what the system, the control groups (version 1 or 2) and the limits of this process leave.

    Args:
        proc: Where the system tells about itself, usually /proc.
        cgroup: Where it tells about control groups, usually /sys/fs/cgroup.
    """
    available = _table(proc / "meminfo").get("MemAvailable")
    return _smallest([available, *_left_of_groups(proc, cgroup), *_left_of_limits(proc)])


def _smallest(sizes: list[int | None]) -> int | None:
    return max(0, min(known)) if (known := [size for size in sizes if size is not None]) else None


def _left_of_groups(proc: Path, cgroup: Path) -> Iterator[int]:
    """For every group that holds this process: its limit, less what it uses, but files it could let go."""
    for line in _text(proc / "self" / "cgroup").splitlines():
        number, controllers, path = (*line.split(":", 2), "", "")[:3]
        if number == "0" and not controllers:
            yield from _left_of_group(cgroup, path, ("memory.max", "memory.current", "inactive_file"))
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            yield from _left_of_group(cgroup / "memory", path, names)


def _left_of_group(root: Path, path: str, names: tuple[str, str, str]) -> Iterator[int]:
    """In a container only the root may be seen: the container's own group."""
    inner = root / path.lstrip("/")
    for folder in (inner, *inner.parents):
        limit, used = (_text(folder / name).strip() for name in names[:2])
        if limit.isdigit() and used.isdigit() and int(limit) < ENDLESS:
            yield int(limit) - int(used) + _table(folder / "memory.stat").get(names[2], 0)
        if folder == root:
            return


def _left_of_limits(proc: Path) -> Iterator[int]:
    """What `ulimit -v` and `ulimit -d` leave."""
    limits = {line[:26].strip(): line[26:].split() for line in _text(proc / "self" / "limits").splitlines()}
    sizes = _table(proc / "self" / "status")
    for limit, size in (("Max address space", "VmSize"), ("Max data size", "VmData")):
        soft = limits.get(limit, [""])[0]
        if soft.isdigit() and int(soft) < ENDLESS:
            yield int(soft) - sizes.get(size, 0)


def _table(path: Path) -> dict[str, int]:
    """Lines such as "MemAvailable:  1024 kB" or "inactive_file 4096", in bytes."""
    found = {}
    for name, size, unit in re.findall(r"^(\w+):?\s+(\d+)\s*(kB)?$", _text(path), re.MULTILINE):
        found[name] = int(size) << (10 if unit else 0)
    return found


def _text(path: Path) -> str:
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="ascii", errors="replace")
    return ""


def _macos_free() -> int | None:
    """Pages that are free or could be at once, as `vm_stat` counts them."""
    try:
        told = subprocess.run(["/usr/bin/vm_stat"], capture_output=True, text=True, check=True, timeout=5).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return macos_free_bytes(told)


def macos_free_bytes(told: str) -> int | None:
    """The bytes in the answer of macOS's `vm_stat` that are free or could be at once; None where it is no answer."""
    page = re.search(r"page size of (\d+) bytes", told)
    counts = dict(re.findall(r"^([^:\n]+):\s+(\d+)\.$", told, re.MULTILINE))
    if page is None or MACOS_REUSABLE[0] not in counts:
        return None
    return int(page[1]) * sum(int(counts.get(name, 0)) for name in MACOS_REUSABLE)


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of the Windows API."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        *((name, ctypes.c_uint64) for name in ("total", "free", "total_page", "free_page", "total_own", "free_own")),
        ("free_extended", ctypes.c_uint64),
    )


def _windows_free() -> int | None:
    status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009  # the attribute exists on Windows alone
    if not kernel.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None
    return min(int(status.free), int(status.free_page), int(status.free_own))
