"""Readers who do not exist: a small study of every kind of question, with answers drawn from known distributions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np

from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.studies.answers import Answer
from MedTranslateLib.studies.key import Key, KeyEntry, checked_key
from MedTranslateLib.studies.prepare import CaseImages, prepare_study
from MedTranslateLib.studies.prepare_plan import SEAL, read_plan, sha256_of
from MedTranslateLib.studies.session_store import AnswerStore
from MedTranslateLib.studies.study import (
    REAL,
    Question,
    QuestionKind,
    Region,
    Study,
    StudyCase,
    StudyGrid,
    StudyPair,
)

START = datetime(2026, 3, 2, 9, 0, tzinfo=timezone.utc)
TURING = Question("turing", QuestionKind.TURING, "Is this image real or synthetic?", labels=("real", "synthetic"))
REALISM = Question("realism", QuestionKind.GRADE, "How realistic is it?", 0, 2, ("unrealistic", "fair", "like real"))
PLAUSIBLE = Question("lesions", QuestionKind.GRADE, "Are generated lesions reasonable?", 1, 5)
LESION = Question("lesion", QuestionKind.CONFIDENCE, "How sure are you that there is a lesion?")
MARKS = Question("places", QuestionKind.MARKS, "Mark every suspicious place.")
CHOICE = Question("which", QuestionKind.FORCED_CHOICE, "Which of the two is synthetic?")
BETTER = Question("better", QuestionKind.PREFERENCE, "Which of the two is better?")
SINGLE = (TURING, REALISM, PLAUSIBLE, LESION, MARKS)
TREATMENTS = (REAL, "Bi-DPM")
THREE = (*TREATMENTS, "Plasticine")


@dataclass(frozen=True)
class Skill:
    """How a simulated reader answers.

    Args:
        right: Probability of a right answer about real and synthetic.
        separation: Distance of the means of cases with and without a lesion, in standard deviations.
        seconds: Median time for a question.
    """

    right: float = 0.6
    separation: float = 1.5
    seconds: float = 8.0


def small_study(patients: int = 6, pairs: int = 4, treatments: tuple[str, ...] = TREATMENTS, **more) -> Study:
    """Each patient once with every treatment, every second one with a lesion; and pairs of further patients."""
    cases = [_case(number, name) for number in range(patients) for name in treatments]
    paired = []
    for number in range(pairs):
        sides = [
            StudyCase(f"q{number}-{name}", image="x.nrrd", treatment=name, subject=f"q{number}")
            for name in TREATMENTS[:2]
        ]
        cases += sides
        paired.append(StudyPair(f"pair{number}", (sides[0].id, sides[1].id)))
    grid = StudyGrid((8, 8, 4), (2.0, 2.0, 3.0))
    settings = {"title": "Synthetic T2 beside real T2", "seed": 7, "repeats": 4, "grid": grid}
    settings["questions"] = (*SINGLE, CHOICE, BETTER) if pairs else SINGLE
    settings |= {"readers": ("anna", "ben"), **more}
    return Study(cases=tuple(cases), pairs=tuple(paired), **settings)


def key_of(study: Study, nonce: str = "nonce") -> Key:
    """A key with plain item names, without any files."""
    entries = [
        KeyEntry(
            f"item-{number:03d}",
            one.id,
            one.made_by,
            one.of_subject,
            one.practice,
            None,
            one.truth,
            one.regions,
            (one.id,),
        )
        for number, one in enumerate(study.singles)
    ]
    for number, pair in enumerate(study.pairs):
        sides = [study.case(name) for name in pair.cases[:: 1 if number % 2 else -1]]
        names = (sides[0].made_by, sides[0].of_subject, pair.practice, sides[1].made_by)
        entries.append(KeyEntry(f"pair-{number:03d}", pair.id, *names, cases=tuple(side.id for side in sides)))
    return Key(nonce, study, tuple(entries), "0" * 64)


def answer(reader: str, item: str, question: Question, value: float | None, number: int = 1, **more) -> Answer:
    """An answer a second after the one before."""
    when = more.pop("when", START + timedelta(seconds=number))
    settings = {
        "marks": (),
        "started_utc": when,
        "answered_utc": when,
        "seconds": 1.0,
        "window": None,
        "slices_visited": (),
        "repeat": 0,
        "practice": False,
        "supersedes": None,
        **more,
    }
    return Answer(reader=reader, item=item, question=question.id, value=value, number=number, **settings)


def said(question: Question, entry: KeyEntry, skill: Skill, chance: np.random.Generator) -> tuple[float | None, tuple]:
    """Value and marks that a reader of this skill gives."""
    right = chance.random() < skill.right
    synthetic = entry.treatment != REAL
    if question.kind is QuestionKind.MARKS:
        found = [tuple(chance.normal(region.centre_ras, 2.0)) for region in entry.regions if right]
        return None, (*found, *([tuple(chance.uniform(-20, 20, 3))] if chance.random() < 0.2 else []))
    if question.kind is QuestionKind.GRADE:
        better = chance.normal(0.85 if synthetic else 0.98, 0.25)
        return float(
            np.clip(round(question.low + better * (question.high - question.low)), question.low, question.high)
        ), ()
    if question.kind is QuestionKind.CONFIDENCE:
        blur = 0.6 if synthetic else 1.0
        latent = chance.normal(skill.separation * blur * (entry.truth or 0))
        return float(np.clip(round((40 + 18 * latent) / 5) * 5, 0, 100)), ()
    if question.kind is QuestionKind.PREFERENCE:
        return float(chance.choice([0.5, float(synthetic), float(not synthetic)], p=[0.3, 0.5, 0.2])), ()
    index = float(synthetic) if question.kind is QuestionKind.TURING else float(not synthetic)
    return (index if right else 1 - index), ()


def read_study(
    folder: Path, key_file: Path, skills: dict[str, Skill], seed: int = 1, stop_after: int | None = None
) -> None:
    """Lets every reader answer everything in his order, straight into the store; `stop_after` items he stops."""
    plan, key = read_plan(folder), checked_key(folder, key_file)
    chance, store, when = np.random.default_rng(seed), AnswerStore(folder, sha256_of(folder / SEAL)), START
    try:
        for reader, turns in plan.orders.items():
            for turn in turns[:stop_after]:
                for question in plan.questions_of(plan.item(turn.item)):
                    value, marks = said(question, key.entry(turn.item), skills[reader], chance)
                    spent = float(chance.lognormal(np.log(skills[reader].seconds), 0.5))
                    started, when = when, when + timedelta(seconds=spent)
                    turned = {"repeat": turn.repeat, "practice": turn.practice, "marks": marks, "seconds": spent}
                    made = answer(reader, turn.item, question, value, 0, when=started, **turned)
                    store.add(replace(made, answered_utc=when))
    finally:
        store.close()


def prepared(study: Study, place: Path):
    """The study in `place / "study"`, its key beside it; every image is the same small ball with another noise."""
    chance = np.random.default_rng(3)
    ball = np.fromfunction(lambda k, j, i: (i - 7.5) ** 2 + (j - 7.5) ** 2 + (k - 3.5) ** 2 < 30, (8, 16, 16))

    def load(case: StudyCase) -> CaseImages:
        values = np.where(ball, 100 + chance.normal(0, 20, ball.shape), 0).astype(np.float32)
        return CaseImages(Volume(values, Geometry((16, 16, 8), np.diag([1.5, 1.5, 2.0, 1.0]))))

    return prepare_study(study, place / "study", place / "key.json", load, nonce="0123456789abcdef")


def _case(number: int, name: str) -> StudyCase:
    truth = number % 2
    regions = (Region((3.0 + number, -2.0, 1.5), 4.0),) if truth else ()
    case_id = f"p{number}-{name}"
    return StudyCase(case_id, image="x.nrrd", treatment=name, truth=truth, regions=regions, subject=f"p{number}")
