"""The features of a picture: known for simple pictures, and about the same whatever the intensity scale."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from MedTranslateLib.checks.gate_features import FEATURES, features_of, outline_of, picture_features
from MedTranslateLib.checks.gate_pose import fold_front_back, fold_turned, patches_of
from MedTranslateLib.checks.gate_slices import Pictures


def ellipse(rows: float, columns: float, shape: tuple[int, int] = (120, 100)) -> np.ndarray:
    """A filled ellipse of half axes `rows` and `columns` in the middle."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    inside = ((y - shape[0] / 2) / rows) ** 2 + ((x - shape[1] / 2) / columns) ** 2 <= 1
    return inside.astype(np.float32)


def measured(picture: np.ndarray, spacing_mm: float = 1.0) -> dict[str, float]:
    picture = picture.astype(np.float32)
    return dict(picture_features(picture, outline_of(picture), spacing_mm))


def folded(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pictures = Pictures(picture[None].astype(np.float32), 1.0)
    patches = patches_of(pictures, [outline_of(pictures.slices[0])])
    return fold_front_back(patches), fold_turned(patches)


def test_area_aspect_and_solidity_are_those_of_an_ellipse() -> None:
    found = measured(0.7 * ellipse(50, 30), spacing_mm=1.5)
    assert np.exp(found["log_area"]) == pytest.approx(np.pi * 51 * 31 * 1.5**2, rel=0.02)  # the blur adds a pixel
    assert np.exp(found["log_aspect"]) == pytest.approx(50 / 30, rel=0.03)
    assert found["solidity"] == pytest.approx(np.pi / 4, rel=0.03)


def test_the_outline_is_the_largest_part_with_its_holes_filled() -> None:
    picture = 0.8 * ellipse(40, 30)
    picture[55:65, 45:55] = 0
    picture[2:8, 2:8] = 0.8
    assert np.array_equal(ndimage.label(outline_of(picture.astype(np.float32)).mask)[1], 1)
    assert outline_of(picture.astype(np.float32)).mask[60, 50]
    assert not outline_of(picture.astype(np.float32)).mask[5, 5]


def test_a_bright_rim_shows_in_the_first_bins_of_the_profile() -> None:
    skull = ellipse(50, 40) - 0.7 * ellipse(46, 36)
    found = measured(skull)
    assert found["rim2"] == pytest.approx(1.0, abs=0.1)  # the first bin is the pixel that the blur adds
    assert found["rim6"] == pytest.approx(0.3, abs=0.02)
    assert found["q50"] == pytest.approx(0.3, abs=0.02)


def test_which_small_structures_are_bright_decides_the_sign_of_the_fine_skew() -> None:
    spots = np.zeros((120, 100), dtype=np.float32)
    spots[10:110:12, 10:90:12] = 1
    spots = ndimage.gaussian_filter(spots, 1.5)
    spots = 0.3 * spots / spots.max()
    body = ellipse(50, 40)
    assert measured(body * (0.5 + spots))["fine_skew"] > 1
    assert measured(body * (0.5 - spots))["fine_skew"] < -1


def test_the_features_of_an_image_are_the_median_of_its_slices() -> None:
    slices = np.stack([0.6 * ellipse(40, 30), 0.6 * ellipse(44, 30), 0.6 * ellipse(50, 30)]).astype(np.float32)
    pictures = Pictures(slices, 1.0)
    found = features_of(pictures, [outline_of(picture) for picture in slices])
    assert np.exp(found[FEATURES.index("log_aspect")]) == pytest.approx(44 / 30, rel=0.03)


def test_a_picture_upside_down_changes_the_sign_of_one_fold_alone() -> None:
    egg = np.where(np.arange(120)[:, None] < 60, ellipse(50, 25), ellipse(50, 40)) * 0.8
    front_back, turned = folded(egg)
    mirrored = folded(egg[::-1])
    np.testing.assert_allclose(mirrored[0], -front_back, atol=1e-6)
    np.testing.assert_allclose(mirrored[1], turned, atol=1e-6)
    assert np.abs(front_back).max() > 0.02


def test_a_turned_picture_changes_the_sign_of_the_other_fold() -> None:
    tall = 0.8 * ellipse(44, 28, (112, 112))
    np.testing.assert_allclose(folded(tall.T)[1], -folded(tall)[1], atol=1e-6)
    assert np.abs(folded(tall)[1]).max() > 0.02


def test_left_and_right_exchanged_changes_nothing_that_is_folded() -> None:
    chance = ndimage.gaussian_filter(np.random.default_rng(3).uniform(0, 1, (112, 112)), 3) * ellipse(
        44, 28, (112, 112)
    )
    for one, other in zip(folded(chance), folded(chance[:, ::-1]), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
