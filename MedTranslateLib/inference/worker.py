"""The background process: a job folder in, JSON lines on standard output and a complete result in the folder out.

python -m MedTranslateLib.inference.worker JOB_FOLDER     one job; exit code 0 only with a complete result
python -m MedTranslateLib.inference.worker --serve        one job folder a line of standard input, network kept

With --serve --end-with-parent, closing standard input ends the process and its children at once, also in a job.
Exit codes: 0 done, 1 our mistake, 2 the user's mistake.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from MedTranslateLib.core.errors import DependencyMissingError, MedTranslateError
from MedTranslateLib.core.messages import Done, Failure, Message, Progress, to_line
from MedTranslateLib.inference.standard_input import end_with_children, lines, lines_while_parent_lives

if TYPE_CHECKING:
    from MedTranslateLib.inference.job import JobTranslator


class Worker:
    """Answers for jobs: tells what happens in messages, whatever happens."""

    def __init__(self, out: TextIO, *, debug: bool = False) -> None:
        self._out = out
        self._debug = debug
        self._translator: JobTranslator | None = None

    def run(self, folder: Path, *, least: bool = False) -> int:
        """Runs one job and returns the exit code; every error is told as an `error` event, never raised.

        Args:
            folder: The job folder.
            least: Whether the run starts with the least memory that it can do with.
        """
        self.say(Progress(folder.name, "read", 0, 1))
        try:
            translator = self._loaded()
            started = time.perf_counter()
            result = translator.run(folder, self.say, least=least)
        except MedTranslateError as error:
            return self._fail(folder, error.code, str(error), 2 if error.users_mistake else 1)
        except ImportError as error:
            msg = f"The background process cannot load what it needs ({error}). Install it, then try again."
            return self._fail(folder, DependencyMissingError.code, msg, 2)
        except MemoryError:
            msg = "There is not enough memory for this volume. Close other programs or crop the volume."
            return self._fail(folder, "memory", msg, 1)
        except Exception as error:  # noqa: BLE001  # the one place where a process must answer whatever happens
            msg = f"Internal error ({type(error).__name__}: {error}). Please report it."
            return self._fail(folder, "internal", msg, 1)
        self.say(Done(folder.name, str(result), round(time.perf_counter() - started, 3)))
        return 0

    def say(self, message: Message) -> None:
        """Writes one line and flushes it, so the other side sees it at once."""
        self._out.write(to_line(message) + "\n")
        self._out.flush()

    def _loaded(self) -> JobTranslator:
        if self._translator is None:
            # Not at file scope: it takes seconds, in which the parent is watched and the user has read a first message.
            from MedTranslateLib.inference.job import JobTranslator  # noqa: PLC0415

            self._translator = JobTranslator()
        return self._translator

    def _fail(self, folder: Path, code: str, message: str, exit_code: int) -> int:
        if self._debug:
            traceback.print_exc(file=sys.stderr)
        self.say(Failure(folder.name, code, message))
        return exit_code


def main(argv: list[str] | None = None) -> int:
    """Entry of the process; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="worker", description=__doc__)
    parser.add_argument("job_folder", type=Path, nargs="?")
    parser.add_argument("--serve", action="store_true", help="take job folders from standard input, one a line")
    parser.add_argument("--end-with-parent", action="store_true", help="with --serve: end at once when input closes")
    parser.add_argument("--least-memory", action="store_true", help="start with the smallest memory plan")
    parser.add_argument("--debug", action="store_true", help="print tracebacks to standard error")
    arguments = parser.parse_args(argv)
    if arguments.serve == (arguments.job_folder is not None):
        parser.error("give either a JOB_FOLDER or --serve")
    if arguments.end_with_parent and not arguments.serve:
        parser.error("--end-with-parent belongs to --serve")
    worker = Worker(_protocol_stream(), debug=arguments.debug)
    if arguments.end_with_parent:
        try:
            _serve(worker, lines_while_parent_lives())
        finally:  # the output may be closed before the input: then writing fails first
            end_with_children()
    if arguments.serve:
        return _serve(worker, lines())
    return worker.run(arguments.job_folder, least=arguments.least_memory)


def _serve(worker: Worker, folders: Iterable[str]) -> int:
    for folder in folders:
        if folder.strip():
            worker.run(Path(folder))
    return 0


def _protocol_stream() -> TextIO:
    """Keeps standard output for our lines: what a library prints goes to standard error."""
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", newline="\n")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return stream


if __name__ == "__main__":
    sys.exit(main())
