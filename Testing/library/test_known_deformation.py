"""The known deformation is what it says, source slices carry its inverse, and a perfect field scores the floor."""

from __future__ import annotations

import numpy as np
import pytest

from MedTranslateLib.evaluation.config import RecoveryCheck
from MedTranslateLib.evaluation.known_deformation import (
    KnownDeformation,
    deformed_cases,
    inverse_of,
    read_at,
    score_recovery,
    target_cases,
    to_one_outline,
)
from MedTranslateLib.evaluation.metric_names import METRICS
from MedTranslateLib.evaluation.protocols import PROTOCOLS, Site
from MedTranslateLib.training.cases import TrainingCase, load_cases
from MedTranslateLib.training.config import read_config

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


TRAINING = """
name = "known"
[card]
version = "1.0.0"
anatomy = "brain"
summary = "A check."
training_data = "generated heads"
training_licence = "none"
spacing_origin = "stated"
spacing_rule = "generated"
reversible = false
limits = ["A check."]
citation = "none"
[grid]
plane = "axial"
spacing_mm = 4.0
size_hw = [48, 40]
[source]
modality = "MR"
name = "T1"
scale = { kind = "relative", low = 0.5, high = 99.5 }
[target]
modality = "MR"
name = "T1"
scale = { kind = "relative", low = 0.5, high = 99.5 }
[method]
name = "plasticine"
channels = [16, 16]
velocity_channels = 8
velocity_levels = 2
[training]
iterations = 1
batch_size = 1
flip = false
[[data]]
kind = "npz"
folder = "heads"
source = "t1"
[[validation]]
kind = "npz"
folder = "tests"
source = "t1"
"""


def test_the_protocol_measures_what_was_known_and_says_that_a_network_of_one_step_did_not_recover_it(tmp_path):
    """What is known does not depend on the network: it is worked out from the heads and the seed."""
    for folder, count in (("heads", 2), ("tests", 3)):
        (tmp_path / folder).mkdir()
        for number in range(count):
            image = head((30 + number, 37), (22, 18), number)[8:56, 16:56]
            np.savez(tmp_path / folder / f"{number}.npz", t1=((image + 1) * 100).astype(np.float32)[None])
    (tmp_path / "training.toml").write_text(TRAINING, encoding="utf-8")
    known = KnownDeformation(zoom=0.8, bend_px=4.0, random_px=1.0, random_smoothness_px=8.0)
    site = Site(tmp_path, tmp_path, tmp_path / "work", "cpu")
    found = PROTOCOLS["recover"](RecoveryCheck("training.toml", known, seed=3), site).measurements
    figures = {one.metric: one.value for one in found}

    config = read_config(tmp_path / "training.toml")
    rng = np.random.default_rng(3)
    heads, tests = (load_cases(entries, config.layout, tmp_path) for entries in (config.data, config.validation))
    list(deformed_cases(heads, known, rng))
    deformed = list(deformed_cases(tests, known, rng))
    lengths = [np.linalg.norm(one.displacement, axis=0)[one.body].mean() for one in deformed]
    assert figures["known_px"] == pytest.approx(np.mean(lengths))
    assert 0 < figures["floor_px"] < 1.0  # the random part is nowhere longer
    assert figures["known_error_mm"] == pytest.approx(4.0 * figures["error_px"])
    assert figures["cases"] == 3
    assert figures["reached"] == 0.0
    assert figures["error_px"] > figures["known_px"] / 3
    assert {(one.case, one.method) for one in found} == {("", "known")}
    assert all(METRICS[name].definition.endswith(".") for name in figures)
