"""Fields map points as closed forms and SimpleITK say, on an oblique, anisotropic, left-handed grid."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import SimpleITK as sitk

from MedTranslateLib.core.correspondence import Correspondence, DisplacementField, Origin
from MedTranslateLib.core.errors import InvalidVolumeError
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.imaging.fields import (
    compose_fields,
    field_from_index_displacement,
    inside,
    is_identity,
    jacobian_at,
    jacobian_determinant,
    map_points,
    round_trip_error_mm,
    sample_on,
    slice_points_ras,
)
from MedTranslateLib.imaging.geometry import set_geometry

AFFINE = np.array([[1.10, 0.08, -0.03], [-0.05, 0.92, 0.06], [0.02, -0.04, 1.05]])
NORMALS = np.array([[0.9, -0.3, 0.2], [0.1, 0.8, -0.5], [-0.4, 0.3, 0.7]])
STRENGTHS = np.array([0.010, -0.007, 0.012])


@pytest.fixture
def grid(oblique_geometry: Geometry) -> Geometry:
    """21 x 17 x 9 voxels of 1.1 x 1.3 x 4.0 mm, rotated and left-handed."""
    return Geometry((21, 17, 9), oblique_geometry.ijk_to_ras)


def field_of(geometry: Geometry, displacement) -> DisplacementField:
    """Samples a function of RAS points (..., 3) on a grid."""
    points = np.stack(list(slice_points_ras(geometry)))
    return DisplacementField(np.broadcast_to(displacement(points), points.shape).astype(np.float32), geometry)


def random_points(geometry: Geometry, count: int, margin: float = 0.0) -> np.ndarray:
    """Points between grid points, at least `margin` voxels from the outermost centres."""
    high = np.array(geometry.size_ijk) - 1 - margin
    return geometry.ras_from_ijk(np.random.default_rng(5).uniform(np.minimum(margin, high), high, (count, 3)))


def affine(points: np.ndarray) -> np.ndarray:
    return points @ (AFFINE - np.eye(3)).T + [2.0, -3.0, 1.5]


def quadratic(points: np.ndarray) -> np.ndarray:
    return STRENGTHS * ((points - [30.0, -55.0, 12.0]) @ NORMALS.T) ** 2


def jacobian_of_quadratic(points: np.ndarray) -> np.ndarray:
    """Derivative of s_r (n_r . q)^2 by q is 2 s_r (n_r . q) n_r in row r."""
    inner = (points - [30.0, -55.0, 12.0]) @ NORMALS.T
    return np.linalg.det(np.eye(3) + (2 * STRENGTHS * inner)[..., None] * NORMALS)


def as_transform(field: DisplacementField) -> sitk.DisplacementFieldTransform:
    vectors = field.vectors_kji_ras.astype(np.float64) * [-1, -1, 1]
    return sitk.DisplacementFieldTransform(set_geometry(sitk.GetImageFromArray(vectors, isVector=True), field.geometry))


def mapped_by_simpleitk(field: DisplacementField, points_ras: np.ndarray) -> np.ndarray:
    transform = as_transform(field)
    return np.array([transform.TransformPoint((p * [-1, -1, 1]).tolist()) for p in points_ras]) * [-1, -1, 1]


def test_slice_points_are_the_centres_of_the_voxels_in_array_order(grid):
    points = np.stack(list(slice_points_ras(grid)))
    assert points.shape == (9, 17, 21, 3)
    np.testing.assert_allclose(points[3, 2, 5], grid.ras_from_ijk([5, 2, 3]), atol=1e-9)


def test_an_affine_displacement_maps_points_between_grid_points_by_its_matrix(grid):
    points = random_points(grid, 500)
    np.testing.assert_allclose(map_points(field_of(grid, affine), points), points + affine(points), atol=2e-6)


def test_points_inside_and_outside_go_where_simpleitk_sends_them(grid):
    vectors = np.random.default_rng(1).normal(size=(*grid.shape_kji, 3)).astype(np.float32)
    field = DisplacementField(vectors, grid)
    indices = np.random.default_rng(2).uniform(-2, np.array(grid.size_ijk) + 1, (2000, 3))
    points = grid.ras_from_ijk(indices)
    np.testing.assert_allclose(map_points(field, points), mapped_by_simpleitk(field, points), atol=1e-9)
    moved = (map_points(field, points) != points).any(axis=1)
    np.testing.assert_array_equal(inside(field, points), moved)
    assert 200 < moved.sum() < 1800


def test_the_grid_covers_half_a_voxel_beyond_its_outermost_centres(grid):
    field = field_of(grid, lambda points: np.array([1.0, 2.0, 3.0]))
    indices = [
        [-0.49, 8, 4],
        [20.49, 8, 4],
        [10, -0.49, 4],
        [10, 8, 8.49],
        [-0.51, 8, 4],
        [10, 16.51, 4],
        [10, 8, 8.51],
    ]
    assert inside(field, grid.ras_from_ijk(indices)).tolist() == [True] * 4 + [False] * 3
    moved = map_points(field, grid.ras_from_ijk(indices)) - grid.ras_from_ijk(indices)
    np.testing.assert_allclose(moved, [[1, 2, 3]] * 4 + [[0, 0, 0]] * 3, atol=1e-6)


def test_points_keep_their_shape_and_the_callers_array_is_not_touched(grid):
    field = field_of(grid, affine)
    points = random_points(grid, 6).reshape(2, 3, 3)
    before = points.copy()
    mapped = map_points(field, points)
    assert mapped.shape == (2, 3, 3)
    np.testing.assert_array_equal(points, before)
    np.testing.assert_allclose(map_points(field, points[1, 2]), mapped[1, 2], atol=1e-12)
    assert jacobian_at(field, points).shape == inside(field, points).shape == (2, 3)


def test_more_points_than_fit_at_once_are_all_mapped(grid):
    points = random_points(grid, 70_000)
    np.testing.assert_allclose(map_points(field_of(grid, affine), points), points + affine(points), atol=2e-6)


def test_the_determinant_of_an_affine_map_is_that_of_its_matrix_up_to_the_border(grid):
    determinants = jacobian_determinant(field_of(grid, affine))
    assert determinants.shape == grid.shape_kji
    np.testing.assert_allclose(determinants, np.linalg.det(AFFINE), atol=5e-6)


def test_a_reflection_has_a_negative_determinant(grid):
    determinants = jacobian_determinant(field_of(grid, lambda points: points * [-2, 0, 0]))
    np.testing.assert_allclose(determinants, -1, atol=2e-5)


def test_the_determinant_of_a_quadratic_field_is_the_analytic_one(grid):
    field = field_of(grid, quadratic)  # central differences of a quadratic are exact
    expected = jacobian_of_quadratic(np.stack(list(slice_points_ras(grid))))[1:-1, 1:-1, 1:-1]
    assert expected.max() - expected.min() > 0.5
    np.testing.assert_allclose(jacobian_determinant(field)[1:-1, 1:-1, 1:-1], expected, atol=1e-5)


def test_simpleitks_determinant_is_the_same_on_an_unrotated_grid_and_another_on_a_rotated_one(grid):
    straight = Geometry((21, 17, 9), np.diag([-1.1, -1.3, 4.0, 1.0]) + np.eye(4, k=3) * 30)
    for geometry, equal in ((straight, True), (grid, False)):
        field = field_of(geometry, quadratic)
        image = sitk.Cast(as_transform(field).GetDisplacementField(), sitk.sitkVectorFloat64)
        theirs = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(image))[1:-1, 1:-1, 1:-1]
        difference = np.abs(jacobian_determinant(field)[1:-1, 1:-1, 1:-1] - theirs).max()
        assert (difference < 2e-5) == equal, difference


def test_determinants_at_grid_points_equal_those_of_the_whole_field(grid):
    field = field_of(grid, quadratic)
    points = np.stack(list(slice_points_ras(grid)))
    np.testing.assert_allclose(jacobian_at(field, points), jacobian_determinant(field), atol=1e-5)


def test_determinants_between_grid_points_agree_with_differences_of_mapped_points(grid):
    field = field_of(grid, quadratic)
    points = random_points(grid, 200, margin=1.5)
    steps = np.eye(3) * 1.5
    columns = [(map_points(field, points + step) - map_points(field, points - step)) / 3.0 for step in steps]
    expected = np.linalg.det(np.stack(columns, axis=-1))
    assert np.ptp(expected) > 0.3
    np.testing.assert_allclose(jacobian_at(field, points), expected, atol=0.02)
    np.testing.assert_allclose(jacobian_at(field, points), jacobian_of_quadratic(points), atol=0.01)


def test_outside_the_grid_nothing_moves_and_the_determinant_is_one(grid):
    field = field_of(grid, affine)
    far = grid.ras_from_ijk([[-3.0, 4, 4], [5, 5, 20]])
    np.testing.assert_array_equal(map_points(field, far), far)
    np.testing.assert_array_equal(jacobian_at(field, far), [1, 1])


def test_a_single_slice_has_the_determinant_of_its_plane(grid):
    slice_grid = Geometry((21, 17, 1), grid.ijk_to_ras)
    in_plane = np.array([[1.2, 0.1], [-0.3, 0.9]])  # index units: columns of i and j
    rows, columns = np.mgrid[:17, :21]
    index_map = (in_plane - np.eye(2)) @ np.stack([columns.ravel(), rows.ravel()])
    displacement = index_map[::-1].T.reshape(1, 17, 21, 2)  # (rows, columns)
    field = field_from_index_displacement(displacement, slice_grid)
    np.testing.assert_allclose(jacobian_determinant(field), 1.2 * 0.9 + 0.1 * 0.3, atol=1e-5)
    middle = slice_grid.ras_from_ijk([7.3, 4.6, 0.2])
    assert jacobian_at(field, middle) == pytest.approx(1.2 * 0.9 + 0.1 * 0.3, abs=1e-5)
    assert map_points(field, middle) == pytest.approx(mapped_by_simpleitk(field, middle[None])[0], abs=1e-9)


def test_displacements_in_voxels_lead_from_voxel_centre_to_voxel_centre(grid):
    three = np.broadcast_to(np.float32([1, 2, 3]), (*grid.shape_kji, 3))  # slices, rows, columns
    two = np.broadcast_to(np.float32([2, 3]), (*grid.shape_kji, 2))  # rows, columns
    start = grid.ras_from_ijk([4, 5, 6])
    for displacement, end in ((three, [7, 7, 7]), (two, [7, 7, 6])):
        field = field_from_index_displacement(displacement, grid)
        np.testing.assert_allclose(map_points(field, start), grid.ras_from_ijk(end), atol=1e-5)


@pytest.mark.parametrize("shape", [(9, 17, 21, 1), (9, 17, 21, 4), (17, 21, 2), (9, 21, 17, 3)])
def test_displacements_of_another_shape_are_refused(grid, shape):
    with pytest.raises(InvalidVolumeError, match=r"needs|got"):
        field_from_index_displacement(np.zeros(shape, np.float32), grid)


def test_the_round_trip_error_is_the_distance_from_the_start(grid):
    forward = field_of(grid, lambda points: np.array([1.0, 0.5, -0.5]))
    inverse = field_of(grid, lambda points: np.array([-0.7, -0.9, 0.5]))
    errors = round_trip_error_mm(Correspondence(forward, inverse, Origin.MODEL), random_points(grid, 50, margin=2))
    np.testing.assert_allclose(errors, 0.5, atol=1e-6)  # (0.3, -0.4, 0)


def test_on_a_finer_rotated_grid_a_field_is_what_simpleitk_resamples(grid):
    field = field_of(grid, quadratic)
    matrix = np.eye(4)
    matrix[:3, :3] = np.diag([-0.8, 0.9, 1.7])
    matrix[:3, 3] = grid.ras_from_ijk([12, 2, 1])
    finer = Geometry((14, 13, 9), matrix)
    image = sitk.Cast(as_transform(field).GetDisplacementField(), sitk.sitkVectorFloat64)
    reference = set_geometry(sitk.Image(14, 13, 9, sitk.sitkUInt8), finer)
    theirs = sitk.GetArrayFromImage(sitk.Resample(image, reference, sitk.Transform(), sitk.sitkLinear, 0.0))
    np.testing.assert_allclose(sample_on(field, finer).vectors_kji_ras, theirs * [-1, -1, 1], atol=1e-5)
    outside = ~inside(field, np.stack(list(slice_points_ras(finer))))
    assert outside.any()
    assert not outside.all()
    assert not sample_on(field, finer).vectors_kji_ras[outside].any()


def test_on_its_own_grid_a_field_is_returned_as_it_is(grid):
    field = field_of(grid, quadratic)
    assert sample_on(field, Geometry(grid.size_ijk, grid.ijk_to_ras)) is field


def test_a_composition_maps_grid_points_like_one_field_after_the_other(grid):
    first = field_of(grid, lambda points: 0.02 * affine(points))
    coarse = Geometry((6, 6, 6), grid.ijk_to_ras @ np.diag([4.0, 3.2, 1.6, 1.0]))
    second = field_of(coarse, quadratic)
    points = np.stack(list(slice_points_ras(grid))).reshape(-1, 3)
    both = map_points(compose_fields(first, second), points)
    np.testing.assert_allclose(both, map_points(second, map_points(first, points)), atol=1e-5)
    assert np.abs(both - map_points(first, map_points(second, points))).max() > 1e-2


def test_composing_with_an_identity_gives_back_the_other_field(grid):
    field, still = field_of(grid, affine), DisplacementField.zero(grid)
    assert compose_fields(field, still) is field
    assert compose_fields(still, field) is field


def test_an_identity_maps_a_large_volume_without_memory_for_its_field():
    large = Geometry((1024, 1024, 1024), np.diag([0.3, 0.3, 0.5, 1.0]))
    point = np.array([[12.5, 99.0, -3.25]])
    tracemalloc.start()
    identity = Correspondence.identity(large)
    whole = sample_on(identity.forward, large)
    mapped = map_points(whole, point)
    determinants = jacobian_determinant(whole)
    errors = round_trip_error_mm(identity, point)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_array_equal(mapped, point)
    assert is_identity(whole)
    assert determinants.shape == (1024, 1024, 1024)
    assert determinants[5, 6, 7] == 1
    assert errors.tolist() == [0]
    assert jacobian_at(identity.inverse, point).tolist() == [1]
    assert peak < 1_000_000
