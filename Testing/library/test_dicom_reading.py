"""DICOM in: real files of scanners, and series whose slices do not stack up."""

from __future__ import annotations

import shutil

import numpy as np
import pydicom
import pytest
from dicom_sources import oblique, whole_numbers, write_series
from pydicom.data import get_testdata_file

from MedTranslateLib.core.errors import InvalidVolumeError, SourceUnreadableError
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.reading import read_slices, read_volume

GRID = oblique((9, 7, 5), (0.9, 1.3, 4.0))
FILES = ["CT_small.dcm", "MR_small_bigendian.dcm", "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "693_J2KI.dcm"]


@pytest.mark.parametrize("name", FILES)
def test_files_of_scanners_have_the_values_that_pydicom_decodes_and_their_modality(tmp_path, name):
    shutil.copy(get_testdata_file(name), tmp_path)
    header = pydicom.dcmread(tmp_path / name)
    expected = header.pixel_array * float(header.get("RescaleSlope", 1)) + float(header.get("RescaleIntercept", 0))
    for path in (tmp_path, tmp_path / name):
        volume = read_volume(path)
        np.testing.assert_array_equal(volume.array_kji[0], expected)
        assert volume.modality == header.Modality


def test_a_series_in_any_order_of_files_has_its_values_and_places(tmp_path):
    write_series(tmp_path, whole_numbers(GRID), "CT")
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.array_kji, whole_numbers(GRID).array_kji)
    assert volume.geometry.same_grid(GRID, tolerance_mm=1e-6)


def test_several_series_are_listed(tmp_path):
    uids = {write_series(tmp_path / name, whole_numbers(GRID))[0].SeriesInstanceUID for name in ("a", "b")}
    for name in ("a", "b"):
        for path in (tmp_path / name).iterdir():
            path.rename(tmp_path / f"{name}{path.name}")
    with pytest.raises(SourceUnreadableError, match="2 DICOM series") as caught:
        read_volume(tmp_path)
    assert all(f"{uid} (5 files" in str(caught.value) for uid in uids)


@pytest.mark.parametrize("slices", [2, 5])
def test_a_tilted_gantry_is_refused_though_its_slices_are_evenly_spaced(tmp_path, slices):
    matrix = np.array(GRID.ijk_to_ras)
    matrix[:3, 2] += matrix[:3, 1] / np.linalg.norm(matrix[:3, 1])  # 1 mm along the rows' index from slice to slice
    write_series(tmp_path, whole_numbers(Geometry((9, 7, slices), matrix)))
    expected = (slices - 1) * 1.0
    with pytest.raises(InvalidVolumeError, match=rf"tilted gantry.*the last lies {expected:.1f}\d* mm") as caught:
        read_volume(tmp_path)
    assert "acquisition transform" in str(caught.value)


def test_directions_that_are_rounded_to_four_digits_are_no_tilt(tmp_path):
    geometry = oblique((9, 7, 40), (0.9, 1.3, 4.0))
    direction = np.diag([-1, -1, 1]) @ geometry.direction_ras
    rounded = [f"{value:.4f}" for value in direction[:, :2].T.ravel()]
    write_series(tmp_path, whole_numbers(geometry), ImageOrientationPatient=rounded)
    assert read_volume(tmp_path).geometry.same_grid(geometry, tolerance_mm=0.05)


def test_given_files_are_read_in_the_order_in_which_they_are_given(tmp_path):
    volume = whole_numbers(GRID)
    write_series(tmp_path, volume)
    files = sorted(tmp_path.iterdir())  # named against the order of the slices
    read = read_slices(files, "reverse")
    assert isinstance(read, Volume)
    np.testing.assert_array_equal(read.array_kji, volume.array_kji[::-1])
