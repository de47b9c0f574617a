"""What bare numbers give away: masks, label maps, clipping, Hounsfield units; and what they must not be taken for."""

from __future__ import annotations

import numpy as np
import pytest

from MedTranslateLib.bundles.manifest import Scale, Side
from MedTranslateLib.checks.gate_values import value_doubts, value_refusals, values_of

MR = Side("MR", "T1", Scale("relative", 0.5, 99.8))
CT_IN_HU = Side("CT", "CT", Scale("hounsfield", -1000, 2000))


def blocks(values: list[int], side: int = 8) -> np.ndarray:
    """One slice of equal squares in a row, 8 rows high."""
    return np.repeat(np.array(values, dtype=np.float32), side)[None, None, :] * np.ones((1, 8, 1), dtype=np.float32)


def textured(levels: int, seed: int = 1) -> np.ndarray:
    """Random grey values of few levels: no neighbour has to be equal."""
    return np.random.default_rng(seed).integers(0, levels, (3, 40, 50)).astype(np.float32)


def test_the_shares_are_those_counted_by_hand() -> None:
    # 8 rows of 0 0 0 1 1 5 5 5: pairs with any foreground: 0-1, 1-1, 1-5, 5-5, 5-5; three of five are equal
    array = np.tile(np.array([0, 0, 0, 1, 1, 5, 5, 5], dtype=np.float32), (1, 8, 1))
    values = values_of(array)
    assert values.distinct == 3
    assert values.flat == pytest.approx(3 / 5)
    assert values.saturated == pytest.approx(3 / 5)  # three of the five pixels above the lowest value
    assert values.used == pytest.approx(2 / 5)  # 1 and 5 of 1, 2, 3, 4, 5
    assert values.whole


def test_two_values_are_a_mask_and_refused() -> None:
    assert "two values only" in value_refusals(values_of(blocks([0, 7, 0])))[0]


@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [0, 2, 41, 3, 42, 530, 17, 53, 16, 24, 14, 251, 77, 85, 500]])
def test_flat_regions_of_few_or_scattered_whole_numbers_are_a_label_map(labels: list[int]) -> None:
    assert "label map" in value_refusals(values_of(blocks(labels)))[0]


def test_an_eight_bit_image_with_flat_parts_is_no_label_map() -> None:
    # as a CT that metal has squeezed into its lower grey values: long runs of equal values, but all of them in use
    assert value_refusals(values_of(blocks([0, *range(60, 90)]))) == []


def test_few_values_without_flat_regions_and_fractions_are_no_label_map() -> None:
    assert value_refusals(values_of(textured(8))) == []
    assert value_refusals(values_of(blocks([0, 1, 2, 3]) * 0.37)) == []


def test_hounsfield_units_are_noticed_where_an_mr_is_expected_and_missed_where_a_ct_is() -> None:
    chance = np.random.default_rng(2)
    ct = np.full((3, 40, 50), -1000.0)
    ct[:, 10:30, 10:40] = chance.normal(40, 15, (3, 20, 30))
    air, mr = values_of((ct + chance.normal(0, 8, ct.shape)).astype(np.float32)), values_of(textured(500))
    assert air.hounsfield
    assert not mr.hounsfield
    assert "Hounsfield units, so it is a CT" in value_doubts(air, MR)[0]
    assert value_doubts(air, CT_IN_HU) == []
    assert "do not read like Hounsfield" in value_doubts(mr, CT_IN_HU)[0]


def test_a_clipped_image_is_doubtful_and_a_bright_spot_is_not() -> None:
    image = textured(200) + 1
    clipped = np.minimum(image, 120)  # 40 % of the values lie above
    assert "same highest value" in value_doubts(values_of(clipped), MR)[0]
    image[0, 0, 0] = 1000
    assert value_doubts(values_of(image), MR) == []
