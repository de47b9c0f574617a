"""A written job folder in, messages while a worker process runs it, and a checked result out; cancel is kill."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import MedTranslateLib
from MedTranslateLib.core.errors import WorkerDiedError
from MedTranslateLib.core.messages import Done, Failure, Log, Message, from_line
from MedTranslateLib.imaging.finished_job import checked_result

WORKING_FOLDER = Path(MedTranslateLib.__file__).resolve().parent.parent
"""From a source tree the package can only be imported from the folder that holds it."""
KILLED = 9
"""SIGKILL, which Windows does not know."""
KILLED_MESSAGE = (
    "The system ended the run, most likely because memory ran out. It is started once more, with the smallest plan."
)
OnMessage = Callable[[Message], None]


def run_job(folder: Path, on_message: OnMessage, *, debug: bool = False) -> Path:
    """Runs one job in a process of its own and returns the path of its `result.json`.

    A process that the system killed without a word has most likely taken more memory than there was: it is run once
    more, with the smallest plan.

    Args:
        folder: A job folder with a request and a source.
        on_message: Told every message as it comes.
        debug: Whether the worker prints tracebacks to standard error.

    Raises:
        MedTranslateError: The error the worker reported, as the class its code names.
        WorkerDiedError: If the process ended without a result and without saying why.
    """
    options = ["--debug"] if debug else []
    ended = _run_once(folder, on_message, options)
    if ended == _Ended(-KILLED, None):
        on_message(Log(folder.name, KILLED_MESSAGE))
        ended = _run_once(folder, on_message, [*options, "--least-memory"])
    return checked_result(folder, ended.code, ended.failure)


class _Ended(NamedTuple):
    """A process that has ended: its exit code, and what it said of an error."""

    code: int
    failure: Failure | None


def _run_once(folder: Path, on_message: OnMessage, options: list[str]) -> _Ended:
    """Runs a process until it ends; an exception of the listener ends it at once."""
    failure = None
    with subprocess.Popen(
        [sys.executable, "-m", "MedTranslateLib.inference.worker", str(folder.resolve()), *options],
        cwd=WORKING_FOLDER,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        try:
            for message in messages_of(process):
                failure = message if isinstance(message, Failure) else failure
                on_message(message)
        except BaseException:  # also on Ctrl-C: a cancelled run must not go on in the background, nor be run again
            process.kill()
            raise
    return _Ended(process.returncode, failure)


def messages_of(process: subprocess.Popen[str]) -> Iterator[Message]:
    """The messages of a process until it closes its output; lines of other origin are passed over."""
    for line in process.stdout or ():
        message = from_line(line)
        if message is not None:
            yield message


class WarmWorker:
    """A worker that stays alive between jobs; use it in a `with` block."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "MedTranslateLib.inference.worker", "--serve"],
            cwd=WORKING_FOLDER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def __enter__(self) -> WarmWorker:
        """The worker itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()

    def run(self, folder: Path, on_message: OnMessage) -> Path:
        """As `run_job`, in the process that is already there.

        Raises:
            MedTranslateError: The error the worker reported; the worker can take the next job.
            WorkerDiedError: If the process is gone.
        """
        try:
            self._process.stdin.write(f"{folder.resolve()}\n")  # type: ignore[union-attr]  # opened as a pipe
            self._process.stdin.flush()  # type: ignore[union-attr]
        except OSError as error:
            msg = "The worker process has ended; start a new one."
            raise WorkerDiedError(msg) from error
        for message in messages_of(self._process):
            on_message(message)
            if isinstance(message, (Done, Failure)):
                return checked_result(folder, 0, message if isinstance(message, Failure) else None)
        msg = "The worker process ended in the middle of a job."
        raise WorkerDiedError(msg)
