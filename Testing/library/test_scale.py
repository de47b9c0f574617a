"""Intensities are normalised by what was measured, and come out in the target's units."""

from __future__ import annotations

import numpy as np
import pytest

from MedTranslateLib.core.errors import InvalidVolumeError
from MedTranslateLib.imaging.scale import (
    IntensityRange,
    IntensityScale,
    ScaleKind,
    background_value,
    measure,
    to_target_units,
)

HU = IntensityScale(ScaleKind.HOUNSFIELD, -1000, 2000)


def test_a_hounsfield_scale_maps_air_water_and_bone_as_worked_out_by_hand():
    measured = measure(np.array([0.0]), HU, threshold=0)
    # -1000 -> -1, 500 -> 0, 2000 -> 1; water (0 HU) lies a third of the way: -1 + 2/3
    np.testing.assert_allclose(measured.normalise(np.array([-1000, 0, 500, 2000])), [-1, -1 / 3, 0, 1], atol=1e-6)
    np.testing.assert_allclose(to_target_units(np.array([-1.0, 0.0, 1.0]), HU), [-1000, 500, 2000])


def test_values_beyond_the_scale_are_clipped_both_ways():
    assert measure(np.zeros(1), HU, 0).normalise(np.array([-5000.0, 9000.0])).tolist() == [-1.0, 1.0]
    assert to_target_units(np.array([-3.0, 3.0]), HU).tolist() == [-1000.0, 2000.0]


def test_a_relative_scale_takes_its_low_end_from_all_and_its_high_end_from_the_foreground():
    # 900 background voxels 0..9, 101 foreground voxels 100..200: their 90th percentile is 190
    array = np.concatenate([np.repeat(np.arange(10), 90), np.arange(100, 201)]).astype(float)
    scale = IntensityScale(ScaleKind.RELATIVE, low=0, high=90)
    assert measure(array, scale, threshold=50) == IntensityRange(0.0, 190.0)


def test_the_high_percentile_lands_where_the_training_images_had_it():
    array = np.concatenate([np.zeros(900), np.full(100, 140.0)])
    scale = IntensityScale(ScaleKind.RELATIVE, low=0, high=50, high_value=0.7)
    measured = measure(array, scale, threshold=1)
    assert measured.high == pytest.approx(200.0)
    assert measured.normalise(np.array([140.0]))[0] == pytest.approx(2 * 0.7 - 1)


def test_scaling_an_image_by_a_factor_and_an_offset_changes_nothing():
    rng = np.random.default_rng(5)
    array = np.concatenate([rng.normal(10, 1, 900), rng.normal(200, 30, 300)])
    scale = IntensityScale(ScaleKind.RELATIVE, 0.5, 99.5)
    one = measure(array, scale, threshold=50).normalise(array)
    other = measure(3.5 * array - 77, scale, threshold=3.5 * 50 - 77).normalise(3.5 * array - 77)
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_relative_output_runs_from_0_to_1_and_its_background_is_0():
    scale = IntensityScale(ScaleKind.RELATIVE, 0.5, 99.5)
    assert to_target_units(np.array([-1.0, 0.0, 1.0]), scale).tolist() == [0.0, 0.5, 1.0]
    assert background_value(scale) == 0.0
    assert background_value(HU) == -1000.0


def test_an_image_without_contrast_on_the_scale_is_refused():
    with pytest.raises(InvalidVolumeError, match="no contrast"):
        measure(np.array([3.0, 3.0, 3.0, 3.0]), IntensityScale(ScaleKind.RELATIVE, 1, 99), threshold=2)
