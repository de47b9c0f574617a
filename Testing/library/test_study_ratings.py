"""What counts of all that readers said: joined with the key, without practice, corrections and too early repeats."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from study_readers import LESION, REALISM, START, TURING, answer, key_of, small_study

from MedTranslateLib.core.errors import StudyError
from MedTranslateLib.studies.ratings import join, join_all, of_question, table, treatments

STUDY = small_study(patients=3, pairs=2, repeats=1, washout_days=7.0)
KEY = key_of(STUDY)


def test_a_rating_says_what_the_key_knows_about_its_item():
    (found,) = join(STUDY, [answer("ben", "item-003", TURING, 1.0, seconds=4.5)], KEY)
    # Items are numbered patient by patient, real first: the fourth is the synthetic image of the second patient.
    assert (found.case, found.subject, found.treatment, found.truth) == ("p1-Bi-DPM", "p1", "Bi-DPM", 1)
    assert (found.reader, found.value, found.seconds, found.repeat) == ("ben", 1.0, 4.5, 0)
    assert found.synthetic
    assert len(found.regions) == 1


def test_a_correction_counts_and_what_it_corrects_does_not():
    given = [
        answer("ben", "item-000", TURING, 1.0, 1),
        answer("ben", "item-000", TURING, 0.0, 2, supersedes=1),
        answer("ben", "item-000", TURING, 1.0, 3, supersedes=2),
        answer("ben", "item-001", TURING, 0.0, 4),
    ]
    found = join_all(STUDY, given, KEY)
    assert [one.value for one in found.ratings] == [1.0, 0.0]
    assert found.superseded == 2


def test_practice_does_not_count_whoever_says_that_it_was_practice():
    entries = (replace(KEY.entries[0], practice=True), *KEY.entries[1:])
    given = [
        answer("ben", "item-000", TURING, 1.0, 1),
        answer("ben", "item-001", TURING, 1.0, 2, practice=True),
        answer("ben", "item-002", TURING, 0.0, 3),
    ]
    found = join_all(STUDY, given, replace(KEY, entries=entries))
    assert [one.item for one in found.ratings] == ["item-002"]
    assert found.practice == 2


@pytest.mark.parametrize(("days", "counts"), [(6.9, False), (7.0, True), (8.0, True)])
def test_a_second_reading_counts_from_the_end_of_the_washout_on(days, counts):
    again = START + timedelta(days=days)
    given = [
        answer("ben", "item-000", REALISM, 2.0, 1, when=START),
        answer("ben", "item-000", REALISM, 1.0, 2, when=again, repeat=1),
    ]
    found = join_all(STUDY, given, KEY)
    assert [one.repeat for one in found.ratings] == ([0, 1] if counts else [0])
    assert found.before_washout == (0 if counts else 1)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (answer("carl", "item-000", TURING, 1.0), "reader 'carl'"),
        (answer("ben", "item-999", TURING, 1.0), "item 'item-999'"),
        (answer("ben", "item-000", replace(TURING, id="other"), 1.0), "question 'other'"),
    ],
)
def test_answers_of_another_study_are_refused(wrong, named):
    with pytest.raises(StudyError, match=f"{named}.*do not belong together"):
        join(STUDY, [wrong], KEY)


def test_two_standing_answers_to_one_question_are_refused_and_not_averaged():
    given = [answer("ben", "item-000", TURING, 1.0, 1), answer("ben", "item-000", TURING, 0.0, 2)]
    with pytest.raises(StudyError, match="2 answers to 'turing' of item 'item-000'"):
        join(STUDY, given, KEY)


def test_the_table_has_readers_as_rows_items_as_columns_and_gaps_where_nobody_answered():
    given = [
        answer("ben", "item-002", LESION, 70.0, 1),
        answer("anna", "item-001", LESION, 20.0, 2),
        answer("anna", "item-002", LESION, 90.0, 3),
        answer("anna", "item-002", LESION, 10.0, 4, repeat=1, when=START + timedelta(days=9)),
    ]
    found = table(of_question(join(STUDY, given, KEY), "lesion"))
    assert found.readers == ("anna", "ben")
    assert found.items == ("item-001", "item-002")
    np.testing.assert_array_equal(found.values, [[20.0, 90.0], [np.nan, 70.0]])
    assert found.treatments == ("Bi-DPM", "real")
    assert found.truths.tolist() == [0, 1]
    assert found.complete.tolist() == [[90.0, 70.0]]


def test_images_of_one_patient_share_his_number():
    given = [answer("ben", f"item-{number:03d}", LESION, 50.0, number + 1) for number in range(6)]
    assert table(join(STUDY, given, KEY)).subjects.tolist() == [0, 0, 1, 1, 2, 2]


def test_treatments_stand_with_real_first():
    study = small_study(patients=1, pairs=0, repeats=0, treatments=("Alpha", "real", "Beta"))
    given = [answer("ben", f"item-{number:03d}", TURING, 1.0, number + 1) for number in range(3)]
    assert treatments(join(study, given, key_of(study))) == ("real", "Alpha", "Beta")


def test_a_question_without_answers_has_no_table():
    with pytest.raises(StudyError, match="no answers to this question"):
        table(())
