"""Slices come out in display order, and what was cut out goes back to where it was."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from MedTranslateLib.core.errors import InvalidVolumeError
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.geometry import (
    Centre,
    Plane,
    SliceGrid,
    foreground_centre_ijk,
    grid_centre_ijk,
    network_geometry,
    source_axes,
)
from MedTranslateLib.imaging.resample import thin_out
from MedTranslateLib.imaging.scale import IntensityScale, ScaleKind
from MedTranslateLib.imaging.slices import back_onto_source, slice_volume, validity_mask

RELATIVE = IntensityScale(ScaleKind.RELATIVE, 0.5, 99.8)
AXIAL = SliceGrid(Plane.AXIAL, 1.2, (192, 160))


def volume_of_ras(geometry: Geometry, axis: int) -> Volume:
    """Each voxel holds its own RAS coordinate along `axis`."""
    k, j, i = np.meshgrid(*(np.arange(n) for n in geometry.shape_kji), indexing="ij")
    return Volume(geometry.ras_from_ijk(np.stack([i, j, k], -1))[..., axis], geometry)


def rotation_about(axis: tuple[float, float, float], degrees: float) -> np.ndarray:
    return Rotation.from_rotvec(np.radians(degrees) * np.array(axis) / np.linalg.norm(axis)).as_matrix()


def psnr_db(first: np.ndarray, second: np.ndarray) -> float:
    """By its definition, the range being that of the reference."""
    return float(10 * np.log10(np.ptp(second) ** 2 / np.mean((first - second) ** 2)))


@pytest.mark.parametrize(
    ("plane", "across_columns", "down_rows"),
    [
        # radiological display: the patient's left on the viewer's right; anterior or superior on top
        (Plane.AXIAL, (0, -1), (1, -1)),
        (Plane.CORONAL, (0, -1), (2, -1)),
        (Plane.SAGITTAL, (1, -1), (2, -1)),
    ],
)
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_slices_are_in_radiological_display_order_however_the_scan_was_stored(plane, across_columns, down_rows, order):
    matrix = np.eye(4)
    matrix[:3, :3] = np.diag([1.0, -1.0, 1.0])[:, list(order)] * [2.0, 2.5, 3.0]
    geometry = Geometry((24, 20, 16), matrix)
    grid = SliceGrid(plane, 2.0, (16, 16))
    network = network_geometry(geometry, grid, (np.array(geometry.size_ijk) - 1) / 2)
    for (axis, sense), along in ((across_columns, 2), (down_rows, 1)):
        slices = thin_out(volume_of_ras(geometry, axis), network, outside=0.0)
        inner = slices[:, 4:12, 4:12]
        steps = np.diff(inner, axis=along)
        np.testing.assert_allclose(steps, sense * 2.0, atol=1e-3)


def test_axes_of_an_oblique_scan_are_matched_once_each(oblique_geometry):
    for plane in Plane:
        axes, _ = source_axes(oblique_geometry, plane)
        assert sorted(axes) == [0, 1, 2]


def test_network_voxels_hold_the_value_of_their_own_place_in_the_patient(oblique_geometry):
    grid = SliceGrid(Plane.AXIAL, 1.0, (64, 48))
    network = network_geometry(oblique_geometry, grid, (np.array(oblique_geometry.size_ijk) - 1) / 2)
    for axis in range(3):
        slices = thin_out(volume_of_ras(oblique_geometry, axis), network, outside=0.0)
        wanted = volume_of_ras(network, axis).array_kji
        np.testing.assert_allclose(slices, wanted, atol=1e-3)


@pytest.mark.parametrize("plane", list(Plane))
def test_a_smooth_phantom_comes_back_at_40_db_and_on_its_own_grid(oblique_head, plane):
    grid = SliceGrid(plane, 1.2, (192, 192))
    sliced = slice_volume(oblique_head, grid, RELATIVE)
    back = back_onto_source(sliced.stack.slices, sliced.stack.geometry, oblique_head.geometry, -1.0)
    seen = validity_mask(sliced.stack.geometry, oblique_head.geometry).astype(bool)
    reference = sliced.intensities.normalise(oblique_head.array_kji)
    assert psnr_db(back.array_kji[seen], reference[seen]) >= 40
    assert np.abs(back.geometry.ijk_to_ras - oblique_head.geometry.ijk_to_ras).max() <= 1e-6
    assert back.geometry.size_ijk == oblique_head.geometry.size_ijk


def test_the_validity_mask_is_what_mapping_each_voxel_centre_says(oblique_geometry):
    grid = SliceGrid(Plane.AXIAL, 1.0, (80, 70))
    network = network_geometry(oblique_geometry, grid, [70.0, 60.0, 10.0])
    mask = validity_mask(network, oblique_geometry)
    k, j, i = np.meshgrid(*(np.arange(n) for n in oblique_geometry.shape_kji), indexing="ij")
    index = network.ijk_from_ras(oblique_geometry.ras_from_ijk(np.stack([i, j, k], -1)))
    brute = np.all((index >= -1e-6) & (index <= np.array(network.size_ijk) - 1 + 1e-6), axis=-1)
    np.testing.assert_array_equal(mask, brute)
    assert 0 < mask.mean() < 1


def test_outside_the_field_of_view_is_background_and_marked_as_not_seen(oblique_head):
    sliced = slice_volume(oblique_head, SliceGrid(Plane.AXIAL, 1.0, (64, 64)), RELATIVE)
    ones = np.ones_like(sliced.stack.slices)
    back = back_onto_source(ones, sliced.stack.geometry, oblique_head.geometry, -7.0)
    seen = validity_mask(sliced.stack.geometry, oblique_head.geometry).astype(bool)
    np.testing.assert_allclose(back.array_kji[seen], 1.0, atol=1e-5)
    assert (back.array_kji[~seen] == -7.0).mean() > 0.97  # the outermost half pixel is blended by the interpolation


def test_a_single_slice_goes_there_and_back(oblique_geometry):
    matrix = np.array(oblique_geometry.ijk_to_ras)
    from MedTranslateLib.imaging.phantom import head_phantom

    head = head_phantom(Geometry((150, 170, 1), matrix))
    sliced = slice_volume(head, AXIAL, RELATIVE)
    assert sliced.stack.slices.shape == (1, 192, 160)
    back = back_onto_source(sliced.stack.slices, sliced.stack.geometry, head.geometry, -1.0)
    seen = validity_mask(sliced.stack.geometry, head.geometry).astype(bool)
    assert seen.mean() > 0.9
    assert psnr_db(back.array_kji[seen], sliced.intensities.normalise(head.array_kji)[seen]) >= 38


def test_the_slice_grid_is_centred_on_the_head_and_not_on_the_picture():
    array = np.zeros((5, 60, 80), np.float32)
    array[:, 10:31, 40:71] = 5.0
    volume = Volume(array, Geometry((80, 60, 5), np.eye(4)))
    np.testing.assert_allclose(foreground_centre_ijk(volume, 1.0)[:2], [55.0, 20.0])


def test_fine_pixels_are_blurred_before_they_are_thinned_out():
    # stripes finer than the new pixels must average out; plain interpolation would keep them
    array = np.zeros((1, 64, 64), np.float32)
    array[:, :, ::2] = 1.0
    volume = Volume(array, Geometry((64, 64, 1), np.diag([0.5, 0.5, 1.0, 1.0])))
    grid = SliceGrid(Plane.AXIAL, 2.0, (16, 16))
    network = network_geometry(volume.geometry, grid, [31.0, 31.0, 0.0])
    slices = thin_out(volume, network, outside=0.5)
    assert np.abs(slices[:, 4:12, 4:12] - 0.5).max() < 0.03


def test_a_constant_image_is_refused_with_its_value(oblique_geometry):
    flat = Volume(np.full(oblique_geometry.shape_kji, 42.0), oblique_geometry, "flat")
    with pytest.raises(InvalidVolumeError, match=r"flat: the image is constant \(42 everywhere\)"):
        slice_volume(flat, AXIAL, RELATIVE)


def test_the_source_is_not_changed_by_being_sliced(oblique_head):
    before = oblique_head.array_kji.copy()
    slice_volume(oblique_head, AXIAL, RELATIVE)
    np.testing.assert_array_equal(oblique_head.array_kji, before)


@pytest.mark.parametrize("across", [0, 1, 2])
def test_slices_as_acquired_are_taken_whole_and_as_stored_however_they_lie(across):
    """A short-axis stack turned by 70 degrees about a skew axis, its slices along any of the stored axes."""
    size, spacing = [20, 24, 28], np.array([1.5, 1.5, 1.5])
    size[across], spacing[across] = 5, 9.0
    matrix = np.eye(4)
    matrix[:3, :3] = rotation_about((1, -2, 0.5), 70) @ np.diag(spacing)
    geometry = Geometry((size[0], size[1], size[2]), matrix)
    numbers = np.arange(np.prod(size), dtype=np.float32).reshape(size[::-1])
    grid = SliceGrid(Plane.ACQUIRED, 1.5, (16, 16), Centre.IMAGE)
    middle = grid_centre_ijk(Volume(numbers, geometry), grid, 0.0)
    network = network_geometry(geometry, grid, middle)
    slices = thin_out(Volume(numbers, geometry), network, outside=-1.0)
    stored = np.moveaxis(numbers, 2 - across, 0)  # slices first, then rows and columns as stored
    rows, columns = ((n - 16) // 2 for n in stored.shape[1:])
    np.testing.assert_allclose(slices, stored[:, rows : rows + 16, columns : columns + 16], atol=1e-2)
    assert network.spacing_mm[2] == pytest.approx(9.0)


def test_a_stack_of_equal_spacings_is_acquired_along_its_third_axis():
    (columns, rows, across), signs = source_axes(Geometry((5, 6, 7), np.eye(4)), Plane.ACQUIRED)
    assert (columns, rows, across, signs) == (0, 1, 2, (1, 1, 1))
