"""`medtranslate ledger` prints and writes what a finished job lists, and says why where there is nothing to print."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from MedTranslateLib.cli.ledger import clinical_position
from MedTranslateLib.cli.main import main
from MedTranslateLib.core.correspondence import Correspondence
from MedTranslateLib.core.ledger import Ledger, LedgerEntry, LedgerSide
from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.job_folder import write_result

GRID = Geometry((4, 3, 2), np.array([[0.9, 0.2, 0, 5], [-0.2, 0.8, 0, -7], [0, 0, 3.5, 11], [0, 0, 0, 1.0]]))
LOST = LedgerEntry(
    1, LedgerSide.SOURCE, (-12.4, 20.0, -35.6), (-10.2, 20, -35), 4200.0, 2.25, 0.125, "It is not shown."
)
MADE = LedgerEntry(
    2, LedgerSide.OUTPUT, (3.0, -8.0, 0.2), (3.0, -8.0, 0.2), 150.0, 1.0, None, "It has, oddly, no origin."
)


def finished(folder, ledger):
    image = Volume(np.zeros(GRID.shape_kji, np.float32), GRID)
    mask = np.ones(GRID.shape_kji, np.uint8)
    write_result(folder, TranslationResult(image, Correspondence.identity(GRID), mask, None, ledger=ledger))
    return folder


@pytest.fixture
def job(tmp_path):
    return finished(tmp_path / "job", Ledger((LOST, MADE), np.zeros(GRID.shape_kji, np.uint8), "A rule that is told."))


def test_the_table_says_side_place_size_strength_trust_and_why(job, capsys):
    assert main(["ledger", str(job)]) == 0
    lines = capsys.readouterr().out.splitlines()
    single_spaced = [" ".join(line.split()) for line in lines]
    assert single_spaced[1] == "1 source L 12, A 20, I 36 mm L 10, A 20, I 35 mm 4.2 2.25 0.12 It is not shown."
    assert single_spaced[2] == "2 output R 3, P 8, S 0 mm R 3, P 8, S 0 mm 0.1 1.00 - It has, oddly, no origin."
    assert "A rule that is told." in lines


def test_json_and_csv_hold_the_exact_numbers(job, tmp_path, capsys):
    assert main(["ledger", str(job), "--json", "--csv", str(tmp_path / "table.csv")]) == 0
    table = json.loads(capsys.readouterr().out)
    assert [LedgerEntry.from_json(entry) for entry in table["entries"]] == [LOST, MADE]
    with (tmp_path / "table.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(rows[0][f"source_ras_{axis}_mm"]) for axis in "ras"] == list(LOST.source_ras)
    assert (rows[1]["trust"], rows[1]["reason"], rows[0]["volume_mm3"]) == ("", "It has, oddly, no origin.", "4200")


def test_an_empty_ledger_is_no_proof_and_says_so(tmp_path, capsys):
    main(["ledger", str(finished(tmp_path / "job", Ledger((), np.zeros(GRID.shape_kji, np.uint8), "A rule.")))])
    assert "no proof" in capsys.readouterr().out


def test_a_translation_without_a_ledger_is_told_from_a_folder_without_a_translation(tmp_path, capsys):
    assert main(["ledger", str(finished(tmp_path / "job", None))]) == 2
    assert "has no ledger" in capsys.readouterr().err
    assert main(["ledger", str(tmp_path)]) == 2
    assert "holds no finished translation" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("point", "said"),
    [((0.4, -0.4, 0.0), "R 0, A 0, S 0 mm"), ((-0.6, -1.5, 99.5), "L 1, P 2, S 100 mm")],
)
def test_a_position_is_said_by_direction_and_whole_millimetres(point, said):
    assert clinical_position(point) == said
