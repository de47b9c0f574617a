"""Small studies for tests: phantoms as images, and clocks that are set by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np

from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.phantom import head_phantom
from MedTranslateLib.studies.design_grid import Intensity, StudyGrid
from MedTranslateLib.studies.prepare import CaseImages, Prepared, prepare_study
from MedTranslateLib.studies.study import Question, QuestionKind, Study, StudyCase, StudyPair

NONCE = "5e" * 32
TURING = Question("turing", QuestionKind.TURING, "From a scanner, or made?", labels=("scanner", "made"))
REALISM = Question("realism", QuestionKind.GRADE, "How real does it look?", 0, 2)
LESION = Question("lesion", QuestionKind.CONFIDENCE, "Is there a lesion?")
MARKS = Question("marks", QuestionKind.MARKS, "Mark what is suspicious.")
CHOICE = Question("choice", QuestionKind.FORCED_CHOICE, "Which one is made?")
BETTER = Question("better", QuestionKind.PREFERENCE, "Which one is better?")
TINY_GRID = StudyGrid((20, 22, 9), (8.0, 8.5, 16.0))


def singles(count, **changes):
    """Every other case is real."""
    made = ("real", "bundle-a")
    return tuple(StudyCase(f"case-{n}", image=f"{n}.nrrd", treatment=made[n % 2], **changes) for n in range(count))


def small_study(count=6, **changes):
    parts = {
        "title": "A study",
        "seed": 3,
        "readers": ("ann", "bo"),
        "questions": (TURING, REALISM),
        "cases": singles(count),
        "grid": TINY_GRID,
        "intensity": Intensity(),
    }
    return Study(**{**parts, **changes})


def pair_study(pairs=4, **changes):
    listed = tuple(StudyPair(f"pair-{n}", (f"case-{2 * n}", f"case-{2 * n + 1}")) for n in range(pairs))
    return small_study(2 * pairs, **{"questions": (CHOICE, BETTER), "pairs": listed, **changes})


def phantom(size=(24, 28, 20), spacing=(7.0, 7.5, 8.0)) -> Volume:
    matrix = np.diag([*spacing, 1.0])
    matrix[:3, 3] = -(np.array(size) - 1) * spacing / 2
    return head_phantom(Geometry(size, matrix))


def load_phantom(case: StudyCase) -> CaseImages:
    """Each case another head: brighter or darker by its name."""
    head = phantom()
    shade = 1 + 0.01 * (sum(case.id.encode()) % 17)
    return CaseImages(head.with_array(head.array_kji * shade), None if case.source is None else head)


def prepared(folder: Path, study: Study | None = None, name: str = "study") -> Prepared:
    return prepare_study(study or small_study(), folder / name, folder / f"{name}.key.json", load_phantom, NONCE)


class NoNoise:
    """A generator whose noise is nought."""

    def triangular(self, _low, _mode, _high, shape):
        return np.zeros(shape)


class HandClock:
    """A clock that only moves when told to; `set_by` moves the date alone, as somebody who sets the clock does."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 8, 0, tzinfo=timezone.utc)
        self.seconds = 100.0

    def utc(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return self.seconds

    def pass_s(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.seconds += seconds

    def set_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def with_show(study: Study, **changes) -> Study:
    return replace(study, show=replace(study.show, **changes))
