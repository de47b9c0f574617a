"""A process that is killed while a reader answers has lost no answer that it acknowledged, and doubled none."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.imaging.phantom import head_phantom
from MedTranslateLib.studies.design_grid import StudyGrid
from MedTranslateLib.studies.prepare import CaseImages, prepare_study
from MedTranslateLib.studies.prepare_plan import ReadingPlan
from MedTranslateLib.studies.session import Session
from MedTranslateLib.studies.session_status import read_record
from MedTranslateLib.studies.study import Question, QuestionKind, Study, StudyCase

ROOT = Path(__file__).parents[2]
READ = """
import sys
from pathlib import Path
from MedTranslateLib.cli.study_text import read_from_script

sys.exit(read_from_script(Path(sys.argv[1]), "ann", Path(sys.argv[2])))
"""
LIMIT_S = 60
QUESTIONS = (
    Question("turing", QuestionKind.TURING, "Made?"),
    Question("realism", QuestionKind.GRADE, "Real?", 0, 2),
    Question("lesion", QuestionKind.CONFIDENCE, "A lesion?"),
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A study that is begun again from a copy whenever it is read to its end; and what the reader is going to say."""
    folder = tmp_path_factory.mktemp("kill")
    cases = tuple(StudyCase(f"c{n}", image=f"{n}", treatment="real" if n % 2 else "made") for n in range(30))
    study = Study("Kill", 1, ("ann",), QUESTIONS, cases, repeats=5, grid=StudyGrid((12, 14, 6), (12.0, 12.0, 20.0)))
    head = head_phantom(Geometry((16, 18, 12), np.diag([10.0, 10.0, 12.0, 1.0])))
    prepare_study(study, folder / "study", folder / "key.json", lambda _case: CaseImages(head))
    return folder / "study"


def script_for(plan: ReadingPlan, path: Path) -> dict[tuple[str, int, str], float]:
    """An answer to each question that no other is mistaken for."""
    said = {}
    for place, turn in enumerate(plan.orders["ann"]):
        said |= {(turn.item, turn.repeat, "turing"): place % 2, (turn.item, turn.repeat, "realism"): place % 3}
        said[turn.item, turn.repeat, "lesion"] = float(place)
    lines = [
        json.dumps({"item": item, "repeat": repeat, "question": question, "value": value})
        for (item, repeat, question), value in said.items()
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return said


def killed_reading(folder: Path, script: Path, after_answers: int, delay_s: float) -> list[dict]:
    """Reads in a process of its own, which is killed so long after so many answers; gives those it acknowledged."""
    with subprocess.Popen(
        [sys.executable, "-c", READ, str(folder), str(script)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        acknowledged = []
        for line in process.stdout:
            acknowledged.append(line)
            if len(acknowledged) == after_answers:
                break
        timer = threading.Timer(delay_s, process.kill)  # SIGKILL
        timer.start()
        acknowledged += process.stdout.readlines()
        errors = process.stderr.read().decode()
        process.wait(LIMIT_S)
        timer.cancel()
    assert "Error" not in errors, errors
    return [json.loads(line) for line in acknowledged if line.endswith(b"\n")]


def check_stored(folder: Path, acknowledged: list[dict], said: dict) -> None:
    """Every acknowledged answer is there once, as it was given; whatever else is there is what the reader said."""
    stored = read_record(folder).answers
    assert max(Counter((one.item, one.repeat, one.question) for one in stored).values(), default=1) == 1
    by_number = {one.number: one for one in stored}
    assert list(by_number) == list(range(1, len(stored) + 1))
    for answer in acknowledged:
        kept = by_number[answer["number"]]
        assert (kept.item, kept.repeat, kept.question, kept.value) == (
            *(answer[name] for name in ("item", "repeat", "question", "value")),
        )
    assert all(one.value == said[one.item, one.repeat, one.question] for one in stored)


def check_place(folder: Path, plan: ReadingPlan) -> None:
    """The next session begins at the first question without an answer; the lock of the dead one is gone."""
    answered = {(one.item, one.repeat, one.question) for one in read_record(folder).answers}
    expected = next(
        (turn.item, turn.repeat, question.id)
        for turn in plan.orders["ann"]
        for question in QUESTIONS
        if (turn.item, turn.repeat, question.id) not in answered
    )
    with Session.open(folder, "ann") as session:
        case = session.current()
        assert (case.item, case.repeat, case.asked.id) == expected


def kill_and_check(prepared: Path, tmp_path: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    plan = read_record(prepared).plan
    script = tmp_path / "script.jsonl"
    said = script_for(plan, script)
    folder, acknowledged, rounds = tmp_path / "study-0", [], 0
    shutil.copytree(prepared, folder)
    for _ in range(kills):
        after = chance.randint(0, 9)
        acknowledged += killed_reading(folder, script, after, chance.uniform(0, 0.12 if after else 0.8))
        if len(read_record(folder).answers) > len(said) - 12:  # the next reading might come to its end
            rounds += 1
            folder, acknowledged = tmp_path / f"study-{rounds}", []
            shutil.copytree(prepared, folder)
        check_stored(folder, acknowledged, said)
        check_place(folder, plan)
    done = subprocess.run(
        [sys.executable, "-c", READ, str(folder), str(script)],
        cwd=ROOT,
        capture_output=True,
        timeout=LIMIT_S,
        check=True,
    )
    acknowledged += [json.loads(line) for line in done.stdout.splitlines()]
    check_stored(folder, acknowledged, said)
    assert len(read_record(folder).answers) == len(said)
    assert read_record(folder).progress()[0].finished


def test_fifteen_kills_lose_and_double_no_answer(prepared, tmp_path):
    kill_and_check(prepared, tmp_path, kills=15, seed=1)


@pytest.mark.slow
def test_three_hundred_kills_lose_and_double_no_answer(prepared, tmp_path):
    kill_and_check(prepared, tmp_path, kills=300, seed=2)
