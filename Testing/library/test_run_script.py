"""run.py: what it installs and when, what it runs, and what it says when something is missing. Nothing is installed."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

RUN_PY = Path(__file__).parents[2] / "run.py"
PYTHON = "Scripts/python.exe" if os.name == "nt" else "bin/python"

# What venv and pip really print, without what differs from run to run.
NO_ENSUREPIP = """The virtual environment was not created successfully because ensurepip is not
available.  On Debian/Ubuntu systems, you need to install the python3-venv
package using the following command."""
NO_NETWORK = """WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError': /simple/torch/
ERROR: Could not find a version that satisfies the requirement torch==2.13.0 (from versions: none)
ERROR: No matching distribution found for torch==2.13.0"""
NO_BUILD = """WARNING: There was an error checking the latest version of pip.
ERROR: Could not find a version that satisfies the requirement torch==2.13.0 (from versions: 2.0.0, 2.2.2)
ERROR: No matching distribution found for torch==2.13.0"""
NOT_INSTALLED = "ERROR: Could not install packages due to an OSError:"


class FakeSystem:
    """Stands for `subprocess`: notes every command; one that holds a word of `failing` fails with that output."""

    PIPE, STDOUT, DEVNULL = subprocess.PIPE, subprocess.STDOUT, subprocess.DEVNULL

    def __init__(self, root: Path) -> None:
        self.root = root
        self.commands: list[list[str]] = []
        self.options: list[dict[str, object]] = []
        self.failing: dict[str, str] = {}
        self.interrupted_by = ""
        self.exit_code = 0

    def run(self, command: Sequence[str], **options: object) -> SimpleNamespace:
        self._note(command, options)
        if "venv" in command:
            (self.root / ".venv" / PYTHON).parent.mkdir(parents=True, exist_ok=True)
            (self.root / ".venv" / PYTHON).touch()
        for word, output in self.failing.items():
            if word in command:
                return SimpleNamespace(returncode=1, stdout=b"", stderr=output.encode())
        return SimpleNamespace(returncode=0, stdout=b"", stderr=b"")

    def call(self, command: Sequence[str], **options: object) -> int:
        self._note(command, options)
        sys.stdout.write("1 passed in 0.01s\n" if "pytest" in command else "a medtranslate command\n")
        return self.exit_code

    def _note(self, command: Sequence[str], options: dict[str, object]) -> None:
        self.commands.append(list(command))
        self.options.append(options)
        if self.interrupted_by and self.interrupted_by in command:
            raise KeyboardInterrupt

    def modules_run(self) -> list[str]:
        """`venv`, `pip` and so on: what stood after `-m`."""
        return [command[command.index("-m") + 1] for command in self.commands]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "MedTranslate"
    folder.mkdir()
    (folder / "requirements.txt").write_text("# pins\ntorch==2.13.0\nnumpy==2.4.6\n")
    (folder / "requirements-scene.txt").write_text("vtk==9.6.0\n")
    (folder / "requirements-test.txt").write_text("pytest==9.2.0\n")
    return folder


@pytest.fixture
def system(root: Path) -> FakeSystem:
    return FakeSystem(root)


@pytest.fixture
def script(root: Path, system: FakeSystem, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_script", RUN_PY)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", root)
    monkeypatch.setattr(module, "subprocess", system)
    monkeypatch.delenv("MEDTRANSLATE_TORCH_INDEX", raising=False)
    return module


def test_the_first_run_sets_up_and_the_second_starts_at_once(script: ModuleType, system: FakeSystem) -> None:
    assert script.main(["demo"]) == 0
    assert system.modules_run() == ["venv", "pip", "pip", "MedTranslateLib"]
    assert script.main(["demo"]) == 0
    assert system.modules_run()[4:] == ["MedTranslateLib"]


def test_pytorch_comes_first_and_then_every_file_of_pins(script: ModuleType, system: FakeSystem, root: Path) -> None:
    script.main(["demo"])
    _, torch, others, _ = system.commands
    assert torch[0] == str(root / ".venv" / PYTHON)
    assert torch[1:4] == others[1:4] == ["-m", "pip", "install"]
    assert torch[-1] == "torch==2.13.0"
    files = [str(root / f"requirements{part}.txt") for part in ("", "-scene", "-test")]
    assert [word for word in others if word.endswith(".txt")] == files
    assert "--quiet" in others
    assert "--quiet" not in torch  # pip shows how far the large download is


@pytest.mark.parametrize("step", ["venv", "torch==2.13.0", "-r"])
def test_an_interrupted_installation_is_made_anew(
    script: ModuleType, system: FakeSystem, root: Path, step: str
) -> None:
    system.interrupted_by = step
    assert script.main(["demo"]) == 130
    (root / ".venv" / "half-a-package").touch()
    system.interrupted_by = ""
    system.commands.clear()
    assert script.main(["demo"]) == 0
    assert system.modules_run() == ["venv", "pip", "pip", "MedTranslateLib"]
    assert not (root / ".venv" / "half-a-package").exists()


@pytest.mark.parametrize("damage", ["", '{"python": "3.1', "[]", '{"python": "3.11"}'])
def test_an_environment_with_a_damaged_record_is_made_anew(
    script: ModuleType, system: FakeSystem, root: Path, damage: str
) -> None:
    script.main(["demo"])
    (root / ".venv" / "medtranslate.json").write_text(damage)
    system.commands.clear()
    assert script.main(["demo"]) == 0
    assert system.modules_run()[0] == "venv"


def test_changed_pins_are_installed_into_the_same_environment(
    script: ModuleType, system: FakeSystem, root: Path
) -> None:
    script.main(["demo"])
    (root / ".venv" / "kept").touch()
    (root / "requirements-test.txt").write_text("pytest==9.3.0\n")
    system.commands.clear()
    script.main(["demo"])
    assert system.modules_run() == ["pip", "pip", "MedTranslateLib"]
    assert (root / ".venv" / "kept").exists()


@pytest.mark.parametrize("change", ["another Python", "the interpreter is gone"])
def test_an_environment_that_cannot_serve_is_made_anew(
    script: ModuleType, system: FakeSystem, root: Path, change: str
) -> None:
    script.main(["demo"])
    record = root / ".venv" / "medtranslate.json"
    if change == "another Python":
        record.write_text(json.dumps({**json.loads(record.read_text()), "python": "3.99"}))
    else:
        (root / ".venv" / PYTHON).unlink()
    system.commands.clear()
    assert script.main(["demo"]) == 0
    assert system.modules_run()[0] == "venv"


def test_an_environment_of_the_users_own_is_left_alone(
    script: ModuleType, system: FakeSystem, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / ".venv").mkdir()
    (root / ".venv" / "precious").touch()
    assert script.main(["demo"]) == 2
    assert (root / ".venv" / "precious").exists()
    assert system.commands == []
    assert "was not made by run.py" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "variable", "index"),
    [
        (["--torch-index", "cpu", "demo"], "", "https://download.pytorch.org/whl/cpu"),
        (["demo", "--torch-index=https://wheels.example/simple"], "", "https://wheels.example/simple"),
        (["demo"], "cpu", "https://download.pytorch.org/whl/cpu"),
        (["demo", "--torch-index", "https://wheels.example/simple"], "cpu", "https://wheels.example/simple"),
    ],
)
def test_pytorch_alone_is_taken_from_the_index_that_is_asked_for(
    script: ModuleType,
    system: FakeSystem,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    variable: str,
    index: str,
) -> None:
    monkeypatch.setenv("MEDTRANSLATE_TORCH_INDEX", variable)
    assert script.main(arguments) == 0
    from_index = [command for command in system.commands if "-i" in command]
    assert [command[-4:] for command in from_index] == [["--no-deps", "-i", index, "torch==2.13.0"]]
    assert system.commands[-1][-3:] == ["demo", "--out", "demo-output"]


def test_another_index_makes_the_environment_anew_but_none_keeps_it(script: ModuleType, system: FakeSystem) -> None:
    script.main(["--torch-index", "cpu", "demo"])
    system.commands.clear()
    script.main(["demo"])
    assert system.modules_run() == ["MedTranslateLib"]
    script.main(["--torch-index", "https://wheels.example/simple", "demo"])
    assert system.modules_run()[1:] == ["venv", "pip", "pip", "pip", "MedTranslateLib"]


def test_an_index_without_a_value_is_refused(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main(["demo", "--torch-index"]) == 2
    assert "needs a value" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "passed_on"),
    [
        (["demo"], ["demo", "--out", "demo-output"]),
        (["demo", "--out", "here"], ["demo", "--out", "here"]),
        (["demo", "--out=here", "--debug"], ["demo", "--out=here", "--debug"]),
        (["translate", "a b.nii", "--bundle", "x"], ["translate", "a b.nii", "--bundle", "x"]),
        (["bundles", "list"], ["bundles", "list"]),
        (["demo", "--help"], ["demo", "--help", "--out", "demo-output"]),
    ],
)
def test_a_command_reaches_medtranslate_with_its_arguments(
    script: ModuleType, system: FakeSystem, root: Path, arguments: list[str], passed_on: list[str]
) -> None:
    script.main(arguments)
    assert system.commands[-1] == [str(root / ".venv" / PYTHON), "-m", "MedTranslateLib", *passed_on]


def test_a_command_runs_where_the_user_stands_and_finds_the_library(
    script: ModuleType, system: FakeSystem, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PYTHONPATH", "PYTHONHOME", "PIP_USER"):
        monkeypatch.setenv(name, "elsewhere")
    script.main(["demo"])
    assert "cwd" not in system.options[-1]
    assert system.options[-1]["env"]["PYTHONPATH"] == str(root)
    for options in system.options:
        assert not {"PYTHONHOME", "PIP_USER"} & set(options["env"])


@pytest.fixture
def slicer(tmp_path: Path) -> Path:
    program = tmp_path / "Slicer 5.12" / "Slicer"
    program.parent.mkdir()
    program.touch()
    return program


@pytest.mark.parametrize("form", ["--slicer PATH", "--slicer=PATH", "SLICER", "a relative path"])
def test_the_tests_are_told_which_slicer_to_use(
    script: ModuleType, system: FakeSystem, slicer: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.delenv("SLICER", raising=False)
    arguments = {"--slicer PATH": ["--slicer", str(slicer)], "--slicer=PATH": [f"--slicer={slicer}"]}.get(form, [])
    if form == "SLICER":
        monkeypatch.setenv("SLICER", str(slicer))
    elif form == "a relative path":
        monkeypatch.chdir(slicer.parent.parent)
        arguments = ["--slicer", "Slicer 5.12/Slicer"]
    assert script.main(["test", "-k", "panel", *arguments, "-x"]) == 0
    assert system.commands[-1][2:] == ["pytest", "-k", "panel", "-x"]
    assert system.options[-1]["env"]["SLICER"] == str(slicer)


def test_without_a_slicer_the_tests_are_told_of_none(
    script: ModuleType, system: FakeSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLICER", raising=False)
    script.main(["test"])
    assert system.options[-1]["env"]["SLICER"] == ""


@pytest.mark.parametrize(
    ("arguments", "said"), [(["--slicer", "nowhere/Slicer"], "nowhere/Slicer"), (["--slicer"], "needs a value")]
)
def test_a_slicer_that_is_not_there_is_refused_before_anything_is_installed(
    script: ModuleType, system: FakeSystem, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert script.main(["test", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert system.commands == []


@pytest.mark.parametrize(("returned", "code"), [(0, 0), (1, 1), (2, 2), (-signal.SIGTERM, 143)])
def test_the_exit_code_is_passed_through(script: ModuleType, system: FakeSystem, returned: int, code: int) -> None:
    system.exit_code = returned
    assert script.main(["demo"]) == code
    assert script.main(["test"]) == code


def test_the_gates_run_before_pytest_which_has_the_last_word(
    script: ModuleType, system: FakeSystem, root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert script.main(["test", "--slow", "-k", "fields"]) == 0
    gates = [tool[0] for tool in script.GATES.values()]
    assert gates == (["ruff", "mypy"] if sys.version_info >= (3, 11) else ["ruff"])
    assert system.modules_run()[3:] == [*gates, "pytest"]
    assert system.commands[-1][2:] == ["pytest", "--slow", "-k", "fields"]
    assert system.options[-1]["cwd"] == root
    out, err = capfd.readouterr()
    assert out.splitlines()[-1] == "1 passed in 0.01s"
    assert err == ""


def test_a_failed_gate_is_named_and_fails_the_run_though_the_tests_pass(
    script: ModuleType, system: FakeSystem, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "GATES", {"style": ("ruff",), "types": ("mypy",), "colours": ("paint",)})
    system.failing = {"mypy": "core/volume.py:3: error"}
    assert script.main(["test"]) == 1
    assert system.modules_run()[3:] == ["ruff", "mypy", "paint", "pytest"]
    out, err = capfd.readouterr()
    assert [line.split(" in ")[0] for line in out.splitlines() if "..." in line][-4:] == [
        "style ... passed",
        "types ... FAILED",
        "colours ... passed",
        "tests ...",
    ]
    assert "Failed besides the tests: types;" in err


@pytest.mark.parametrize(
    ("step", "output", "sentence"),
    [
        ("venv", NO_ENSUREPIP, "no venv module"),
        ("venv", "/usr/bin/python3: No module named venv", "no venv module"),
        ("torch==2.13.0", NO_NETWORK, "The package index cannot be reached"),
        ("-r", f"{NOT_INSTALLED} [Errno 28] No space left on device", "The disk is full"),
        ("-r", f"{NOT_INSTALLED} [Errno 13] Permission denied: '/opt/x'", "cannot be written to"),
        ("torch==2.13.0", NO_BUILD, "ERROR: No matching distribution found for torch==2.13.0"),
        ("torch==2.13.0", "", "no reason was given"),
    ],
)
def test_a_failed_installation_says_in_one_line_what_is_wrong(
    script: ModuleType, system: FakeSystem, capfd: pytest.CaptureFixture[str], step: str, output: str, sentence: str
) -> None:
    system.failing = {step: output}
    assert script.main(["demo"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert sentence in line
    system.failing = {}
    assert script.main(["demo"]) == 0


def test_a_file_that_cannot_be_written_is_named(
    script: ModuleType, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / ".venv.lock").mkdir()
    assert script.main(["demo"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(root) in line


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["-h"], 0), (["--help"], 0)])
def test_help_installs_nothing(script: ModuleType, system: FakeSystem, arguments: list[str], code: int) -> None:
    assert script.main(arguments) == code
    assert system.commands == []


@pytest.mark.skipif(os.name == "nt", reason="looks at the lock as POSIX has it")
def test_two_runs_do_not_set_up_at_the_same_time(script: ModuleType, root: Path) -> None:
    import fcntl

    with (root / ".venv.lock").open("w") as other:
        with script.only_one(root / ".venv.lock"), pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_old_pythons_can_read_the_script_far_enough_to_refuse() -> None:
    ast.parse(RUN_PY.read_text(encoding="ascii"), feature_version=(3, 6))


@pytest.mark.parametrize("version", [(3, 9, 18), (3, 6, 15), (3, 14, 0)])
def test_a_python_that_will_not_do_gets_one_sentence(version: tuple[int, int, int]) -> None:
    pretend = f"import runpy, sys; sys.version_info = {version}; sys.argv = ['run.py', 'demo', '--out', 'x']; "
    program = pretend + f"runpy.run_path({str(RUN_PY)!r}, run_name='__main__')"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(
        f"MedTranslate needs Python 3.10 to 3.13, this is {'.'.join(map(str, version))}; run it with"
    )
    assert line.endswith(" run.py demo --out x")


def test_python_2_shows_the_line_that_names_the_versions() -> None:
    lines = RUN_PY.read_text(encoding="ascii").splitlines()
    first_annotation = next(line for line in lines if line.startswith("def "))
    assert "->" in first_annotation
    assert textwrap.shorten(first_annotation, 200).endswith("MedTranslate needs 3.10")
