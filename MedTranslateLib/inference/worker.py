"""The background process: a job folder in, JSON lines on standard output and a complete result in the folder out.

python -m MedTranslateLib.inference.worker JOB_FOLDER     one job; exit code 0 only with a complete result
python -m MedTranslateLib.inference.worker --serve        one job folder a line of standard input, network kept

Exit codes: 0 done, 1 our mistake, 2 the user's mistake.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from pathlib import Path
from typing import TextIO

from MedTranslateLib.bundles.store import default_store
from MedTranslateLib.core.errors import MedTranslateError
from MedTranslateLib.core.messages import Done, Failure, Log, Message, to_line
from MedTranslateLib.imaging.job_folder import RESULT, read_request, read_source, write_result
from MedTranslateLib.inference.devices import choose_device
from MedTranslateLib.inference.gate import inspect, pass_gate
from MedTranslateLib.inference.pipeline import translate
from MedTranslateLib.inference.progress import ProgressTeller
from MedTranslateLib.inference.weights import BundleCache


class Worker:
    """Runs jobs one after the other and keeps the last network loaded."""

    def __init__(self, out: TextIO, *, debug: bool = False) -> None:
        self._out = out
        self._debug = debug
        self._bundles = BundleCache()

    def run(self, folder: Path) -> int:
        """Runs one job and returns the exit code; every error is told as an `error` event, never raised."""
        started = time.perf_counter()
        try:
            result = self._translate(folder)
        except MedTranslateError as error:
            return self._fail(folder, error.code, str(error), 2 if error.users_mistake else 1)
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

    def _translate(self, folder: Path) -> Path:
        progress = ProgressTeller(folder.name, self.say)
        progress("read", 0, 1)
        request, source = read_request(folder), read_source(folder)
        device = choose_device(request.device)
        entry = default_store().find(request.bundle)
        gate = inspect(source, entry.manifest, reverse=request.reverse)
        pass_gate(gate, accept_doubtful=request.accept_doubtful)
        bundle = self._bundles.load(entry.folder, device)
        self.say(Log(folder.name, f"{bundle.manifest.name} {bundle.manifest.version} on {bundle.device}"))
        result = translate(request, source, bundle, gate, progress)
        progress("write", 0, 1)
        write_result(folder, result)
        progress("write", 1, 1)
        return folder / RESULT

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
    parser.add_argument("--debug", action="store_true", help="print tracebacks to standard error")
    arguments = parser.parse_args(argv)
    if arguments.serve == (arguments.job_folder is not None):
        parser.error("give either a JOB_FOLDER or --serve")
    worker = Worker(_protocol_stream(), debug=arguments.debug)
    if not arguments.serve:
        return worker.run(arguments.job_folder)
    for line in sys.stdin:
        if line.strip():
            worker.run(Path(line.rstrip("\r\n")))
    return 0


def _protocol_stream() -> TextIO:
    """Keeps standard output for our lines: what a library prints goes to standard error."""
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", newline="\n")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return stream


if __name__ == "__main__":
    sys.exit(main())
