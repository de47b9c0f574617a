"""A study and a reader without pictures in, answers out: from a script, or asked line by line in a terminal."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

from MedTranslateLib.core.errors import StudyError
from MedTranslateLib.studies.answers import Answer, Viewing
from MedTranslateLib.studies.session import Session
from MedTranslateLib.studies.session_view import Presentation, SessionState
from MedTranslateLib.studies.study import Point, Question, QuestionKind

KEYS = ("item", "repeat", "question", "value", "marks", "window", "slices_visited")
HELP = "u takes the last answer of this case back, q ends (go on later at this place)"


class Scripted(NamedTuple):
    """What a script says to one question."""

    value: float | None
    marks: tuple[Point, ...]
    viewing: Viewing


Script = dict[tuple[str, int, str], Scripted]


def read_from_script(folder: Path, reader: str, script: Path) -> int:
    """Answers from a file; prints each answer as a JSON line once it is on disk.

    Args:
        folder: A study folder.
        reader: Name of the reader.
        script: JSON lines with `item`, `question`, `value` or `marks`, and maybe `repeat`, `window`, `slices_visited`.
            What was answered before is not asked again, so a script that was interrupted can be run again.

    Returns:
        The exit code.

    Raises:
        StudyError: If the script is wrong, or has no answer to a question.
    """
    answers = _read_script(script)
    with Session.open(folder, reader) as session:
        while (case := session.current()) is not None:
            question = case.asked
            if question is None:
                session.advance()
                continue
            said = answers.get((case.item, case.repeat, question.id))
            if said is None:
                msg = (
                    f"{script} has no answer to {question.id!r} of item {case.item}, repeat {case.repeat}; add a line."
                )
                raise StudyError(msg)
            _acknowledge(session.answer(question.id, said.value, said.marks, said.viewing))
        sys.stderr.write(_ending(session))
    return 0


def read_as_text(folder: Path, reader: str) -> int:
    """Asks in the terminal; the images are looked at elsewhere.

    Args:
        folder: A study folder.
        reader: Name of the reader.

    Returns:
        The exit code.
    """
    with Session.open(folder, reader) as session:
        sys.stdout.write(f"{session.plan.title}. {HELP}.\n")
        while (case := session.current()) is not None:
            said = _ask(case)
            if said in ("q", None):
                break
            _take(session, case, str(said))
        sys.stdout.write(_ending(session))
    return 0


def _ask(case: Presentation) -> str | None:
    question = case.asked
    practice = " (practice)" if case.practice else ""
    images = ", ".join(map(str, case.paths))
    text = "Enter goes on" if question is None else f"{question.text} [{question.expected}{_labels(question)}]"
    sys.stdout.write(f"\nCase {case.position} of {case.total}{practice}: {images}\n{text}: ")
    sys.stdout.flush()
    line = sys.stdin.readline()
    return line.strip() if line else None


def _labels(question: Question) -> str:
    return f": {', '.join(question.labels)}" if question.labels else ""


def _take(session: Session, case: Presentation, said: str) -> None:
    question = case.asked
    if said == "u":
        session.undo()
    elif question is None:
        session.advance()
    else:
        _take_answer(session, question, said)


def _take_answer(session: Session, question: Question, said: str) -> None:
    """A mistyped answer is asked again."""
    try:
        marks = _points(json.loads(said or "[]")) if question.kind is QuestionKind.MARKS else ()
        value = None if question.kind is QuestionKind.MARKS else float(said)
        question.check(value, marks)
    except (ValueError, TypeError) as error:
        sys.stdout.write(f"Not understood: {error}\n")
        return
    session.answer(question.id, value, marks)


def _ending(session: Session) -> str:
    progress = session.progress
    until = session.waiting_until
    if session.state is SessionState.FINISHED:
        return "All cases are read. Thank you.\n"
    if until is not None:
        return f"{progress.done} of {progress.total} read; go on from {until:%Y-%m-%d %H:%M} UTC.\n"
    return f"{progress.done} of {progress.total} read; the next run goes on here.\n"


def _acknowledge(answer: Answer) -> None:
    table = {
        "number": answer.number,
        "item": answer.item,
        "repeat": answer.repeat,
        "question": answer.question,
        "value": answer.value,
    }
    sys.stdout.write(json.dumps(table) + "\n")
    sys.stdout.flush()


def _read_script(path: Path) -> Script:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"The script {path} cannot be read: {error}"
        raise StudyError(msg) from error
    script: Script = {}
    for number, line in enumerate(lines, 1):
        if line.strip():
            key, said = _read_line(line, f"{path}, line {number}")
            script[key] = said
    return script


def _read_line(line: str, where: str) -> tuple[tuple[str, int, str], Scripted]:
    try:
        table: dict[str, Any] = dict(json.loads(line))
        said = Scripted(_number(table.get("value")), _points(table.get("marks", [])), _viewing(table))
        key = (str(table["item"]), int(table.get("repeat", 0)), str(table["question"]))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        msg = f"{where}: expected an object with item, question and value or marks, got {line!r:.80}."
        raise StudyError(msg) from error
    unknown = sorted(set(table) - set(KEYS))
    if unknown:
        msg = f"{where}: unknown key {unknown[0]!r}; known are {', '.join(KEYS)}."
        raise StudyError(msg)
    return key, said


def _viewing(table: dict[str, Any]) -> Viewing:
    window = table.get("window")
    seen = tuple(int(number) for number in table.get("slices_visited", ()))
    return Viewing(None if window is None else (float(window[0]), float(window[1])), seen)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _points(listed: Any) -> tuple[Point, ...]:
    return tuple((float(r), float(a), float(s)) for r, a, s in listed)
