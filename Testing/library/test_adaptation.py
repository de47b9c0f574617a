"""Adaptation segmentation scores a perfect chain as perfect, traces masks the right way, and sees a made-up field."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion

from MedTranslateLib.evaluation.adaptation import (
    HISTOGRAM_MATCHING,
    NO_TRANSLATION,
    Translated,
    carried,
    figures_of,
    score_adaptation,
    translators,
)
from MedTranslateLib.evaluation.aggregate import Arrangement, summarise
from MedTranslateLib.evaluation.config import Adaptation, LabelledData
from MedTranslateLib.evaluation.measurement import Measurement
from MedTranslateLib.evaluation.metric_names import METRICS
from MedTranslateLib.evaluation.protocols import OWN_DOMAIN, PROTOCOLS, Site
from MedTranslateLib.inference.correspond import displacements_of
from MedTranslateLib.methods.fields import fade_at_border
from MedTranslateLib.training.config import DataEntry, TrainingOptions
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


def test_the_table_is_the_mean_over_patients_without_what_is_not_defined():
    """The second patient has no structure: no Dice. Half of the first one's is found: 2 * 1 / (1 + 2)."""
    full = ellipse((20, 25), (7, 9))
    full[:, 25] = False  # left and right half are mirror images
    half = full & (np.arange(SIZE[1]) < 25)
    scores = score_adaptation(
        [case_of(full, full), case_of(np.zeros(SIZE, bool))],
        {"still": still},
        lambda slices: np.stack([half, np.zeros(SIZE, bool)])[: len(slices)] & (slices > 0),
    )
    figures = [(f"patient {number}", figures_of(score)) for number, score in enumerate(scores)]
    assert figures[0][1] == pytest.approx(
        {
            "accuracy": 1 - 0.75 * full.mean(),
            "dice": 2 * 1 / (1 + 4),
            "miou": (1 / 4 + (2 * SIZE[0] * SIZE[1] - 2 * full.sum()) / (2 * SIZE[0] * SIZE[1] - full.sum() / 2)) / 2,
            **dict.fromkeys(
                ("boundary_px", "boundary_median_px", "boundary_identity_px"), boundary_distance(half, full)
            ),
            "missed": 1.0,
        }
    )
    rows = [Measurement("t", case, "forward", "still", *figure) for case, row in figures for figure in row.items()]
    summaries = {one.metric: one for one in summarise(rows, Arrangement())}
    assert (summaries["dice"].mean, summaries["dice"].n, summaries["dice"].undefined) == (pytest.approx(0.4), 1, 1)
    assert (summaries["missed"].mean, summaries["missed"].n) == (0.5, 2)
    assert set(summaries) <= set(METRICS)


def boundary_distance(one: np.ndarray, other: np.ndarray) -> float:
    """By brute force: each boundary pixel to the nearest one of the other mask."""
    places = [np.argwhere(mask & ~binary_erosion(mask)) for mask in (one, other)]
    apart = np.linalg.norm(places[0][:, None] - places[1][None], axis=-1)
    return float(np.concatenate([apart.min(axis=1), apart.min(axis=0)]).mean())


def test_the_protocol_scores_the_segmenter_on_its_held_out_patients_and_every_translator_on_the_source(
    tmp_path, make_bundle
):
    """A bundle that changes nothing scores as no translation does; patients p0 and p4 were not trained on."""
    folder = make_bundle("ident", size_hw=SIZE, spacing_mm=1.0)
    rng = np.random.default_rng(5)
    for name, count in (("target", 8), ("source", 2)):
        (tmp_path / name).mkdir()
        for number in range(count):
            mask = np.stack([ellipse(rng.uniform((14, 16), (26, 32)), rng.uniform(5, 9, 2)) for _ in range(2)])
            np.savez(tmp_path / name / f"p{number}.npz", image=np.where(mask, 200.0, 20.0), label=3 * mask)
    labelled = [
        LabelledData(DataEntry("npz", name, source="image", target="label", stored_range=(0, 250)), 3.0)
        for name in ("target", "source")
    ]
    options = TrainingOptions(iterations=40, batch_size=4, learning_rate=5e-3, flip=False, seed=1)
    plan = Adaptation((str(folder),), *labelled, options, held_out=4)
    found = PROTOCOLS["adapt"](plan, Site(tmp_path, tmp_path, tmp_path / "work", "cpu")).measurements
    rows = {(one.case, one.method, one.metric): one.value for one in found}
    own = {case for case, method, _ in rows if method == OWN_DOMAIN}
    assert own == {"p0", "p4"}
    assert {one.metric for one in found} <= set(METRICS)
    for case in ("p0", "p1"):
        scores = [
            {metric: rows[key] for key in rows if key[:2] == (case, method) for metric in key[2:]}
            for method in (NO_TRANSLATION, str(folder))
        ]
        assert scores[0] == scores[1]
        assert scores[0]["dice"] > 0.8
        assert len(scores[0]) == 7
    assert all(rows[case, OWN_DOMAIN, "dice"] > 0.8 for case in own)
    assert {one.table for one in found} == {"Adaptation segmentation on source"}


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
