"""Turing tests, grades, choices, marks and times of a few answers whose figures are counted by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from study_readers import BETTER, CHOICE, LESION, PLAUSIBLE, REALISM, THREE, TURING, answer, key_of, small_study

from MedTranslateLib.core.errors import StudyError
from MedTranslateLib.studies.choices import forced_choices, preferences
from MedTranslateLib.studies.grades import mean_grades
from MedTranslateLib.studies.marks import MarkedImage, count_marks
from MedTranslateLib.studies.ratings import join
from MedTranslateLib.studies.resampling import draw, mean_interval, strata_of
from MedTranslateLib.studies.roc_study import roc_findings
from MedTranslateLib.studies.study import Region
from MedTranslateLib.studies.times import reading_times
from MedTranslateLib.studies.turing import turing_accuracy

STUDY = small_study(patients=4, pairs=4, repeats=0)
KEY = key_of(STUDY)
SINGLES = [f"item-{number:03d}" for number in range(8)]  # real, synthetic, real, ...
PAIRS = [f"pair-{number:03d}" for number in range(4)]  # the first and third show the synthetic image first


def joined(question, values, items=SINGLES, study=STUDY):
    """Ratings from a row of values for each reader; None is no answer."""
    given = [
        answer(reader, item, question, value, 1)
        for reader, row in values.items()
        for item, value in zip(items, row, strict=True)
        if value is not None
    ]
    numbered = [replace(one, number=number) for number, one in enumerate(given, start=1)]
    return join(study, numbered, key_of(study))


def test_a_turing_test_counts_right_answers_of_each_reader_and_of_all():
    found = turing_accuracy(
        joined(TURING, {"anna": [0, 1, 0, 1, 0, 1, 1, 1], "ben": [1, 1, 1, 1, 1, 1, 1, None]}), "secret", 1
    )
    anna, ben, everyone = found
    assert [one.reader for one in found] == ["anna", "ben", ""]
    assert (anna.share.right, anna.share.asked) == (7, 8)
    assert (ben.share.right, ben.share.asked) == (3, 7)
    assert (everyone.share.right, everyone.share.asked) == (10, 15)
    assert (anna.by_treatment["real"].right, anna.by_treatment["Bi-DPM"].right) == (3, 4)
    assert anna.discrimination == pytest.approx(1 + 0.75 - 1)
    assert ben.discrimination == 0.0
    assert math.isnan(anna.resampled.low)
    assert everyone.resampled.low < 10 / 15 < everyone.resampled.high


def test_an_unbalanced_turing_test_is_judged_without_assuming_that_guessing_is_half():
    study = small_study(patients=4, pairs=0, repeats=0, treatments=THREE)
    items = [f"item-{number:03d}" for number in range(12)]
    always = turing_accuracy(joined(TURING, {"anna": [1] * 12}, items, study), "secret", 1)[0]
    assert always.share.share == pytest.approx(8 / 12)
    assert always.against_chance is None
    assert always.test.exact == 1.0


def test_a_turing_test_of_synthetic_images_alone_is_refused():
    with pytest.raises(StudyError, match="it needs both"):
        turing_accuracy(joined(TURING, {"anna": [None, 1] * 4}), "secret", 1)


def test_mean_grades_stand_by_treatment_and_reader_with_their_counts():
    ratings = joined(REALISM, {"anna": [2, 1, 2, 0, 2, 1, 1, 0], "ben": [2, 2, 2, 2, 2, 2, 2, 2]})
    found = {(one.treatment, one.reader): one for one in mean_grades(ratings, REALISM, 1)}
    assert list(found) == [(made, reader) for made in ("real", "Bi-DPM", "") for reader in ("anna", "ben", "")]
    assert found["real", "anna"].mean == 1.75
    assert found["Bi-DPM", "anna"].mean == 0.5
    assert found["Bi-DPM", "anna"].counts == (2, 2, 0)
    assert found["", ""].mean == pytest.approx((9 + 16) / 16)
    assert found["real", "anna"].interval.low < 1.75 <= found["real", "anna"].interval.high
    assert math.isnan(found["real", "ben"].interval.low)  # equal grades show no spread, so no interval is claimed


def test_the_interval_of_all_readers_is_that_of_all_and_not_of_the_first():
    ratings = joined(REALISM, {"anna": [0, 1, 0, 0, 1, 0, 0, 0], "ben": [2, 2, 1, 2, 2, 2, 2, 1]})
    (everyone,) = [one for one in mean_grades(ratings, REALISM, 1) if (one.treatment, one.reader) == ("real", "")]
    assert everyone.interval.low < 0.5
    assert everyone.interval.high > 1.5


def test_the_bootstrap_interval_of_one_reader_is_close_to_the_one_in_closed_form():
    study = small_study(patients=40, pairs=0, repeats=0, treatments=("real", "Bi-DPM"))
    items = [f"item-{number:03d}" for number in range(80)]
    grades = np.random.default_rng(2).integers(1, 6, 80).astype(float)
    found = mean_grades(joined(PLAUSIBLE, {"anna": grades.tolist()}, items, study), PLAUSIBLE, 1)[0]
    error = grades[::2].std(ddof=1) / np.sqrt(40)
    assert found.mean == pytest.approx(grades[::2].mean())
    assert found.interval.low == pytest.approx(found.mean - 1.96 * error, abs=0.15 * error)
    assert found.interval.high == pytest.approx(found.mean + 1.96 * error, abs=0.15 * error)


def test_a_forced_choice_is_right_where_the_synthetic_side_was_chosen():
    ratings = joined(CHOICE, {"anna": [0, 1, 0, 1], "ben": [0, 0, 0, 0]}, PAIRS)
    anna, ben, everyone = forced_choices(ratings, "secret", 1)
    assert (anna.share.right, ben.share.right, everyone.share.right) == (4, 2, 6)
    assert (anna.first_chosen, ben.first_chosen) == (0.5, 1.0)
    assert anna.against_chance.exact == pytest.approx(2 / 16)


def test_a_preference_is_counted_for_the_treatment_and_not_for_the_side():
    # Sides: synthetic first, real first, synthetic first, real first.
    ratings = joined(BETTER, {"anna": [1, 0, 0.5, 0], "ben": [0, 0.5, 0.5, 1]}, PAIRS)
    anna, ben, everyone = preferences(ratings, 1)
    assert (anna.first, anna.second) == ("real", "Bi-DPM")
    assert (anna.first_wins, anna.ties, anna.second_wins) == (3, 1, 0)
    assert (ben.first_wins, ben.ties, ben.second_wins) == (0, 2, 2)
    assert (anna.share, ben.share, everyone.share) == (0.875, 0.25, 0.5625)
    assert anna.p == pytest.approx(2 / 8)  # three heads of three, two-sided
    assert anna.left_chosen == pytest.approx(2 / 3)


def test_only_ties_are_no_preference():
    (anna, _) = preferences(joined(BETTER, {"anna": [0.5] * 4}, PAIRS), 1)
    assert (anna.share, anna.p) == (0.5, 1.0)
    assert math.isnan(anna.left_chosen)


def test_marks_are_hits_within_the_radius_and_else_false():
    here, there = Region((0.0, 0.0, 0.0), 5.0), Region((20.0, 0.0, 0.0), 3.0)
    found = count_marks(
        [
            MarkedImage(
                ((3.0, 4.0, 0.0), (0.0, 0.0, 1.0), (10.0, 0.0, 0.0)), (here, there)
            ),  # on the rim, inside, none
            MarkedImage((), (here,)),
            MarkedImage(((1.0, 1.0, 1.0),), ()),
        ]
    )
    assert (found.found.right, found.found.asked) == (1, 3)
    assert (found.false_marks, found.images) == (2, 3)
    assert found.distances_mm == pytest.approx((1.0, 10.0, math.inf))
    # Garwood 1936: 2 events, 0.2422 to 7.2247.
    assert found.false_interval.low * 3 == pytest.approx(0.2422, abs=5e-5)
    assert found.false_interval.high * 3 == pytest.approx(7.2247, abs=5e-5)


def test_times_are_of_items_with_all_their_questions():
    spent = {("anna", "item-000"): (3.0, 4.0), ("anna", "item-001"): (1.0, 1.0), ("ben", "item-000"): (10.0, 11.0)}
    given = [
        answer(reader, item, question, 1.0, 0, seconds=seconds)
        for (reader, item), each in spent.items()
        for question, seconds in zip((TURING, REALISM), each, strict=True)
    ]
    given.append(answer("ben", "item-000", TURING, 1.0, 0, seconds=99.0, repeat=1))
    given = [replace(one, number=number) for number, one in enumerate(given, start=1)]
    found = {(one.reader, one.treatment): one for one in reading_times(join(STUDY, given, KEY))}
    assert found["anna", ""].median == 4.5
    assert found["", "real"].median == 14.0
    assert (found["", ""].items, found["", ""].median, found["", ""].total) == (3, 7.0, 30.0)
    assert list(found) == [("anna", ""), ("ben", ""), ("", "Bi-DPM"), ("", "real"), ("", "")]


def test_resampling_keeps_strata_and_draws_all_images_of_a_patient_together():
    cases, strata = np.array([0, 0, 1, 2, 3, 4, 5]), np.array([0, 0, 0, 1, 1, 1])
    weights = draw(3, cases, strata, 1)
    np.testing.assert_array_equal(weights.columns[:, 0], weights.columns[:, 1])
    assert (weights.columns[:, [0, 2, 3]].sum(axis=1) == 3).all()
    assert (weights.columns[:, 4:].sum(axis=1) == 3).all()
    assert (weights.readers.sum(axis=1) == 3).all()


def test_small_strata_are_joined_because_they_would_never_vary():
    labels, cases = ["a", "b", "a", "b", "a", "b", "c"], np.array([0, 0, 1, 1, 2, 2, 3])
    assert strata_of(labels, cases).tolist() == [1, 1, 1, 0]


def test_with_one_reader_the_interval_over_readers_and_cases_is_that_over_cases():
    values = np.random.default_rng(4).normal(0, 1, (1, 60))
    found = mean_interval(values, draw(1, np.arange(60), np.zeros(60, np.intp), 1))
    error = values.std() / np.sqrt(60)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.06)


def test_a_case_without_a_truth_is_named_and_refused():
    ratings = joined(LESION, {"anna": [10, 20, 80, 90, 30, 20, 70, 60]})
    with pytest.raises(StudyError, match=r"1 cases have no truth.*'p0-real'"):
        roc_findings((replace(ratings[0], truth=None), *ratings[1:]), 1)


def test_average_area_and_difference_are_those_of_the_readers():
    rows = {"anna": [10, 30, 80, 20, 40, 20, 60, 90], "ben": [10, 60, 80, 50, 20, 40, 90, 30]}
    found = roc_findings(joined(LESION, rows), 1)
    # Without a lesion: patients 0 and 2; with one: 1 and 3. Pairs by hand:
    areas = {(one.reader, one.treatment): one.area.auc for one in found.readings}
    assert areas == {("anna", "real"): 1.0, ("ben", "real"): 1.0, ("anna", "Bi-DPM"): 0.625, ("ben", "Bi-DPM"): 0.25}
    assert [one.auc for one in found.averages] == pytest.approx([1.0, 0.4375])
    (difference,) = found.differences
    assert difference.average == pytest.approx(0.5625)
    assert difference.cases == 4
