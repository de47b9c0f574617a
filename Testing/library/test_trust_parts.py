"""Each reason to doubt a place, against fields and images whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from MedTranslateLib.core.correspondence import Correspondence, DisplacementField, Origin
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.scale import IntensityRange
from MedTranslateLib.imaging.tracing import value_at
from MedTranslateLib.trust.parts import (
    carried_to_output,
    cycle_map,
    distance_outside,
    folding_map,
    intensity_map,
    round_trip_map,
)


@pytest.fixture
def grid(oblique_geometry: Geometry) -> Geometry:
    return Geometry((17, 13, 5), oblique_geometry.ijk_to_ras)


def constant_field(grid: Geometry, vector: tuple[float, float, float]) -> DisplacementField:
    return DisplacementField(np.broadcast_to(np.float32(vector), (*grid.shape_kji, 3)).copy(), grid)


def test_the_round_trip_of_two_shifts_is_what_they_do_not_undo(grid):
    there = constant_field(grid, (1.0, 0.0, -1.0))
    back = constant_field(grid, (-1.0, 0.0, 0.25))  # leaves (0, 0, -0.75)
    errors = round_trip_map(Correspondence(there, back, Origin.MODEL), grid)
    np.testing.assert_allclose(errors[2:3, 3:-3, 3:-3], 0.75, atol=1e-5)


def test_fields_that_move_nothing_have_neither_round_trip_nor_folds(grid):
    identity = Correspondence.identity(grid)
    assert round_trip_map(identity, grid) is None
    assert folding_map(identity, grid) is None


@pytest.mark.parametrize(("stretch", "folding"), [(-1.5, 1.0), (-1.0, 1.0), (-0.25, 0.25), (0.0, 0.0), (0.5, 0.0)])
def test_folding_is_what_det_j_lacks_to_one(grid, stretch, folding):
    direction = np.array([0.6, -0.48, 0.64])  # of length 1: x -> x + a (d.x) d has det J = 1 + a
    points = grid.ras_from_ijk(np.stack(np.meshgrid(*(np.arange(n) for n in grid.size_ijk), indexing="ij"), -1))
    vectors = np.transpose(stretch * (points @ direction)[..., None] * direction, (2, 1, 0, 3))
    field = DisplacementField(vectors.astype(np.float32), grid)
    there = Correspondence(field, field, Origin.MODEL)
    np.testing.assert_allclose(folding_map(there, grid), folding, atol=1e-3)


def test_intensities_are_far_away_by_what_they_exceed_the_training_images(grid):
    share = np.linspace(-0.5, 2.0, int(np.prod(grid.size_ijk)), dtype=np.float32).reshape(grid.shape_kji)
    source = Volume(100 + 400 * share, grid)  # 0 and 1 of the network are 100 and 500
    found = intensity_map(source, grid, IntensityRange(100.0, 500.0), (-0.1, 1.25), slab=2)
    wanted = np.where(share < -0.1, -0.1 - share, np.where(share > 1.25, share - 1.25, 0))
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert found.max() == pytest.approx(0.75, abs=1e-5)


def test_a_value_inside_the_range_has_no_distance():
    assert distance_outside(np.float32([0.2, 0.5]), (0.2, 0.5)).tolist() == [0, 0]


def test_a_cycle_that_loses_half_of_the_range_has_a_residual_of_a_half():
    source = np.full((2, 3, 4), 0.5, np.float32)
    back = source.copy()
    back[0] -= 1.0
    residual = cycle_map(source, back)
    assert np.all(residual[0] == 0.5)
    assert np.all(residual[1] == 0)


def test_a_map_of_the_source_is_seen_where_the_model_took_its_pixels_from(grid):
    columns = grid.ijk_to_ras[:3, 0]  # the output at column i is the source at column i + 2
    field = constant_field(grid, tuple(2 * columns))
    values = np.random.default_rng(1).random(grid.shape_kji).astype(np.float32)
    model = Correspondence(field, field, Origin.MODEL)
    moved = carried_to_output(values, model, grid)
    np.testing.assert_allclose(moved[:, :, :-2], values[:, :, 2:], atol=1e-5)
    np.testing.assert_allclose(moved[:, :, -1], values[:, :, -1], atol=1e-5)  # beyond the border, its value


def test_fields_that_were_estimated_afterwards_move_no_map(grid):
    field = constant_field(grid, (3.0, 0.0, 0.0))
    values = np.random.default_rng(1).random(grid.shape_kji).astype(np.float32)
    assert carried_to_output(values, Correspondence(field, field, Origin.ESTIMATED), grid) is values


def test_the_value_of_a_map_at_a_point_is_linear_between_voxels_and_none_outside(grid):
    i, j, k = np.meshgrid(*(np.arange(n) for n in grid.size_ijk), indexing="ij")
    volume = Volume(np.transpose(0.01 * i + 0.02 * j + 0.1 * k, (2, 1, 0)), grid)
    inner = grid.ras_from_ijk([3.25, 7.5, 1.75])
    assert value_at(volume, inner) == pytest.approx(0.0325 + 0.15 + 0.175, abs=1e-5)
    assert value_at(volume, grid.ras_from_ijk([-0.4, 0, 0])) == pytest.approx(0, abs=1e-6)
    assert value_at(volume, grid.ras_from_ijk([-0.6, 0, 0])) is None
    assert value_at(volume, grid.ras_from_ijk([0, 0, 4.6])) is None
