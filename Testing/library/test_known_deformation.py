"""The known deformation is what it says, source slices carry its inverse, and a perfect field scores the floor."""

from __future__ import annotations

import numpy as np
import pytest

from MedTranslateLib.evaluation.known_deformation import (
    KnownDeformation,
    deformed_cases,
    inverse_of,
    read_at,
    score_recovery,
    target_cases,
    to_one_outline,
)
from MedTranslateLib.training.cases import TrainingCase

SIZE = (64, 72)
KNOWN = KnownDeformation(zoom=0.85, bend_px=6.0, random_px=2.0, random_smoothness_px=8.0)


def head(middle: tuple[float, float], radii: tuple[float, float], seed: int) -> np.ndarray:
    """An elliptic head in [-1, 1] with texture, (64, 72)."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    far = np.hypot((rows - middle[0]) / radii[0], (columns - middle[1]) / radii[1])
    inside = np.clip((1 - far) * 6, 0, 1)
    texture = 0.15 * np.sin(rows / 3 + seed) * np.cos(columns / 4)
    return inside * (0.7 + texture) * 2 - 1


def case(name: str, seed: int = 0) -> TrainingCase:
    image = head((30 + seed, 37), (22, 18), seed).astype(np.float32)[None]
    return TrainingCase(name, image, -image * 0.5, paired=True)


def test_the_systematic_part_is_a_zoom_about_the_middle_and_a_half_wave():
    moved = KNOWN.systematic(SIZE)
    middle = (31.5, 35.5)
    for row, column in ((0, 0), (31, 50), (63, 71), (10, 35)):
        up, across = row - middle[0], column - middle[1]
        assert moved[0, row, column] == pytest.approx(-0.15 * up)
        assert moved[1, row, column] == pytest.approx(-0.15 * across + 6 * np.cos(np.pi * up / 64))


def test_the_random_part_is_as_large_as_it_says_and_follows_the_systematic_one():
    rng = np.random.default_rng(0)
    extra = np.linalg.norm(KNOWN.of_case(SIZE, rng) - KNOWN.systematic(SIZE), axis=0)
    assert 1.0 < extra.max() <= 2.0 + 1e-9
    still = KnownDeformation(zoom=1.0, bend_px=0.0, random_px=2.0)
    assert np.linalg.norm(still.of_case(SIZE, rng), axis=0).max() == pytest.approx(2.0)


def test_the_inverse_brings_points_back():
    displacement = KNOWN.of_case(SIZE, np.random.default_rng(1))
    inverse = inverse_of(displacement)
    back = inverse + np.stack([read_at(part, inverse) for part in displacement])
    assert np.abs(back[:, 12:-12, 14:-14]).max() < 0.02


def test_the_source_read_along_the_known_field_is_the_head_again():
    made = next(deformed_cases([case("a")], KNOWN, np.random.default_rng(2)))
    undone = read_at(made.case.source[0].astype(float), made.displacement)
    original = to_one_outline(case("a").source[0].astype(float))
    inner = (slice(10, -10), slice(14, -14))
    assert np.abs(undone - original)[inner].mean() < 0.03
    assert np.abs(made.case.source[0] - original)[inner].mean() > 0.15


def test_every_head_fills_the_middle_of_the_slice():
    for middle, radii in (((26, 40), (20, 14)), ((35, 33), (16, 22))):
        image = to_one_outline(head(middle, radii, 0))
        places = np.argwhere(image > -0.4)
        low, high = places.min(axis=0), places.max(axis=0)
        np.testing.assert_allclose((low + high) / 2, [31.5, 35.5], atol=1.5)
        np.testing.assert_allclose(high - low + 1, [0.8 * 64, 0.64 * 72], atol=5)


def test_one_who_knows_the_domains_scores_the_floor_and_a_still_field_scores_what_was_known():
    tests = list(deformed_cases([case("a"), case("b", 3)], KNOWN, np.random.default_rng(3)))
    knowing = score_recovery(tests, [KNOWN.systematic(SIZE)] * 2, KNOWN, 2.0)
    assert knowing.error_px == pytest.approx(knowing.floor_px)
    assert knowing.reached
    perfect = score_recovery(tests, [test.displacement for test in tests], KNOWN, 2.0)
    assert perfect.error_px == 0.0
    still = score_recovery(tests, [np.zeros((2, *SIZE))] * 2, KNOWN, 2.0)
    assert still.error_px == pytest.approx(still.known_px)
    assert still.known_px > 4.0
    assert not still.reached


def test_the_target_domain_is_left_as_it_is():
    cases = list(target_cases([case("a")]))
    assert cases[0].source is None
    assert not cases[0].paired
    assert cases[0].target.shape == (1, *SIZE)
