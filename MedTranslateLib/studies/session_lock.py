"""A study folder and a reader in, the right to be this reader's only session out, until it ends or dies."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from datetime import datetime
from pathlib import Path

from MedTranslateLib.core.errors import ReaderBusyError, StudyError
from MedTranslateLib.imaging.files import make_folder, write_json

LOCKS = "sessions"


class ReaderLock:
    """Held by one session of a reader at a time; the operating system takes it back when the process ends.

    The lock is an open transaction on a database of its own, because that is a lock that works alike on every system
    and needs no heartbeat: a process that was killed holds nothing any more.

    Args:
        folder: The study folder.
        reader: Name of the reader.
        now: For the message that another session would get.

    Raises:
        ReaderBusyError: If another session of this reader is open, in this process or another.
        StudyError: If the lock cannot be made.
    """

    def __init__(self, folder: Path, reader: str, now: datetime) -> None:
        make_folder(folder / LOCKS)
        self._said = folder / LOCKS / f"{reader}.json"
        path = folder / LOCKS / f"{reader}.lock"
        self._connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            self._connection.execute("PRAGMA journal_mode=MEMORY")
            self._connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            self._connection.close()
            if "locked" in str(error):
                raise ReaderBusyError(self._busy(reader)) from error
            msg = f"The session of {reader!r} cannot be locked ({error}): is {folder} writable?"
            raise StudyError(msg) from error
        except sqlite3.DatabaseError as error:
            self._connection.close()
            msg = f"{path} is damaged ({error}). No session holds it; remove this file and begin again."
            raise StudyError(msg) from error
        self.is_held = True
        since = {"process": os.getpid(), "computer": platform.node(), "since_utc": now.isoformat(timespec="seconds")}
        write_json(self._said, since)

    def release(self) -> None:
        """Gives the lock back; does nothing the second time."""
        self._connection.close()
        self.is_held = False

    def _busy(self, reader: str) -> str:
        try:
            said = json.loads(self._said.read_text(encoding="utf-8"))
            where = f" (process {said['process']} on {said['computer']}, since {said['since_utc']})"
        except (OSError, ValueError, KeyError, TypeError):
            where = ""
        return (
            f"Another session of reader {reader!r} is open{where}. End it first: a reader reads in one place at a time."
        )
