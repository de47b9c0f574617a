"""A folder of images is translated as one by one, goes on where it broke off, and says which image could not be."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from MedTranslateLib.cli.main import main
from MedTranslateLib.core.errors import ConfigError, DoubtfulInputError, SourceNotFoundError
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.evaluation import job
from MedTranslateLib.evaluation.batch import translate_case
from MedTranslateLib.evaluation.batch_cases import find_cases
from MedTranslateLib.evaluation.cohort import local_scheduler
from MedTranslateLib.imaging.job_folder import sha256_of_file
from MedTranslateLib.imaging.phantom import head_phantom
from MedTranslateLib.imaging.writing import write_volume

GRID = {"size_hw": (48, 48), "spacing_mm": 5.0}
TRANSLATED = "translated.nrrd"


def head(size_mm: float, spacing_mm: float = 8.0):
    """A small head, off the origin and anisotropic; another size is another image."""
    matrix = np.diag([spacing_mm, spacing_mm * 0.9, spacing_mm * 0.8, 1.0])
    matrix[:3, 3] = [-70.0, -80.0, -40.0]
    count = round(size_mm / spacing_mm)
    return head_phantom(Geometry((count, count + 2, 6), matrix), "head")


def image(path: Path, size_mm: float = 180.0, **options: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(path, head(size_mm, **options))
    return path


@pytest.fixture
def bundle(make_bundle) -> str:
    return str(make_bundle("small", "bidpm", {"channels": [16, 16]}, **GRID))


@pytest.fixture(scope="module")
def scheduler():
    with local_scheduler(2) as address:
        yield address


def batch(folder: Path, out: Path, bundle: str, *more: str) -> int:
    return main(["batch", str(folder), "--bundle", bundle, "--out", str(out), "--no-views", *more])


def rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / "batch.csv").open(encoding="utf-8", newline="") as file:
        return {row["case"]: row for row in csv.DictReader(file)}


def test_each_image_is_translated_as_by_itself_and_the_bad_ones_are_named(tmp_path, bundle, scheduler, capsys):
    folder, out = tmp_path / "in", tmp_path / "out"
    good = {"a": image(folder / "a.nii.gz", 170), "ward/b": image(folder / "ward/b.nrrd", 190)}
    (folder / "text.nrrd").write_text("no image")
    sitk.WriteImage(sitk.GetImageFromArray(np.full((6, 6, 6), np.nan, np.float32)), str(folder / "nan.nrrd"))
    options = ["--seed", "5", "--reverse"]
    assert batch(folder, out, bundle, "--scheduler", scheduler, *options) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "2 translated, 0 skipped (there already), 2 failed, of 4."
    assert said[1].startswith("  failed: nan: nan: ")
    assert said[2].startswith("  failed: text: ")
    assert "cannot be read" in said[2]
    assert len(said) == 4

    table = rows(out)
    assert [(case, row["state"]) for case, row in table.items()] == [
        ("a", "done"),
        ("nan", "failed"),
        ("text", "failed"),
        ("ward/b", "done"),
    ]
    messages = [row["message"] for row in table.values()]
    assert messages == ["", *[line.partition(": ")[2].partition(": ")[2] for line in said[1:3]], ""]
    assert {case: Path(table[case]["source"]) for case in good} == good
    record = json.loads((out / "batch.json").read_text(encoding="utf-8"))
    assert record["counts"] == {"done": 2, "skipped": 0, "failed": 2}
    assert record["options"]["seed"] == 5
    assert {row["case"]: row["state"] for row in record["cases"]} == {case: row["state"] for case, row in table.items()}
    assert {path.name for path in out.iterdir()} == {"a", "ward", "batch.csv", "batch.json"}

    alone = tmp_path / "alone"
    assert (
        main(["translate", str(good["ward/b"]), "--bundle", bundle, "--out", str(alone), "--no-views", *options]) == 0
    )
    assert {path.name for path in (out / "ward/b").iterdir()} == {path.name for path in alone.iterdir()}
    for name in (TRANSLATED, "forward_field.nrrd", "source.nrrd", "request.json"):
        assert (out / "ward/b" / name).read_bytes() == (alone / name).read_bytes()


def test_the_bytes_do_not_depend_on_the_process_and_a_second_run_skips(tmp_path, bundle, scheduler, capsys):
    folder, out, here = tmp_path / "in", tmp_path / "in/out", tmp_path / "here"
    for name, size in (("a", 170), ("b", 180), ("c", 200)):
        image(folder / f"{name}.nrrd", size)
    assert batch(folder, out, bundle, "--scheduler", scheduler) == 0  # the results lie among the images
    for case in "cab":
        translate_case(work(folder / f"{case}.nrrd", here / case, bundle))
    made = {case: (out / case / TRANSLATED).read_bytes() for case in "abc"}
    assert made == {case: (here / case / TRANSLATED).read_bytes() for case in "abc"}
    assert len(set(made.values())) == 3

    capsys.readouterr()
    (out / "b" / "inverse_field.nrrd").write_bytes(b"changed")
    (out / "c" / "result.json").unlink()
    assert batch(folder, out, bundle, "--scheduler", scheduler) == 0
    assert capsys.readouterr().out.startswith("2 translated, 1 skipped (there already), 0 failed, of 3.\n")
    assert {case: row["state"] for case, row in rows(out).items()} == {"a": "skipped", "b": "done", "c": "done"}
    assert made == {case: (out / case / TRANSLATED).read_bytes() for case in "abc"}


@pytest.mark.slow
def test_the_bytes_do_not_depend_on_the_number_of_workers(tmp_path, make_bundle):
    options = {"channels": [16, 16], "steps": 2, "picture": True, "contrast": 1.0, "guidance": "picture"}
    noisy = str(make_bundle("noisy", "midiffusion", options, reversible=False, **GRID))
    for number in range(5):
        image(tmp_path / "in" / f"{number}.nrrd", 160 + 10 * number)
    for workers in ("1", "3"):
        assert batch(tmp_path / "in", tmp_path / workers, noisy, "--workers", workers, "--samples", "2") == 0
    for path in (tmp_path / "1").glob("*/*.nrrd"):
        assert path.read_bytes() == (tmp_path / "3" / path.relative_to(tmp_path / "1")).read_bytes()
    assert len(list((tmp_path / "3").glob("*/uncertainty.nrrd"))) == 5


def work(source: Path, folder: Path, bundle: str, *, views: bool = False, **options: object) -> dict:
    return {"source": str(source), "folder": str(folder), "bundle": bundle, "options": options, "views": views}


def test_only_the_same_image_bundle_and_options_are_skipped(tmp_path, bundle, make_bundle):
    source, folder = image(tmp_path / "a.nrrd"), tmp_path / "job"

    def state(bundle: str = bundle, **options: object) -> str:
        return translate_case(work(source, folder, bundle, **options))["state"]

    assert [state(), state(), state(seed=0)] == ["done", "skipped", "skipped"]
    assert [state(seed=1), state(seed=1), state()] == ["done", "skipped", "done"]
    other = str(make_bundle("small-too", "bidpm", {"channels": [16, 16]}, **GRID))
    assert [state(other), state(other), state()] == ["done", "skipped", "done"]
    image(source, 182)  # another grid
    assert [state(), state()] == ["done", "skipped"]
    volume = head(182)
    changed = volume.array_kji.copy()
    changed[3, 10, 10] += 0.5
    write_volume(source, type(volume)(changed, volume.geometry, "a"))
    assert [state(), state()] == ["done", "skipped"]


def test_pictures_that_are_missing_are_made_without_translating_again(tmp_path, bundle, monkeypatch):
    monkeypatch.setattr(job, "_make_scene", lambda _out: "there is no slicer-core")
    source, folder = image(tmp_path / "a.nrrd"), tmp_path / "job"
    translate_case(work(source, folder, bundle))
    made = (folder / "result.json").stat().st_mtime_ns
    answer = translate_case(work(source, folder, bundle, views=True))
    assert answer == {"state": "done", "message": "scene.mrb was not made: there is no slicer-core"}
    assert (folder / "overview.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "result.json").stat().st_mtime_ns == made
    assert translate_case(work(source, folder, bundle, views=True)) == {"state": "skipped", "message": ""}


def test_a_doubtful_image_is_refused_with_the_option_that_accepts_it_and_leaves_no_folder(tmp_path, make_bundle):
    fine = str(make_bundle("fine", spacing_mm=1.2))
    source, folder = image(tmp_path / "a.nrrd"), tmp_path / "job"
    with pytest.raises(DoubtfulInputError, match="Give --accept-doubtful to translate it anyway"):
        translate_case(work(source, folder, fine))
    assert not folder.exists()
    assert translate_case(work(source, folder, fine, accept_doubtful=True))["state"] == "done"


def names(folder: Path, out: Path) -> dict[str, str]:
    return {case.name: case.source.relative_to(folder).as_posix() for case in find_cases(folder, out)}


def test_every_image_gets_a_name_of_its_own(tmp_path):
    for path in ("a.nii.gz", "a.nrrd", "A.mha", "b.NRRD", "b/c.nii", "b/d.mhd", "e.f.nii", "z/.x.nii", ".h/x.nii"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    for path in ("notes.txt", "head.seg.nrrd", "b/d.raw"):
        (tmp_path / path).touch()
    assert names(tmp_path, tmp_path / "out") == {
        "A.mha": "A.mha",
        "a.nii.gz": "a.nii.gz",
        "a.nrrd": "a.nrrd",
        "b.NRRD": "b.NRRD",
        "b/c": "b/c.nii",
        "b/d": "b/d.mhd",
        "e.f": "e.f.nii",
    }
    assert list(names(tmp_path, tmp_path / "out")) == sorted(names(tmp_path, tmp_path / "out"))


def dicom(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(np.arange(12, dtype=np.int16).reshape(3, 4)), str(path.with_suffix(".dcm")))
    path.with_suffix(".dcm").rename(path)


def test_a_folder_of_dicom_files_is_one_case_whatever_they_are_called(tmp_path):
    dicom(tmp_path / "ct/IM0001")
    dicom(tmp_path / "mr/1.dcm")
    dicom(tmp_path / "mr/2.dcm")
    (tmp_path / "mr/DICOMDIR.txt").write_text("no image")
    (tmp_path / "mr/mask.nii").touch()
    assert names(tmp_path, tmp_path / "out") == {"ct": "ct", "mr.dicom": "mr", "mr/mask": "mr/mask.nii"}
    assert [case.name for case in find_cases(tmp_path / "ct", tmp_path / "out")] == ["ct"]


def test_what_is_synthetic_or_the_copy_of_a_source_is_no_input(tmp_path, bundle):
    source = image(tmp_path / "in/a.nrrd")
    translate_case(work(source, tmp_path / "in/earlier/a", bundle))
    for name in ("moved", "unfinished", "data"):
        (tmp_path / "in" / name).mkdir()
    for name in (TRANSLATED, "provenance.json"):
        (tmp_path / "in/moved" / name).write_bytes((tmp_path / "in/earlier/a" / name).read_bytes())
    for name in ("source.nrrd", "request.json"):
        (tmp_path / "in/unfinished" / name).write_bytes((tmp_path / "in/earlier/a" / name).read_bytes())
    (tmp_path / "in/data/result.json").write_text('{"note": "of another program"}')
    (tmp_path / "in/data/b.nrrd").touch()
    (tmp_path / "in/out").mkdir()
    (tmp_path / "in/out/c.nrrd").touch()
    assert names(tmp_path / "in", tmp_path / "in/out") == {"a": "a.nrrd", "data/b": "data/b.nrrd"}


def test_a_folder_that_cannot_be_worked_on_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceNotFoundError, match="holds no image"):
        find_cases(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(SourceNotFoundError, match="is no folder"):
        find_cases(tmp_path / "missing", tmp_path / "out")
    with pytest.raises(ConfigError, match="cannot hold the results as well"):
        find_cases(tmp_path, tmp_path / "empty" / "..")


def test_two_images_that_no_ending_tells_apart_are_refused(tmp_path):
    dicom(tmp_path / "ct/1.dcm")
    dicom(tmp_path / "ct/ct/1.dcm")
    with pytest.raises(ConfigError, match=r"into the folder 'ct[.]dicom', which another"):
        find_cases(tmp_path / "ct", tmp_path / "out")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--samples", "0"], "samples must be a whole number"),
        (["--workers", "-2"], "expected 0 workers"),
        (["--bundle", "no-such"], "There is no bundle 'no-such'"),
        (["--scheduler", "tcp:nowhere"], "No Dask scheduler answers at 'tcp:nowhere'"),
    ],
)
def test_what_is_wrong_for_every_image_is_said_once_and_before_any_work(tmp_path, bundle, capsys, more, words):
    image(tmp_path / "in/a.nrrd")
    assert batch(tmp_path / "in", tmp_path / "out", bundle, *more) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out/batch.csv").exists()


def test_a_bundle_is_found_by_a_path_that_depends_on_the_working_folder(tmp_path, bundle, scheduler, monkeypatch):
    image(tmp_path / "in/a.nrrd")
    monkeypatch.chdir(tmp_path)
    assert batch(Path("in"), Path("out"), str(Path(bundle).relative_to(tmp_path)), "--scheduler", scheduler) == 0
    assert len(sha256_of_file(tmp_path / "out/a" / TRANSLATED)) == 64
