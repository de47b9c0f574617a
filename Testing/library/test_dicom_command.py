"""`medtranslate dicom` as the panel and users call it: one line of JSON, exit codes, folders that stay apart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_sources import finished_job, oblique, translated_series, whole_numbers

from MedTranslateLib.cli.main import main
from MedTranslateLib.core.errors import OutputError
from MedTranslateLib.core.request import TranslationRequest
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.imaging.job_folder import Job, write_job

ROOT = Path(__file__).resolve().parents[2]
GRID = oblique((70, 56, 3), (0.9, 1.3, 4.0))


@pytest.fixture
def case(tmp_path):
    """The folders of a series and of its finished translation, as text."""
    return [str(path) for path in translated_series(tmp_path, whole_numbers(GRID))]


def test_a_process_answers_with_one_line_of_json_and_nothing_else(tmp_path, case):
    series, job = case
    command = [sys.executable, "-m", "MedTranslateLib", "dicom", job, "--series", series, "--out", "out", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    (line,) = run.stdout.splitlines()
    answer = json.loads(line)
    images = [pydicom.dcmread(path) for path in sorted((tmp_path / "out/series").iterdir())]
    assert answer == {
        "files": 5,
        "folder": "out",
        "series_uid": images[0].SeriesInstanceUID,
        "accuracy": 1e-5,
        "warnings": [],
    }


def test_without_json_a_sentence_says_what_was_written(tmp_path, case, capsys):
    series, job = case
    assert main(["dicom", job, "--series", series, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert f"{tmp_path / 'out'}: 3 slices in series/ (intensities to within 1e-05)" in said
    assert "fields/forward.dcm, fields/inverse.dcm. SYNTHETIC, research use only." in said


@pytest.mark.parametrize("out", [".", "new/folder/"])
def test_the_folder_may_be_where_the_user_stands_or_lie_in_one_that_is_not_there_yet(tmp_path, case, monkeypatch, out):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert main(["dicom", case[1], "--series", case[0], "--out", out]) == 0
    assert len(list((tmp_path / "here").rglob("*.dcm"))) == 5
    assert not list(tmp_path.rglob(".part-*"))


def test_without_a_series_a_new_study_of_an_unknown_patient_is_made_and_said(tmp_path, case, capsys):
    assert main(["dicom", case[1], "--no-series", "--out", str(tmp_path / "out"), "--json"]) == 0
    told = capsys.readouterr()
    assert "No source series was given: a new study was made" in told.err
    assert "new study" in json.loads(told.out)["warnings"][0]
    image = pydicom.dcmread(tmp_path / "out/series/0001.dcm")
    assert (image.PatientName, image.PatientID) == ("SYNTHETIC^NoSourceSeries", "SYNTHETIC-NO-SOURCE-SERIES")
    assert "SourceImageSequence" not in image
    assert image.StudyDescription == "SYNTHETIC, source series unknown"


def test_without_a_series_the_grid_is_that_of_the_result(tmp_path, case):
    from MedTranslateLib.imaging.job_folder import read_result
    from MedTranslateLib.imaging.reading import read_volume

    assert main(["dicom", case[1], "--out", str(tmp_path / "out")]) == 0
    again, result = read_volume(tmp_path / "out/series"), read_result(Path(case[1])).translated
    assert again.geometry.same_grid(result.geometry, tolerance_mm=1e-6)
    np.testing.assert_allclose(again.array_kji, result.array_kji, atol=1.01e-5)


def test_a_patient_can_be_named_where_there_is_no_series_and_only_there(tmp_path, case, capsys):
    series, job = case
    named = ["--patient-name", "Test^Tina", "--patient-id", "T-1"]
    assert main(["dicom", job, "--out", str(tmp_path / "a"), *named]) == 0
    image = pydicom.dcmread(tmp_path / "a/series/0001.dcm")
    assert (image.PatientName, image.PatientID) == ("Test^Tina", "T-1")
    assert main(["dicom", job, "--series", series, "--out", str(tmp_path / "b"), *named]) == 2
    assert "the series says whose it is" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--series", "SERIES", "--no-series", "--out", "OUT"], "not allowed with argument"),
        (["--series", "SERIES"], "required: --out"),
        (["--series", "nowhere", "--out", "OUT"], "nowhere is no folder"),
        (["--series", "SERIES", "--out", "SERIES"], "is there already and not empty"),
        (["--series", "SERIES", "--out", "OUT", "--uncertainty"], "Translate with --samples 8"),
    ],
)
def test_a_mistake_is_answered_with_a_sentence_exit_code_2_and_no_folder(tmp_path, case, capsys, arguments, said):
    places = {"SERIES": case[0], "OUT": str(tmp_path / "out")}
    before = sorted(Path(case[0]).iterdir())
    assert main(["dicom", case[1], *[places.get(word, word) for word in arguments]]) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert told.out == ""
    assert not (tmp_path / "out").exists()
    assert sorted(Path(case[0]).iterdir()) == before


def test_a_job_that_is_not_finished_and_a_modality_that_has_no_class_are_refused(tmp_path, case, capsys):
    assert main(["dicom", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "holds no finished translation" in capsys.readouterr().err
    odd = finished_job(tmp_path / "odd", whole_numbers(GRID), modality="PT")
    assert main(["dicom", str(odd), "--out", str(tmp_path / "out")]) == 2
    assert "modality 'PT' cannot be written as DICOM; expected MR or CT" in capsys.readouterr().err


def test_the_maps_are_real_numbers_that_highdicom_reads(tmp_path, case):
    import highdicom

    spread = Volume(np.random.default_rng(8).uniform(0, 0.2, GRID.shape_kji), GRID)
    job = finished_job(tmp_path / "sampled", whole_numbers(GRID), uncertainty=spread)
    assert main(["dicom", str(job), "--out", str(tmp_path / "out"), "--uncertainty"]) == 0
    image = highdicom.imread(tmp_path / "out/maps/uncertainty.dcm")
    values = image.get_volume(apply_real_world_transform=True, dtype=np.float32)
    lps = np.array([-1, -1, 1]) * GRID.ras_from_ijk([5, 11, 2])
    index = tuple(np.rint(values.map_reference_to_indices(lps[None])[0]).astype(int))
    assert values.array[index] == spread.array_kji[2, 11, 5]
    np.testing.assert_array_equal(np.sort(values.array.ravel()), np.sort(spread.array_kji.ravel()))


def test_a_failed_write_leaves_nothing(tmp_path, case, monkeypatch):
    from MedTranslateLib.dicom import export as module

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "dcmwrite", full)
    with pytest.raises(OutputError, match="the disk is full"):
        module.export_result(Path(case[1]), Path(case[0]), tmp_path / "out", module.ExportOptions())
    assert {path.name for path in tmp_path.iterdir()} == {"source", "job"}


def test_a_job_folder_gives_up_our_export_for_another_run_but_not_what_lies_in_it_of_someone_else(tmp_path, case):
    series, job = case
    again = Job(TranslationRequest("tiny"), whole_numbers(GRID))
    assert main(["dicom", job, "--series", series, "--out", f"{job}/dicom"]) == 0
    (Path(job) / "dicom/series/my-notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="it holds 'dicom'"):
        write_job(Path(job), again)
    assert (Path(job) / "result.json").is_file()
    (Path(job) / "dicom/series/my-notes.txt").unlink()
    write_job(Path(job), again)
    assert not (Path(job) / "dicom").exists()


def test_translate_writes_dicom_in_one_go(tmp_path, make_bundle, capsys):
    from dicom_sources import write_series

    from MedTranslateLib.imaging.phantom import head_phantom

    head = head_phantom(oblique((120, 110, 4), (1.4, 1.5, 8.0)), "head")
    whole = Volume(np.rint(head.array_kji * 500), head.geometry)
    written = write_series(tmp_path / "series", whole)
    bundle, out = make_bundle("identity"), tmp_path / "out"
    words = ["--bundle", str(bundle), "--out", str(out), "--no-views", "--dicom", "--accept-doubtful"]
    assert main(["translate", str(tmp_path / "series"), *words]) == 0, capsys.readouterr().err
    assert "DICOM: " in capsys.readouterr().out.splitlines()[-1]
    image = pydicom.dcmread(out / "dicom/series/0001.dcm")
    assert image.StudyInstanceUID == written[0].StudyInstanceUID
    assert image.SourceImageSequence[0].ReferencedSOPInstanceUID == written[0].SOPInstanceUID
    code = main(["translate", str(out / "translated.nrrd"), *words[:3], str(tmp_path / "b"), "--dicom"])
    assert code == 2
    assert "is no folder; expected the folder with the source's DICOM series" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()
