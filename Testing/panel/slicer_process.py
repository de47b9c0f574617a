"""A Slicer executable and panel cases in, a Slicer that runs them under a screen, and what became of each case, out."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from panel_cases import Case

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).resolve().parent / "in_slicer.py"
START_LIMIT_S = 180  # from the start of Slicer to the first case, and between two cases
END_LIMIT_S = 60
LOOK_EVERY_S = 0.1
TAIL_LINES = 60
SCREEN = "1600x1200x24"
LEADING_SLICER_OUT = ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "MEDTRANSLATE_BUNDLES")


@dataclass(frozen=True)
class Verdict:
    """What became of a case: `passed`, `skipped` or `failed`, and why."""

    outcome: str
    message: str = ""


class SlicerProcess:
    """A Slicer that runs cases one after the other and writes down what becomes of them."""

    def __init__(
        self,
        slicer: Path,
        cases: Sequence[Case],
        folder: Path,
        environment: Mapping[str, str],
        module_folder: Path = ROOT / "MedTranslate",
    ) -> None:
        self._limits = {case.name: case.limit_s for case in cases}
        self._log = folder / "slicer.log"
        self._results = folder / "results.jsonl"
        self._traces = folder / "traces.txt"
        for file in (self._results, self._traces):  # of an earlier run
            file.unlink(missing_ok=True)
        self._read_to = 0
        self._running = ""
        self._verdicts: dict[str, Verdict] = {}
        self._end = ""
        self._last_news = time.monotonic()
        options = ["--no-splash", "--ignore-slicerrc", "--testing"]
        module = ["--additional-module-paths", str(module_folder), "--python-script", str(SCRIPT)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(slicer), *options, *module],
                env={**environment, "MEDTRANSLATE_PANEL_CASES": json.dumps(list(self._limits))},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def verdict(self, case: Case) -> Verdict:
        """Waits until a case has ended, or can no longer end."""
        while case.name not in self._verdicts and not self._end:
            self._look(LOOK_EVERY_S)
        return self._verdicts.get(case.name) or Verdict("failed", f"{self._end}\n{self._tail()}")

    def any_failed(self) -> bool:
        """Whether a case has failed, once all have ended or can no longer end."""
        while len(self._verdicts) < len(self._limits) and not self._end:
            self._look(LOOK_EVERY_S)
        return any(verdict.outcome == "failed" for verdict in self._verdicts.values())

    def exit_code(self) -> int | None:
        """Waits until Slicer has ended by itself; None where it had to be ended."""
        deadline = time.monotonic() + END_LIMIT_S
        while self._process.poll() is None and time.monotonic() < deadline:
            self._look(LOOK_EVERY_S)
        code = self._process.poll()
        self.close()
        return code

    def close(self) -> None:
        """Ends Slicer and all it started."""
        if self._process.poll() is None:
            end_tree(self._process)

    def _look(self, wait_s: float) -> None:
        """Reads what is new; notices a Slicer that has ended, and ends one that hangs."""
        try:
            self._process.wait(wait_s)
        except subprocess.TimeoutExpired:
            self._read()
            limit_s = self._limits.get(self._running, START_LIMIT_S)
            if not self._end and time.monotonic() - self._last_news > limit_s:
                self._end = f"Slicer {self._whereabouts()} for more than {limit_s:g} s and was ended."
                end_tree(self._process)
        else:
            self._read()
            code = self._process.returncode
            self._end = self._end or f"Slicer ended with exit code {code} when it {self._whereabouts()}."

    def _read(self) -> None:
        if not self._results.exists():
            return
        with self._results.open("rb") as file:
            file.seek(self._read_to)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read_to += len(whole)
        for line in whole.decode("utf-8").splitlines():
            self._hear(json.loads(line))

    def _hear(self, line: dict) -> None:
        self._last_news = time.monotonic()
        self._running = line["case"] if line["event"] == "started" else ""
        if line["event"] == "ended":
            self._verdicts[line["case"]] = Verdict(line["outcome"], line["message"])

    def _whereabouts(self) -> str:
        if self._running:
            return f"was at the case {self._running}"
        return "was between two cases or had ended them" if self._verdicts else "had not started the first case"

    def _tail(self) -> str:
        parts = [f"The end of {file}:\n{last_lines(file)}" for file in (self._log, self._traces) if file.exists()]
        return "\n".join(parts)


def last_lines(file: Path) -> str:
    """The end of a text file, whatever its encoding."""
    return "\n".join(file.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:])


def end_tree(process: subprocess.Popen) -> None:
    """Ends a process that leads a session of its own, and whatever it started in it."""
    if os.name == "nt":
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(process.pid)], capture_output=True, check=False)
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(END_LIMIT_S)


def environment_for(folder: Path, home: Path, outside: Mapping[str, str]) -> dict[str, str]:
    """Environment of a Slicer that neither reads nor writes what its user keeps, and whose worker has PyTorch.

    `folder` takes results and pictures, `home` stands for the user's own folder.
    """
    environment = {name: value for name, value in outside.items() if name not in LEADING_SLICER_OUT}
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "APPDATA", "LOCALAPPDATA"):
        place = home if name == "HOME" else home / name.lower()
        place.mkdir(parents=True, exist_ok=True)
        environment[name] = str(place)
    environment.setdefault("MEDTRANSLATE_PYTHON", sys.executable)
    environment["MEDTRANSLATE_PANEL_OUT"] = str(folder)
    return environment


@contextmanager
def screen(environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The environment with a screen in it: on Linux without a display, a virtual one for as long as the block runs."""
    if not sys.platform.startswith("linux") or environment.get("DISPLAY"):
        yield dict(environment)
        return
    xvfb = shutil.which("Xvfb")
    if xvfb is None:
        msg = "There is no screen (DISPLAY is not set) and no Xvfb to make one: install xvfb, or set DISPLAY."
        raise FileNotFoundError(msg)
    reading, writing = os.pipe()
    command = [xvfb, "-displayfd", str(writing), "-screen", "0", SCREEN, "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL, start_new_session=True) as server:
        try:
            os.close(writing)
            with os.fdopen(reading) as line:
                number = line.readline().strip()  # the first free one; nothing where Xvfb could not start
            if not number:
                msg = f"{xvfb} could not start (exit code {server.wait(END_LIMIT_S)})."
                raise OSError(msg)
            yield {**environment, "DISPLAY": f":{number}"}
        finally:
            server.terminate()
