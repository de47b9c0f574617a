"""A session shows one case after the other, goes on where it stopped, and stops wherever its ground is doubtful."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import timedelta

import pytest
from study_samples import (
    BETTER,
    CHOICE,
    MARKS,
    REALISM,
    TURING,
    HandClock,
    pair_study,
    prepared,
    singles,
    small_study,
    with_show,
)

from MedTranslateLib.core.errors import (
    AnswerNotSavedError,
    ClockSetBackError,
    ReaderBusyError,
    StudyChangedError,
    StudyError,
)
from MedTranslateLib.studies.answers import Viewing
from MedTranslateLib.studies.prepare_plan import read_plan
from MedTranslateLib.studies.session import Session
from MedTranslateLib.studies.session_status import read_record
from MedTranslateLib.studies.session_view import Progress, SessionState

DAY = 86_400.0


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return prepared(tmp_path_factory.mktemp("small")).folder


@pytest.fixture
def folder(small, tmp_path):
    return shutil.copytree(small, tmp_path / "study")


def shown_items(folder, clock, values=(1, 2)):
    """Reads to the end; gives (item, repeat, practice) of each case."""
    shown = []
    with Session.open(folder, "ann", clock) as session:
        while (case := session.current()) is not None:
            shown.append((case.item, case.repeat, case.practice))
            for question, value in zip(case.questions, values, strict=True):
                clock.pass_s(2)
                session.answer(question.id, value)
    return shown


def test_every_case_of_the_order_is_shown_once_with_all_its_questions(folder, clock):
    turns = read_plan(folder).orders["ann"]
    assert shown_items(folder, clock) == [(turn.item, turn.repeat, turn.practice) for turn in turns]
    answers = read_record(folder).answers
    assert [answer.question for answer in answers] == ["turing", "realism"] * 6
    assert {answer.value for answer in answers} == {1.0, 2.0}
    assert {answer.seconds for answer in answers} == {2.0}
    assert [answer.answered_utc - answer.started_utc for answer in answers] == [timedelta(seconds=2)] * 12
    with Session.open(folder, "ann", clock) as session:
        assert (session.state, session.current()) == (SessionState.FINISHED, None)
        with pytest.raises(StudyError, match="No case is on the screen"):
            session.answer("turing", 1)


def test_a_presentation_says_what_to_show_and_nothing_of_what_it_is(folder, clock):
    with Session.open(folder, "ann", clock) as session:
        case = session.current()
        assert (case.position, case.total, case.questions, case.given) == (1, 6, (TURING, REALISM), (None, None))
        assert case.images == case.paths == (folder / "items" / f"{case.item}.nrrd",)
        assert case.window == (0.0, 255.0)
        ahead = session.next_paths()
        session.answer("realism", 0)  # in any order
        assert session.current().given[1].value == 0.0
        assert session.current().asked == TURING
        assert session.progress == Progress(0, 6)
        session.answer("turing", 0)
        assert session.progress == Progress(1, 6)
        assert session.current().images == ahead


def test_a_reader_goes_on_exactly_where_he_stopped(folder, clock):
    turns = read_plan(folder).orders["ann"]
    for place in range(6):
        with Session.open(folder, "ann", clock) as session:
            case = session.current()
            assert (case.item, case.given) == (turns[place].item, (None, None))
            session.answer("turing", place % 2)
        with Session.open(folder, "ann", clock) as session:
            case = session.current()
            assert (case.item, case.asked) == (turns[place].item, REALISM)
            assert case.given[0].value == place % 2
            session.answer("realism", 1)
    assert len(read_record(folder).answers) == 12


def test_readers_do_not_see_each_others_answers(folder, clock):
    with Session.open(folder, "ann", clock) as ann, Session.open(folder, "bo", clock) as bo:
        ann.current(), bo.current()
        ann.answer("turing", 1)
        bo.answer("turing", 0)
        assert (ann.current().given[0].value, bo.current().given[0].value) == (1.0, 0.0)


def test_an_answer_taken_back_stands_until_another_takes_its_place(folder, clock):
    with Session.open(folder, "ann", clock) as session:
        item = session.current().item
        assert session.undo() is None
        first = session.answer("turing", 1)
        assert session.undo() == TURING
        assert session.current().asked == TURING
        second = session.answer("turing", 0)
        assert (second.supersedes, first.supersedes) == (first.number, None)
        third = session.answer("turing", 1)  # also without taking it back first
        assert third.supersedes == second.number
        session.answer("realism", 2)
        assert session.current().item != item
        assert session.undo() is None  # nothing of this case
    progress = read_record(folder).progress()[0]
    assert (progress.answers, progress.superseded, progress.done) == (2, 2, 1)
    assert [answer.value for answer in read_record(folder).answers] == [1.0, 0.0, 1.0, 2.0]


def test_a_case_with_an_answer_taken_back_stays_until_it_is_given_again(folder, clock):
    with Session.open(folder, "ann", clock) as session:
        item = session.current().item
        session.answer("turing", 1)
        session.undo()
        session.answer("realism", 1)
        assert (session.current().item, session.current().asked) == (item, TURING)
        session.answer("turing", 0)
        assert session.current().item != item


def test_a_case_that_wants_confirmation_waits_for_it_also_in_a_new_session(tmp_path, clock):
    folder = prepared(tmp_path, with_show(small_study(2), confirm=True)).folder
    with Session.open(folder, "ann", clock) as session:
        item = session.current().item
        with pytest.raises(StudyError, match="open; answer it first"):
            session.advance()
        session.answer("turing", 1)
        session.answer("realism", 2)
        assert (session.current().item, session.current().asked) == (item, None)
    with Session.open(folder, "ann", clock) as session:
        assert (session.current().item, session.current().asked) == (item, None)
        assert session.undo() == REALISM
        with pytest.raises(StudyError, match="answer it first"):
            session.advance()
        session.answer("realism", 0)
        session.advance()
        assert session.current().item != item
        assert session.progress == Progress(1, 2)
    assert read_record(folder).answers[-1].supersedes == 2


def test_a_pause_does_not_count_and_takes_no_answers(folder, clock):
    with Session.open(folder, "ann", clock) as session:
        session.current()
        clock.pass_s(3)
        session.pause()
        assert (session.state, session.current()) == (SessionState.PAUSED, None)
        with pytest.raises(StudyError, match="resume first"):
            session.answer("turing", 1)
        clock.pass_s(500)
        session.resume()
        clock.pass_s(4)
        assert session.answer("turing", 1).seconds == 7.0
        clock.pass_s(1.5)
        assert session.answer("realism", 1).seconds == 1.5
    assert [event.kind for event in read_record(folder).events] == ["opened", "paused", "resumed", "closed"]


def test_looking_time_runs_on_in_the_next_session_and_ends(tmp_path, clock):
    folder = prepared(tmp_path, small_study(2, time_limit_s=30.0)).folder
    with Session.open(folder, "ann", clock) as session:
        assert session.time_left_s() is None
        session.current()
        clock.pass_s(12)
        assert session.time_left_s() == 18.0
    clock.pass_s(100)
    with Session.open(folder, "ann", clock) as session:
        session.current()
        clock.pass_s(5)
        assert session.time_left_s() == 13.0
        clock.pass_s(50)
        assert session.time_left_s() == 0.0
        session.answer("turing", 1)  # an answer is taken all the same
        session.answer("realism", 1)
        session.current()
        assert session.time_left_s() == 30.0


def test_repeats_wait_until_the_washout_is_over(tmp_path, clock):
    folder = prepared(tmp_path, small_study(4, repeats=2, washout_days=14)).folder
    shown = shown_items(folder, clock)
    assert [repeat for _, repeat, _ in shown] == [0] * 4
    with Session.open(folder, "ann", clock) as session:
        assert (session.state, session.current()) == (SessionState.WAITING, None)
        again = read_plan(folder).orders["ann"][4].item
        seen = [answer for answer in read_record(folder).answers if answer.item == again]
        assert session.waiting_until == seen[-1].answered_utc + timedelta(days=14)
    clock.pass_s(14 * DAY)
    shown = shown_items(folder, clock)
    assert [repeat for _, repeat, _ in shown] == [1, 1]
    assert read_record(folder).progress()[0].finished


def test_pairs_show_two_images_and_ask_what_is_asked_of_pairs(tmp_path, clock):
    folder = prepared(tmp_path, pair_study(2)).folder
    with Session.open(folder, "ann", clock) as session:
        case = session.current()
        assert case.questions == (CHOICE, BETTER)
        assert [path.name for path in case.images] == [f"{case.item}-first.nrrd", f"{case.item}-second.nrrd"]
        session.answer("choice", 1)
        assert session.answer("better", 0.5).value == 0.5


def test_how_a_case_was_looked_at_is_kept_as_far_as_the_study_allows(tmp_path, clock):
    viewing = Viewing((10.0, 200.0), (3, 4, 5), ((0.25, 1.0, 2.0, 3.0),))
    for trace in (False, True):
        study = with_show(small_study(2, questions=(MARKS,)), cursor_trace=trace)
        folder = prepared(tmp_path, study, f"study-{trace}").folder
        with Session.open(folder, "ann", clock) as session:
            session.current()
            answer = session.answer("marks", marks=[(1, 2, 3)], viewing=viewing)
        assert (answer.window, answer.slices_visited, answer.marks) == (*viewing_parts(viewing), ((1.0, 2.0, 3.0),))
        assert answer.trace == (viewing.trace if trace else ())
        assert read_record(folder).answers == (answer,)


def viewing_parts(viewing):
    return viewing.window, viewing.slices_visited


@pytest.mark.parametrize(("question", "value"), [("turing", 2), ("realism", 3), ("realism", None), ("other", 1)])
def test_an_answer_that_cannot_be_is_refused_and_nothing_stored(folder, clock, question, value):
    with Session.open(folder, "ann", clock) as session:
        session.current()
        with pytest.raises(StudyError):
            session.answer(question, value)
        assert session.current().given == (None, None)
    assert read_record(folder).answers == ()


def test_one_reader_has_one_session_at_a_time(folder, clock):
    with Session.open(folder, "ann", clock):
        with pytest.raises(ReaderBusyError, match=r"'ann' is open \(process \d+ on .*, since 2026-03-01T08:00:00"):
            Session.open(folder, "ann", clock)
        Session.open(folder, "bo", clock).close()
    Session.open(folder, "ann", clock).close()


def test_a_reader_who_is_not_in_the_design_is_refused(folder, clock):
    with pytest.raises(StudyError, match="no reader 'eve'; it has ann, bo"):
        Session.open(folder, "eve", clock)
    with pytest.raises(StudyError, match="holds no prepared study"):
        Session.open(folder / "items", "ann", clock)


def test_a_clock_set_back_between_sessions_is_noticed(folder, clock):
    with Session.open(folder, "ann", clock) as session:
        session.current()
        session.answer("turing", 1)
    clock.set_by(-60)
    with pytest.raises(ClockSetBackError, match=r"2026-03-01 07:59:00 UTC, but .* 2026-03-01 08:00:00 UTC"):
        Session.open(folder, "bo", clock)
    clock.set_by(59)  # a correction of a second
    Session.open(folder, "bo", clock).close()


def test_a_clock_set_back_within_a_session_is_noticed_even_where_it_is_still_later_than_all_answers(folder, clock):
    with Session.open(folder, "ann", clock) as session:
        session.current()
        session.answer("turing", 1)
        clock.pass_s(600)
        clock.set_by(-300)
        with pytest.raises(ClockSetBackError, match="set back"):
            session.answer("realism", 1)
        assert session.current().asked == REALISM
        clock.set_by(300)
        assert session.answer("realism", 1).seconds == 600.0
    assert len(read_record(folder).answers) == 2


def item_file(folder, place=0):
    return folder / "items" / f"{read_plan(folder).orders['ann'][place].item}.nrrd"


def test_a_missing_or_changed_image_ends_the_study_with_its_name(folder, clock):
    path = item_file(folder, 5)
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(StudyChangedError, match=f"{path.name} is missing"):
        Session.open(folder, "ann", clock)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(StudyChangedError, match=f"{path.name} was changed since the study was sealed"):
        Session.open(folder, "ann", clock)
    path.write_bytes(content)
    Session.open(folder, "ann", clock).close()


def test_an_image_that_changes_during_a_session_is_not_shown(folder, clock):
    with Session.open(folder, "ann", clock) as session:
        session.current()
        path = item_file(folder, 1)
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        session.answer("turing", 1)
        session.answer("realism", 1)
        with pytest.raises(StudyChangedError, match=path.name):
            session.current()
        path.write_bytes(content)
        assert session.current().images == (path,)
    assert len(read_record(folder).answers) == 2


@pytest.mark.parametrize("edit", ["study.json", "both"])
def test_a_study_edited_after_it_began_does_not_go_on(folder, clock, edit):
    with Session.open(folder, "ann", clock) as session:
        session.current()
        session.answer("turing", 1)
        plan = json.loads((folder / "study.json").read_text())
        plan["questions"][1]["text"] = "How ugly does it look?"
        (folder / "study.json").write_text(json.dumps(plan))
        if edit == "both":  # sealed anew
            import hashlib

            seal = json.loads((folder / "seal.json").read_text())
            seal["study_sha256"] = hashlib.sha256((folder / "study.json").read_bytes()).hexdigest()
            (folder / "seal.json").write_text(json.dumps(seal))
        session.answer("realism", 1)  # the case on the screen was whole
        with pytest.raises(StudyChangedError, match=r"study\.json was changed"):
            session.current()
    with pytest.raises(StudyChangedError, match=r"study\.json was changed|another seal"):
        Session.open(folder, "ann", clock)


def test_answers_of_another_study_are_not_continued(small, folder, tmp_path, clock):
    other = prepared(tmp_path, replace(small_study(), cases=singles(4)), "other").folder
    with Session.open(other, "ann", clock) as session:
        session.current()
        session.answer("turing", 1)
    shutil.copy(other / "answers.sqlite", folder / "answers.sqlite")
    with pytest.raises(StudyChangedError, match="another seal"):
        Session.open(folder, "ann", clock)


def test_a_full_disk_takes_no_answer_and_the_case_stays(folder, clock):
    session = Session.open(folder, "ann", clock)
    session.current()
    session.answer("turing", 1)
    connection = session._store._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(AnswerNotSavedError, match="disk is full"):
        session.answer("realism", 1, viewing=Viewing(slices_visited=tuple(range(20_000))))
    assert session.current().asked == REALISM
    connection.execute(f"PRAGMA max_page_count = {pages + 1000}")
    assert session.answer("realism", 1).number == 2
    session.close()
    assert [answer.value for answer in read_record(folder).answers] == [1.0, 1.0]


def test_a_session_that_could_not_begin_leaves_the_reader_free(folder, clock):
    (folder / "answers.sqlite").write_bytes(b"no database at all, but long enough " * 50)
    for _ in range(2):
        with pytest.raises(StudyError, match="damaged"):
            Session.open(folder, "ann", clock)
    (folder / "answers.sqlite").unlink()
    Session.open(folder, "ann", clock).close()
