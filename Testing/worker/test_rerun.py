"""A record is enough to run a case again: the same bytes on the same device, a clear word wherever that cannot be."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import SimpleITK as sitk

from MedTranslateLib.cli import job
from MedTranslateLib.cli.main import main
from MedTranslateLib.cli.rerun_report import compare, first_result
from MedTranslateLib.core.schemas import load_schema
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.imaging.job_folder import RESULT, read_result, sha256_of_file
from MedTranslateLib.imaging.reading import read_volume
from MedTranslateLib.imaging.writing import write_volume
from MedTranslateLib.inference.job import JobTranslator

IDENTICAL = "Run again. Identical byte for byte: translated.nrrd, and all other files as well."
GRID = {"size_hw": (32, 40), "spacing_mm": 6.0, "reversible": False}
MOVING = {"channels": [16, 16], "velocity_channels": 8, "levels": 2, "steps": 1}


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saves the seconds that a process takes to load torch; test_command_line.py runs the same in processes."""
    translator = JobTranslator()
    monkeypatch.setattr(job, "run_job", lambda folder, on_message, debug: translator.run(folder, on_message))


@pytest.fixture
def head_file(tmp_path: Path, oblique_head: Volume) -> Path:
    path = tmp_path / "head.nii.gz"
    write_volume(path, oblique_head)
    return path


@pytest.fixture
def first(tmp_path, head_file, make_bundle, capsys) -> Path:
    """A finished translation by the identity, whose bundle was given by its path."""
    bundle, out = make_bundle("still", **GRID), tmp_path / "first"
    assert main(["translate", str(head_file), "--bundle", str(bundle), "--out", str(out), "--no-views"]) == 0
    assert "Fits: needs about" in capsys.readouterr().err
    return out


def rerun(record: Path, out: Path, *options: str) -> int:
    return main(["rerun", str(record), "--out", str(out), "--no-views", *options])


def change(folder: Path, change_of: Any) -> Path:
    """A record beside its result, changed, and the result told so: as if that run had been another one."""
    path = folder / "provenance.json"
    record = json.loads(path.read_text())
    change_of(record)
    path.write_text(json.dumps(record))
    table = json.loads((folder / RESULT).read_text())
    table["sha256"]["provenance.json"] = sha256_of_file(path)
    (folder / RESULT).write_text(json.dumps(table))
    return path


def test_samples_fields_and_spread_come_back_byte_for_byte(tmp_path, head_file, make_bundle, capsys):
    bundle, out, again = make_bundle("moves", "plasticine", MOVING, **GRID), tmp_path / "out", tmp_path / "again"
    told = ["translate", str(head_file), "--bundle", str(bundle), "--out", str(out), "--no-views"]
    assert main([*told, "--samples", "3", "--seed", "11"]) == 0
    record = json.loads((out / "provenance.json").read_text())
    jsonschema.validate(record, load_schema("provenance"))
    assert record["request"]["seed"] == 11
    assert record["run"]["threads"] >= 1
    assert len(record["software"]["code_sha256"]) == 64
    stages = sum(took for name, took in record["times_s"].items() if name not in ("network", "total"))
    assert stages == pytest.approx(record["times_s"]["total"], abs=0.02)
    assert rerun(out / "provenance.json", again) == 0
    assert capsys.readouterr().out.splitlines()[-1] == IDENTICAL
    for name in ("translated", "forward_field", "inverse_field", "uncertainty", "validity"):
        assert (out / f"{name}.nrrd").read_bytes() == (again / f"{name}.nrrd").read_bytes(), name


def test_a_record_of_the_first_version_is_enough(first, tmp_path, capsys):
    def as_it_was(record: dict[str, Any]) -> None:
        del record["request"], record["memory"]
        for key in ("threads", "slab", "estimate_drift", "method_options"):
            del record["run"][key]
        for key in ("code_sha256", "scipy", "monai", "scikit_image", "safetensors"):
            del record["software"][key]
        record["bundle"]["name"] = "still"

    path = change(first, as_it_was)
    bundle = tmp_path / "bundles" / "still"
    assert rerun(path, tmp_path / "again", "--bundle", str(bundle)) == 0
    assert "Identical byte for byte: translated.nrrd" in capsys.readouterr().out


def test_the_same_image_in_another_format_is_the_same_source(first, head_file, tmp_path, capsys):
    (first / "source.nrrd").unlink()
    assert rerun(first / "provenance.json", tmp_path / "none") == 2
    assert "Give the image with --source" in capsys.readouterr().err
    image = sitk.ReadImage(str(head_file))
    for key in image.GetMetaDataKeys():
        image.EraseMetaData(key)
    sitk.WriteImage(image, str(tmp_path / "same.mha"))  # rounds the directions in another digit than NRRD does
    assert not np.array_equal(
        read_volume(tmp_path / "same.mha").geometry.ijk_to_ras,
        json.loads((first / "provenance.json").read_text())["source"]["ijk_to_ras"],
    )
    assert rerun(first / "provenance.json", tmp_path / "again", "--source", str(tmp_path / "same.mha")) == 0
    assert IDENTICAL in capsys.readouterr().out


def test_another_image_is_refused_with_both_hashes(first, tmp_path, capsys):
    read = read_volume(first / "source.nrrd")
    array = read.array_kji.copy()
    array[3, 20, 30] += 1  # a single voxel
    write_volume(tmp_path / "other.nrrd", Volume(array, read.geometry))
    record = json.loads((first / "provenance.json").read_text())
    assert rerun(first / "provenance.json", tmp_path / "again", "--source", str(tmp_path / "other.nrrd")) == 2
    said = capsys.readouterr().err
    assert f"expected {record['source']['sha256']}, got " in said
    assert not (tmp_path / "again").exists()


def test_a_bundle_of_another_version_is_refused_and_a_missing_one_named(first, make_bundle, tmp_path, capsys):
    other = make_bundle("other", "bidpm", {"channels": [16, 16]}, version="2.0.0", **GRID)
    assert rerun(first / "provenance.json", tmp_path / "again", "--bundle", str(other)) == 2
    assert "The installed bundle other 2.0.0 is not the one of the record, still 1.0.0" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "bundles" / "still")
    assert rerun(first / "provenance.json", tmp_path / "again") == 2
    assert "still 1.0.0, is not there" in capsys.readouterr().err


def test_the_first_result_is_neither_overwritten_nor_compared_when_it_was_changed(first, tmp_path, capsys):
    before = {path.name: path.read_bytes() for path in first.iterdir()}
    assert rerun(first / "provenance.json", first) == 2
    assert "Choose another folder" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in first.iterdir()} == before
    (first / "translated.nrrd").write_bytes(b"changed")
    assert rerun(first / "provenance.json", tmp_path / "again") == 1
    assert "was changed or is missing; nothing was run" in capsys.readouterr().err
    assert not (tmp_path / "again").exists()


def test_a_record_alone_is_run_and_the_missing_result_told(first, tmp_path, capsys):
    (first / RESULT).unlink()
    assert rerun(first / "provenance.json", tmp_path / "again") == 0
    assert "not beside the record, so they were not compared" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is no provenance record"),
        ('{"format": 1, "source": {}}', "is no provenance record"),
        ('{"format": 1, "source": {}, "bundle": {}, "run": {}, "gate": {}}', "it lacks source.name"),
    ],
)
def test_what_is_no_record_is_refused(tmp_path, capsys, content, words):
    path = tmp_path / "provenance.json"
    path.write_text(content)
    assert rerun(path, tmp_path / "again") == 2
    assert words in capsys.readouterr().err


def altered(folder: Path, to: Path, **run: object) -> Path:
    """A copy of a result whose output is brighter by 0.25 in one of its voxels, as if made by another run."""
    shutil.copytree(folder, to)
    made = read_volume(to / "translated.nrrd")
    array = made.array_kji.copy()
    array[5, 60, 70] += np.float32(0.25)
    write_volume(to / "translated.nrrd", Volume(array, made.geometry))
    table = json.loads((to / RESULT).read_text())
    table["sha256"]["translated.nrrd"] = sha256_of_file(to / "translated.nrrd")
    (to / RESULT).write_text(json.dumps(table))
    change(to, lambda record: record["run"].update(run))
    return to


def test_a_difference_on_the_same_device_is_told_with_what_may_explain_it(first, tmp_path):
    other = altered(first, tmp_path / "other", threads=7)
    record = json.loads((other / "provenance.json").read_text())
    report = compare(first_result(other / "provenance.json"), first, record, read_result(first))
    mean = 0.25 / (150 * 130 * 30)
    assert not report.agrees
    assert report.text.startswith("NOT identical, on the same device. Largest difference to the first result 0.25, ")
    assert f"mean {mean:.4g} (relative 0..1)" in report.text
    now = read_result(first).provenance["run"]["threads"]
    assert report.text.endswith(f"What differs between the runs: threads 7 then, {now} now.")


def test_another_device_is_told_with_its_agreement_and_is_no_failure(first, tmp_path):
    other = altered(first, tmp_path / "other", device="cuda:0", device_name="NVIDIA H200")
    record = json.loads((other / "provenance.json").read_text())
    report = compare(first_result(other / "provenance.json"), first, record, read_result(first))
    span = float(np.ptp(read_volume(other / "translated.nrrd").array_kji))
    assert report.agrees
    assert "Another device: cuda:0 (NVIDIA H200) then, cpu (" in report.text
    assert f"{25 / span:.3g} % and" in report.text


def test_a_rerun_that_differs_on_the_same_device_ends_with_1(first, tmp_path, capsys):
    other = altered(first, tmp_path / "other")
    assert rerun(other / "provenance.json", tmp_path / "again") == 1
    assert "NOT identical, on the same device" in capsys.readouterr().out


def test_the_plan_is_told_without_a_run(head_file, make_bundle, capsys, tmp_path):
    told = ["plan", str(head_file), "--bundle", str(make_bundle("still", **GRID)), "--device", "cpu"]
    assert main(told) == 0
    assert capsys.readouterr().out.startswith("Fits: needs about 0.")
    assert main([*told, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["mode"], plan["batch_size"], plan["slab"]) == ("full", 4, None)
    assert 500_000_000 < plan["needed_bytes"] < 1_000_000_000
    assert main([*told[:-1], "cuda:9"]) == 2
    assert "'cuda:9' was asked for but is not available" in capsys.readouterr().err
