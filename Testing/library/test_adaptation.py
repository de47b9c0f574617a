"""Adaptation segmentation scores a perfect chain as perfect, traces masks the right way, and sees a made-up field."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from MedTranslateLib.evaluation.adaptation import (
    HISTOGRAM_MATCHING,
    NO_TRANSLATION,
    Translated,
    adaptation_text,
    carried,
    score_adaptation,
    summarise_adaptation,
    translators,
)
from MedTranslateLib.inference.correspond import displacements_of
from MedTranslateLib.methods.fields import fade_at_border
from MedTranslateLib.training.config import TrainingOptions
from MedTranslateLib.training.labelled import LabelledCase
from MedTranslateLib.training.segmentation import train_segmenter

SIZE = (40, 48)


def ellipse(middle: tuple[float, float], radii: tuple[float, float]) -> np.ndarray:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.hypot((rows - middle[0]) / radii[0], (columns - middle[1]) / radii[1]) <= 1


def brightness_above_zero(slices: np.ndarray) -> np.ndarray:
    return slices > 0


def case_of(*masks: np.ndarray) -> LabelledCase:
    stack = np.stack(masks)
    return LabelledCase("patient", np.where(stack, 0.6, -0.8).astype(np.float32), stack)


def shift() -> np.ndarray:
    """Both displacements of a flow that shifts the middle of the picture by about (3, -4) px, (2, 1, 2, 40, 48)."""
    velocity = torch.tensor([3.0, -4.0]).view(1, 2, 1, 1).expand(1, 2, *SIZE)
    return displacements_of(fade_at_border(velocity, 8).numpy())


def moving(case: LabelledCase) -> Translated:
    """Shows at p what the source shows at phi(p), and says so."""
    images = case.images
    moves = np.repeat(shift(), len(images), axis=1)
    return Translated(np.where(carried(images > 0, moves[0]), 0.6, -0.8).astype(np.float32), moves)


def lying(case: LabelledCase) -> Translated:
    """Shows the same picture but claims that nothing moved."""
    return Translated(moving(case).images)


def still(case: LabelledCase) -> Translated:
    return Translated(case.images)


def test_a_picture_that_follows_its_field_scores_full_marks_after_tracing_back():
    case = case_of(ellipse((20, 25), (7, 9)), ellipse((19, 22), (5, 6)))
    rows = {row.label: row for row in score_adaptation([case], {"true": moving, "lie": lying}, brightness_above_zero)}
    assert rows["true"].overlap.dice > 0.97
    assert rows["true"].boundary_px < 0.15
    assert rows["true"].boundary_identity_px > 2.0
    assert rows["lie"].overlap.dice < 0.75
    assert rows["lie"].boundary_px == rows["lie"].boundary_identity_px > 2.0


def test_a_mask_is_read_where_the_displacement_points():
    mask = ellipse((20, 24), (6, 6))[None]
    moved = np.zeros((1, 2, *SIZE), np.float32)
    moved[:, 0], moved[:, 1] = 5, -3
    assert carried(mask, moved)[0, 15, 27]  # (15, 27) shows what was at (20, 24)
    np.testing.assert_array_equal(carried(mask, moved)[0], np.roll(mask[0], (-5, 3), (0, 1)))
    assert carried(mask, None) is mask


def test_a_slice_in_which_nothing_is_found_is_counted_and_not_averaged_away():
    case = case_of(ellipse((20, 25), (7, 9)), ellipse((19, 22), (5, 6)))

    def first_slice_only(slices: np.ndarray) -> np.ndarray:
        return brightness_above_zero(slices) & (np.arange(len(slices)) == 0)[:, None, None]

    row = next(score_adaptation([case], {"none": still}, first_slice_only))
    assert row.missed == 1
    assert row.boundary_px == 0.0
    assert 0 < row.overlap.dice < 1


def test_the_summary_is_the_mean_over_patients_in_the_order_of_the_translators():
    cases = [case_of(ellipse((20, 25), (7, 9))), case_of(np.zeros(SIZE, bool))]
    rows = list(score_adaptation(cases, {"b": still, "a": lying}, brightness_above_zero))
    summary = summarise_adaptation(rows)
    assert [row["label"] for row in summary] == ["b", "a"]
    assert summary[0]["dice"] == 1.0  # the empty case has no Dice
    assert math.isnan(rows[2].overlap.dice)
    text = adaptation_text(summary)
    assert "Dice" in text.splitlines()[0]
    assert len(text.splitlines()) == 4


def test_histogram_matching_brings_the_shades_of_the_target_domain():
    target = np.random.default_rng(0).uniform(0.0, 0.5, (5, *SIZE)).astype(np.float32)
    named = translators({}, target, seed=0, steps=None)
    assert list(named) == [NO_TRANSLATION, HISTOGRAM_MATCHING]
    source = np.random.default_rng(1).uniform(-1, 1, (2, *SIZE)).astype(np.float32)
    patient = LabelledCase("patient", source, source > 0)
    matched = named[HISTOGRAM_MATCHING](patient).images
    np.testing.assert_allclose(np.quantile(matched, [0.1, 0.5, 0.9]), [0.05, 0.25, 0.45], atol=0.02)
    assert np.argsort(matched[0].ravel())[-1] == np.argsort(source[0].ravel())[-1]
    np.testing.assert_array_equal(named[NO_TRANSLATION](patient).images, source)


def test_a_segmenter_learns_its_domain_and_only_that():
    rng = np.random.default_rng(5)
    masks = [ellipse(rng.uniform((14, 16), (26, 32)), rng.uniform(5, 9, 2)) for _ in range(12)]
    cases = [case_of(mask) for mask in masks]
    options = TrainingOptions(iterations=40, batch_size=4, learning_rate=5e-3, flip=False, seed=1)
    told = []
    segment = train_segmenter(cases, options, torch.device("cpu"), lambda *a: told.append(a))
    test = case_of(ellipse((21, 22), (8, 6)))
    assert told[-1] == (40, 40)
    found = segment(test.images)
    assert found.dtype == bool
    assert 2 * (found & test.masks).sum() / (found.sum() + test.masks.sum()) == pytest.approx(1.0, abs=0.15)
