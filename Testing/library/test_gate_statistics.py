"""Statistics of training images: read from a card, refused where damaged, measured by the command line; and marks."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from gate_images import GRID, SIDES, training_text
from jsonschema import Draft202012Validator

from MedTranslateLib.bundles.input_statistics import input_statistics_from
from MedTranslateLib.bundles.verify import verify_bundle
from MedTranslateLib.checks.gate_look import belonging, distance, full_matrix, shape_distance
from MedTranslateLib.cli.main import main
from MedTranslateLib.core.errors import BundleInvalidError
from MedTranslateLib.core.schemas import load_schema
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.reading import read_volume
from MedTranslateLib.imaging.writing import write_volume
from MedTranslateLib.training.config import DataEntry
from MedTranslateLib.training.input_statistics import own_plane

FOUR = {
    "features": ["a", "b", "c", "d"],
    "target": {
        "patients": 30,
        "mean": [1.0, 0.0, 2.0, -1.0],
        "deviation": [0.5, 1.0, 2.0, 1.0],
        "covariance": [[2.0], [0.5, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.3, 1.0]],
        "limit": 9.0,
        "shape_limit": 4.0,
        "front_back": {"weights": [[0.0] * 64], "threshold": 0.0, "caught": 1.0},
    },
}


def changed(path: str, value: object) -> dict:
    table = copy.deepcopy(FOUR)
    *parents, last = path.split(".")
    at = table
    for parent in parents:
        at = at[parent]
    at[last] = value
    return table


def test_statistics_are_read_and_written_back_alike() -> None:
    assert input_statistics_from(FOUR, "b").to_json() == FOUR


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("surprise", 1, "unknown key 'training_statistics.inputs.surprise'"),
        ("target.surprise", 1, "unknown key"),
        ("target.mean", [1.0], "target.mean must be 4 numbers"),
        ("target.deviation", [0.5, 0.0, 2.0, 1.0], "above 0"),
        ("target.covariance", [[2.0], [1.0], [1.0], [1.0]], "rows of 1 to 4 numbers"),
        ("target.limit", -1.0, "limit must be above 0"),
        ("target.limit", "9", "limit"),
        ("target.front_back.weights", [[0.0] * 63], "rows of 64 numbers"),
        ("target.front_back.caught", 1.5, "from 0 to 1"),
        ("features", ["a", "a", "c", "d"], "each once"),
    ],
)
def test_damaged_statistics_are_refused_by_key(path: str, value: object, words: str) -> None:
    with pytest.raises(BundleInvalidError, match=words):
        input_statistics_from(changed(path, value), "b")


@pytest.mark.parametrize("path", ["surprise", "target.surprise", "target.front_back.surprise"])
def test_the_schema_knows_the_same_keys_as_the_reader(path: str) -> None:
    part = {"$ref": "#/$defs/input_statistics", "$defs": load_schema("bundle")["$defs"]}
    assert Draft202012Validator(part).is_valid(FOUR)
    assert not Draft202012Validator(part).is_valid(changed(path, 1))


def test_the_distance_is_the_one_worked_out_by_hand() -> None:
    side = input_statistics_from(FOUR, "b").target
    # standardised (2, 1, 0, 1); the blocks [[2, .5], [.5, 1]] and [[1, .3], [.3, 1]] are inverted by hand
    first = (1.0 * 4 - 2 * 0.5 * 2 + 2.0 * 1) / (2 * 1 - 0.25)
    second = 1.0 / (1 - 0.09)
    features = np.array([2.0, 1.0, 2.0, 0.0])
    assert distance(side, features) == pytest.approx(first + second)
    assert shape_distance(side, features) == pytest.approx(first)  # the third is 0 and independent of the first two
    np.testing.assert_array_equal(full_matrix(side), full_matrix(side).T)


def test_belonging_is_one_half_at_the_limit() -> None:
    assert belonging(9.0, 9.0) == 0.5
    assert belonging(0.0, 9.0) == 1.0
    assert belonging(18.0, 9.0) == pytest.approx(1 / 17)


def test_only_the_entries_of_most_weight_count_as_the_bundles_own_plane() -> None:
    axial, sagittal = (DataEntry("npz", name, source="s", repeat=n) for name, n in (("axial", 4), ("sagittal", 1)))
    target_only = DataEntry("npz", "other", target="t", repeat=1)
    assert own_plane((axial, sagittal, target_only), "source") == [axial]
    assert own_plane((axial, sagittal, target_only), "target") == [target_only]


def test_the_command_adds_statistics_to_a_card_and_the_bundle_stays_verified(
    make_bundle: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_bundle("heads", **SIDES, **GRID, training_statistics={"other": {"kept": 1}})
    config = tmp_path / "heads.toml"
    config.write_text(training_text(20), encoding="utf-8")
    assert main(["statistics", str(folder), "--config", str(config), "--part", "inputs"]) == 0
    assert "statistics of inputs" in capsys.readouterr().out
    statistics = verify_bundle(folder).training_statistics
    assert statistics["other"] == {"kept": 1}
    assert statistics["inputs"]["source"]["patients"] == 20
    assert (folder / "bundle.json").stat().st_size < 40_000
    Draft202012Validator(load_schema("bundle")).validate(json.loads((folder / "bundle.json").read_text("utf-8")))


def test_too_few_patients_and_a_file_of_another_grid_leave_the_card_as_it_is(
    make_bundle: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "heads.toml"
    for changes, count, words in ((GRID, 3, "fewer than 20 patients"), ({}, 20, "Give the file that the bundle")):
        folder = make_bundle(f"heads-{count}", **SIDES, **changes)
        before = (folder / "bundle.json").read_bytes()
        config.write_text(training_text(count), encoding="utf-8")
        assert main(["statistics", str(folder), "--config", str(config), "--part", "inputs"]) == 2
        assert words in capsys.readouterr().err
        assert (folder / "bundle.json").read_bytes() == before


@pytest.fixture
def small() -> Volume:
    geometry = Geometry((5, 4, 3), np.diag([1.5, 2.0, 3.0, 1.0]))
    return Volume(np.arange(60, dtype=np.float32).reshape(3, 4, 5), geometry, "small")


@pytest.mark.parametrize("ending", ["nrrd", "mha"])
def test_a_synthetic_volume_is_recognised_when_it_is_read_again(tmp_path: Path, small: Volume, ending: str) -> None:
    from dataclasses import replace

    write_volume(tmp_path / f"plain.{ending}", small)
    write_volume(tmp_path / f"made.{ending}", replace(small, synthetic=True))
    assert not read_volume(tmp_path / f"plain.{ending}").synthetic
    made = read_volume(tmp_path / f"made.{ending}")
    assert made.synthetic
    np.testing.assert_array_equal(made.array_kji, small.array_kji)


def test_the_mark_is_the_same_in_equal_runs(tmp_path: Path, small: Volume) -> None:
    from dataclasses import replace

    for name in ("one.nrrd", "two.nrrd"):
        write_volume(tmp_path / name, replace(small, synthetic=True))
    assert (tmp_path / "one.nrrd").read_bytes() == (tmp_path / "two.nrrd").read_bytes()


def test_an_output_without_a_mark_is_known_by_what_lies_beside_it(tmp_path: Path, small: Volume) -> None:
    write_volume(tmp_path / "translated.nrrd", small)
    assert not read_volume(tmp_path / "translated.nrrd").synthetic
    (tmp_path / "result.json").write_text("{}", encoding="utf-8")
    assert read_volume(tmp_path / "translated.nrrd").synthetic


def test_dicom_with_the_tag_of_synthetic_data_is_synthetic(tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    path = tmp_path / "slice.dcm"
    write_dicom(path, {})
    assert not read_volume(path).synthetic
    stored = pydicom.dcmread(path)
    stored.add_new(0x0008001C, "CS", "YES")
    stored.save_as(path)
    assert read_volume(path).synthetic


@pytest.mark.parametrize(
    ("tags", "synthetic"),
    [
        ({"0008|0008": "DERIVED\\SECONDARY", "0008|2111": "Translated by MedTranslate"}, True),
        ({"0008|0008": "DERIVED\\SECONDARY", "0008|2111": "Multiplanar reformat"}, False),
        ({"0008|0008": "ORIGINAL\\PRIMARY", "0008|103e": "synthetic aperture"}, False),
    ],
)
def test_dicom_says_itself_whether_an_image_is_synthetic(tmp_path: Path, tags: dict, synthetic: bool) -> None:
    write_dicom(tmp_path / "slice.dcm", tags)
    assert read_volume(tmp_path / "slice.dcm").synthetic is synthetic


def write_dicom(path: Path, tags: dict) -> None:
    """One slice with these tags."""
    image = sitk.GetImageFromArray(np.arange(20, dtype=np.int16).reshape(1, 4, 5))
    for tag, value in {"0008|0060": "MR", **tags}.items():
        image.SetMetaData(tag, value)
    sitk.WriteImage(image, str(path))
