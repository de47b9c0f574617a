"""A volume refuses what cannot be an image, and its geometry maps points as a scanner would."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from MedTranslateLib.core.errors import InvalidVolumeError
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.geometry import geometry_of, image_from_volume


def identity_geometry(size=(4, 3, 2)) -> Geometry:
    return Geometry(size, np.eye(4))


def test_ras_of_a_voxel_is_what_simpleitk_says_in_lps_with_two_signs_changed(oblique_geometry):
    image = image_from_volume(Volume(np.zeros(oblique_geometry.shape_kji), oblique_geometry))
    lps = np.array(image.TransformContinuousIndexToPhysicalPoint((10.5, 3.0, 7.25)))
    np.testing.assert_allclose(oblique_geometry.ras_from_ijk([10.5, 3.0, 7.25]), lps * [-1, -1, 1], atol=1e-9)
    np.testing.assert_allclose(oblique_geometry.ijk_from_ras(lps * [-1, -1, 1]), [10.5, 3.0, 7.25], atol=1e-9)


def test_geometry_survives_the_way_through_simpleitk_to_a_millionth_of_a_millimetre(oblique_geometry):
    volume = Volume(np.zeros(oblique_geometry.shape_kji), oblique_geometry)
    again = geometry_of(image_from_volume(volume))
    assert np.abs(again.ijk_to_ras - oblique_geometry.ijk_to_ras).max() < 1e-9
    assert again.same_grid(oblique_geometry)


def test_a_shift_of_two_millionths_is_another_grid(oblique_geometry):
    moved = np.array(oblique_geometry.ijk_to_ras)
    moved[1, 3] += 2e-6
    assert not oblique_geometry.same_grid(Geometry(oblique_geometry.size_ijk, moved))


def test_the_array_cannot_be_changed_and_the_callers_array_stays_writable():
    array = np.zeros((2, 3, 4), np.float32)
    volume = Volume(array, identity_geometry())
    with pytest.raises(ValueError, match="read-only"):
        volume.array_kji[0, 0, 0] = 1
    array[0, 0, 0] = 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_counted_and_refused(value):
    array = np.zeros((2, 3, 4))
    array[1, 2, 3] = value
    array[0, 0, 0] = value
    with pytest.raises(InvalidVolumeError, match="2 voxels are NaN or infinite"):
        Volume(array, identity_geometry())


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (np.diag([1, 0, 1, 1]), "spacing must be positive"),
        ([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], "singular"),
        (np.diag([1, np.nan, 1, 1]), "finite"),
        ([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 1, 0, 1]], "last row"),
    ],
)
def test_a_matrix_that_maps_no_grid_is_refused_with_the_reason(matrix, words):
    with pytest.raises(InvalidVolumeError, match=words):
        Geometry((2, 2, 2), np.array(matrix, dtype=float))


def test_a_volume_without_slices_is_refused():
    with pytest.raises(InvalidVolumeError, match="at least one voxel"):
        Geometry((4, 3, 0), np.eye(4))


def test_spacing_and_direction_are_those_the_image_was_made_with():
    image = sitk.Image(4, 3, 2, sitk.sitkInt16)
    image.SetSpacing((0.5, 2.0, 3.5))
    image.SetDirection((0, 1, 0, 1, 0, 0, 0, 0, -1))
    geometry = geometry_of(image)
    np.testing.assert_allclose(geometry.spacing_mm, [0.5, 2.0, 3.5])
    # first column of the direction is (0, 1, 0) in LPS: towards posterior, so -A in RAS
    np.testing.assert_allclose(geometry.direction_ras[:, 0], [0, -1, 0])
