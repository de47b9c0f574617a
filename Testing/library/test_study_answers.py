"""Answers are added, superseded and never edited; what cannot be stored is said, and nothing before it is lost."""

from __future__ import annotations

import csv
import io
import os
import sqlite3
import threading
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from MedTranslateLib.core.errors import AnswerNotSavedError, StudyChangedError, StudyError
from MedTranslateLib.studies.answers import Answer, standing
from MedTranslateLib.studies.answers_table import answers_csv
from MedTranslateLib.studies.session_store import ANSWERS, AnswerStore, Event

EIGHT = datetime(2026, 3, 1, 8, 0, 0, 250000, tzinfo=timezone.utc)
ANSWER = Answer(
    reader="ann",
    item="0a1b2c3d",
    question="turing",
    value=1.0,
    marks=(),
    started_utc=EIGHT,
    answered_utc=EIGHT + timedelta(seconds=3.5),
    seconds=3.4375,
    window=(0.0, 200.5),
    slices_visited=(4, 5, 4),
    repeat=0,
    practice=False,
    supersedes=None,
    number=0,
    trace=((0.5, 1.0, -2.0, 3.25),),
)
MARKED = replace(ANSWER, question="marks", value=None, marks=((1.5, -2.0, 0.1),), window=None, practice=True, trace=())


@pytest.fixture
def store(tmp_path):
    store = AnswerStore(tmp_path, "seal")
    yield store
    store.close()


def outside(folder):
    return sqlite3.connect(folder / ANSWERS, isolation_level=None)


def test_an_answer_comes_back_from_disk_as_it_went_there(store, tmp_path):
    stored = store.add(ANSWER), store.add(MARKED)
    assert stored == (replace(ANSWER, number=1), replace(MARKED, number=2))
    other = AnswerStore(tmp_path, "seal", make=False)
    assert other.answers() == stored
    assert other.answers("bo") == ()
    assert other.latest_utc() == ANSWER.answered_utc
    other.close()


def test_events_come_back_in_their_order(store):
    events = [store.add_event(Event("ann", kind, EIGHT, {"item": "x", "repeat": 1})) for kind in ("opened", "left")]
    assert [event.number for event in events] == [1, 2]
    assert store.events("ann") == tuple(events)
    assert store.latest_utc() == EIGHT


def test_a_question_is_answered_once_and_then_only_superseded_once(store):
    first = store.add(ANSWER)
    with pytest.raises(StudyError, match="answered already"):
        store.add(replace(ANSWER, value=0.0))
    second = store.add(replace(ANSWER, value=0.0, supersedes=first.number))
    with pytest.raises(StudyError, match="superseded once"):
        store.add(replace(ANSWER, value=1.0, supersedes=first.number))
    with pytest.raises(StudyError):
        store.add(replace(ANSWER, value=1.0, supersedes=77))
    store.add(replace(ANSWER, repeat=1))
    store.add(replace(ANSWER, reader="bo"))
    assert [answer.number for answer in store.answers()] == [1, 2, 3, 4]
    assert standing(store.answers()) == (second, *store.answers()[2:])


@pytest.mark.parametrize("table", ["answer", "event", "study"])
@pytest.mark.parametrize("edit", ["DELETE FROM {}", "UPDATE {} SET {}"])
def test_nobody_edits_what_was_said(store, tmp_path, table, edit):
    store.add(ANSWER)
    store.add_event(Event("ann", "opened", EIGHT, {}))
    column = {"answer": "value = 0", "event": "reader = 'x'", "study": "seal = 'x'"}[table]
    with pytest.raises(sqlite3.IntegrityError, match="never edited"):
        outside(tmp_path).execute(edit.format(table, column))
    assert len(store.answers()) == len(store.events()) == 1


def test_an_edit_that_went_around_the_triggers_is_noticed(store, tmp_path):
    for value in (0.0, 1.0, 1.0):
        store.add(replace(ANSWER, question=f"q{value}-{len(store.answers())}", value=value))
    store.close()
    connection = outside(tmp_path)
    connection.execute("DROP TRIGGER answer_no_UPDATE")
    connection.execute("UPDATE answer SET value = 1.0 WHERE number = 1")
    with pytest.raises(StudyChangedError, match="answer 1 or one before it was edited"):
        AnswerStore(tmp_path, "seal")
    connection.execute("UPDATE answer SET value = 0.0 WHERE number = 1")
    AnswerStore(tmp_path, "seal").close()
    connection.execute("DROP TRIGGER answer_no_DELETE")
    connection.execute("DELETE FROM answer WHERE number = 2")
    with pytest.raises(StudyChangedError, match="answer 3 or one before"):
        AnswerStore(tmp_path, "seal")


def test_a_full_disk_takes_no_answer_and_loses_none(store):
    store.add(ANSWER)
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    long = replace(ANSWER, question="marks", value=None, marks=((1.0, 2.0, 3.0),) * 4000)
    with pytest.raises(AnswerNotSavedError, match="the disk is full"):
        store.add(long)
    assert len(store.answers()) == 1
    store._connection.execute(f"PRAGMA max_page_count = {pages + 1000}")
    assert store.add(long).number == 2


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="permissions bind neither root nor Windows")
def test_a_folder_without_permission_is_said(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(AnswerNotSavedError, match=r"permission|opened"):
        AnswerStore(tmp_path, "seal")
    tmp_path.chmod(0o700)


def test_answers_of_another_seal_are_not_continued(store, tmp_path):
    with pytest.raises(StudyChangedError, match="another seal"):
        AnswerStore(tmp_path, "other")


@pytest.mark.parametrize("content", [b"no database, but long enough to be taken for one" * 40, None])
def test_a_damaged_file_is_refused(store, tmp_path, content):
    store.add(ANSWER)
    store.close()
    path = tmp_path / ANSWERS
    whole = path.read_bytes()
    path.write_bytes(content or whole[:4096] + bytes(len(whole) - 4096))
    before = path.read_bytes()
    with pytest.raises((StudyError, StudyChangedError), match=r"damaged|edited"):
        AnswerStore(tmp_path, "seal")
    assert path.read_bytes() == before


def test_a_file_of_a_later_version_is_left_alone(store, tmp_path):
    outside(tmp_path).execute("PRAGMA user_version = 9")
    with pytest.raises(StudyError, match="another version"):
        AnswerStore(tmp_path, "seal")


def test_many_readers_at_once_lose_and_double_nothing(tmp_path):
    def read(reader):
        store = AnswerStore(tmp_path, "seal")
        for number in range(10):
            store.add(replace(ANSWER, reader=reader, question=f"q{number}"))
        store.close()

    threads = [threading.Thread(target=read, args=(f"reader-{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store = AnswerStore(tmp_path, "seal")
    answers = store.answers()
    store.close()
    assert [answer.number for answer in answers] == list(range(1, 41))
    assert len({(answer.reader, answer.question) for answer in answers}) == 40


def test_the_table_holds_every_answer_and_says_which_ones_stand():
    answers = (
        replace(ANSWER, number=1),
        replace(ANSWER, number=2, value=0.0, supersedes=1),
        replace(MARKED, number=3),
    )
    rows = list(csv.DictReader(io.StringIO(answers_csv(answers))))
    assert [(row["number"], row["value"], row["supersedes"], row["stands"]) for row in rows] == [
        ("1", "1", "", "0"),
        ("2", "0", "1", "1"),
        ("3", "", "", "1"),
    ]
    assert (rows[0]["answered_utc"], rows[0]["seconds"]) == ("2026-03-01T08:00:03.750000+00:00", "3.438")
    assert (rows[0]["window_low"], rows[0]["window_high"], rows[2]["window_low"]) == ("0.0", "200.5", "")
    assert (rows[2]["marks_ras_mm"], rows[0]["marks_ras_mm"]) == ("[[1.5, -2.0, 0.1]]", "")
    assert (rows[0]["slices_visited"], rows[0]["trace_s_ras_mm"]) == ("[4, 5, 4]", "[[0.5, 1.0, -2.0, 3.25]]")
