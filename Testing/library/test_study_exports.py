"""Tables for other programs have the form that their documentation states, and lose nothing."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest
from study_readers import LESION, MARKS, TURING, answer, key_of, small_study

from MedTranslateLib.core.errors import StudyError
from MedTranslateLib.studies.exports import imrmc_csv, imrmc_text, mrmcaov_csv, ratings_csv
from MedTranslateLib.studies.ratings import join

STUDY = small_study(patients=2, pairs=0, repeats=1)
ROWS = {"anna": [10.0, 15.0, 90.0, 62.5], "ben": [0.0, 20.0, 100.0, 55.0]}


def ratings(study=STUDY):
    given = [(reader, f"item-{number:03d}", value) for reader, row in ROWS.items() for number, value in enumerate(row)]
    answers = [answer(reader, item, LESION, value, number + 1) for number, (reader, item, value) in enumerate(given)]
    again = answer("anna", "item-000", LESION, 12.0, 99, repeat=1)
    return join(study, [*answers, again], key_of(study))


def test_imrmc_gets_one_truth_for_each_patient_and_a_row_for_each_first_reading():
    assert imrmc_csv(ratings()).splitlines() == [
        "readerID,caseID,modalityID,score",
        "truth,p0,truth,0",
        "truth,p1,truth,1",
        "anna,p0,Bi-DPM,15",
        "anna,p0,real,10",
        "anna,p1,Bi-DPM,62.5",
        "anna,p1,real,90",
        "ben,p0,Bi-DPM,20",
        "ben,p0,real,0",
        "ben,p1,Bi-DPM,55",
        "ben,p1,real,100",
    ]


def test_the_file_of_imrmcs_java_program_counts_cases_readers_and_modalities_before_the_data():
    lines = imrmc_text(ratings()).splitlines()
    assert lines[1:6] == ["N0: 1", "N1: 1", "NR: 2", "NM: 2", "BEGIN DATA:"]
    assert lines[6:] == imrmc_csv(ratings()).splitlines()[1:]


def test_mrmcaov_gets_the_truth_on_every_row():
    lines = mrmcaov_csv(ratings()).splitlines()
    assert lines[:3] == ["reader,treatment,case,truth,rating", "anna,Bi-DPM,p0,0,15", "anna,Bi-DPM,p1,1,62.5"]
    assert len(lines) == 1 + 8


def test_cases_keep_their_own_names_where_a_patient_has_two_images_of_a_treatment():
    twice = [replace(one, subject="p0", truth=1) for one in ratings()]
    assert {row[2] for row in csv.reader(io.StringIO(mrmcaov_csv(twice)))} == {
        "case",
        "p0-real",
        "p0-Bi-DPM",
        "p1-real",
        "p1-Bi-DPM",
    }


def test_cases_keep_their_own_names_where_the_truth_of_a_patient_differs_between_treatments():
    differing = [replace(one, truth=int(one.treatment == "real")) for one in ratings()]
    names = {row[1] for row in csv.reader(io.StringIO(imrmc_csv(differing)))}
    assert names == {"caseID", "p0-real", "p0-Bi-DPM", "p1-real", "p1-Bi-DPM"}


def test_every_rating_is_in_the_long_table_second_readings_and_marks_included():
    marked = answer("ben", "item-002", MARKS, None, 50, marks=((1.0, -2.5, 3.0), (0.0, 0.0, 1.25)))
    more = join(STUDY, [marked, answer("ben", "item-001", TURING, 1.0, 51)], key_of(STUDY))
    rows = list(csv.DictReader(io.StringIO(ratings_csv([*ratings(), *more]))))
    assert len(rows) == 11
    (second,) = [row for row in rows if row["repeat"] == "1"]
    assert (second["reader"], second["case"], second["value"], second["truth"]) == ("anna", "p0-real", "12", "0")
    (places,) = [row for row in rows if row["question"] == "places"]
    assert places["marks_ras_mm"] == "1.000 -2.500 3.000; 0.000 0.000 1.250"
    assert places["value"] == ""


def test_a_reader_called_truth_is_refused_because_imrmc_would_take_him_for_it():
    with pytest.raises(StudyError, match="takes the name 'truth'"):
        imrmc_csv([replace(one, reader="Truth") if one.reader == "ben" else one for one in ratings()])


@pytest.mark.parametrize("export", [imrmc_csv, imrmc_text, mrmcaov_csv])
def test_a_case_without_truth_is_refused(export):
    with pytest.raises(StudyError, match="'p1-real' has no truth"):
        export([replace(one, truth=None) if one.case == "p1-real" else one for one in ratings()])


@pytest.mark.parametrize("export", [imrmc_csv, imrmc_text, mrmcaov_csv])
def test_other_questions_are_not_exported_as_confidences(export):
    with pytest.raises(StudyError, match="no confidences"):
        export(join(STUDY, [answer("ben", "item-001", TURING, 1.0)], key_of(STUDY)))
