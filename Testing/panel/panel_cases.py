"""A folder of cases in, their names and limits out; read from the source, so that no Slicer is needed to name them."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CASES = Path(__file__).resolve().parent / "cases"
PREFIX = "check_"
LIMIT_S = 300


@dataclass(frozen=True)
class Case:
    """A function of a file in `cases` that is run inside Slicer.

    A file may say `LIMIT_S = 900` for cases that take long and `SLOW = True` for those that only `--slow` runs.
    """

    file: Path
    function: str
    limit_s: float = LIMIT_S
    slow: bool = False

    @property
    def name(self) -> str:
        """`start_up.the_module_opens` for `check_the_module_opens` of `start_up.py`."""
        return f"{self.file.stem}.{self.function.removeprefix(PREFIX)}"


def cases_in(folder: Path = CASES) -> list[Case]:
    """Every case, file by file, in the order of the files' text."""
    return [case for file in sorted(folder.glob("*.py")) for case in _cases_of(file)]


def named(names: Sequence[str], folder: Path = CASES) -> list[Case]:
    """The cases of these names, in their usual order."""
    cases = [case for case in cases_in(folder) if case.name in names]
    unknown = set(names) - {case.name for case in cases}
    if unknown:
        msg = f"There are no panel cases called {', '.join(sorted(unknown))} in {folder}."
        raise LookupError(msg)
    return cases


def _cases_of(file: Path) -> list[Case]:
    body = ast.parse(file.read_text(encoding="utf-8"), str(file)).body
    limit_s = _constant(body, "LIMIT_S", LIMIT_S)
    slow = _constant(body, "SLOW", default=False)
    functions = [node.name for node in body if isinstance(node, ast.FunctionDef)]
    return [Case(file, name, limit_s, slow) for name in functions if name.startswith(PREFIX)]


def _constant(body: list[ast.stmt], name: str, default: float) -> float:
    for node in body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]:
            return ast.literal_eval(node.value)
    return default
