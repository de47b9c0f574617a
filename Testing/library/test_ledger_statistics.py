"""The ledger's thresholds on a bundle's card: read, written, refused where wrong, and replaced where there are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from MedTranslateLib.bundles.ledger_statistics import ledger_statistics_from, ledger_statistics_of
from MedTranslateLib.bundles.manifest import read_manifest
from MedTranslateLib.core.errors import BundleInvalidError
from MedTranslateLib.trust.ledger_rule import default_thresholds, ledger_thresholds

BUNDLE = Path(__file__).parents[2] / "Resources" / "Bundles" / "bidpm-brain-t1-flair"
ROW = {
    "direction": "reverse",
    "reconstruction": True,
    "patients": 17,
    "slices": 480,
    "data": "entries in lesions left out",
    "entries_a_slice": 0.05,
    "scales_mm": [4.0, 8.0],
    "source": [2.5, 1.5],
    "output": [2.0, 1.25],
}


def card_with(*rows):
    return replace(read_manifest(BUNDLE), training_statistics={"ledger": {"calibrations": list(rows)}})


def test_the_thresholds_of_the_direction_are_used_and_the_rule_says_how_many_false_entries_are_usual():
    thresholds = ledger_thresholds(card_with({**ROW, "direction": "forward"}, ROW), "reverse", reconstruction=True)
    assert (thresholds.scales_mm, thresholds.source, thresholds.output) == ((4.0, 8.0), (2.5, 1.5), (2.0, 1.25))
    assert (
        "17 training patients (480 slices; entries in lesions left out), who have one in 20 slices" in thresholds.rule
    )


@pytest.mark.parametrize(("direction", "reconstruction"), [("forward", True), ("reverse", False)])
def test_thresholds_of_another_direction_or_kind_of_run_are_not_taken(direction, reconstruction):
    thresholds = ledger_thresholds(card_with(ROW), direction, reconstruction=reconstruction)
    assert thresholds == default_thresholds(reconstruction=reconstruction)
    assert "not known how many false entries are usual" in thresholds.rule


def test_a_card_without_statistics_has_none():
    assert ledger_statistics_of(replace(read_manifest(BUNDLE), training_statistics=None)) is None


def test_statistics_come_back_as_they_were_written():
    statistics = ledger_statistics_from({"calibrations": [ROW]}, "some-bundle")
    assert ledger_statistics_from(statistics.to_json(), "some-bundle") == statistics


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"source": [2.5]}, r"calibrations\[0\].source must be 2 numbers above 0"),
        ({"output": [2.0, -1.0]}, r"calibrations\[0\].output"),
        ({"patients": 0}, r"calibrations\[0\].patients must be 1 or more"),
        ({"direction": "sideways"}, r"calibrations\[0\].direction"),
        ({"threshold": 1.0}, "threshold"),
        ({"scales_mm": [], "source": [], "output": []}, "at least one length"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(change, named):
    with pytest.raises(BundleInvalidError, match=named):
        ledger_statistics_from({"calibrations": [{**ROW, **change}]}, "some-bundle")


def test_raised_thresholds_list_what_is_so_much_stronger():
    raised = ledger_thresholds(card_with(ROW), "reverse", reconstruction=True).times(2)
    assert (raised.source, raised.output) == ((5.0, 3.0), (4.0, 2.5))
