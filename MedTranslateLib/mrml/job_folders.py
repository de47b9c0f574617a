"""A folder for temporary files in, a private job folder at a time out; and what a crashed Slicer left there removed."""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
import tempfile
from pathlib import Path

from MedTranslateLib.imaging.files import output_error

NAME = re.compile(r"mt([1-9][0-9]{0,9})-[a-z0-9_]{8}")
"""Short, because Windows ends a path at 260 characters; the number is that of the process that made the folder."""


class JobFolders:
    """Makes and removes the job folders of this process.

    They hold images of patients: only this user can read them, and none outlives its job.

    Args:
        parent: Folder to make them in; made where there is none.
    """

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self._there: set[Path] = set()

    def new(self) -> Path:
        """Makes an empty folder that only this user can open.

        Returns:
            Its path.

        Raises:
            OutputError: If it cannot be made.
        """
        try:
            self._parent.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=f"mt{os.getpid()}-", dir=self._parent))
        except OSError as error:
            raise output_error(self._parent / "job", error) from error
        self._there.add(folder)
        return folder

    def remove(self, folder: Path) -> None:
        """Removes a folder that `new` made, with all that is in it; again, or of another one, is harmless.

        A file that is held open, as Windows knows it, stays until `close`.
        """
        if folder in self._there:
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                self._there.discard(folder)

    def close(self) -> None:
        """Removes every folder that is still there."""
        for folder in tuple(self._there):
            self.remove(folder)

    def sweep(self) -> tuple[Path, ...]:
        """Removes job folders whose process no longer runs: that Slicer crashed or was killed.

        Returns:
            The folders that are gone.
        """
        return tuple(folder for folder in self._orphans() if _gone(folder))

    def _orphans(self) -> list[Path]:
        try:
            there = sorted(self._parent.iterdir())
        except OSError:
            return []
        return [folder for folder in there if _is_own_folder(folder) and not is_running(_maker(folder))]


def is_running(process: int) -> bool:
    """Whether a process of this number runs; in doubt it does."""
    if sys.platform == "win32":
        return _is_running_on_windows(process)
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


if sys.platform == "win32":
    import ctypes

    def _is_running_on_windows(process: int) -> bool:
        """There `os.kill` would end the process instead of asking for it."""
        may_wait, still_running, invalid_parameter = 0x00100000, 0x102, 87
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        handle = kernel.OpenProcess(may_wait, 0, process)
        if not handle:
            return ctypes.get_last_error() != invalid_parameter
        try:
            return bool(kernel.WaitForSingleObject(handle, 0) == still_running)
        finally:
            kernel.CloseHandle(handle)


def _is_own_folder(folder: Path) -> bool:
    """A name of ours, a real folder, of this user: in a folder that all users share, others may put what they like."""
    try:
        state = folder.lstat()
    except OSError:
        return False
    mine = sys.platform == "win32" or state.st_uid == os.getuid()
    return mine and NAME.fullmatch(folder.name) is not None and stat.S_ISDIR(state.st_mode)


def _maker(folder: Path) -> int:
    return int(folder.name.removeprefix("mt").partition("-")[0])


def _gone(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()
