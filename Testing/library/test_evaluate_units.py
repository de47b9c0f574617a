"""Pairs, grids, figures and stored results of an evaluation are what can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from MedTranslateLib.core.errors import ConfigError, CorruptResultError
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.evaluation.findings_store import SetSample, UnitResult, read_result, write_result
from MedTranslateLib.evaluation.measurement import Findings, Measurement, Pictured, Problem, Severity
from MedTranslateLib.evaluation.pairs import Pair, from_unit, pair_of, to_unit
from MedTranslateLib.evaluation.regrid import Regrid
from MedTranslateLib.evaluation.score_case import Judge, score_case, trace_slices
from MedTranslateLib.evaluation.set_figures import set_figures
from MedTranslateLib.evaluation.unit_store import UnitStore
from MedTranslateLib.methods.contract import Direction
from MedTranslateLib.metrics.distribution import frechet_distance, simplified_frechet_distance
from MedTranslateLib.training.cases import TrainingCase

ODD_NAME = 'Grün<|&_"\n\u96ea\udcff'


def numbered(count: int = 7) -> np.ndarray:
    """Slices in [-1, 1]; slice n holds a disc of brightness n / 10 on black."""
    rows, columns = np.indices((24, 20))
    disc = np.hypot(rows - 12, columns - 10) < 7
    return np.stack([np.where(disc, n / 10, -1.0) for n in range(count)]).astype(np.float32)


def case_of(source: np.ndarray | None, target: np.ndarray | None, **changes: object) -> TrainingCase:
    return TrainingCase("p", source, target, **{"paired": True, "slice_spacing_mm": 2.5, **changes})


# ---- pairs


def test_a_pair_holds_each_second_slice_but_those_with_a_blank_target():
    target = numbered()
    target[2] = -0.3
    pair = pair_of(case_of(-numbered(), target), Direction.FORWARD, every=2)
    assert pair.indices == (0, 4, 6)
    assert pair.slice_spacing_mm == 5.0
    np.testing.assert_array_equal(pair.target, (target[[0, 4, 6]] + 1) / 2)
    np.testing.assert_array_equal(pair.source, (-numbered()[[0, 4, 6]] + 1) / 2)


def test_the_reverse_pair_swaps_both_and_looks_for_blank_slices_on_the_other_side():
    source, target = numbered(), -numbered()
    source[3], target[5] = 1.0, 1.0
    pair = pair_of(case_of(source, target, slice_spacing_mm=None), Direction.REVERSE)
    assert pair.indices == (0, 1, 2, 4, 5, 6)
    assert pair.slice_spacing_mm is None
    np.testing.assert_array_equal(pair.source[4], np.ones((24, 20)))
    np.testing.assert_array_equal(pair.target[0], (source[0] + 1) / 2)


def test_the_body_is_the_disc_of_either_image_and_nothing_where_both_have_one_shade():
    source = numbered(2)
    source[1] = 1.0
    pair = pair_of(case_of(source, numbered(2)), Direction.FORWARD)
    rows, columns = np.indices((24, 20))
    radius = np.hypot(rows - 12, columns - 10)
    assert pair.bodies[0][radius < 6].all()
    assert not pair.bodies[0][radius > 9].any()
    assert not pair.bodies[1].any()


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (case_of(None, numbered()), "no source"),
        (case_of(numbered(), None), "no target"),
        (case_of(numbered(), numbered(), paired=False), "no pairing"),
        (case_of(numbered(), np.zeros((7, 24, 20), np.float32)), "All 7 slices of the forward target are blank"),
    ],
)
def test_a_case_that_cannot_be_compared_says_what_is_missing(case, words):
    with pytest.raises(ConfigError, match=words):
        pair_of(case, Direction.FORWARD)


def test_minus_one_to_one_becomes_zero_to_one_and_back():
    values = np.array([-1, -0.5, 0, 0.25, 1], np.float32)
    np.testing.assert_array_equal(to_unit(values), [0, 0.25, 0.5, 0.625, 1])
    np.testing.assert_array_equal(from_unit(to_unit(values)), values)


# ---- grids


def grid_of(
    oblique: Geometry, spacing_mm: float, size_ij: tuple[int, int], first_mm: tuple[float, float], turn_deg: float = 0
) -> Geometry:
    """A grid with the slices of the oblique one: another spacing, size, first pixel and direction within them."""
    matrix = oblique.ijk_to_ras.copy()
    matrix[:3, 3] = oblique.origin_ras + oblique.direction_ras[:, :2] @ np.array(first_mm)
    matrix[:3, :2] = oblique.direction_ras[:, :2] @ rotation(turn_deg) * spacing_mm
    return Geometry((*size_ij, 3), matrix)


def ramp(geometry: Geometry) -> np.ndarray:
    """An image that grows linearly along a skew direction of the patient."""
    indices = np.stack(np.meshgrid(*(np.arange(n) for n in geometry.size_ijk), indexing="ij"), axis=-1)
    values = geometry.ras_from_ijk(indices) @ np.array([0.011, -0.007, 0.013]) + 0.2
    return values.transpose(2, 1, 0).astype(np.float32)


def test_a_ramp_is_the_same_ramp_on_a_finer_shifted_turned_grid_of_the_same_oblique_slices(oblique_geometry):
    source = grid_of(oblique_geometry, 2.0, (40, 30), (0.0, 0.0))
    target = grid_of(oblique_geometry, 1.3, (30, 20), (25.0, 8.0), turn_deg=20)
    np.testing.assert_allclose(Regrid(source, target)(ramp(source), 9.0), ramp(target), atol=2e-6)


def test_an_image_is_interpolated_as_scipy_does_and_has_the_outside_value_beyond(oblique_geometry):
    source = grid_of(oblique_geometry, 2.0, (40, 30), (0.0, 0.0))
    target = grid_of(oblique_geometry, 1.5, (60, 50), (-10.0, -4.0))
    image = np.random.default_rng(1).random((3, 30, 40)).astype(np.float32)
    moved = Regrid(source, target)(image, -1.0)
    rows, columns = (-4.0 + 1.5 * np.arange(50)) / 2.0, (-10.0 + 1.5 * np.arange(60)) / 2.0
    places = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1)
    for one, was in zip(moved, image, strict=True):
        by_scipy = RegularGridInterpolator((np.arange(30), np.arange(40)), was, bounds_error=False, fill_value=-1.0)
        np.testing.assert_allclose(one, by_scipy(places), atol=1e-5)
    assert (moved[:, 0] == -1.0).all()


@pytest.mark.parametrize("kind", ["shifted across", "tilted", "one slice more"])
def test_grids_whose_slices_do_not_lie_in_the_same_planes_are_refused(oblique_geometry, kind):
    source = grid_of(oblique_geometry, 2.0, (40, 30), (0.0, 0.0))
    matrix, size = source.ijk_to_ras.copy(), source.size_ijk
    if kind == "shifted across":
        matrix[:3, 3] += 0.5 * source.direction_ras[:, 2]
    elif kind == "tilted":
        matrix[:3, 0] += 0.05 * source.direction_ras[:, 2]
    else:
        size = (40, 30, 4)
    with pytest.raises(ConfigError, match="same planes"):
        Regrid(source, Geometry(size, matrix))


# ---- stored results


def test_a_result_is_read_back_exactly_with_odd_names_and_numbers_that_are_none(tmp_path):
    images = np.random.default_rng(2).random((6, 5, 4)).astype(np.float32)
    values = (0.1 + 0.2, float("nan"), float("inf"), float("-inf"), 5e-324)
    result = UnitResult(
        Findings(
            tuple(Measurement(ODD_NAME, "p", "forward", "m", f"x{n}", v, n or None) for n, v in enumerate(values)),
            (
                Pictured("t", ODD_NAME, "forward", "m", images[0], images[1]),
                Pictured("t", "p", "reverse", "m", images[2], images[3], images[4], images[5], images[:2]),
            ),
            (Problem("t", ODD_NAME, "", "why", Severity.NOTED), Problem("t", "p", "m", "what")),
        ),
        (SetSample("t", "forward", "m", {"output_histogram": np.array([1, 2**53 + 1]), "ä": np.array([np.nan])}),),
    )
    store = UnitStore(tmp_path)
    write_result(store, "ab", result)
    back = read_result(store, "ab")
    for one, other in zip(back.findings.measurements, result.findings.measurements, strict=True):
        assert repr(one) == repr(other)
    assert back.findings.problems == result.findings.problems
    for one, other in zip(back.findings.pictures, result.findings.pictures, strict=True):
        assert (one.table, one.case, one.direction, one.method) == (other.table, other.case, other.direction, "m")
        for name in ("source", "output", "target", "uncertainty", "displacement"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(back.samples[0].arrays["output_histogram"], [1, 2**53 + 1])
    np.testing.assert_array_equal(back.samples[0].arrays["ä"], [np.nan])


def test_a_result_that_is_not_there_is_not_made_up(tmp_path):
    with pytest.raises(CorruptResultError, match="no whole result"):
        read_result(UnitStore(tmp_path), "ab")


# ---- figures of sets


def samples_of(width: int) -> tuple[list[SetSample], dict[str, np.ndarray]]:
    """Three cases of different sizes, and all their arrays in one."""
    generator = np.random.default_rng(3)
    samples = [
        SetSample(
            "t",
            "forward",
            "m",
            {
                "output_histogram": generator.integers(0, 90, 256),
                "target_histogram": generator.integers(0, 90, 256),
                "output_features": generator.normal(0.0, 1.0, (rows, width)),
                "target_features": generator.normal(0.3, 2.0, (rows, width)),
            },
        )
        for rows in (4, 1, 7)
    ]
    return samples, {
        name: np.concatenate([one.arrays[name] for one in samples]) for name in ("output_features", "target_features")
    }


@pytest.mark.parametrize(("width", "names"), [(6, ("frechet", "sfd")), (2048, ("fid", "sfd_inception"))])
def test_distances_of_a_set_are_those_of_all_its_slices_in_one(width, names):
    samples, together = samples_of(width)
    found = {one.metric: one.value for one in set_figures(samples)}
    both = together["output_features"], together["target_features"]
    assert found[names[0]] == pytest.approx(frechet_distance(*both), rel=1e-9)
    assert found[names[1]] == pytest.approx(simplified_frechet_distance(*both), rel=1e-9)
    p, q = (sum(one.arrays[f"{side}_histogram"] for one in samples) for side in ("output", "target"))
    assert found["bhattacharyya"] == pytest.approx(-np.log(np.sqrt(p / p.sum() * q / q.sum()).sum()), rel=1e-9)


def test_distances_of_a_set_do_not_depend_on_the_order_of_its_cases():
    samples, _ = samples_of(6)
    assert [one.value for one in set_figures(samples)] == [one.value for one in set_figures(samples[::-1])]


def test_each_method_direction_and_table_is_a_set_of_its_own():
    samples, _ = samples_of(6)
    other = [replace(samples[1], method="n"), replace(samples[2], direction="reverse"), replace(samples[0], table="u")]
    found = [(one.table, one.direction, one.method, one.case) for one in set_figures([*samples, *other])]
    expected = [
        ("t", "forward", "m", ""),
        ("t", "forward", "n", ""),
        ("t", "reverse", "m", ""),
        ("u", "forward", "m", ""),
    ]
    assert list(dict.fromkeys(found)) == expected


# ---- figures of a case


def flat(*shades: float) -> np.ndarray:
    return np.stack([np.full((24, 20), shade, np.float32) for shade in shades])


def test_a_case_has_the_mean_of_its_slices_and_what_is_not_defined_is_left_out():
    bodies = np.zeros((2, 24, 20), bool)
    bodies[1, 5:10, 5:10] = True
    pair = Pair(flat(0.5, 0.5), flat(0.5, 0.5), (0, 1), bodies, None)
    judge = Judge({}, distance=lambda _output, _target: np.array([2.0, 3.0]), hounsfield=(-1000.0, 1000.0))
    figures = score_case(flat(0.6, 0.8), pair, judge)
    assert [one["mae"] for one in figures.slices] == pytest.approx([0.1, 0.3], rel=1e-5)
    assert figures.whole["mae"] == pytest.approx(0.2, rel=1e-5)
    assert figures.whole["mse"] == pytest.approx((0.01 + 0.09) / 2, rel=1e-5)
    assert figures.whole["psnr_db"] == pytest.approx((20 - 10 * np.log10(0.09)) / 2, rel=1e-5)
    assert figures.whole["mae_hu"] == pytest.approx((200 + 600) / 2, rel=1e-5)
    assert figures.whole["lpips"] == 2.5
    shades = [(2 * a * 0.5 + 1e-4) / (a * a + 0.25 + 1e-4) for a in (0.6, 0.8)]  # SSIM of flat images
    assert figures.whole["ssim"] == pytest.approx(np.mean(shades), rel=1e-4)
    assert np.isnan(figures.slices[0]["mae_body"])
    assert figures.whole["mae_body"] == pytest.approx(0.3, rel=1e-5)


def mapping(matrix: np.ndarray, shape: tuple[int, int] = (31, 25)) -> np.ndarray:
    """Displacement (2, H, W) in pixels (rows, columns) of x -> matrix x about the middle."""
    places = np.stack(np.indices(shape)).astype(np.float64)
    centred = places - np.array([(n - 1) / 2 for n in shape])[:, None, None]
    return np.einsum("ab,bhw->ahw", matrix - np.eye(2), centred)


def rotation(degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def stacked(*slices: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return np.stack([np.stack(side) for side in zip(*slices, strict=True)]).astype(np.float32)


def test_a_rotation_and_its_inverse_come_back_and_keep_areas():
    score = trace_slices(stacked((mapping(rotation(12)), mapping(rotation(-12)))))
    assert score["round_trip_px"] < 0.01  # half a pixel around the outermost centres counts as covered
    assert score["folded"] == 0
    assert score["smoothness"] == pytest.approx(2 * np.sqrt(2) * np.sin(np.radians(6)), rel=1e-4)
    assert score["det_j_min"] == pytest.approx(1, abs=1e-4)


def test_a_case_has_the_mean_over_its_slices_but_the_worst_determinant():
    """A move by (3, -2) that is never undone, a mirror image, and halving."""
    shift = np.broadcast_to(np.array([3.0, -2.0])[:, None, None], (2, 31, 25))
    mirror, half = np.diag([1.0, -1.0]), 0.5 * np.eye(2)
    score = trace_slices(
        stacked((shift, 0 * shift), (mapping(mirror), mapping(mirror)), (mapping(half), mapping(2 * np.eye(2))))
    )
    assert score["round_trip_px"] == pytest.approx(np.sqrt(13) / 3, rel=1e-4)
    assert score["folded"] == pytest.approx(1 / 3)
    assert score["smoothness"] == pytest.approx((0 + 2 + np.sqrt(0.5)) / 3, rel=1e-4)
    assert score["det_j_min"] == pytest.approx(-1, abs=1e-4)
