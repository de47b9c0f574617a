"""The numbers of a correspondence are those that hand-made fields must have."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from MedTranslateLib.core.correspondence import Correspondence, DisplacementField, Origin
from MedTranslateLib.core.errors import InvalidVolumeError
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.imaging.fields import slice_points_ras
from MedTranslateLib.metrics.tracing import known_deformation_error_mm, roughness, score_tracing


@pytest.fixture
def grid(oblique_geometry: Geometry) -> Geometry:
    """10 x 8 x 5 voxels of 1.1 x 1.3 x 4.0 mm, rotated and left-handed."""
    return Geometry((10, 8, 5), oblique_geometry.ijk_to_ras)


def rotation(axis: tuple[float, float, float], degrees: float) -> np.ndarray:
    return Rotation.from_rotvec(np.radians(degrees) * np.array(axis) / np.linalg.norm(axis)).as_matrix()


def moved_by_voxels(geometry: Geometry, steps_ijk: np.ndarray) -> DisplacementField:
    """The same displacement (3,), or one for each grid point (k, j, i, 3), given in voxels along i, j, k."""
    vectors = np.broadcast_to(steps_ijk @ geometry.ijk_to_ras[:3, :3].T, (*geometry.shape_kji, 3))
    return DisplacementField(vectors.astype(np.float32), geometry)


def test_a_constant_miss_is_the_mean_the_percentile_and_the_maximum_in_both_units(grid):
    forward = moved_by_voxels(grid, np.array([2.0, 0, 0]))
    inverse = moved_by_voxels(grid, np.array([-2.0, 0, 0.5]))
    score = score_tracing(Correspondence(forward, inverse, Origin.MODEL))
    for value in (score.round_trip_mm.mean, score.round_trip_mm.p999, score.round_trip_mm.maximum):
        assert value == pytest.approx(2.0, abs=1e-5)  # half a voxel of 4 mm
    assert score.round_trip_voxels.mean == pytest.approx(0.5, abs=1e-6)
    assert score.left_share == pytest.approx(2 / 10)  # the last two of ten columns leave the grid
    assert score.displacement_mean_mm == pytest.approx(2.2, abs=1e-5)  # two voxels of 1.1 mm
    assert score.displacement_max_mm == pytest.approx(2.2, abs=1e-5)
    assert score.det_j_min == pytest.approx(1, abs=1e-5)
    assert score.folded_share == 0


def test_mean_percentile_and_maximum_of_errors_that_grow_along_a_row(oblique_geometry):
    row = Geometry((1001, 1, 1), oblique_geometry.ijk_to_ras)
    errors = np.zeros((1, 1, 1001, 3))
    errors[..., 1] = np.linspace(0, 0.4, 1001)
    still = moved_by_voxels(row, np.zeros(3))
    score = score_tracing(Correspondence(still, moved_by_voxels(row, errors), Origin.MODEL))
    assert score.round_trip_voxels.mean == pytest.approx(0.2, abs=1e-5)
    assert score.round_trip_voxels.p999 == pytest.approx(0.4 * 0.999, abs=1e-5)
    assert score.round_trip_voxels.maximum == pytest.approx(0.4, abs=1e-5)
    assert score.round_trip_mm.maximum == pytest.approx(0.4 * 1.3, abs=1e-5)


def test_columns_that_change_places_are_counted_as_folded(grid):
    steps = np.zeros((*grid.shape_kji, 3))
    steps[:, :, 4, 0] = 3.0  # column 4 jumps over 5, 6 and 7
    forward = moved_by_voxels(grid, steps)
    score = score_tracing(Correspondence(forward, forward, Origin.ESTIMATED))
    # Half the step from column 4 to 6 is 1 - 3/2 = -1/2 at column 5; at column 3 it is 1 + 3/2.
    assert score.det_j_min == pytest.approx(-0.5, abs=1e-5)
    assert score.folded_share == pytest.approx(1 / 10)
    assert score.displacement_mean_mm == pytest.approx(3.3 / 10, abs=1e-5)
    assert score.displacement_max_mm == pytest.approx(3.3, abs=1e-5)


def test_only_what_the_mask_selects_is_measured(grid):
    steps = np.zeros((*grid.shape_kji, 3))
    steps[:, :, 4, 0] = 3.0
    forward = moved_by_voxels(grid, steps)
    mask = np.zeros(grid.shape_kji, dtype=bool)
    mask[1:3, 2:7, 7:] = True
    score = score_tracing(Correspondence(forward, forward, Origin.MODEL), mask)
    assert score.det_j_min == pytest.approx(1, abs=1e-6)
    assert (score.folded_share, score.left_share) == (0, 0)
    assert (score.displacement_max_mm, score.round_trip_mm.maximum) == (0, 0)


def test_an_identity_is_perfect_whatever_the_mask(grid):
    score = score_tracing(Correspondence.identity(grid), np.ones(grid.shape_kji, dtype=bool))
    assert (score.round_trip_mm.maximum, score.round_trip_voxels.maximum, score.left_share) == (0, 0, 0)
    assert (score.det_j_min, score.folded_share, score.displacement_max_mm) == (1, 0, 0)


def test_where_every_point_leaves_there_is_no_round_trip_to_report(grid):
    away = moved_by_voxels(grid, np.array([50.0, 0, 0]))
    score = score_tracing(Correspondence(away, away, Origin.MODEL))
    assert score.left_share == 1
    assert np.isnan(score.round_trip_mm.mean)


def linear(geometry: Geometry, matrix: np.ndarray) -> DisplacementField:
    """The field of p -> centre + matrix (p - centre), about the middle of the grid, in patient space."""
    centre = geometry.ras_from_ijk((np.array(geometry.size_ijk) - 1) / 2)
    points = np.stack(list(slice_points_ras(geometry)))
    return DisplacementField(((points - centre) @ (matrix - np.eye(3)).T).astype(np.float32), geometry)


@pytest.mark.parametrize("degrees", [3.0, -40.0])
def test_the_roughness_of_a_rotation_is_known_by_its_angle(grid, degrees):
    field = linear(grid, rotation((2, -1, 1), degrees))
    expected = 2 * np.sqrt(2) * abs(np.sin(np.radians(degrees) / 2))
    assert roughness(field) == pytest.approx(expected, rel=1e-4)
    assert score_tracing(Correspondence(field, field, Origin.MODEL)).roughness == pytest.approx(expected, rel=1e-4)


def test_the_roughness_of_a_zoom_a_shear_and_a_translation(grid):
    assert roughness(linear(grid, 0.8 * np.eye(3))) == pytest.approx(0.2 * np.sqrt(3), rel=1e-4)
    assert roughness(linear(grid, np.eye(3) + np.outer([0.3, 0, 0.4], [0, 1, 0]))) == pytest.approx(0.5, rel=1e-4)
    assert roughness(moved_by_voxels(grid, np.array([2.0, 1.0, 0.5]))) == pytest.approx(0.0, abs=1e-6)
    assert roughness(DisplacementField.zero(grid)) == 0.0


def test_the_roughness_of_one_slice_is_that_within_it():
    thin = Geometry((9, 8, 1), np.diag([1.5, 0.8, 6.0, 1.0]))
    assert roughness(linear(thin, 1.25 * np.eye(3))) == pytest.approx(0.25 * np.sqrt(2), rel=1e-4)


def test_roughness_is_a_mean_of_norms_over_the_mask(grid):
    steps = np.zeros((*grid.shape_kji, 3))
    steps[:, :, 5:, 0] = 2.0  # a jump of 2 voxels: the central differences at columns 4 and 5 are 1
    field = moved_by_voxels(grid, steps)
    mask = np.zeros(grid.shape_kji, bool)
    mask[1:3, 2:4, 2:6] = True  # columns 2, 3, 4, 5
    assert roughness(field, mask) == pytest.approx(2 / 4, abs=1e-5)


def test_the_error_of_a_known_rotation_is_the_chord_at_every_radius(grid):
    known, mask = linear(grid, rotation((0, 0, 1), 10.0)), np.zeros(grid.shape_kji, bool)
    mask[1:4, 2:6, 1:8] = True
    centre = grid.ras_from_ijk((np.array(grid.size_ijk) - 1) / 2)
    radii = np.linalg.norm((np.stack(list(slice_points_ras(grid))) - centre)[mask][:, :2], axis=-1)
    still = moved_by_voxels(grid, np.zeros(3))
    expected = (2 * np.sin(np.radians(5.0)) * radii).mean()
    assert known_deformation_error_mm(still, known, mask) == pytest.approx(expected, rel=1e-5)
    assert known_deformation_error_mm(DisplacementField.zero(grid), known, mask) == pytest.approx(expected, rel=1e-5)
    assert known_deformation_error_mm(known, known) == 0.0


def test_a_recovered_field_may_lie_on_a_coarser_grid_and_its_miss_counts_in_mm(grid):
    coarse = Geometry((6, 5, 3), grid.ijk_to_ras @ np.diag([2.0, 2.0, 2.0, 1.0]))
    known = moved_by_voxels(grid, np.array([1.0, 0, 0]))
    recovered = moved_by_voxels(coarse, np.array([0.5, 0, 0.25]))  # 1 voxel of 1.1 mm right, half of 4 mm too far
    assert known_deformation_error_mm(recovered, known) == pytest.approx(2.0, rel=1e-5)


def test_other_masks_than_the_grids_are_refused_for_roughness_and_error(grid):
    field, mask = moved_by_voxels(grid, np.ones(3)), np.zeros(grid.shape_kji, bool)
    with pytest.raises(InvalidVolumeError, match="must select points"):
        roughness(field, mask)
    with pytest.raises(InvalidVolumeError, match="must select points"):
        known_deformation_error_mm(field, field, mask[1:])


@pytest.mark.parametrize("mask", [np.ones((5, 8, 9), bool), np.zeros((5, 8, 10), bool)])
def test_a_mask_of_another_grid_or_without_points_is_refused(grid, mask):
    field = moved_by_voxels(grid, np.ones(3))
    with pytest.raises(InvalidVolumeError, match=r"mask must select points on the forward field's grid \(5, 8, 10\)"):
        score_tracing(Correspondence(field, field, Origin.MODEL), mask)
