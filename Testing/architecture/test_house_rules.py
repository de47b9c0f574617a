"""The rules of the house that no linter checks: sizes, where a broad except may stand, arguments of dataclasses."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_FILE, MAX_FUNCTION = 400, 40
BROAD_EXCEPT_ONCE = ("MedTranslateLib/inference/worker.py", "MedTranslate/MedTranslateWidgets/")
Function = (ast.FunctionDef, ast.AsyncFunctionDef)

ONE_FIELD_UNDOCUMENTED = '''
@dataclass(frozen=True)
class A:
    """Two fields.

    Args:
        b: The second.
    """

    a: int
    b: int
'''
TWO_FIELDS_DOCUMENTED_TOGETHER = '''
@dataclass
class A:
    """Two fields.

    Args:
        a, b: Both, with a note: it
            goes on here.

    Raises:
        ValueError: Never.
    """

    a: int
    b: int
    shared: ClassVar[int] = 0
'''


def sources() -> list[Path]:
    places = [ROOT / "MedTranslateLib", ROOT / "MedTranslate", ROOT / "Testing"]
    return [ROOT / "run.py", *(path for place in places for path in sorted(place.rglob("*.py")))]


def shipped_sources() -> list[Path]:
    return [path for path in sources() if (ROOT / "Testing") not in path.parents]


def found_in(paths: list[Path], check: Callable[[str], Iterator[str]]) -> str:
    found = [(path, line) for path in paths for line in check(path.read_text(encoding="utf-8"))]
    return "\n".join(f"{path.relative_to(ROOT).as_posix()}: {line}" for path, line in found)


def long_file(source: str) -> Iterator[str]:
    if (count := len(source.splitlines())) > MAX_FILE:
        yield f"{count} lines, at most {MAX_FILE}"


def long_functions(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Function) and (count := lines_without_docstring(node)) > MAX_FUNCTION:
            yield f"{node.name} has {count} lines, at most {MAX_FUNCTION}"


def lines_without_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[0]
    docstring = first.end_lineno - first.lineno + 1 if ast.get_docstring(node) is not None else 0
    return node.end_lineno - node.lineno + 1 - docstring


def assertions(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assert):
            yield f"assert in line {node.lineno}"


def broad_excepts(source: str) -> Iterator[str]:
    """Handlers of everything; one that ends by raising the same error again only cleans up and may stand anywhere."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler) and ast.unparse(node.body[-1]) != "raise":
            caught = [ast.unparse(kind) for kind in ast.walk(node.type)] if node.type else ["everything"]
            if {"everything", "Exception", "BaseException"} & set(caught):
                yield f"broad except in line {node.lineno}"


def wrong_dataclass_arguments(source: str) -> Iterator[str]:
    """Where a dataclass has an Args section, it names its fields, all of them and no others."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(d) for d in node.decorator_list):
            named = documented(ast.get_docstring(node) or "")
            fields = [line.target.id for line in node.body if is_field(line)]
            if named and sorted(named) != sorted(fields):
                yield f"{node.name}: its fields and its Args section differ in {sorted({*named} ^ {*fields})}"


def is_field(line: ast.stmt) -> bool:
    return isinstance(line, ast.AnnAssign) and "ClassVar" not in ast.unparse(line.annotation)


def documented(docstring: str) -> list[str]:
    """Names in the Args section; several that share a description are separated by commas."""
    section = re.search(r"^Args:\n((?:(?: {4}.*)?\n?)*)", docstring, re.MULTILINE)
    entries = re.findall(r"^ {4}([\w, ]+):", section[1], re.MULTILINE) if section else []
    return [name.strip() for entry in entries for name in entry.split(",")]


def test_no_file_is_longer_than_the_house_allows() -> None:
    found = found_in(sources(), long_file)
    assert not found, found


def test_no_function_is_longer_than_the_house_allows() -> None:
    found = found_in(sources(), long_functions)
    assert not found, found


def test_nothing_but_tests_asserts() -> None:
    found = found_in(shipped_sources(), assertions)
    assert not found, found


def test_a_broad_except_stands_in_the_worker_and_around_qt_slots_only() -> None:
    found = found_in(shipped_sources(), broad_excepts).splitlines()
    for place in BROAD_EXCEPT_ONCE:
        there = [line for line in found if line.startswith(place)]
        assert len(there) <= 1, there
        found = [line for line in found if line not in there]
    assert not found


def test_the_argument_section_of_a_dataclass_names_its_fields() -> None:
    found = found_in(shipped_sources(), wrong_dataclass_arguments)
    assert not found, found


@pytest.mark.parametrize(
    ("check", "bad", "good"),
    [
        (long_file, "x = 1\n" * 401, "x = 1\n" * 400),
        (long_functions, "def f():\n" + "    x = 1\n" * 40, "def f():\n" + "    x = 1\n" * 39),
        (
            long_functions,
            "class A:\n    def f(self):\n" + "        x = 1\n" * 40,
            'def f():\n    """A.\n' + "\n" * 90 + '    """\n',
        ),
        (assertions, "def f():\n    assert x", "x = 'assert'"),
        (
            broad_excepts,
            "try:\n    f()\nexcept Exception as e:\n    pass",
            "try:\n    f()\nexcept ValueError:\n    pass",
        ),
        (broad_excepts, "try:\n    f()\nexcept:\n    g()", "try:\n    f()\nexcept BaseException:\n    g()\n    raise"),
        (broad_excepts, "try:\n    f()\nexcept (E, Exception) as e:\n    raise F() from e", "raise Exception"),
        (wrong_dataclass_arguments, ONE_FIELD_UNDOCUMENTED, TWO_FIELDS_DOCUMENTED_TOGETHER),
    ],
)
def test_each_check_finds_a_bad_example_and_lets_a_good_one_pass(
    check: Callable[[str], Iterator[str]], bad: str, good: str
) -> None:
    assert len(list(check(bad))) == 1
    assert not list(check(good))
