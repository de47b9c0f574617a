"""Counting lesions, false entries and chance; and thresholds that leave as many false entries as was asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ledger_phantom import OBLIQUE, ball, head, images_of

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.core.ledger import LedgerSide
from MedTranslateLib.evaluation.ledger_config import LedgerCheck
from MedTranslateLib.evaluation.ledger_insertion import Ball, BallPatient, ball_mask, count_balls, with_balls
from MedTranslateLib.evaluation.ledger_lesions import (
    LesionPatient,
    count_lesions,
    look_at_lesion,
    separate_lesions,
    thrown_region,
)
from MedTranslateLib.training.config import DataEntry
from MedTranslateLib.trust.ledger_calibration import LookedAt, calibrate, lists
from MedTranslateLib.trust.ledger_evidence import evidence_of
from MedTranslateLib.trust.ledger_grid import coarse_images, joined_mask
from MedTranslateLib.trust.ledger_regions import Region, regions_of
from MedTranslateLib.trust.ledger_rule import SCALES_MM, default_thresholds

RULE = default_thresholds(reconstruction=False)
PLACE, ELSEWHERE = (52, 33, 3), (26, 40, 2)


def region(voxels):
    return Region(LedgerSide.SOURCE, 1.0, np.array(voxels), 1.0, dict.fromkeys(LedgerSide, 0.0))


@pytest.fixture(scope="module")
def patient():
    """Two balls in the source alone, of which only one counts as a lesion; a third in both sides."""
    source, output = head()
    lesion, extra, both = ball(PLACE, 18), ball(ELSEWHERE, 18), ball((45, 14, 4), 14)
    source[lesion], source[extra] = 0.95, 0.95
    source[both], output[both] = -0.9, 0.95
    images = images_of(source, output)
    masks = tuple(joined_mask(mask, OBLIQUE) for mask in (lesion, both))
    return LesionPatient("one", evidence_of(coarse_images(images), SCALES_MM), masks, None)


def test_an_entry_lists_a_lesion_with_a_quarter_inside_or_with_its_middle():
    lesions = np.zeros((1, 9, 9), dtype=bool)
    lesions[0, 4, 4] = True
    row = [(0, 4, column) for column in range(9)]
    assert lists(region(row), lesions)  # its middle is the lesion, of nine voxels one
    assert not lists(region([*row[:4], (0, 3, 0)]), lesions)
    assert not lists(region([(0, 4, 4), *((0, 0, column) for column in range(4))]), lesions)  # one in five
    assert lists(region([(0, 4, 4), *((0, 0, column) for column in range(3))]), lesions)  # one in four


def test_the_lesion_on_one_side_is_listed_that_on_both_is_not_and_the_rest_is_false(patient):
    counts = count_lesions([patient], RULE, 5, np.random.default_rng(0))
    assert (counts.ledger_lesions, counts.ledger_listed, counts.ledger_share) == (2, 1, 0.5)
    assert counts.ledger_false == 1.0
    assert counts.ledger_chance < 0.5


def test_no_entries_list_nothing_not_even_by_chance(patient):
    counts = count_lesions([patient], RULE.times(100), 5, np.random.default_rng(0))
    assert (counts.ledger_listed, counts.ledger_false, counts.ledger_chance) == (0, 0.0, 0.0)


def test_regions_thrown_everywhere_hit_a_lesion_that_fills_the_body(patient):
    everything = replace(patient, lesions=(patient.evidence.body,))
    counts = count_lesions([everything], RULE, 5, np.random.default_rng(0))
    assert counts.ledger_chance == pytest.approx(1.0)


def test_a_thrown_region_keeps_its_shape_and_loses_what_falls_off_the_grid():
    corner = np.zeros((2, 5, 5), dtype=bool)
    corner[0, 0, 0] = True
    square = region([(0, row, column) for row in (2, 3, 4) for column in (2, 3, 4)])
    thrown = thrown_region(square, corner, np.random.default_rng(0))
    np.testing.assert_array_equal(thrown.voxels_kji, [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1)])


def test_a_lesion_is_described_by_its_contrast_on_either_side(patient):
    lost, kept = (look_at_lesion(patient, lesion, RULE) for lesion in patient.lesions)
    assert lost.contrast_source > 1 > abs(lost.contrast_output)
    assert kept.contrast_source < -1
    assert kept.contrast_output > 1
    assert (lost.ledger_listed, kept.ledger_listed) == (1.0, 0.0)
    assert lost.ledger_strength > 1 > kept.ledger_strength
    assert np.isnan(lost.contrast_target)
    assert lost.ledger_ml == pytest.approx(4 / 3 * np.pi * 9**3 / 1000, rel=0.25)


def test_lesions_are_connected_across_corners_and_small_ones_left_out():
    mask = np.zeros((3, 5, 5), dtype=bool)
    mask[0, 0, 0] = mask[1, 1, 1] = mask[2, 4, 4] = True
    assert [part.sum() for part in separate_lesions(mask, 10.0, 20.0)] == [2]
    assert len(separate_lesions(mask, 10.0, 5.0)) == 2


def test_thresholds_leave_at_most_the_false_entries_that_were_asked_for():
    patients = []
    for seed in range(3):
        source, output = head(seed=seed)
        for place, change in (((30, 30, 1), 0.25), (PLACE, 0.5), ((60, 48, 5), 0.9)):
            source = np.clip(source + change * ball(place, 16), -1, 1).astype(np.float32)
        patients.append(LookedAt(evidence_of(coarse_images(images_of(source, output)), SCALES_MM)))
    slices = sum(len(one.evidence.body) for one in patients)
    made = calibrate(patients, SCALES_MM, 3 / slices)
    entries = [len(regions_of(one.evidence, made.thresholds)) for one in patients]
    assert 1 <= sum(entries) <= 3
    assert made.entries_a_slice == pytest.approx(sum(entries) / slices)
    assert sum(len(regions_of(one.evidence, made.thresholds.times(0.6))) for one in patients) > 3


def test_entries_in_known_lesions_do_not_raise_the_thresholds():
    source, output = head()
    lesion = ball(PLACE, 18)
    source[lesion] = 0.95
    evidence = evidence_of(coarse_images(images_of(source, output)), SCALES_MM)
    known, unknown = (
        calibrate([LookedAt(evidence, mask)], SCALES_MM, 1e-6).thresholds
        for mask in (joined_mask(lesion, OBLIQUE), None)
    )
    assert known.source[1] < unknown.source[1]


@pytest.mark.parametrize("side", list(LedgerSide))
def test_large_strong_balls_are_found_on_the_side_they_were_put_into_and_faint_ones_are_not(side):
    images = images_of(*head())
    patients = [BallPatient(images, None, 0)]
    strong = count_balls(patients, Ball(side, 14.0, 0.6), RULE, np.random.default_rng(1))
    faint = count_balls(patients, Ball(side, 14.0, 0.005), RULE, np.random.default_rng(1))
    assert strong.ledger_balls == faint.ledger_balls > 0
    assert (strong.ledger_found, strong.ledger_right_side, strong.ledger_more_false) == (1.0, 1.0, 0.0)
    assert faint.ledger_found == 0.0
    assert np.isnan(faint.ledger_right_side)


def test_a_ball_has_its_volume_and_leaves_the_other_side_alone():
    images = images_of(*head())
    mask = ball_mask(images, np.array([3, 36, 45]), 24.0)
    assert mask.sum() * 1.1 * 1.3 * 4.0 == pytest.approx(4 / 3 * np.pi * 12**3, rel=0.1)
    changed = with_balls(images, [mask], Ball(LedgerSide.OUTPUT, 24.0, 0.1))
    np.testing.assert_array_equal(changed.source, images.source)
    centre = changed.output[3, 36, 45] - images.output[3, 36, 45]
    assert centre == pytest.approx(0.2, abs=0.01)  # a tenth of a range of two


def test_a_table_without_lesions_or_with_a_strength_of_zero_is_refused():
    entry = DataEntry("npz", "somewhere", source="t1", target="flair")
    with pytest.raises(ConfigError, match="needs lesions"):
        LedgerCheck("bundle", (entry,), "")
    with pytest.raises(ConfigError, match="above 0"):
        LedgerCheck("bundle", (entry,), "tumour", strengths=(0.0,))
