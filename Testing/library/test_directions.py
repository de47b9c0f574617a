from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from MedTranslateLib.bundles.card import card_text
from MedTranslateLib.bundles.directions import Direction, directions
from MedTranslateLib.bundles.entries import BrokenBundle, Bundle, BundleOrigin
from MedTranslateLib.bundles.manifest import Manifest, MetricRow, Metrics, Scale, Side
from MedTranslateLib.core.errors import BundleInvalidError


@pytest.fixture
def card(make_manifest) -> Callable[..., Manifest]:
    return lambda **changes: make_manifest(**{"name": "head-mr-ct", "method": "bidpm", **changes})


MR = Side("MR", "T1", Scale("relative", 0.5, 99.8))
CT = Side("CT", "CT", Scale("hounsfield", -1000.0, 2000.0))


def test_a_reversible_bundle_gives_both_directions_and_another_only_one(card) -> None:
    both, one, broken = card(), card(name="one-way", reversible=False), BundleInvalidError("no card")
    entries = [
        Bundle(Path("a"), BundleOrigin.SHIPPED, both),
        BrokenBundle(Path("b"), BundleOrigin.USER, broken),
        Bundle(Path("c"), BundleOrigin.USER, one),
    ]
    assert directions(entries) == (Direction(both, False), Direction(both, True), Direction(one, False))


def test_keys_of_directions_differ_and_name_the_bundle(card) -> None:
    assert [Direction(card(), reverse).key for reverse in (False, True)] == ["head-mr-ct", "head-mr-ct|reverse"]


def test_a_direction_names_its_sides_method_and_unit(card) -> None:
    forward, back = (Direction(card(source=MR, target=CT), reverse) for reverse in (False, True))
    assert forward.label == "T1 → CT, brain (Bi-DPM)"
    assert back.label == "CT → T1, brain (Bi-DPM)"
    assert forward.needs == "an MR volume (T1) of the brain, axial slices 0.5 to 8 mm apart"
    assert (forward.gives, back.gives) == ("CT in HU", "T1 in relative intensities, not HU")


def test_the_quality_is_that_of_the_own_direction_beside_the_best_baseline(card) -> None:
    rows = (
        MetricRow("forward", "held out", "this bundle", 7, 0.744, 23.3, 0.1),
        MetricRow("reverse", "held out", "this bundle", 9, 0.5, 20.0, 0.1),
        MetricRow("forward", "held out", "source as it is", 7, 0.612, 22.2, 0.1, baseline=True),
        MetricRow("forward", "held out", "histogram matching", 7, 0.739, 23.1, 0.1, baseline=True),
    )
    measured = card(metrics=Metrics("whole slice", rows))
    expected = "SSIM 0.744, PSNR 23.3 dB on 7 held-out patients (best baseline, histogram matching: 0.739)"
    assert Direction(measured, False).quality == expected
    assert Direction(measured, True).quality == "SSIM 0.500, PSNR 20.0 dB on 9 held-out patients"
    assert Direction(card(), False).quality == "not measured on held-out patients"
    told = "Dice 0.9 after tracing back, on 8 held-out patients"
    assert Direction(card(metrics=Metrics(told, ())), False).quality == told


def test_a_bundle_for_any_contrast_says_so(card) -> None:
    direction = Direction(card(source=Side("ANY", "any contrast", MR.scale), target=CT, method="midiffusion"), False)
    assert direction.label == "any contrast → CT, brain (MIDiffusion)"
    assert direction.needs == "a volume in any contrast of the brain, axial slices 0.5 to 8 mm apart"
    assert "any source contrast of this anatomy" in card_text(direction.manifest)
