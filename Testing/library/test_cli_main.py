"""The frame of the command line: exit codes, what is said of errors, and what is imported."""

from __future__ import annotations

import argparse
import errno
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from MedTranslateLib import __version__
from MedTranslateLib.cli import main as frame
from MedTranslateLib.cli.main import COMMANDS, Command, main, split_debug
from MedTranslateLib.core.errors import ConfigError, OutputError, WorkerDiedError

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "numpy", "SimpleITK", "scipy", "monai", "matplotlib", "skimage")

FAKE_COMMAND = """
import sys, types
from MedTranslateLib.cli import main as frame
fake = types.ModuleType("fake_command")
fake.add_arguments = lambda parser: parser.add_argument("words", nargs="*")
{body}
sys.modules["fake_command"] = fake
frame.COMMANDS = {{"fake": frame.Command("fake_command", "a fake")}}
sys.exit(frame.main(sys.argv[1:]))
"""


def python(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, timeout=120, check=False)


def fake_process(body: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """A process whose only subcommand, `fake`, is defined by `body`."""
    return python("-c", FAKE_COMMAND.format(body=body), "fake", *arguments)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[argparse.Namespace], int]], None]:
    """Installs a subcommand `fake` that runs the given function."""

    def install(run: Callable[[argparse.Namespace], int]) -> None:
        module = SimpleNamespace(add_arguments=lambda parser: parser.add_argument("words", nargs="*"), run=run)
        monkeypatch.setattr(frame, "COMMANDS", {"fake": Command("fake_command", "a fake")})
        monkeypatch.setitem(sys.modules, "fake_command", module)

    return install


def raising(error: BaseException) -> Callable[[argparse.Namespace], int]:
    def run(_: argparse.Namespace) -> int:
        raise error

    return run


def test_help_and_version_import_nothing_heavy() -> None:
    code = (
        "import sys; from MedTranslateLib.cli.main import main; codes = [main(['--help']), main(['--version'])]; "
        f"sys.exit(repr((codes, [m for m in {HEAVY!r} if m in sys.modules])))"
    )
    assert python("-c", code).stderr.decode().strip() == "([0, 0], [])"


def test_bundles_list_imports_nothing_heavy() -> None:
    code = (
        "import sys; from MedTranslateLib.cli.main import main; code = main(['bundles', 'list']); "
        f"sys.exit(repr((code, [m for m in {HEAVY!r} if m in sys.modules])))"
    )
    assert python("-c", code).stderr.decode().strip() == "(0, [])"


def test_the_package_runs_as_a_module() -> None:
    done = python("-m", "MedTranslateLib", "--version")
    assert (done.returncode, done.stdout.decode().strip()) == (0, f"medtranslate {__version__}")


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    listed = [line.split()[0] for line in out.splitlines() if line.startswith("    ") and line.split()[0] in COMMANDS]
    looking = ["demo", "translate", "plan", "batch", "trace", "dicom", "ledger"]
    assert listed == [*looking, "bundles", "train", "statistics", "evaluate", "study", "bench", "rerun"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: medtranslate {name}")


def test_no_command_shows_the_help_and_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "commands:" in captured.err


@pytest.mark.parametrize("arguments", [["translat"], ["--verbose"], ["--vers"], ["bundles", "list", "--js"]])
def test_a_mistyped_command_or_option_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "error:" in captured.err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ConfigError("steps = 0: at least one is needed."), 2, "steps = 0: at least one is needed."),
        (OutputError("The folder is not empty."), 2, "The folder is not empty."),
        (WorkerDiedError("The worker ended."), 1, "The worker ended."),
        (OSError(errno.ENOSPC, "x", "/out/a.nrrd"), 2, "/out/a.nrrd: no space is left on the device; free some space"),
        (PermissionError(errno.EACCES, "x", "/root/a"), 2, "/root/a: permission is denied; choose another path"),
        (OSError(errno.EROFS, "x"), 2, "the device is read-only; choose another folder"),
        (MemoryError(), 1, "the memory of this machine is not enough; close other programs"),
        (ModuleNotFoundError("x", name="slicer"), 2, "this command needs the Python package 'slicer'"),
    ],
)
def test_an_expected_error_is_one_sentence_and_its_exit_code(
    fake: Callable[..., None], capsys: pytest.CaptureFixture[str], error: Exception, code: int, message: str
) -> None:
    fake(raising(error))
    assert main(["fake"]) == code
    err = capsys.readouterr().err
    assert err.startswith(f"medtranslate: error: {message}")
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--debug", "fake"], ["fake", "--debug"], ["fake", "a", "--debug", "b"]])
def test_debug_shows_the_traceback_wherever_it_stands(
    fake: Callable[..., None], capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    fake(raising(ConfigError("wrong")))
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("Traceback")
    assert err.endswith("medtranslate: error: wrong\n")


def test_a_command_gets_its_arguments_and_knows_about_debug(fake: Callable[..., None]) -> None:
    seen: list[argparse.Namespace] = []
    fake(lambda arguments: seen.append(arguments) or 7)
    assert main(["fake", "a", "b"]) == 7
    assert main(["--debug", "fake", "c"]) == 7
    assert [(namespace.words, namespace.debug) for namespace in seen] == [(["a", "b"], False), (["c"], True)]


def test_debug_after_a_lone_double_dash_is_left_to_the_command() -> None:
    assert split_debug(["fake", "--", "--debug"]) == (["fake", "--", "--debug"], False)
    assert split_debug(["fake", "--debug", "--", "--debug"]) == (["fake", "--", "--debug"], True)
    assert split_debug(["fake"]) == (["fake"], False)


def test_an_interrupted_command_ends_quietly_with_130(
    fake: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    fake(raising(KeyboardInterrupt()))
    assert main(["fake"]) == 130
    assert capsys.readouterr() == ("", "")


def test_the_exception_hook_is_as_before_after_a_command(
    fake: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def before(*_: object) -> None:
        """A hook that nobody else sets."""

    monkeypatch.setattr(sys, "excepthook", before)
    for run in (lambda _: 0, raising(ConfigError("wrong"))):
        fake(run)
        main(["fake"])
    assert sys.excepthook is before


@pytest.mark.parametrize(
    "body",
    ["fake.run = lambda arguments: {}['missing']", "def run(a): raise KeyError('missing')\nfake.run = run"],
)
def test_an_unexpected_error_is_one_line_and_ends_with_1(body: str) -> None:
    done = fake_process(body)
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [
        "medtranslate: internal error: KeyError: 'missing'; run again with --debug for the traceback"
    ]


def test_an_unexpected_error_of_the_system_or_of_our_own_imports_is_internal() -> None:
    done = fake_process("def run(a): raise OSError(5, 'Input/output\\nerror')\nfake.run = run")
    assert done.returncode == 1
    assert done.stderr.decode().startswith("medtranslate: internal error: OSError: [Errno 5] Input/output error; run")
    done = fake_process("def run(a): import MedTranslateLib.nothing\nfake.run = run")
    assert done.returncode == 1
    assert b"internal error: ModuleNotFoundError" in done.stderr


def test_debug_shows_the_traceback_of_an_unexpected_error() -> None:
    done = fake_process("def run(a): raise KeyError('missing')\nfake.run = run", "--debug")
    assert done.returncode == 1
    assert done.stderr.decode().startswith("Traceback")
    assert b"internal error" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break in another way there")
def test_a_reader_that_stops_early_is_no_error() -> None:
    body = "def run(a):\n    print('first', flush=True)\n    input()\n    print('second')\n    return 0\nfake.run = run"
    # Without a buffer nothing would be left to write when the interpreter ends.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        [sys.executable, "-c", FAKE_COMMAND.format(body=body), "fake"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        assert writer.stderr is not None
        assert writer.stdout.readline() == b"first\n"
        writer.stdout.close()
        writer.stdin.write(b"go on\n")
        writer.stdin.close()
        assert writer.stderr.read() == b""
        assert writer.wait(timeout=120) == 141


def test_a_character_that_the_console_lacks_never_stops_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    class Console(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    console, pipe = Console(io.BytesIO(), encoding="cp1252"), io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", console)
    monkeypatch.setattr(sys, "stderr", pipe)
    main(["--version"])
    for stream in (console, pipe):
        stream.write("é 脳")
        stream.flush()
    assert console.buffer.getvalue().endswith(b"\xe9 \\u8133")  # type: ignore[attr-defined]  # it is a BytesIO
    assert pipe.buffer.getvalue() == "é 脳".encode()  # type: ignore[attr-defined]  # it is a BytesIO
