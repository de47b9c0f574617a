"""Expected errors and trust against a law that is known, tables worked out by hand, and brute force."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import jsonschema
import numpy as np
import pytest

from MedTranslateLib.bundles.trust_statistics import (
    TrustCalibration,
    TrustCurve,
    TrustStatistics,
    TrustTable,
    trust_statistics_from,
)
from MedTranslateLib.core.errors import BundleInvalidError
from MedTranslateLib.core.schemas import load_schema
from MedTranslateLib.core.trust import TrustPart
from MedTranslateLib.evaluation.trust_check import tenth_means
from MedTranslateLib.training.trust_calibration import rising
from MedTranslateLib.training.trust_cases import at_equal_distances
from MedTranslateLib.trust.combine import calibrated_error, expected_error, rank_of_own, trust_of, unseen_share
from MedTranslateLib.trust.fitting import KnownPlaces, fit_expected_error
from MedTranslateLib.trust.inputs import OutputSlices, inputs_of

TABLE = TrustTable(("source", "output"), (0.0, 1.0), (0.0, 0.5, 1.0), ((0.0, 1.0, 2.0), (4.0, 5.0, 6.0)))
CURVE = TrustCurve("spread", (0.1, 0.3), (0.0, 1.0))
CALIBRATION = TrustCalibration(
    "forward", 4, 2, 10, 1000, "made up", -3.0, (TABLE,), (CURVE,), (0.1, 0.2, 0.4), (0.0, 1.0)
)


def level(value: float) -> TrustCalibration:
    """Expects the same error everywhere."""
    return replace(CALIBRATION, level=float(np.log(value)), tables=(), curves=())


def test_table_and_curve_add_up_to_the_logarithm_of_the_error():
    inputs = {name: np.float32([value]) for name, value in (("source", 0.25), ("output", 0.75), ("spread", 0.2))}
    # by hand: the row of 0.25 is 1, 2, 3; at 0.75 that is 2.5; the curve adds 0.5
    assert calibrated_error(inputs, CALIBRATION)[0] == pytest.approx(np.exp(-3 + 2.5 + 0.5), rel=1e-5)
    inputs["spread"][0] = 9.0  # beyond the last knot nothing is added
    assert calibrated_error(inputs, CALIBRATION)[0] == pytest.approx(np.exp(-3 + 2.5 + 1.0), rel=1e-5)


def test_trust_is_the_share_of_places_whose_error_was_larger():
    expected = np.float32([0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 7.0])
    np.testing.assert_allclose(trust_of(expected, CALIBRATION), [1, 1, 0.75, 0.5, 0.25, 0, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("part", "value", "share"),
    [
        (TrustPart.FOLDING, 0.54, 0.0),  # det J = 0.46, as a shipped bundle has it
        (TrustPart.FOLDING, 0.9, 0.5),
        (TrustPart.FOLDING, 1.0, 1.0),
        (TrustPart.INTENSITY, 0.25, 0.5),
        (TrustPart.INTENSITY, 3.0, 1.0),
        (TrustPart.ROUND_TRIP, 0.2, 0.0),
        (TrustPart.ROUND_TRIP, 0.625, 0.5),
    ],
)
def test_what_training_patients_hardly_show_moves_the_error_towards_the_worst(part, value, share):
    picture = np.zeros((1, 4, 5), np.float32)
    places = OutputSlices(picture, picture, parts={part: np.full_like(picture, value)})
    np.testing.assert_allclose(unseen_share(places), share, atol=1e-6)
    found = expected_error(places, level(0.1))
    np.testing.assert_allclose(found, 0.1 + share * (0.4 - 0.1), rtol=1e-5)  # 0.4 is the last quantile
    assert np.all(expected_error(places, level(0.9)) >= 0.9 - 1e-5)  # never lowered


def test_expected_errors_do_not_depend_on_how_many_slices_are_given_at_once():
    chance = np.random.default_rng(4)
    arrays = chance.uniform(-1, 1, (2, 3, 20, 24)).astype(np.float32)
    places = OutputSlices(arrays[0], arrays[1], spread=np.abs(arrays[0]) / 5)
    whole = expected_error(places, CALIBRATION)
    one = OutputSlices(arrays[0, 1:2], arrays[1, 1:2], spread=np.abs(arrays[0, 1:2]) / 5)
    np.testing.assert_array_equal(whole[1:2], expected_error(one, CALIBRATION))


def test_a_law_of_errors_is_found_again():
    chance = np.random.default_rng(7)
    names = ("source", "output", "row", "column", "spread", "source_contrast")
    inputs = {name: chance.random(60_000) for name in names}
    inputs["spread"] *= 0.2

    def law(at):
        return 0.03 * np.exp(5 * at["spread"] + 1.2 * at["source"] * at["output"] - 0.5 * np.abs(at["row"] - 0.5))

    error = chance.exponential(law(inputs))  # the mean of what is drawn is the law
    fitted = fit_expected_error(KnownPlaces(inputs, error))
    calibration = replace(CALIBRATION, level=fitted.level, tables=fitted.tables, curves=fitted.curves)
    tests = {name: chance.uniform(0.1, 0.9, 2000) for name in names}
    tests["spread"] *= 0.2
    ratio = calibrated_error(tests, calibration) / law(tests)
    assert np.median(np.abs(ratio - 1)) < 0.03
    assert np.abs(ratio - 1).max() < 0.15
    unused = next(curve for curve in fitted.curves if curve.input == "source_contrast")
    assert np.ptp(unused.values) < 0.1  # it has nothing to do with the errors
    assert calibrated_error(inputs, calibration).mean() == pytest.approx(error.mean(), rel=0.01)


def test_without_a_calibration_the_places_of_an_output_are_ranked_among_themselves():
    bright = np.full((2, 30, 100), 0.5, np.float32)
    spread = np.broadcast_to(np.linspace(0.0, 0.5, 100, dtype=np.float32), bright.shape).copy()
    trust = rank_of_own(OutputSlices(bright, bright, spread=spread))
    middle = trust[0, 15]
    assert np.all(np.diff(middle) <= 1e-6)
    # a column in the middle of the ramp is doubted less than half of the places
    np.testing.assert_allclose(middle[10:-10], 1 - np.arange(10, 90) / 100, atol=0.02)
    assert (trust.min(), trust.max()) == (pytest.approx(0, abs=0.02), pytest.approx(1, abs=0.02))


def test_a_fold_is_not_trusted_without_a_calibration_either():
    picture = np.random.default_rng(0).uniform(0, 1, (1, 20, 20)).astype(np.float32)
    folding = np.zeros_like(picture)
    folding[0, 7, 9] = 1.0
    trust = rank_of_own(OutputSlices(picture, picture, parts={TrustPart.FOLDING: folding}))
    assert trust[0, 7, 9] == 0
    assert np.median(trust) == pytest.approx(0.5, abs=0.05)


def test_inputs_are_shares_of_the_range_and_positions_meet_in_the_middle():
    source = np.full((1, 11, 21), -1.0, np.float32)
    output = np.full((1, 11, 21), 1.0, np.float32)
    output[0, 5, 10] = 0.0
    inputs = inputs_of(OutputSlices(source, output, cycle=np.full_like(source, 0.25)))
    assert (inputs["source"].max(), inputs["output"][0, 5, 10], inputs["output_lowest"][0, 5, 8]) == (0, 0.5, 0.5)
    # standard deviation of 24 ones and a half: 0.5 sqrt(24) / 25
    assert inputs["output_contrast"][0, 5, 10] == pytest.approx(0.5 * np.sqrt(24) / 25, abs=1e-4)
    np.testing.assert_allclose(inputs["cycle"], 0.25, atol=1e-6)
    assert inputs["row"][0, :, 3].tolist() == pytest.approx(np.arange(11) / 10)
    assert (inputs["column"][0, 2, 0], inputs["column"][0, 2, 10], inputs["column"][0, 2, 20]) == (1, 0, 1)
    assert "spread" not in inputs


def test_tenths_are_those_of_a_sort():
    chance = np.random.default_rng(3)
    doubt, error = chance.random(237), chance.random(237)
    ranked = sorted(range(237), key=lambda n: -doubt[n])
    sizes = [24] * 7 + [23] * 3  # as even as 237 can be cut
    wanted, first = [], 0
    for size in sizes:
        wanted.append(sum(error[n] for n in ranked[first : first + size]) / size)
        first += size
    np.testing.assert_allclose(tenth_means(doubt, error), wanted)


def test_slices_are_the_middles_of_equal_parts():
    assert at_equal_distances(30, 3) == [5, 15, 25]
    assert at_equal_distances(2, 6) == [0, 1]
    assert at_equal_distances(0, 6) == []


def test_equal_quantiles_are_moved_apart_and_read_back():
    quantiles = rising([0.0, 0.1, 0.1, 0.1000001, 0.3])
    assert all(one < other for one, other in pairwise(quantiles))
    np.testing.assert_allclose(quantiles, [0, 0.1, 0.1, 0.1, 0.3], atol=1e-5)


def test_a_run_takes_the_calibration_with_most_samples_and_steps_that_it_reaches():
    made = {
        (direction, samples, steps): replace(CALIBRATION, direction=direction, samples=samples, steps=steps, curves=())
        for direction, samples, steps in (("forward", 1, 12), ("forward", 4, 12), ("forward", 4, 25), ("reverse", 1, 1))
    }
    statistics = TrustStatistics(tuple(made.values()))
    assert statistics.best_for("forward", 3, 50) is made["forward", 1, 12]
    assert statistics.best_for("forward", 8, 20) is made["forward", 4, 12]
    assert statistics.best_for("forward", 4, 25) is made["forward", 4, 25]
    assert statistics.best_for("forward", 8, 11) is None
    assert statistics.best_for("reverse", 1, 1) is made["reverse", 1, 1]


def test_a_calibration_comes_back_as_it_was_written_and_keeps_to_the_schema():
    statistics = TrustStatistics((CALIBRATION,))
    text = json.dumps(statistics.to_json())
    assert trust_statistics_from(json.loads(text), "b") == statistics
    schema = load_schema("bundle")
    part = {"$ref": "#/$defs/trust_statistics", "$defs": schema["$defs"]}
    jsonschema.validate(json.loads(text), part)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("unknown",), 1, "unknown key 'training_statistics.trust.calibrations"),
        (("samples",), 0, "samples must be 1 or more, got 0"),
        (("samples",), 1, "samples must be more than 1 where the spread"),
        (("direction",), "sideways", "direction must be 'forward' or 'reverse'"),
        (("quantiles",), [0.1, 0.1], "quantiles must be two or more numbers, each above"),
        (("quantiles",), [-0.1, 0.1], "quantiles must be errors of 0 or more"),
        (("tables", 0, "values"), [[1.0, 2.0, 3.0]], "2 rows of 3 numbers"),
        (("curves", 0, "values"), [1.0], "values must be 2 numbers"),
        (("curves", 0, "input"), "weather", "input must be 'source' or"),
    ],
)
def test_a_calibration_that_cannot_be_is_refused_by_its_key(path, value, said):
    table = TrustStatistics((CALIBRATION,)).to_json()
    place = table["calibrations"][0]
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(BundleInvalidError, match=f"Bundle b: .*{said}"):
        trust_statistics_from(table, "b")
