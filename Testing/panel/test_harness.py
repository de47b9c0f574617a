"""The harness itself: what is reported of a Slicer that works, crashes, hangs, or says nothing; no Slicer is needed."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import case_runner
import slicer_process
from case_runner import Outcome, Results, run_case
from panel_cases import CASES, Case, cases_in, named
from slicer_process import SlicerProcess, environment_for, screen

ROOT = Path(__file__).parents[2]
LAUNCHED = """#!{python}
import json, os, signal, subprocess, sys

names = json.loads(os.environ["MEDTRANSLATE_PANEL_CASES"])
out = open(os.path.join(os.environ["MEDTRANSLATE_PANEL_OUT"], "results.jsonl"), "a", buffering=1)

def say(**line):
    out.write(json.dumps(line) + "\\n")

def end(name, outcome="passed", message=""):
    say(event="started", case=name)
    say(event="ended", case=name, outcome=outcome, seconds=0.1, message=message)

print("words on standard output", flush=True)
{behaviour}
"""
HANGS = """
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print("child", child.pid, flush=True)
end(names[0])
say(event="started", case=names[1])
signal.pause()
"""
posix_only = pytest.mark.skipif(os.name == "nt", reason="the stand-in for Slicer is a script with a first line #!")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def cases(tmp_path: Path) -> list[Case]:
    return [Case(tmp_path / "panels.py", f"check_{name}", limit_s=30) for name in ("first", "second", "third")]


@pytest.fixture
def launch(tmp_path: Path, folder: Path, cases: list[Case]) -> Iterator:
    """Starts a stand-in for Slicer that behaves as it is told."""
    started = []

    def start(behaviour: str) -> SlicerProcess:
        program = tmp_path / "Slicer"
        program.write_text(LAUNCHED.format(python=sys.executable, behaviour=behaviour))
        program.chmod(0o755)
        environment = environment_for(folder, tmp_path / "home", os.environ)
        started.append(SlicerProcess(program, cases, folder, environment))
        return started[-1]

    yield start
    for process in started:
        process.close()


@posix_only
def test_each_case_gets_its_own_verdict(launch, cases: list[Case]) -> None:
    process = launch('end(names[0]); end(names[1], "failed", "no button"); end(names[2], "skipped", "no mouse")')
    verdicts = [process.verdict(case) for case in cases]
    assert [(verdict.outcome, verdict.message) for verdict in verdicts] == [
        ("passed", ""),
        ("failed", "no button"),
        ("skipped", "no mouse"),
    ]
    assert process.any_failed()
    assert process.exit_code() == 0


@posix_only
def test_a_verdict_is_there_while_slicer_goes_on(launch, cases: list[Case]) -> None:
    process = launch('end(names[0]); say(event="started", case=names[1]); signal.pause()')
    assert process.verdict(cases[0]).outcome == "passed"


@posix_only
def test_after_a_crash_the_other_cases_fail_and_say_where_slicer_was_and_what_it_said_last(
    launch, cases: list[Case], folder: Path
) -> None:
    (folder / "results.jsonl").write_text('{"event": "ended", "case": "panels.third", "outcome": "passed"}\n')
    process = launch(
        'end(names[0]); say(event="started", case=names[1]); print("last words", flush=True);'
        'open("traces.txt", "w").write("File panels.py, line 7 in check_second");'
        "os.kill(os.getpid(), signal.SIGSEGV)"
    )
    assert process.verdict(cases[0]).outcome == "passed"
    for case in cases[1:]:
        verdict = process.verdict(case)
        assert verdict.outcome == "failed"
        assert "exit code -11 when it was at the case panels.second" in verdict.message
        assert "last words" in verdict.message
        assert "line 7 in check_second" in verdict.message
    assert process.exit_code() == -11


@posix_only
def test_a_case_that_hangs_is_ended_at_its_limit_with_all_that_slicer_started(launch, cases, folder: Path) -> None:
    object.__setattr__(cases[1], "limit_s", 0.3)
    process = launch(HANGS)
    verdict = process.verdict(cases[1])
    assert verdict.outcome == "failed"
    assert "was at the case panels.second for more than 0.3 s and was ended" in verdict.message
    assert process.verdict(cases[2]).outcome == "failed"
    child = int(verdict.message.partition("child ")[2].split()[0])
    assert not is_running(child)


def is_running(number: int) -> bool:
    """Whether a process works; a dead one that nobody has waited for does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(number)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


@posix_only
def test_a_slicer_that_never_starts_a_case_is_ended(launch, cases: list[Case], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slicer_process, "START_LIMIT_S", 0.3)
    verdict = launch("signal.pause()").verdict(cases[0])
    assert verdict.outcome == "failed"
    assert "had not started the first case for more than 0.3 s" in verdict.message


@posix_only
def test_a_slicer_that_exits_with_0_without_results_has_passed_nothing(launch, cases: list[Case]) -> None:
    process = launch("pass")
    verdicts = [process.verdict(case) for case in cases]
    assert {verdict.outcome for verdict in verdicts} == {"failed"}
    assert all("exit code 0 when it had not started the first case" in verdict.message for verdict in verdicts)
    assert all("words on standard output" in verdict.message for verdict in verdicts)


@posix_only
def test_a_line_that_is_cut_short_by_a_crash_is_no_verdict(launch, cases: list[Case]) -> None:
    process = launch(
        'end(names[0]); out.write(json.dumps({"event": "ended", "case": names[1], "outcome": "passed"})[:-9])'
    )
    assert process.verdict(cases[1]).outcome == "failed"


@posix_only
def test_a_slicer_that_does_not_end_is_ended(launch, cases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slicer_process, "END_LIMIT_S", 0.3)
    process = launch("[end(name) for name in names]; signal.pause()")
    assert not process.any_failed()
    assert process.exit_code() is None


@posix_only
def test_slicer_is_started_for_tests_with_the_module_of_this_source_tree(launch, cases, folder: Path) -> None:
    launch("print(json.dumps(sys.argv[1:]))").verdict(cases[0])
    arguments = json.loads((folder / "slicer.log").read_text().splitlines()[1])
    assert arguments[:3] == ["--no-splash", "--ignore-slicerrc", "--testing"]
    options = dict(zip(arguments[3::2], arguments[4::2], strict=True))
    assert options == {
        "--additional-module-paths": str(ROOT / "MedTranslate"),
        "--python-script": str(ROOT / "Testing" / "panel" / "in_slicer.py"),
    }


def test_slicer_sees_nothing_of_the_users_own_and_a_python_with_torch(tmp_path: Path) -> None:
    outside = {"HOME": "/home/her", "PYTHONPATH": "lib", "MEDTRANSLATE_BUNDLES": "hers", "PATH": "/bin", "LANG": "C"}
    environment = environment_for(tmp_path / "out", tmp_path / "home", outside)
    own = {name for name, value in environment.items() if value.startswith(str(tmp_path / "home"))}
    assert own == {"HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "APPDATA", "LOCALAPPDATA"}
    assert environment["MEDTRANSLATE_PYTHON"] == sys.executable
    assert environment["MEDTRANSLATE_PANEL_OUT"] == str(tmp_path / "out")
    assert (environment["PATH"], environment["LANG"]) == ("/bin", "C")
    assert not {"PYTHONPATH", "MEDTRANSLATE_BUNDLES"} & set(environment)


def test_another_python_for_the_worker_may_be_said(tmp_path: Path) -> None:
    environment = environment_for(tmp_path, tmp_path / "home", {"MEDTRANSLATE_PYTHON": "/opt/python"})
    assert environment["MEDTRANSLATE_PYTHON"] == "/opt/python"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a virtual screen is for Linux")
def test_without_a_screen_a_virtual_one_is_there_for_as_long_as_it_is_needed() -> None:
    if slicer_process.shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed")
    with screen({"PATH": os.environ["PATH"]}) as environment:
        socket = Path(f"/tmp/.X11-unix/X{environment['DISPLAY'].removeprefix(':')}")
        assert socket.exists()
    assert not socket.exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a virtual screen is for Linux")
def test_where_neither_screen_nor_xvfb_is_there_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slicer_process.shutil, "which", lambda _name: None)
    with pytest.raises(FileNotFoundError, match="install xvfb"), screen({}):
        pass


def test_a_screen_that_is_there_is_used() -> None:
    with screen({"DISPLAY": ":7"}) as environment:
        assert environment == {"DISPLAY": ":7"}


def test_cases_are_named_from_the_source_alone(tmp_path: Path) -> None:
    (tmp_path / "b.py").write_text("import slicer\nLIMIT_S = 900\nSLOW = True\ndef check_soak(side): ...\n")
    (tmp_path / "a.py").write_text("import qt\ndef check_two(side): ...\ndef check_one(side): ...\ndef other(): ...\n")
    cases = cases_in(tmp_path)
    assert [(case.name, case.limit_s, case.slow) for case in cases] == [
        ("a.two", 300, False),
        ("a.one", 300, False),
        ("b.soak", 900, True),
    ]
    assert [case.name for case in named(["b.soak", "a.two"], tmp_path)] == ["a.two", "b.soak"]
    with pytest.raises(LookupError, match=r"a\.three"):
        named(["a.three"], tmp_path)


def test_no_two_cases_have_one_name_and_none_is_forgotten() -> None:
    names = [case.name for case in cases_in()]
    assert len(names) == len(set(names))
    assert {case.file for case in cases_in()} == set(CASES.glob("*.py"))


class Traces:
    """Stands for `faulthandler`, of which there is one a process and which watches over these tests."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def dump_traceback_later(self, seconds: float, **_options: object) -> None:
        self.calls.append(f"after {seconds} s")

    def __getattr__(self, name: str):
        return lambda *_arguments: self.calls.append(name)


@pytest.fixture(autouse=True)
def traces(monkeypatch: pytest.MonkeyPatch) -> Traces:
    stand_in = Traces()
    monkeypatch.setattr(case_runner, "faulthandler", stand_in)
    return stand_in


class Side:
    """Stands for the side of Slicer that a case sees."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.expected = ""

    def reset(self) -> None:
        self.calls.append("reset")

    def tidy_up(self) -> None:
        self.calls.append("tidy up")

    def wait(self, milliseconds: int) -> None:
        self.calls.append("wait")

    def expects(self, text: str) -> bool:
        return bool(self.expected) and self.expected in text


def ran(tmp_path: Path, body: str, side: Side | None = None) -> Outcome:
    """What becomes of a case with this body."""
    file = tmp_path / "panels.py"
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    file.write_text(f"import logging, sys, threading, unittest\ndef check_it(side):\n{lines}")
    return run_case(Case(file, "check_it"), side or Side(), tmp_path / "traces.txt")


def test_a_case_runs_in_a_clean_slicer_and_leaves_one(tmp_path: Path) -> None:
    side = Side()
    assert ran(tmp_path, "side.calls.append('case')", side).outcome == "passed"
    assert side.calls == ["reset", "case", "tidy up", "wait"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("assert 1 == 2, 'the button is grey'", "the button is grey"),
        ("{}['image']", "KeyError: 'image'"),
        ("sys.excepthook(ValueError, ValueError('in a slot'), None)", "ValueError: in a slot"),
        ("logging.getLogger('MedTranslate').error('no worker')", "no worker"),
        ("try: 1/0\nexcept ZeroDivisionError: logging.exception('oops')", "ZeroDivisionError"),
        ("t = threading.Thread(target=lambda: 1/0)\nt.start()\nt.join()", "ZeroDivisionError"),
        ("class A:\n    def __del__(self): 1/0\nA()", "ZeroDivisionError"),
    ],
)
def test_a_case_fails_with_every_error_that_python_met_meanwhile(tmp_path: Path, body: str, message: str) -> None:
    outcome = ran(tmp_path, body)
    assert outcome.failed
    assert message in outcome.message


def test_an_error_that_the_case_expects_does_not_fail_it_but_another_does(tmp_path: Path) -> None:
    side = Side()
    side.expected = "no worker"
    assert ran(tmp_path, "logging.error('there is no worker')", side).outcome == "passed"
    assert ran(tmp_path, "logging.error('no worker')\nlogging.error('no disk')", side).failed


def test_the_line_where_a_case_hangs_is_noted_before_it_is_ended(tmp_path: Path, traces: Traces) -> None:
    ran(tmp_path, "1/0")
    assert traces.calls == ["enable", "after 290 s", "cancel_dump_traceback_later", "disable"]
    assert (tmp_path / "traces.txt").read_text() == "== panels.it\n"


def test_a_warning_is_no_failure(tmp_path: Path) -> None:
    assert ran(tmp_path, "logging.warning('slow')").outcome == "passed"


def test_a_case_may_skip_itself_with_its_reason(tmp_path: Path) -> None:
    outcome = ran(tmp_path, "raise unittest.SkipTest('no network')")
    assert (outcome.outcome, outcome.message) == ("skipped", "no network")


def test_the_hooks_of_python_are_left_as_they_were(tmp_path: Path) -> None:
    before = sys.excepthook, sys.unraisablehook, threading.excepthook, list(logging.getLogger().handlers)
    ran(tmp_path, "1/0")
    assert (sys.excepthook, sys.unraisablehook, threading.excepthook, list(logging.getLogger().handlers)) == before


def test_what_was_written_of_a_case_is_what_is_read_of_it(tmp_path: Path) -> None:
    results, case = Results(tmp_path), Case(tmp_path / "panels.py", "check_it")
    results.started(case)
    results.ended(case, Outcome("failed", 1.25, "Zeile\nfür Zeile"))
    results.finished()
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["event"] for line in lines] == ["started", "ended", "finished"]
    assert lines[1] == {
        "event": "ended",
        "case": "panels.it",
        "outcome": "failed",
        "seconds": 1.25,
        "message": "Zeile\nfür Zeile",
    }
