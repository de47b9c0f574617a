"""What one side alone has is listed, at the right place and on the right side; what both have is not."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from ledger_phantom import COLUMNS, OBLIQUE, ROWS, SLICES, TURN, ball, head, images_of

from MedTranslateLib.core.correspondence import Correspondence, DisplacementField, Origin
from MedTranslateLib.core.ledger import LedgerSide
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.trust.ledger import find_ledger
from MedTranslateLib.trust.ledger_rule import LedgerThresholds, default_thresholds

RULE = default_thresholds(reconstruction=False)
PLACE = (52, 33, 3)
PLACE_RAS = (
    55.0 - 52 * COLUMNS * np.cos(TURN) + 33 * ROWS * np.sin(TURN),
    61.0 - 52 * COLUMNS * np.sin(TURN) - 33 * ROWS * np.cos(TURN),
    -17.0 + 3 * SLICES,
)
"""The same by hand: origin plus 52 columns, 33 rows, 3 slices along the tilted axes."""


def with_ball(image, place, diameter_mm, change, geometry=OBLIQUE):
    return np.clip(image + change * ball(place, diameter_mm, geometry), -1, 1).astype(np.float32)


@pytest.mark.parametrize("side", list(LedgerSide))
@pytest.mark.parametrize(("change", "word"), [(1.2, "Bright"), (-1.0, "Dark")])
def test_a_ball_in_one_side_alone_is_the_one_entry_with_its_place_side_and_size(side, change, word):
    source, output = head()
    if side is LedgerSide.SOURCE:
        source = with_ball(source, PLACE, 18, change)
    else:
        output = with_ball(output, PLACE, 18, change)
    ledger = find_ledger(images_of(source, output), RULE, OBLIQUE)
    assert [entry.side for entry in ledger.entries] == [side]
    entry = ledger.entries[0]
    np.testing.assert_allclose(entry.source_ras, PLACE_RAS, atol=2.5)
    np.testing.assert_allclose(entry.output_ras, entry.source_ras, atol=1e-9)
    assert entry.reason.startswith(f"{word} structure of the {side.value}")
    truth = ball(PLACE, 18)
    drawn = ledger.regions_kji == 1
    assert 2 * (drawn & truth).sum() / (drawn.sum() + truth.sum()) > 0.6


def test_the_same_tissues_in_another_contrast_give_no_entry():
    source, output = head()
    assert find_ledger(images_of(source, output), RULE, OBLIQUE).entries == ()
    assert find_ledger(images_of(source, -source), RULE, OBLIQUE).entries == ()


def test_a_ball_that_both_sides_show_in_their_own_contrast_gives_no_entry():
    source, output = head()
    inside = ball(PLACE, 18)
    source[inside], output[inside] = 0.95, -0.85
    assert find_ledger(images_of(source, output), RULE, OBLIQUE).entries == ()


def test_noise_that_differs_between_the_sides_gives_no_entry():
    rng = np.random.default_rng(5)
    noise = [rng.normal(0, 0.3, OBLIQUE.shape_kji).clip(-1, 1).astype(np.float32) for _ in range(2)]
    assert find_ledger(images_of(*noise), RULE, OBLIQUE).entries == ()


@pytest.mark.parametrize("value", [-1.0, 0.3])
def test_constant_images_give_an_empty_ledger(value):
    flat = np.full(OBLIQUE.shape_kji, value, dtype=np.float32)
    ledger = find_ledger(images_of(flat, flat), RULE, OBLIQUE)
    assert ledger.entries == ()
    assert not ledger.regions_kji.any()


def test_a_single_slice_is_looked_at_like_a_volume():
    matrix = OBLIQUE.ijk_to_ras.copy()
    flat = Geometry((150, 120, 1), matrix)
    source, output = head(flat)
    source = with_ball(source, (52, 33, 0), 18, 1.2, flat)
    ledger = find_ledger(images_of(source, output, flat), RULE, flat)
    assert [entry.side for entry in ledger.entries] == [LedgerSide.SOURCE]
    np.testing.assert_allclose(ledger.entries[0].source_ras, np.add(PLACE_RAS, (0, 0, -3 * SLICES)), atol=2.5)


def test_what_came_back_from_the_output_is_no_loss_of_the_source():
    source, output = head()
    source = with_ball(source, PLACE, 18, 1.2)
    lost = find_ledger(images_of(source, output, back=head()[0]), RULE, OBLIQUE)
    returned = find_ledger(images_of(source, output, back=source), RULE, OBLIQUE)
    assert [entry.side for entry in lost.entries] == [LedgerSide.SOURCE]
    assert returned.entries == ()


def test_a_moved_structure_is_listed_at_its_own_place_on_each_side():
    shift = np.array([9.0, -6.0, 4.0])
    zeros = np.zeros((*OBLIQUE.shape_kji, 3), dtype=np.float32)
    fields = [DisplacementField(zeros + sign * shift.astype(np.float32), OBLIQUE) for sign in (1, -1)]
    moves = Correspondence(fields[0], fields[1], Origin.MODEL)
    source, output = head(seed=8)
    voxels = np.rint(OBLIQUE.ras_to_ijk[:3, :3] @ shift).astype(int)
    assert np.abs(OBLIQUE.ijk_to_ras[:3, :3] @ voxels - shift).max() < 1.3  # the tissues fit to half a voxel
    moved = np.roll(source, voxels[::-1], axis=(0, 1, 2))  # the point p of the output came from p + shift
    place_in_source = np.array(PLACE) + voxels
    moved = np.clip(moved + 1.2 * ball(tuple(place_in_source), 18), -1, 1).astype(np.float32)
    inner = ball((45, 36, 3), 62)  # rolled slices enter at the other end
    images = images_of(moved, output, correspondence=moves, valid=inner)
    ledger = find_ledger(images, RULE, OBLIQUE)
    entry = ledger.entries[0]
    assert entry.side is LedgerSide.SOURCE
    np.testing.assert_allclose(entry.output_ras, PLACE_RAS, atol=2.5)
    np.testing.assert_allclose(np.subtract(entry.source_ras, entry.output_ras), shift, atol=1e-5)
    k, j, i = np.argwhere(ledger.regions_kji == entry.number).mean(axis=0)
    np.testing.assert_allclose(OBLIQUE.ras_from_ijk([i, j, k]), np.add(PLACE_RAS, shift), atol=3.5)


def test_nothing_is_listed_where_the_network_saw_nothing():
    source, output = head()
    source = with_ball(source, PLACE, 18, 1.2)
    blind = ~ball(PLACE, 40)
    assert find_ledger(images_of(source, output, valid=blind), RULE, OBLIQUE).entries == ()


def test_trust_is_the_mean_of_the_map_in_the_region():
    source, output = head()
    source = with_ball(source, PLACE, 18, 1.2)
    halves = np.full(OBLIQUE.shape_kji, 0.25, dtype=np.float32)
    halves[ball(PLACE, 26)] = 0.75
    entry = find_ledger(images_of(source, output), RULE, OBLIQUE, Volume(halves, OBLIQUE)).entries[0]
    assert entry.trust == pytest.approx(0.75, abs=0.02)
    assert find_ledger(images_of(source, output), RULE, OBLIQUE).entries[0].trust is None


def test_the_regions_lie_on_the_output_s_grid_whatever_the_network_s():
    source, output = head()
    source = with_ball(source, PLACE, 18, 1.2)
    swapped = Geometry((7, 90, 72), OBLIQUE.ijk_to_ras[:, [2, 0, 1, 3]])
    ledger = find_ledger(images_of(source, output), RULE, swapped)
    straight = find_ledger(images_of(source, output), RULE, OBLIQUE)
    np.testing.assert_array_equal(ledger.regions_kji, straight.regions_kji.transpose(1, 2, 0))


def test_at_most_255_entries_are_kept_and_the_strongest_come_first():
    rng = np.random.default_rng(2)
    large = Geometry((300, 300, 3), np.diag([1.2, 1.2, 30.0, 1.0]))
    field = [rng.normal(0, 0.3, large.shape_kji).clip(-1, 1).astype(np.float32) for _ in range(2)]
    low = LedgerThresholds((4.0,), (0.3,), (0.3,), "Everything.")
    ledger = find_ledger(images_of(field[0], field[1], large), low, large)
    assert len(ledger.entries) == 255
    strengths = [entry.strength for entry in ledger.entries]
    assert strengths == sorted(strengths, reverse=True)
    assert ledger.regions_kji.max() <= 255
    fewer = find_ledger(images_of(field[0], field[1], large), replace(low, source=(9.0,), output=(9.0,)), large)
    assert fewer.entries == ()


@pytest.mark.slow
def test_a_head_of_a_millimetre_takes_less_than_ten_seconds():
    grid = Geometry((256, 256, 150), np.diag([1.0, 1.0, 1.0, 1.0]))
    source, output = head(grid)
    source = with_ball(source, (150, 110, 70), 30, 1.2, grid)
    started = time.process_time()
    ledger = find_ledger(images_of(source, output, grid, back=output), RULE, grid)
    assert time.process_time() - started < 10
    assert ledger.rule == RULE.rule
