"""Intensities as 16-bit numbers, and the words that are drawn into them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pydicom
import pytest
from dicom_sources import oblique, translated_series, whole_numbers

from MedTranslateLib.core.errors import InvalidVolumeError
from MedTranslateLib.dicom.burn_in import burnt_in, mark_for
from MedTranslateLib.dicom.export import ExportOptions, export_result
from MedTranslateLib.dicom.stored_values import scale_for
from MedTranslateLib.imaging.job_folder import read_result
from MedTranslateLib.imaging.reading import read_volume

RANGES = [(0, 1), (-1024, 3071), (0.1, 0.1), (-3.3, 1e6), (2.5e-5, 2.6e-5), (-1e5, -99999.5), (0, 65535), (-2e9, 3e9)]


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_no_intensity_is_further_from_what_is_stored_than_half_a_step(low, high):
    scale = scale_for(low, high)
    values = np.linspace(low, high, 4001)
    stored = scale.store(values)
    for value, number in zip(values[::40], stored[::40], strict=True):  # exact: as a reader of the header computes it
        again = int(number) * Fraction(scale.slope) + Fraction(scale.intercept)
        assert abs(again - Fraction(float(value))) <= Fraction(scale.slope) / 2 * Fraction(1001, 1000)
    assert scale.accuracy == float(scale.slope) / 2


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_the_step_is_the_finest_of_1_2_5_that_16_bits_hold_and_fits_into_a_header(low, high):
    scale = scale_for(low, high)
    assert len(scale.slope) <= 16
    assert len(scale.intercept) <= 16
    assert scale.slope.strip("0.")[0] in "125"
    assert (high - low) / float(scale.slope) <= 65535


@pytest.mark.parametrize(("low", "high", "slope"), [(0, 1, "0.00002"), (-1024, 3071, "0.1"), (0, 65535, "1")])
def test_steps_by_hand(low, high, slope):
    assert scale_for(low, high).slope == slope


def test_the_letters_read_synthetic():
    box = mark_for(20, 200)
    drawn = ["".join("#" if dot else "." for dot in row) for row in box[1:8, 1:18]]
    assert drawn == [
        ".####.#...#.#...#",
        "#.....#...#.##..#",
        "#......#.#..#.#.#",
        ".###....#...#.#.#",
        "....#...#...#..##",
        "....#...#...#...#",
        "####....#...#...#",
    ]


@pytest.mark.parametrize(("rows", "columns"), [(9, 169), (25, 61), (300, 700), (512, 512), (40, 64)])
def test_only_the_lower_left_corner_changes_and_it_is_black_and_white_alone(rows, columns):
    before = np.random.default_rng(4).uniform(0.2, 0.8, (3, rows, columns)).astype(np.float32)
    after = burnt_in(before, -1.0, 2.0)
    changed = np.argwhere((after != before).any(axis=0))
    top, right = changed[:, 0].min(), changed[:, 1].max()
    assert changed[:, 0].max() == rows - 1
    assert changed[:, 1].min() == 0
    corner = after[:, top:, : right + 1]
    assert set(np.unique(corner)) == {-1.0, 2.0}
    assert 0.1 < (corner == 2.0).mean() < 0.5
    np.testing.assert_array_equal(after[:, :top], before[:, :top])
    np.testing.assert_array_equal(after[:, :, right + 1 :], before[:, :, right + 1 :])


def test_larger_pictures_have_larger_letters():
    assert mark_for(1024, 1024).shape[0] == 3 * mark_for(384, 384).shape[0]


@pytest.mark.parametrize(("rows", "columns"), [(100, 54), (16, 61), (8, 169)])
def test_a_picture_that_cannot_hold_the_words_is_refused(rows, columns):
    with pytest.raises(InvalidVolumeError, match=r"too few to burn .* in legibly"):
        burnt_in(np.zeros((1, rows, columns), np.float32), 0, 1)


@pytest.mark.parametrize("scale", ["relative", "hounsfield"])
def test_the_words_are_in_every_written_slice_and_the_header_says_so(tmp_path, scale):
    source, job = translated_series(tmp_path, whole_numbers(oblique((70, 40, 3), (1, 1, 3))), scale=scale)
    export_result(job, source, tmp_path / "out", ExportOptions(burn_in=True))
    written, result = read_volume(tmp_path / "out/series").array_kji, read_result(job).translated.array_kji
    image = pydicom.dcmread(tmp_path / "out/series/0002.dcm")
    assert image.BurnedInAnnotation == "YES"
    black, white = {"relative": (0, 1), "hounsfield": (-160, 240)}[scale]
    box = mark_for(40, 70)
    rows, columns = box.shape
    accuracy = float(image.RescaleSlope) * 0.501
    for slice_written, slice_made in zip(written, result, strict=True):
        np.testing.assert_allclose(slice_written[-rows:, :columns], np.where(box, white, black), atol=accuracy)
        np.testing.assert_allclose(slice_written[:-rows], slice_made[:-rows], atol=accuracy)
        np.testing.assert_allclose(slice_written[:, columns:], slice_made[:, columns:], atol=accuracy)
