"""A finished translation gets its ledger on the output's grid, by the thresholds of its bundle and direction."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from ledger_phantom import OBLIQUE, ball, head

from MedTranslateLib.bundles.manifest import read_manifest
from MedTranslateLib.core.correspondence import Correspondence
from MedTranslateLib.core.ledger import LedgerSide
from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.core.schemas import load_schema
from MedTranslateLib.core.trust import TrustMaps
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.imaging.geometry import Plane, SliceGrid
from MedTranslateLib.imaging.job_folder import read_result, write_result
from MedTranslateLib.imaging.scale import IntensityScale, ScaleKind
from MedTranslateLib.imaging.slices import slice_volume
from MedTranslateLib.inference.ledger_run import with_ledger
from MedTranslateLib.methods.contract import Direction

BUNDLE = Path(__file__).parents[2] / "Resources" / "Bundles" / "bidpm-brain-t1-flair"
PLACE = (52, 33, 3)
GRID = SliceGrid(Plane.AXIAL, 1.2, (112, 112))
SCALE = IntensityScale(ScaleKind.HOUNSFIELD, -1.0, 1.0)


@pytest.fixture
def run():
    """A source with a ball, on the network's grid, and an output in another contrast without it."""
    source, _ = head()
    sliced = slice_volume(Volume(np.where(ball(PLACE, 18), 0.95, source), OBLIQUE), GRID, SCALE)
    plain = slice_volume(Volume(source, OBLIQUE), GRID, SCALE)
    made = np.where(plain.stack.slices > -0.99, -plain.stack.slices, -1).astype(np.float32)
    output = Volume(np.zeros(OBLIQUE.shape_kji, np.float32), OBLIQUE)
    trust = TrustMaps(output.with_array(np.where(ball(PLACE, 30), 0.125, 0.5)))
    mask = np.ones(OBLIQUE.shape_kji, np.uint8)
    result = TranslationResult(output, Correspondence.identity(OBLIQUE), mask, None, {}, trust=trust)
    return result, sliced.stack, made, plain.stack.slices


def test_what_the_output_lost_is_listed_where_the_source_has_it_with_the_trust_there(run, tmp_path):
    result, stack, made, back = run
    checked = with_ledger(result, (read_manifest(BUNDLE), Direction.FORWARD), stack, made, back)
    assert [entry.side for entry in checked.ledger.entries] == [LedgerSide.SOURCE]
    entry = checked.ledger.entries[0]
    np.testing.assert_allclose(entry.source_ras, OBLIQUE.ras_from_ijk(PLACE), atol=2.5)
    assert entry.trust == pytest.approx(0.125, abs=0.02)
    assert ball(PLACE, 30)[checked.ledger.regions_kji == 1].all()
    write_result(tmp_path, checked)
    jsonschema.validate(json.loads((tmp_path / "ledger.json").read_text()), load_schema("ledger"))
    assert read_result(tmp_path).ledger.entries == checked.ledger.entries


def test_the_rule_says_on_how_many_patients_the_thresholds_were_set_or_that_they_were_not(run):
    result, stack, made, back = run
    card = read_manifest(BUNDLE)
    told = with_ledger(result, (card, Direction.REVERSE), stack, made, back).ledger.rule
    assert "17 training patients" in told
    bare = replace(card, training_statistics=None)
    assert "not known" in with_ledger(result, (bare, Direction.REVERSE), stack, made, None).ledger.rule
