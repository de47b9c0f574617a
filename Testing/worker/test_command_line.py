"""The command line as a user meets it: what it makes, what it says, and what it says when it cannot."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from MedTranslateLib.bundles.parts import Scale, Side
from MedTranslateLib.cli.main import main
from MedTranslateLib.core.errors import OutputError
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.imaging.files import write_json
from MedTranslateLib.imaging.job_folder import read_result
from MedTranslateLib.imaging.reading import read_volume
from MedTranslateLib.imaging.writing import write_volume

RESULT_FILES = {
    "request.json",
    "source.nrrd",
    "result.json",
    "provenance.json",
    "translated.nrrd",
    "forward_field.nrrd",
    "inverse_field.nrrd",
    "validity.nrrd",
    "trust.nrrd",
    "trust_cycle.nrrd",
    "trust_intensity.nrrd",
    "ledger.json",
    "ledger_regions.nrrd",
}
IDENTICAL = "Run again. Identical byte for byte: translated.nrrd, and all other files as well."


@pytest.fixture
def head_file(tmp_path: Path, oblique_head: Volume) -> Path:
    path = tmp_path / "head.nii.gz"
    write_volume(path, oblique_head)
    return path


def test_translate_trace_and_rerun_work_one_after_the_other(tmp_path, head_file, make_bundle, capsys):
    bundle, out = make_bundle("identity"), tmp_path / "out"
    before = head_file.read_bytes()
    assert main(["translate", str(head_file), "--bundle", str(bundle), "--out", str(out), "--no-views"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 4
    assert "SYNTHETIC, research use only" in said[0]
    assert {path.name for path in out.iterdir()} == RESULT_FILES
    source = read_volume(head_file)
    assert np.abs(read_result(out).translated.geometry.ijk_to_ras - source.geometry.ijk_to_ras).max() <= 1e-6
    assert head_file.read_bytes() == before

    centre = source.geometry.ras_from_ijk([75, 65, 15])
    assert main(["trace", str(out), "--point", *[f"{value:.4f}" for value in centre]]) == 0
    traced = json.loads(capsys.readouterr().out)
    np.testing.assert_allclose(traced["output_ras"], centre, atol=1e-3)
    assert traced["displacement_mm"] == 0
    assert traced["det_j"] == 1
    assert traced["state"] == "ok"
    assert 0 < traced["trust"] <= 1
    assert traced["expected_error"] is None  # nobody calibrated this bundle
    assert main(["trace", str(out), "--point", "900", "0", "0", "--from", "output"]) == 0
    beyond = json.loads(capsys.readouterr().out)
    assert (beyond["state"], beyond["trust"]) == ("outside", None)

    record = str(out / "provenance.json")
    bundle.rename(tmp_path / "elsewhere")
    assert main(["rerun", record, "--out", str(tmp_path / "again"), "--no-views"]) == 2  # the bundle is not installed
    assert "identity 1.0.0, is not there" in capsys.readouterr().err


def test_rerun_gives_the_same_output_from_the_record_alone(tmp_path, head_file, make_bundle, capsys, monkeypatch):
    monkeypatch.setenv("MEDTRANSLATE_BUNDLES", str(make_bundle("small", size_hw=(64, 64), spacing_mm=3.0).parent))
    out = tmp_path / "out"
    assert main(["translate", str(head_file), "--bundle", "small", "--out", str(out), "--no-views"]) == 0
    again = tmp_path / "again"
    assert main(["rerun", str(out / "provenance.json"), "--out", str(again), "--no-views"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == IDENTICAL
    assert (out / "translated.nrrd").read_bytes() == (again / "translated.nrrd").read_bytes()


def test_a_zero_shot_bundle_draws_samples_and_can_be_told_to_follow_the_maps_alone(
    tmp_path, head_file, make_bundle, capsys, monkeypatch
):
    any_side = {"source": Side("ANY", "any contrast", Scale("relative", 0.5, 99.8)), "reversible": False}
    grid = {"size_hw": (48, 48), "spacing_mm": 5.0}
    options = {"channels": [16, 16], "steps": 2, "picture": True, "contrast": 1.0, "guidance": "picture"}
    folder = make_bundle("zero", "midiffusion", options, **any_side, **grid)
    monkeypatch.setenv("MEDTRANSLATE_BUNDLES", str(folder.parent))
    told = ["translate", str(head_file), "--bundle", "zero", "--no-views", "--no-trust", "--samples", "3"]
    assert main([*told, "--out", str(tmp_path / "all")]) == 0
    assert (
        main([*told, "--out", str(tmp_path / "maps"), "--option", "guidance=both", "--option", "start_deviation=1.5"])
        == 0
    )
    drawn, told_otherwise = read_result(tmp_path / "all"), read_result(tmp_path / "maps")
    assert float(drawn.uncertainty.array_kji.max()) > 0
    assert drawn.correspondence.origin.value == "identity"
    assert drawn.provenance["run"]["from"] == ""
    assert drawn.provenance["run"]["method"] == {
        "sampler": "dpm-solver++",
        "start_deviation": 0.0,
        "temperature": 1.0,
        "guidance": "picture",
    }
    assert told_otherwise.provenance["run"]["method"]["guidance"] == "both"
    assert told_otherwise.provenance["run"]["method_options"] == {"guidance": "both", "start_deviation": 1.5}
    assert main(["rerun", str(tmp_path / "maps/provenance.json"), "--out", str(tmp_path / "again"), "--no-views"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == IDENTICAL
    for wrong, words in (
        ("channels=3", "cannot be chosen"),
        ("guidance=all", "unknown"),
        ("steps=2.5", "steps must be int"),
        ("start_deviation=true", "must be float"),
    ):
        assert main([*told, "--out", str(tmp_path / "no"), "--option", wrong]) == 2
        assert words in capsys.readouterr().err
        assert not (tmp_path / "no").exists()
    assert main([*told, "--out", str(tmp_path / "no"), "--option", "guidance"]) == 2
    assert "expected NAME=VALUE" in capsys.readouterr().err


def test_a_job_that_fails_takes_its_folder_back(tmp_path, head_file, make_bundle, capsys):
    out, bundle = tmp_path / "out", str(make_bundle("identity"))
    arguments = ["translate", str(head_file), "--bundle", bundle, "--out", str(out), "--device", "cuda:9"]
    assert main(arguments) == 2
    captured = capsys.readouterr().err
    assert "cuda:9" in captured
    assert "Traceback" not in captured
    assert not out.exists()


def image_file(path: Path, array: np.ndarray, **options: object) -> Path:
    sitk.WriteImage(sitk.GetImageFromArray(array, **options), str(path))
    return path


def zero_spacing(path: Path) -> Path:
    header = "NRRD0004\ntype: uchar\ndimension: 3\nspace: left-posterior-superior\nsizes: 2 2 2\n"
    header += "space directions: (0,0,0) (0,1,0) (0,0,1)\nencoding: raw\n\n"
    path.write_bytes(header.encode() + bytes(range(8)))
    return path


def singular_direction(path: Path) -> Path:
    header = "NRRD0004\ntype: uchar\ndimension: 3\nspace: left-posterior-superior\nsizes: 2 2 2\n"
    header += "space directions: (1,0,0) (1,0,0) (0,0,1)\nencoding: raw\n\n"
    path.write_bytes(header.encode() + bytes(range(8)))
    return path


BAD_SOURCES = {
    "missing": lambda folder: folder / "missing.nii.gz",
    "text": lambda folder: folder / "text.nii.gz",
    "empty folder": lambda folder: folder / "empty",
    "time series": lambda folder: image_file(folder / "4d.nii", np.zeros((3, 2, 2, 2), np.float32), isVector=False),
    "colour": lambda folder: image_file(folder / "rgb.nrrd", np.zeros((2, 2, 2, 3), np.uint8), isVector=True),
    "nan": lambda folder: image_file(folder / "nan.nrrd", np.full((2, 2, 2), np.nan, np.float32)),
    "infinite": lambda folder: image_file(folder / "inf.nrrd", np.full((2, 2, 2), np.inf, np.float32)),
    "spacing zero": lambda folder: zero_spacing(folder / "zero.nrrd"),
    "singular": lambda folder: singular_direction(folder / "singular.nrrd"),
}


@pytest.mark.parametrize("kind", list(BAD_SOURCES))
def test_a_bad_source_is_answered_before_anything_is_written(tmp_path, make_bundle, capsys, kind):
    (tmp_path / "text.nii.gz").write_text("no image")
    (tmp_path / "empty").mkdir()
    source = BAD_SOURCES[kind](tmp_path)
    out = tmp_path / "out"
    assert main(["translate", str(source), "--bundle", str(make_bundle("identity")), "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("medtranslate: error: ")
    assert source.name.split(".")[0] in said
    assert "Traceback" not in said
    assert not out.exists()


def test_an_unknown_bundle_lists_what_there_is(tmp_path, head_file, capsys):
    out = tmp_path / "out"
    assert main(["translate", str(head_file), "--bundle", "bidpm-brain-t1-flare", "--out", str(out)]) == 2
    assert "bidpm-brain-t1-flair" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("option", [["--steps", "0"], ["--samples", "-1"], ["--seed", "-3"], ["--samples", "999"]])
def test_an_option_out_of_range_is_answered_with_the_range(tmp_path, head_file, make_bundle, capsys, option):
    out, bundle = tmp_path / "out", str(make_bundle("identity"))
    assert main(["translate", str(head_file), "--bundle", bundle, "--out", str(out), *option]) == 2
    assert "must be a whole number from" in capsys.readouterr().err
    assert not out.exists()


def test_trace_of_an_unfinished_folder_says_so(tmp_path, capsys):
    assert main(["trace", str(tmp_path), "--point", "0", "0", "0"]) == 2
    assert "holds no finished translation" in capsys.readouterr().err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")  # noqa: PTH110
def test_a_full_disk_is_named_and_leaves_nothing_behind(tmp_path, oblique_head):
    (tmp_path / ".part-table.json").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="the disk is full"):
        write_json(tmp_path / "table.json", {"a": 1})
    (tmp_path / ".part-image.nrrd").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="could not be written"):
        write_volume(tmp_path / "image.nrrd", oblique_head)
    assert list(tmp_path.iterdir()) == []


def test_evaluate_and_train_name_a_wrong_key(tmp_path, capsys):
    config = tmp_path / "config.toml"
    config.write_text("colour = 1\n")
    assert main(["evaluate", str(config), "--out", str(tmp_path / "o")]) == 2
    assert "colour" in capsys.readouterr().err
    assert main(["train", str(config), "--out", str(tmp_path / "o")]) == 2
    assert "colour" in capsys.readouterr().err
