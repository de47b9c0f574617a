"""A study folder and a running Slicer in, a reader at work out: presses, clicks, and looks into the file of answers."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path

import slicer

from study_on_disk import make_study

FIRST_READER, SECOND_READER = "reader-1", "reader-2"


@contextmanager
def study_folder(**changes):
    with tempfile.TemporaryDirectory() as folder:
        yield make_study(Path(folder), **changes)


def opened(side, folder: Path, reader: str):
    panels = side.open_module().panels
    side.child("studySection").collapsed = False
    side.child("studyFolderEdit").currentPath = str(folder)
    side.child("studyReaderBox").currentText = reader
    side.wait(100)
    return panels


def started(side, folder: Path, reader: str):
    panels = opened(side, folder, reader)
    side.mouse.click(side.child("startStudyButton"))
    assert panels.study.reading is not None, panels.messages.text
    side.wait(300)
    return panels.study.reading


def key(side, name: str) -> None:
    side.mouse.press(slicer.util.mainWindow(), name)


def answer_as(side, reading, pressed: list, *, by_mouse: bool) -> None:
    """Answers the open question in a way that depends on how many were answered; notes what was pressed."""
    case, question, number = reading.case, reading.bar.question, len(pressed)
    kind = question.kind.value
    if kind == "confidence":
        value = confidence(side, reading, number, by_mouse=by_mouse)
    elif kind == "marks":
        value = marks(side, reading, number % 3)
    else:
        value = choice(side, reading, number, by_mouse=by_mouse)
    pressed.append((case.item, question.id, value, case.practice))
    side.wait_until(lambda: asked_now(reading) != (case.item, question.id), 5, "the answer to be taken")


def asked_now(reading) -> tuple[str, str] | None:
    """Item and question; None on a page, and where the case waits to be confirmed."""
    question = reading.bar.question
    return None if reading.onPage or question is None else (reading.case.item, question.id)


def choice(side, reading, number: int, *, by_mouse: bool) -> float:
    from MedTranslateWidgets.StudyAnswers import choicesOf

    choices = choicesOf(reading.bar.question)
    chosen = choices[number % len(choices)]
    if by_mouse:
        side.mouse.click(slicer.util.findChild(reading.bar.widget, f"answer_{chosen.key}"))
    else:
        key(side, chosen.key)
    return chosen.value


def confidence(side, reading, number: int, *, by_mouse: bool) -> float:
    slider = reading.bar.ui.confidenceSlider
    if by_mouse:
        side.mouse.drag(slider, (slider.width // 2, slider.height // 2), (60 + 40 * (number % 9), slider.height // 2))
    else:
        for _press in range(1 + number % 3):
            key(side, "Right" if number % 2 else "Left")
    assert reading.bar.confidence is not None
    value = float(slider.value)
    if by_mouse:
        side.mouse.click(reading.bar.ui.confirmButton)
    else:
        key(side, "Return")
    return value


def marks(side, reading, count: int) -> tuple:
    view = slicer.app.layoutManager().sliceWidget("StudyFirst").sliceView()
    for index in range(count):
        side.mouse.click(view, view.width // 2 + 40 * index, view.height // 2 - 25 * index)
    points = reading._marks.points
    assert len(points) == count
    if count > 1 and not (side.pictures / "study-3-marked.png").exists():
        side.picture("study-3-marked")
    key(side, "space")
    return points


def stored(folder: Path, reader: str) -> list[tuple]:
    """What stands in the file, read by nothing of ours."""
    with closing(sqlite3.connect(folder / "answers.sqlite")) as connection:
        rows = connection.execute(
            "SELECT item, question, value, marks, practice FROM answer WHERE reader = ? AND number NOT IN "
            "(SELECT supersedes FROM answer WHERE supersedes IS NOT NULL) ORDER BY number",
            (reader,),
        ).fetchall()
    return [
        (item, question, tuple(map(tuple, json.loads(marks))) if value is None else value, bool(practice))
        for item, question, value, marks, practice in rows
    ]


def read_on(side, reading, pressed: list, *, by_mouse: bool, cases: int = 1000) -> None:
    """Answers until that many more cases are answered, or all."""
    until = min(reading.session.progress.done + cases, reading.session.progress.total)
    while reading.session.progress.done < until:
        answer_as(side, reading, pressed, by_mouse=by_mouse)


def page_text(reading) -> str:
    return f"{slicer.util.findChild(reading.page.widget, 'pageTitle').text}"
