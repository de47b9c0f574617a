"""Trust maps and ledger survive the job folder, and what is damaged there is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import jsonschema
import numpy as np
import pytest
import SimpleITK as sitk

from MedTranslateLib.core.correspondence import Correspondence
from MedTranslateLib.core.errors import CorruptResultError, InvalidVolumeError
from MedTranslateLib.core.ledger import Ledger, LedgerEntry, LedgerSide
from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.core.schemas import load_schema
from MedTranslateLib.core.trust import TrustMaps, TrustPart, tenth_of
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.job_folder import read_result, write_result

OBLIQUE = Geometry((4, 3, 2), np.array([[0.9, 0.2, 0, 5], [-0.2, 0.8, 0, -7], [0, 0, 3.5, 11], [0, 0, 0, 1.0]]))
COARSE = Geometry((2, 2, 2), np.array([[2, 0, 0, 5], [0, 2, 0, -7], [0, 0, 4, 11], [0, 0, 0, 1.0]]))
ENTRY = LedgerEntry(1, LedgerSide.OUTPUT, (1.5, -2.0, 3.25), (1.0, -2.5, 3.25), 42.0, 1.75, 0.125, "It has no origin.")


def ramp(geometry: Geometry, highest: float) -> Volume:
    values = np.linspace(0, highest, int(np.prod(geometry.size_ijk)), dtype=np.float32)
    return Volume(values.reshape(geometry.shape_kji), geometry)


@pytest.fixture
def result():
    maps = TrustMaps(ramp(OBLIQUE, 1.0), ramp(OBLIQUE, 80.0), {TrustPart.CYCLE: ramp(COARSE, 0.3)})
    regions = np.zeros(OBLIQUE.shape_kji, np.uint8)
    regions[1, 2, 3] = 1
    ledger = Ledger((ENTRY, replace(ENTRY, number=2, side=LedgerSide.SOURCE, trust=None)), regions, "A rule.")
    mask = np.ones(OBLIQUE.shape_kji, np.uint8)
    identity = Correspondence.identity(OBLIQUE)
    return TranslationResult(
        ramp(OBLIQUE, 9.0), identity, mask, None, {}, "CT", "CT", "relative", trust=maps, ledger=ledger
    )


def test_trust_and_ledger_come_back_as_they_were_written(tmp_path, result):
    write_result(tmp_path, result)
    again = read_result(tmp_path)
    np.testing.assert_array_equal(again.trust.trust.array_kji, result.trust.trust.array_kji)
    np.testing.assert_array_equal(again.trust.expected_error.array_kji, result.trust.expected_error.array_kji)
    assert list(again.trust.parts) == [TrustPart.CYCLE]
    assert again.trust.parts[TrustPart.CYCLE].geometry.same_grid(COARSE)
    assert again.ledger.entries == result.ledger.entries
    assert again.ledger.rule == "A rule."
    np.testing.assert_array_equal(again.ledger.regions_kji, result.ledger.regions_kji)


def test_the_files_keep_to_the_published_schemas_and_lie_on_the_output_s_grid(tmp_path, result):
    write_result(tmp_path, result)
    for name in ("result", "ledger"):
        jsonschema.validate(json.loads((tmp_path / f"{name}.json").read_text()), load_schema(name))
    regions = sitk.ReadImage(str(tmp_path / "ledger_regions.nrrd"))
    lps = np.array(regions.TransformIndexToPhysicalPoint((3, 2, 1)))
    np.testing.assert_allclose(lps * [-1, -1, 1], [0.9 * 3 + 0.2 * 2 + 5, -0.2 * 3 + 0.8 * 2 - 7, 3.5 + 11], atol=1e-6)
    assert regions[3, 2, 1] == 1


def test_a_result_without_trust_has_no_such_files(tmp_path, result):
    write_result(tmp_path, replace(result, trust=None, ledger=None))
    assert not list(tmp_path.glob("*trust*")) + list(tmp_path.glob("ledger*"))
    again = read_result(tmp_path)
    assert again.trust is None
    assert again.ledger is None


@pytest.mark.parametrize("name", ["trust.nrrd", "trust_cycle.nrrd", "ledger.json", "ledger_regions.nrrd"])
def test_a_changed_file_is_refused(tmp_path, result, name):
    write_result(tmp_path, result)
    with (tmp_path / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(CorruptResultError, match=name.replace(".", "[.]")):
        read_result(tmp_path)


@pytest.mark.parametrize(
    "change",
    [{"side": "left"}, {"volume_mm3": float("nan")}, {"source_ras": [1, 2]}, {"trust": "high"}, {"colour": "red"}],
)
def test_an_entry_that_is_not_ours_is_refused(change):
    with pytest.raises(CorruptResultError, match="entry of the ledger"):
        LedgerEntry.from_json({**ENTRY.to_json(), **change})


def test_trust_outside_of_0_to_1_or_on_another_grid_is_refused(result):
    with pytest.raises(InvalidVolumeError, match=r"0\.\.1"):
        TrustMaps(ramp(OBLIQUE, 1.01))
    with pytest.raises(InvalidVolumeError, match="grid"):
        replace(result, trust=TrustMaps(ramp(COARSE, 1.0)))


def test_the_tenths_of_trust_count_from_the_least_trusted():
    assert [tenth_of(trust) for trust in (0.0, 0.0999, 0.1001, 0.55, 1.0)] == [1, 1, 2, 6, 10]
