"""Overlap and boundary distances equal what is counted by hand, and are not defined where nothing is there."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.metrics import compute_hausdorff_distance

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.metrics.structure import boundary, boundary_distance_px, hd95_mm, score_overlap


def block(rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros((12, 16), bool)
    mask[rows, columns] = True
    return mask


def test_overlap_is_counted_over_all_pixels():
    first, second = block(slice(2, 6), slice(3, 9)), block(slice(3, 7), slice(4, 10))  # 24 pixels each, 15 in common
    score = score_overlap(np.stack([first, first]), np.stack([second, second]))
    assert score.dice == pytest.approx(30 / 48)
    assert score.accuracy == pytest.approx((192 - 18) / 192)
    assert score.miou == pytest.approx((15 / 33 + (192 - 33) / (192 - 15)) / 2)


def test_equal_masks_agree_wholly_and_empty_ones_have_no_overlap_to_speak_of():
    mask = block(slice(1, 4), slice(1, 5))
    assert score_overlap(mask, mask) == score_overlap(~mask, ~mask)
    assert score_overlap(mask, mask).dice == 1.0
    nothing = score_overlap(mask & False, mask & False)
    assert nothing.accuracy == 1.0
    assert math.isnan(nothing.dice)
    assert math.isnan(nothing.miou)
    assert score_overlap(mask & False, mask).dice == 0.0
    assert score_overlap(mask | True, mask | True).miou == 1.0


def test_a_boundary_is_what_touches_the_outside_by_a_side():
    mask = block(slice(2, 6), slice(3, 8))
    edge = mask.copy()
    edge[3:5, 4:7] = False
    np.testing.assert_array_equal(boundary(mask), edge)
    assert boundary(np.ones((3, 4), bool)).sum() == 10


def test_the_boundary_distance_is_that_of_brute_force():
    first, second = block(slice(2, 7), slice(3, 9)), block(slice(3, 10), slice(1, 6))
    one, other = np.argwhere(boundary(first)), np.argwhere(boundary(second))
    between = np.linalg.norm(one[:, None] - other[None], axis=-1)
    expected = np.concatenate([between.min(axis=1), between.min(axis=0)]).mean()
    assert boundary_distance_px(first, second) == pytest.approx(expected)
    assert boundary_distance_px(second, first) == pytest.approx(expected)
    assert boundary_distance_px(first, first) == 0.0


def test_without_one_of_the_boundaries_there_is_no_distance():
    mask = block(slice(2, 7), slice(3, 9))
    assert math.isnan(boundary_distance_px(mask, mask & False))
    assert math.isnan(hd95_mm(mask & False, mask, (1.0, 1.0)))


def balls() -> tuple[np.ndarray, np.ndarray]:
    """Two blobs of a volume with a far speck, whose distances the percentile must cut off."""
    k, j, i = np.mgrid[:9, :24, :28]
    first = (k - 4) ** 2 * 9 + (j - 11) ** 2 + (i - 12) ** 2 < 60
    second = (k - 5) ** 2 * 6 + (j - 13) ** 2 + (i - 13) ** 2 < 70
    first[8, 23, 27] = True
    return first, second


def all_distances(first: np.ndarray, second: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    one, other = np.argwhere(boundary(first)) * spacing, np.argwhere(boundary(second)) * spacing
    return np.linalg.norm(one[:, None] - other[None], axis=-1)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (4.0, 1.3, 0.7)])
def test_hd95_is_that_of_brute_force_and_of_monai_in_mm(spacing):
    first, second = balls()
    between = all_distances(first, second, spacing)
    expected = max(np.percentile(between.min(axis=1), 95), np.percentile(between.min(axis=0), 95))
    assert hd95_mm(first, second, spacing) == pytest.approx(expected)
    assert hd95_mm(second, first, spacing) == pytest.approx(expected)
    assert expected < between.min(axis=1).max()  # the speck
    one, other = (torch.from_numpy(mask)[None, None].float() for mask in (first, second))
    monai = compute_hausdorff_distance(one, other, include_background=True, percentile=95, spacing=spacing)
    assert hd95_mm(first, second, spacing) == pytest.approx(float(monai), rel=1e-6)


def test_hd95_of_shifted_blocks_is_the_shift_in_the_spacing_of_its_axis():
    first = block(slice(2, 8), slice(3, 9))
    assert hd95_mm(first, np.roll(first, 2, axis=0), (1.5, 0.5)) == pytest.approx(3.0)
    assert hd95_mm(first, np.roll(first, 3, axis=1), (1.5, 0.5)) == pytest.approx(1.5)
    assert hd95_mm(first, first, (1.5, 0.5)) == 0.0


@pytest.mark.parametrize("spacing", [(1.0,), (1.0, 0.0), (1.0, 1.0, 1.0)])
def test_a_spacing_that_is_not_one_an_axis_is_refused(spacing):
    mask = block(slice(2, 7), slice(3, 9))
    with pytest.raises(ConfigError, match="2 axes needs as many spacings above 0 mm"):
        hd95_mm(mask, mask, spacing)
