"""The input gate with statistics of training images: what fits, what is doubtful and why, what is refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gate_images import GRID, SIDES, head, thick_head, training_text, turned

from MedTranslateLib.bundles.manifest import Manifest, Side
from MedTranslateLib.checks.gate import GateReport, Verdict, inspect
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.phantom import head_phantom
from MedTranslateLib.training.config import read_config
from MedTranslateLib.training.input_statistics import measure_inputs

TRAINED = 24
Ask = Callable[..., GateReport]


@pytest.fixture(scope="module")
def measured_once() -> dict:
    """Where the first test leaves the statistics for all others."""
    return {}


@pytest.fixture
def inputs(make_manifest: Callable[..., Manifest], tmp_path: Path, measured_once: dict) -> dict:
    """What 24 generated heads look like, as it stands on a card."""
    if not measured_once:
        path = tmp_path / "heads.toml"
        path.write_text(training_text(TRAINED), encoding="utf-8")
        measured = measure_inputs(make_manifest(**SIDES, **GRID), read_config(path), tmp_path)
        assert measured is not None
        measured_once.update(measured.to_json())
    return measured_once


@pytest.fixture
def ask(make_manifest: Callable[..., Manifest], inputs: dict) -> Ask:
    """What the gate says of a volume for a bundle that was trained on those heads."""

    def inspected(volume: Volume, *, reverse: bool = False, **changes: object) -> GateReport:
        card = make_manifest(**{"training_statistics": {"inputs": inputs}, **SIDES, **GRID, **changes})
        return inspect(volume, card, reverse=reverse)

    return inspected


@pytest.mark.parametrize("number", [101, 102, 103])
def test_heads_that_training_never_saw_fit_and_are_named(ask: Ask, number: int) -> None:
    report = ask(head(number))
    assert report.reasons == ()
    assert report.verdict is Verdict.FITS
    assert report.looks_like == "first"
    assert report.confidence > 0.5


@pytest.mark.parametrize("reverse", [False, True])
def test_the_other_contrast_is_doubtful_even_where_the_tag_agrees(ask: Ask, reverse: bool) -> None:
    volume = replace(head(104, second=not reverse), modality="MR")
    report = ask(volume, reverse=reverse)
    assert report.verdict is Verdict.DOUBTFUL
    assert report.stated == "MR"
    assert report.looks_like != ("second" if reverse else "first")


def test_a_head_turned_by_180_degrees_stands_upside_down(ask: Ask) -> None:
    report = ask(turned(head(105), 2))
    assert report.verdict is Verdict.DOUBTFUL
    assert any("upside down" in reason for reason in report.reasons)


@pytest.mark.parametrize("quarter_turns", [1, 3])
def test_a_head_turned_by_90_degrees_has_wrong_axes(ask: Ask, quarter_turns: int) -> None:
    report = ask(turned(head(106), quarter_turns))
    assert any("turned by 90 degrees or transposed" in reason for reason in report.reasons)


def test_something_else_of_the_right_size_is_doubtful_and_said_to_be_something_else(ask: Ask) -> None:
    chance = np.random.default_rng(4)
    box = np.zeros(head(107).array_kji.shape)
    box[:, 20:80, 15:75] = chance.uniform(100, 900, (box.shape[0], 60, 60))
    report = ask(Volume(box, head(107).geometry, "image"))
    assert report.verdict is Verdict.DOUBTFUL
    assert report.looks_like == "something else"


def test_the_answer_does_not_depend_on_the_scale_of_the_intensities(ask: Ask) -> None:
    volume = head(108)
    scaled = volume.with_array(volume.array_kji * np.float32(0.031) + 7)
    plain, other = ask(volume), ask(scaled)
    assert other.verdict is plain.verdict is Verdict.FITS
    assert other.confidence == pytest.approx(plain.confidence, abs=0.02)


def test_a_bundle_for_any_contrast_sees_wrong_axes_and_doubts_what_it_would_make(ask: Ask, inputs: dict) -> None:
    alone = {"features": inputs["features"], "target": inputs["target"]}
    changes = {
        "source": Side("ANY", "any contrast", SIDES["source"].scale),
        "reversible": False,
        "training_statistics": {"inputs": alone},
    }
    volume = head(109, second=True)
    assert ask(volume, **changes).reasons == ()
    assert "upside down" in ask(turned(volume, 2), **changes).reasons[0]
    to_ct = {**changes, "target": Side("CT", "CT", SIDES["target"].scale)}
    assert "look like CT, which is what the bundle makes" in ask(volume, **to_ct).reasons[0]


def test_a_name_counts_only_where_the_pictures_do_not_surely_say_otherwise(ask: Ask) -> None:
    named = replace(head(110), name="patient_FLAIR_03")
    t1 = Side("MR", "T1", SIDES["source"].scale)
    sure = ask(named, source=t1)
    assert sure.looks_like == "T1"
    without = ask(named, source=t1, training_statistics=None)
    assert without.verdict is Verdict.DOUBTFUL
    assert "Its name mentions FLAIR" in without.reasons[0]
    assert sure.verdict is (Verdict.FITS if sure.confidence >= 0.9 else Verdict.DOUBTFUL)


def test_a_synthetic_image_is_doubtful(ask: Ask) -> None:
    report = ask(replace(head(111), synthetic=True))
    assert report.verdict is Verdict.DOUBTFUL
    assert "synthetic image itself" in report.reasons[0]


def test_a_label_map_is_refused(ask: Ask) -> None:
    volume = head(112)
    labels = volume.with_array(np.digitize(volume.array_kji, [100, 300, 600]).astype(np.float32))
    report = ask(labels)
    assert report.verdict is Verdict.REFUSED
    assert "label map" in report.reasons[0]


def test_a_localiser_is_doubtful_and_a_single_slice_is_not(make_manifest: Callable[..., Manifest]) -> None:
    report = inspect(thick_head(3, 7.0), make_manifest(), reverse=False)
    assert report.verdict is Verdict.DOUBTFUL
    assert "3 slices that cover 21 mm: a localiser" in report.reasons[0]
    assert inspect(thick_head(1, 7.0), make_manifest(), reverse=False).verdict is Verdict.FITS


def test_statistics_of_other_features_than_these_are_left_aside(ask: Ask, inputs: dict) -> None:
    other = {**inputs, "features": [f"other {name}" for name in inputs["features"]]}
    report = ask(head(113, second=True), training_statistics={"inputs": other})
    assert report == GateReport(Verdict.FITS)


@pytest.mark.slow
def test_a_usual_head_takes_less_than_a_third_of_a_second(ask: Ask) -> None:
    matrix = np.diag([1.0, 1.0, 1.2, 1.0])
    volume = head_phantom(Geometry((256, 256, 150), matrix))
    ask(volume)
    started = time.process_time()
    ask(volume)
    assert time.process_time() - started < 0.3


def test_a_bundle_without_statistics_says_nothing_of_looks(make_manifest: Callable[..., Manifest]) -> None:
    report = inspect(replace(head(114, second=True), modality="MR"), make_manifest(**SIDES, **GRID), reverse=False)
    assert report == GateReport(Verdict.FITS, (), None, None, "MR")


TOO_FEW = "midiffusion-brain-t1-simulated"
"""Trained on 12 heads only."""
SHIPPED = sorted(path for path in (Path(__file__).parents[2] / "Resources/Bundles").iterdir() if path.name != TOO_FEW)


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_the_statistics_of_a_shipped_bundle_are_those_that_this_version_measures(folder: Path) -> None:
    from MedTranslateLib.bundles.input_statistics import input_statistics_of
    from MedTranslateLib.bundles.manifest import read_manifest
    from MedTranslateLib.checks.gate_features import FEATURES

    statistics = input_statistics_of(read_manifest(folder))
    assert statistics is not None
    assert statistics.features == FEATURES


@pytest.mark.parametrize(
    "name", ["bidpm-brain-t1-flair", "bidpm-brain-mr-ct", "plasticine-brain-mr-ct", "midiffusion-brain-ct"]
)
def test_the_sample_head_fits_the_bundles_that_the_tutorials_give_it_to(name: str) -> None:
    from MedTranslateLib.bundles.manifest import read_manifest
    from MedTranslateLib.imaging.reading import read_volume

    root = Path(__file__).parents[2]
    volume = read_volume(root / "Resources/SampleData/colin27_t1.nii.gz")
    report = inspect(volume, read_manifest(root / "Resources/Bundles" / name), reverse=False)
    assert report.reasons == ()
    if name == "bidpm-brain-t1-flair":
        assert report.looks_like == "T1"
