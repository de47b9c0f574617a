# ruff: noqa: E402  # what lies beside this file can be imported once its folder is on the path
"""Run inside a Slicer of its own that was started for a study: answers some questions, then is killed as by a crash."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import slicer

from slicer_side import SlicerSide


def main() -> None:
    """Leaves what it has answered in a file, before it is killed between two answers."""
    note, count = Path(os.environ["MEDTRANSLATE_STUDY_NOTE"]), int(os.environ["MEDTRANSLATE_STUDY_ANSWERS"])
    side = SlicerSide(note.parent)
    slicer.util.selectModule("MedTranslate")  # as `medtranslate study run` does
    panels = slicer.util.getModuleWidget("MedTranslate").panels
    side.wait_until(lambda: panels.study.reading is not None, 60, "the reading to begin by itself")
    reading, pressed = panels.study.reading, []
    reading.confirm()
    side.wait(200)
    while len(pressed) < count:
        pressed.append(answered(reading))
        side.wait(50)
    note.write_text(json.dumps(pressed))
    os.kill(os.getpid(), signal.SIGKILL)


def answered(reading) -> tuple:
    """Answers the open question; gives item, question, value, and whether it was practice."""
    case, question = reading.case, reading.bar.question
    value: object = 1.0
    if question.kind.value == "marks":
        value = ()
        reading.confirm()
    elif question.kind.value == "confidence":
        reading.bar.move(3)
        value = reading.bar.confidence
        reading.confirm()
    else:
        reading.bar.press("2")
        value = {"turing": 1.0, "grade": 2.0, "choice": 1.0, "better": 0.5}[question.id]
    return (case.item, question.id, value, case.practice)


main()
