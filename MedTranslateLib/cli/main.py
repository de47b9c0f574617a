"""`medtranslate`: arguments in, one subcommand run, an exit code out; every error becomes a sentence.

Exit codes: 0 done, 1 a fault of ours, 2 a mistake of the user's, 130 interrupted, 141 nobody reads the output.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import io
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import NamedTuple

from MedTranslateLib import __version__
from MedTranslateLib.core.errors import MedTranslateError


class Answer(NamedTuple):
    """What a user reads of an error, and the exit code."""

    message: str
    code: int


class Command(NamedTuple):
    """A subcommand: the module with its `add_arguments` and `run`, and its line of help."""

    module: str
    help: str


COMMANDS = {
    "demo": Command("MedTranslateLib.cli.demo", "translate a sample head, as a first look"),
    "translate": Command("MedTranslateLib.cli.translate", "translate an image to another modality"),
    "plan": Command("MedTranslateLib.cli.plan", "say whether a translation fits the memory, without running it"),
    "batch": Command("MedTranslateLib.cli.batch", "translate every image of a folder, on several cores or machines"),
    "trace": Command("MedTranslateLib.cli.trace", "find where a point of a translation came from or went to"),
    "dicom": Command("MedTranslateLib.cli.dicom", "write a translation as DICOM, into the source's study"),
    "ledger": Command("MedTranslateLib.cli.ledger", "list what a translation shows on one side only"),
    "bundles": Command("MedTranslateLib.cli.bundles", "list, show, verify, add and remove trained models"),
    "train": Command("MedTranslateLib.cli.train", "train a bundle from a training file"),
    "statistics": Command("MedTranslateLib.cli.statistics", "measure what a bundle's training images look like"),
    "evaluate": Command("MedTranslateLib.cli.evaluate", "measure how good bundles are on held-out images"),
    "study": Command("MedTranslateLib.cli.study", "let readers judge images blindly, and analyse what they say"),
    "bench": Command("MedTranslateLib.cli.bench", "measure how fast this machine is"),
    "rerun": Command("MedTranslateLib.cli.rerun", "make a translation again from its provenance"),
}
USERS_ERRNO = {
    errno.ENOSPC: "no space is left on the device; free some space or choose another folder",
    errno.EDQUOT: "your quota on this device is used up; free some space or choose another folder",
    errno.EROFS: "the device is read-only; choose another folder",
    errno.EACCES: "permission is denied; choose another path or ask for access",
    errno.EPERM: "this is not permitted; choose another path or ask for access",
}
OUT_OF_MEMORY = "the memory of this machine is not enough; close other programs or take a smaller image."
DEBUG = "--debug"

ExceptHook = Callable[[type[BaseException], BaseException, "TracebackType | None"], object]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        argv: Arguments after the program's name; default those of this process.

    Returns:
        The exit code.

    Raises:
        OSError: Like every exception that nobody expected, it leaves the program, with exit code 1; what is printed
            of it is one line, or the traceback with `--debug`.
    """
    arguments, debug = split_debug(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        _never_fail_on_a_character(stream)
    with _one_line_for_the_unexpected(debug=debug):
        try:
            code = _parse_and_run(arguments, debug=debug)
            sys.stdout.flush()
        except KeyboardInterrupt:
            return 130
        except BrokenPipeError:
            _give_up_output()
            return 141
        except (MedTranslateError, MemoryError, ModuleNotFoundError, OSError) as error:
            answer = _answer(error)
            if answer is None:
                raise
            if debug:
                traceback.print_exc()
            sys.stderr.write(f"medtranslate: error: {answer.message}\n")
            return answer.code
    return code


def split_debug(argv: Sequence[str]) -> tuple[list[str], bool]:
    """Takes `--debug` out, wherever it stands before a lone `--`, so that no subcommand has to know it."""
    end = list(argv).index("--") if "--" in argv else len(argv)
    kept = [argument for argument in argv[:end] if argument != DEBUG]
    return [*kept, *argv[end:]], len(kept) < end


def build_parser(chosen: str | None) -> argparse.ArgumentParser:
    """The parser of all commands; only the chosen one is imported and knows its arguments."""
    parser = argparse.ArgumentParser(
        prog="medtranslate",
        description="Traceable translation of medical images between modalities. For research only.",
        epilog="`medtranslate COMMAND --help` explains a command.",
        allow_abbrev=False,
    )
    parser.add_argument("-V", "--version", action="version", version=f"medtranslate {__version__}")
    parser.add_argument(DEBUG, action="store_true", help="show the traceback of an error; may stand anywhere")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, command in COMMANDS.items():
        subparser = commands.add_parser(name, help=command.help, description=command.help, allow_abbrev=False)
        if name == chosen:
            module = importlib.import_module(command.module)
            module.add_arguments(subparser)
            subparser.set_defaults(run=module.run)
    return parser


def _parse_and_run(argv: list[str], *, debug: bool) -> int:
    chosen = next((argument for argument in argv if not argument.startswith("-")), None)
    parser = build_parser(chosen)
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as end:  # argparse has printed help (0) or what is wrong (2)
        return int(end.code or 0)
    if arguments.command is None:
        parser.print_help(sys.stderr)
        return 2
    arguments.debug = debug
    return int(arguments.run(arguments))


def _answer(error: Exception) -> Answer | None:
    """What to tell about an error that can happen to anybody; None for one that nobody expected."""
    if isinstance(error, MedTranslateError):
        return Answer(str(error), 2 if error.users_mistake else 1)
    if isinstance(error, MemoryError):
        return Answer(OUT_OF_MEMORY, 1)
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("MedTranslateLib"):
        return Answer(f"this command needs the Python package {error.name!r}, which is not installed; install it.", 2)
    if isinstance(error, OSError) and error.errno in USERS_ERRNO:
        where = f"{error.filename}: " if error.filename else ""
        return Answer(f"{where}{USERS_ERRNO[error.errno]}.", 2)
    return None


def _never_fail_on_a_character(stream: object) -> None:
    """A pipe or file gets UTF-8; a console that lacks a character shows its number instead."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="backslashreplace")


def _give_up_output() -> None:
    """Points standard output at nothing, or the interpreter would complain about the broken pipe when it ends."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)


@contextmanager
def _one_line_for_the_unexpected(*, debug: bool) -> Iterator[None]:
    """While inside, an exception that leaves the program is printed as one line; afterwards all is as before.

    The hook stays when the exception leaves, because the interpreter calls it after that.
    """
    before = sys.excepthook
    if not debug:
        sys.excepthook = _print_one_line
    yield
    sys.excepthook = before


def _print_one_line(kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
    detail = " ".join(str(error).split())
    sys.stderr.write(
        f"medtranslate: internal error: {kind.__name__}: {detail}; run again with {DEBUG} for the traceback\n"
    )
