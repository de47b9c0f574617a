"""A translation is checked after it was made: what comes out of it is known, and nothing of it is changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from gate_images import training_text

from MedTranslateLib.bundles.manifest import Scale, Side
from MedTranslateLib.bundles.trust_statistics import TrustCalibration, TrustStatistics, TrustTable
from MedTranslateLib.checks.gate_report import GateReport, Verdict
from MedTranslateLib.core.correspondence import Origin
from MedTranslateLib.core.errors import BundleInvalidError, ConfigError
from MedTranslateLib.core.request import TranslationRequest
from MedTranslateLib.core.trust import TrustPart
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.evaluation.competitors import layout_of
from MedTranslateLib.evaluation.trust_check import COMBINED, score_trust
from MedTranslateLib.evaluation.trust_config import TrustCheck
from MedTranslateLib.inference.pipeline import translate
from MedTranslateLib.inference.progress import ProgressTeller, share_of_check, spans
from MedTranslateLib.inference.slicewise import SliceRun
from MedTranslateLib.inference.trust_run import calibration_for
from MedTranslateLib.inference.weights import LoadedBundle, load_bundle
from MedTranslateLib.methods.contract import Direction
from MedTranslateLib.methods.identity import Identity
from MedTranslateLib.training.config import parse_config, tomllib
from MedTranslateLib.training.trust_calibration import TrustPatients, measure_trust

CPU = torch.device("cpu")
FITS = GateReport(Verdict.FITS)
FLAT = TrustTable(("source", "output"), (0.0, 1.0), (0.0, 1.0), ((0.0, 0.0), (0.0, 0.0)))


class Halving(Identity):
    """Halves brightness on the way there, and makes it three times as bright on the way back."""

    def translate(self, source, direction, steps, noise, on_step):
        on_step(1, 1)
        factor = 0.5 if direction is Direction.FORWARD else 3.0
        return (source.images + 1) * factor - 1


class Shifting(Identity):
    """Moves every pixel by 2 rows and -3 columns, and says so; there is no way back."""

    def predicted_velocity(self, source, direction=None):
        return torch.tensor([2.0, -3.0]).view(1, 2, 1, 1).expand(len(source), 2, *source.shape[2:])

    def translate(self, source, direction, steps, noise, on_step):
        return torch.roll(source.images, (-2, 3), (2, 3))


def expecting(error: float, direction: str = "forward") -> dict[str, object]:
    """Statistics of a card that expects the same error everywhere, in the middle of its quantiles."""
    calibration = TrustCalibration(
        direction, 1, 1, 9, 99, "made up", float(np.log(error)), (FLAT,), (), (0.0, error, 4 * error), (-9.0, 9.0)
    )
    return {"trust": TrustStatistics((calibration,)).to_json()}


def run(source: Volume, bundle: LoadedBundle, **options: object):
    told: list[tuple[str, int, int]] = []
    request = TranslationRequest(bundle.manifest.name, **options)
    result = translate(request, source, bundle, FITS, lambda *report: told.append(report))
    return result, told


@pytest.fixture
def halving(make_bundle) -> LoadedBundle:
    return LoadedBundle(
        load_bundle(make_bundle("halving", size_hw=(48, 64), spacing_mm=2.4), CPU).manifest, Halving(), CPU
    )


def test_output_fields_and_mask_are_the_same_with_and_without_the_check(oblique_head, halving):
    checked, _ = run(oblique_head, halving)
    alone, told = run(oblique_head, halving, trust=False)
    assert (alone.trust, alone.ledger) == (None, None)
    assert not any(stage == "check" for stage, _, _ in told)
    assert checked.trust is not None
    np.testing.assert_array_equal(checked.translated.array_kji, alone.translated.array_kji)
    np.testing.assert_array_equal(checked.validity_kji, alone.validity_kji)
    np.testing.assert_array_equal(
        checked.correspondence.forward.vectors_kji_ras, alone.correspondence.forward.vectors_kji_ras
    )


def test_the_cycle_residual_is_what_the_way_back_does_not_find(oblique_head, halving):
    result, told = run(oblique_head, halving)
    residual = result.trust.parts[TrustPart.CYCLE]
    output = run(oblique_head, halving, trust=False)[0]
    # s -> s / 2 -> 3 s / 2, cut off at 1: the residual of a share s is min(s / 2, 1 - s), at most a third
    assert residual.array_kji.max() == pytest.approx(1 / 3, abs=0.01)
    assert residual.array_kji.min() == 0
    middle = residual.geometry.ijk_from_ras(oblique_head.geometry.ras_from_ijk([75, 65, 15])).round().astype(int)
    share = 2 * output.translated.array_kji[15, 65, 75]  # the head is smooth there
    i, j, k = middle
    assert residual.array_kji[k, j, i] == pytest.approx(min(share / 2, 1 - share), abs=0.02)
    reports = [(done, total) for stage, done, total in told if stage == "check"]
    shares = [done / total for done, total in reports]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)
    assert set(result.trust.parts) == {TrustPart.CYCLE, TrustPart.INTENSITY}


def test_without_a_calibration_there_are_ranks_and_no_errors(oblique_head, halving):
    result, _ = run(oblique_head, halving)
    assert not result.trust.is_calibrated
    trust = result.trust.trust
    assert trust.geometry.same_grid(oblique_head.geometry)
    seen = result.validity_kji == 1
    assert np.all(trust.array_kji[~seen] == 0)
    assert trust.array_kji[seen].max() == pytest.approx(1, abs=0.05)
    assert np.ptp(trust.array_kji[seen]) > 0.8


def test_a_calibrated_error_comes_in_the_units_of_the_target_and_its_rank_as_trust(oblique_head, halving):
    target = Side("CT", "CT", Scale("hounsfield", -1000, 2000))
    manifest = replace(halving.manifest, target=target, training_statistics=expecting(0.02))
    result, _ = run(oblique_head, replace(halving, manifest=manifest))
    seen = result.validity_kji == 1
    assert 0 < seen.mean() < 1
    np.testing.assert_allclose(result.trust.expected_error.array_kji[seen], 60, rtol=1e-4)  # 2 % of 3000 HU
    np.testing.assert_allclose(result.trust.trust.array_kji[seen], 0.5, atol=1e-4)  # the middle one of three quantiles
    assert np.all(result.trust.trust.array_kji[~seen] == 0)
    assert np.all(result.trust.expected_error.array_kji[~seen] >= 60)


def test_intensities_that_no_training_image_had_are_trusted_less(oblique_head, make_bundle):
    statistics = expecting(0.02)
    statistics["trust"]["calibrations"][0]["source_range"] = [-9.0, 0.5]
    manifest = replace(
        load_bundle(make_bundle("bright", size_hw=(96, 80), spacing_mm=2.4), CPU).manifest,
        training_statistics=statistics,
    )
    result, _ = run(oblique_head, LoadedBundle(manifest, Identity(), CPU))
    middle = result.translated.array_kji  # the identity shows the share of the range itself
    far = (middle > 0.95) & (result.validity_kji == 1)
    near = (middle < 0.45) & (result.validity_kji == 1)
    assert far.any()
    assert result.trust.trust.array_kji[far].max() < 0.15
    assert np.median(result.trust.trust.array_kji[near]) == pytest.approx(0.5, abs=1e-3)


def test_a_method_that_moves_pixels_has_maps_of_its_fields_and_no_cycle(oblique_head, make_bundle):
    manifest = replace(
        load_bundle(make_bundle("shift", size_hw=(56, 48), spacing_mm=4.0), CPU).manifest, reversible=False
    )
    result, _ = run(oblique_head, LoadedBundle(manifest, Shifting(), CPU))
    assert result.correspondence.origin is Origin.MODEL
    assert set(result.trust.parts) == {TrustPart.ROUND_TRIP, TrustPart.FOLDING, TrustPart.INTENSITY}
    inner = (slice(3, -3), slice(10, -10), slice(10, -10))
    assert np.abs(result.trust.parts[TrustPart.ROUND_TRIP].array_kji[inner]).max() < 1e-2  # a shift undoes itself
    assert np.abs(result.trust.parts[TrustPart.FOLDING].array_kji[inner]).max() < 1e-3


def test_a_card_that_cannot_be_read_ends_the_run_before_the_translation(oblique_head, halving):
    statistics = expecting(0.02)
    statistics["trust"]["calibrations"][0]["weather"] = 1
    bundle = replace(halving, manifest=replace(halving.manifest, training_statistics=statistics))
    told: list[str] = []
    with pytest.raises(BundleInvalidError, match="weather"):
        translate(TranslationRequest("b"), oblique_head, bundle, FITS, lambda stage, *_: told.append(stage))
    assert told == []


def test_a_calibration_holds_only_for_the_way_the_bundle_is_meant_to_be_used(make_manifest):
    manifest = make_manifest(training_statistics=expecting(0.1, "reverse"))
    back = SliceRun(Direction.REVERSE, 1, 1, 0)
    assert calibration_for(manifest, back, as_trained=True) is not None
    assert calibration_for(manifest, back, as_trained=False) is None
    assert calibration_for(manifest, replace(back, direction=Direction.FORWARD), as_trained=True) is None
    assert calibration_for(make_manifest(), back, as_trained=True) is None


def test_the_time_for_the_check_is_foreseen(make_manifest):
    both, one_way = make_manifest(reversible=True), make_manifest(reversible=False)
    request = TranslationRequest("b")
    assert share_of_check(replace(request, trust=False), both, 1) == 0
    assert share_of_check(request, both, 1) == pytest.approx(1.3 / 2.3)  # as long again, and the maps
    assert share_of_check(replace(request, samples=4), one_way, 25) == pytest.approx(0.3 / 100.3)
    for share in (0.0, 0.4):
        ends = list(spans(share).values())
        assert all(first <= last for first, last in ends)
        assert (ends[0][0], ends[-1][1]) == (0, 1)
    now = iter([0.0, 40.0])
    told: list[float | None] = []
    teller = ProgressTeller("j", lambda message: told.append(message.eta_s), lambda: next(now))
    teller.expect(0.5)
    teller("translate", 1, 1)  # half of the work between 0.04 and 0.92 is done in 40 s
    assert told[0] == pytest.approx(40 * (1 - 0.48) / 0.48, abs=0.06)


def test_the_calibration_of_generated_heads_is_right_on_other_heads(make_bundle):
    config = parse_config(tomllib.loads(training_text(6)))
    grid = {"size_hw": (96, 96), "spacing_mm": 2.2}
    bundle = load_bundle(make_bundle("phantoms", **grid, reversible=False), CPU)
    done: list[int] = []
    which = TrustPatients(patients=4, slices=2)
    statistics = measure_trust(bundle, config, layout_of(bundle.manifest), ("", which), lambda: done.append(1))
    (calibration,) = statistics.calibrations
    assert (len(done), calibration.patients, calibration.samples, calibration.steps) == (4, 4, 1, 1)
    assert "spread" not in calibration.inputs
    calibrated = replace(bundle, manifest=replace(bundle.manifest, training_statistics={"trust": statistics.to_json()}))
    others = replace(config.data[0], first=40, count=2)
    plan = TrustCheck("phantoms", (others,), slices=2)
    rows = list(score_trust(plan, calibrated, layout_of(bundle.manifest), ""))
    together = next(row for row in rows if not row.case and row.name == COMBINED)
    # the other contrast is a function of the first one, so its distance from it is known almost everywhere
    assert together.figures["trust_level"] == pytest.approx(1, abs=0.15)
    assert together.figures["trust_ratio"] > 5
    assert together.figures["trust_rank"] > 0.8
    tenths = [row.figures for row in rows if row.of_tenth]
    assert len(tenths) == 10
    np.testing.assert_allclose(
        [row["trust_found"] for row in tenths], [row["trust_expected"] for row in tenths], atol=0.06
    )


def test_a_bundle_without_a_calibration_cannot_be_measured(make_bundle):
    config = parse_config(tomllib.loads(training_text(1)))
    bundle = load_bundle(make_bundle("phantoms", size_hw=(96, 96), spacing_mm=2.2), CPU)
    with pytest.raises(ConfigError, match=r"no calibration forward.*medtranslate statistics"):
        list(score_trust(TrustCheck("phantoms", config.data), bundle, layout_of(bundle.manifest), ""))
