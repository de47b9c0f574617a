"""Coefficients of agreement and their intervals agree with the papers that introduced them and with other programs."""

from __future__ import annotations

import numpy as np
import pytest

from MedTranslateLib.core.errors import StudyError
from MedTranslateLib.studies.agreement import (
    Weighting,
    cohen_kappa,
    fleiss_kappa,
    fleiss_kappa_of_counts,
    icc_2_1,
    icc_3_1,
    same_answers,
)

CROSSED = np.array([[44, 5, 1], [7, 20, 3], [9, 5, 6]])  # answers of one rater by those of the other
# statsmodels 0.15.0, cohens_kappa(CROSSED, wt=...): kappa, kappa_low, kappa_upp
STATSMODELS = {
    Weighting.NONE: (0.49152542372881347, 0.35015820121748686, 0.6328926462401401),
    Weighting.LINEAR: (0.4736842105263158, 0.3228083196113609, 0.6245601014412707),
    Weighting.QUADRATIC: (0.4545454545454546, 0.27034863162707257, 0.6387422774638366),
}
# Fleiss 1971 (Psychol. Bull. 76), table 1: six psychiatrists' diagnoses of 30 patients, each patient's in rising order.
DIAGNOSES_TEXT = """
    444444 222555 233335 555555 222444 113333
    333355 113334 114444 555555 144444 124444
    222333 144444 224445 333335 111455 111112
    224444 133555 555555 244444 224555 114444
    144445 222224 111155 224444 133333 555555
"""
DIAGNOSES = np.array([[int(digit) for digit in patient] for patient in DIAGNOSES_TEXT.split()])
# Shrout and Fleiss 1979 (Psychol. Bull. 86), table 2: four judges' ratings of six targets.
JUDGES = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])


def two_raters() -> tuple[np.ndarray, np.ndarray]:
    first = np.repeat(np.arange(3), CROSSED.sum(axis=1))
    return first, np.concatenate([np.repeat(np.arange(3), row) for row in CROSSED])


@pytest.mark.parametrize("weighting", Weighting)
def test_cohens_kappa_and_its_interval_agree_with_statsmodels(weighting):
    found = cohen_kappa(*two_raters(), weighting)
    assert [found.value, found.interval.low, found.interval.high] == pytest.approx(STATSMODELS[weighting], abs=1e-12)
    assert found.subjects == 100


def test_weights_count_steps_along_all_possible_grades_and_not_those_given():
    first, second = np.array([0, 0, 4, 4, 0]), np.array([0, 4, 4, 4, 0])
    # With the ends alone every weighting is the unweighted kappa, so grades that nobody gave must change nothing ...
    assert cohen_kappa(first, second, Weighting.LINEAR, range(5)).value == pytest.approx(
        cohen_kappa(first, second).value
    )
    # ... but a neighbouring grade is one step of four, not of one.
    near = cohen_kappa([0, 1, 4], [0, 0, 4], Weighting.LINEAR, range(5))
    assert near.observed == pytest.approx((1 + 0.75 + 1) / 3)


def test_fleiss_kappa_is_that_of_fleiss_and_its_interval_that_of_gwet():
    found = fleiss_kappa(DIAGNOSES)
    assert found.value == pytest.approx(0.430, abs=5e-4)  # Fleiss 1971, page 380
    # irrCAC 0.4.4, CAC(DIAGNOSES).fleiss(): 0.43024, confidence interval 0.3194 to 0.54109
    assert found.value == pytest.approx(0.43024, abs=5e-6)
    assert [found.interval.low, found.interval.high] == pytest.approx([0.3194, 0.54109], abs=6e-6)
    assert (found.subjects, found.raters) == (30, 6)


def test_the_table_of_counts_gives_the_same_as_the_answers():
    counts = np.array([[(row == one).sum() for one in range(1, 6)] for row in DIAGNOSES])
    assert fleiss_kappa_of_counts(counts).value == pytest.approx(fleiss_kappa(DIAGNOSES).value, abs=1e-12)


def test_images_with_one_answer_do_not_count():
    table = np.array([[0, 0, 1], [1, 1, np.nan], [0, np.nan, np.nan], [1, 1, 1]], float)
    found = fleiss_kappa(table)
    assert found.subjects == 3
    # By hand: agreement 1/3, 1, 1; shares of 0: (2/3 + 0 + 0) / 3.
    zero = 2 / 9
    expected = zero**2 + (1 - zero) ** 2
    assert found.value == pytest.approx((7 / 9 - expected) / (1 - expected), abs=1e-12)


def test_the_iccs_are_those_of_shrout_and_fleiss():
    # Shrout and Fleiss 1979, table 4: .29 and .71; intervals by pingouin 0.7.0: [0.02, 0.76] and [0.34, 0.95].
    absolute, consistent = icc_2_1(JUDGES), icc_3_1(JUDGES)
    assert absolute.value == pytest.approx(0.289764, abs=1e-6)
    assert [absolute.interval.low, absolute.interval.high] == pytest.approx([0.02, 0.76], abs=0.005)
    assert consistent.value == pytest.approx(0.714841, abs=1e-6)
    assert [consistent.interval.low, consistent.interval.high] == pytest.approx([0.34, 0.95], abs=0.005)


def test_a_strict_reader_lowers_absolute_agreement_and_not_consistency():
    gentle = np.array([1.0, 2.0, 4.0, 5.0, 3.5])
    table = np.stack([gentle, gentle + np.array([0.9, 1.1, 1.0, 1.2, 0.8])], axis=1)
    assert icc_3_1(table).value > 0.98
    assert icc_2_1(table).value < 0.9


def test_full_agreement_is_one_and_claims_no_interval():
    table = np.array([[1, 1, 1], [2, 2, 2], [4, 4, 4]])
    for found in (fleiss_kappa(table), icc_2_1(table), icc_3_1(table), cohen_kappa(table[:, 0], table[:, 1])):
        assert found.value == pytest.approx(1.0)
        assert np.isnan([found.interval.low, found.interval.high]).all()


def test_the_same_answer_everywhere_has_no_kappa_and_no_icc():
    table = np.full((5, 3), 2.0)
    for found in (fleiss_kappa(table), icc_2_1(table), icc_3_1(table), cohen_kappa(table[:, 0], table[:, 1])):
        assert np.isnan(found.value)


def test_equal_answers_are_counted():
    assert same_answers([1, 2, 3, 4], [1, 2, 4, 3]) == 0.5
    assert np.isnan(same_answers([], []))


def test_gaps_and_lone_readers_are_refused_where_they_cannot_be_used():
    with pytest.raises(StudyError, match="at least two images"):
        icc_2_1([[1.0, np.nan], [2.0, 3.0]])
    with pytest.raises(StudyError, match="at least two images"):
        icc_3_1([[1.0], [2.0]])
    with pytest.raises(StudyError, match="at least two readers"):
        fleiss_kappa([[1.0, np.nan], [np.nan, 2.0]])
    with pytest.raises(StudyError, match="two answers to each image"):
        cohen_kappa([1, 2], [1])
    with pytest.raises(StudyError, match="not one of the categories"):
        cohen_kappa([1, 7], [1, 2], categories=[1, 2])
