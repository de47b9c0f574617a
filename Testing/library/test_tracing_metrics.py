"""The numbers of a correspondence are those that hand-made fields must have."""

from __future__ import annotations

import numpy as np
import pytest

from MedTranslateLib.core.correspondence import Correspondence, DisplacementField, Origin
from MedTranslateLib.core.errors import InvalidVolumeError
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.metrics.tracing import score_tracing


@pytest.fixture
def grid(oblique_geometry: Geometry) -> Geometry:
    """10 x 8 x 5 voxels of 1.1 x 1.3 x 4.0 mm, rotated and left-handed."""
    return Geometry((10, 8, 5), oblique_geometry.ijk_to_ras)


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


@pytest.mark.parametrize("mask", [np.ones((5, 8, 9), bool), np.zeros((5, 8, 10), bool)])
def test_a_mask_of_another_grid_or_without_points_is_refused(grid, mask):
    field = moved_by_voxels(grid, np.ones(3))
    with pytest.raises(InvalidVolumeError, match=r"mask must select points on the forward field's grid \(5, 8, 10\)"):
        score_tracing(Correspondence(field, field, Origin.MODEL), mask)
