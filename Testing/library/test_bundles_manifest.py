"""The card of a bundle: what is written is read back, and every wrong key is named."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from MedTranslateLib.bundles.card import card_text
from MedTranslateLib.bundles.manifest import (
    Manifest,
    MetricRow,
    Metrics,
    Scale,
    Side,
    Training,
    read_manifest,
    write_manifest,
)
from MedTranslateLib.core.errors import BundleInvalidError

FULL = Manifest(
    name="brain-t1-ct",
    version="1.2.0",
    summary="Brain T1 to CT and back.",
    anatomy="brain",
    method="bidpm",
    method_options={"steps": 2, "channels": [8, 16], "note": None},
    source=Side("MR", "T1", Scale("relative", 0.5, 99.5, 0.9)),
    target=Side("CT", "CT", Scale("hounsfield", -1000.0, 2000.0)),
    reversible=True,
    plane="coronal",
    spacing_mm=1.25,
    spacing_origin="estimated",
    spacing_rule="from the breadth of the heads",
    slice_spacing_mm=(0.5, 6.0),
    size_hw=(192, 160),
    training=Training("40 patients", "CC BY-NC 4.0", "squeezenet", {"l1": 1.0, "ssim": 0.5}, 2300, (1, 2)),
    metrics=Metrics(
        "scikit-image, data range 1, whole slice",
        (
            MetricRow("forward", "val", "this bundle", 15, 0.8321, 23.94, 0.0312, 0.71, 19.5, 0.08),
            MetricRow("reverse", "val", "source as it is", 15, 0.364, 15.6, 0.1234, baseline=True),
        ),
    ),
    limits=("The output is relative.", "Faces are missing."),
    citation="Bi-DPM",
    licence="CC BY-NC 4.0",
    files={"weights.safetensors": "ab" * 32},
    training_statistics={"mean": 0.25, "histogram": [1, 2, 3]},
)


def changed(path: str, value: object) -> dict[str, Any]:
    """The table of `FULL` with one value replaced; `path` is `source.scale.low` or `metrics.rows.0.ssim`."""
    table = copy.deepcopy(FULL.to_json())
    *parents, last = path.split(".")
    at: Any = table
    for key in parents:
        at = at[int(key)] if isinstance(at, list) else at[key]
    if value is DELETED:
        del at[last]
    else:
        at[last] = value
    return table


DELETED = object()
MISSING = {
    "anatomy": "'anatomy' is missing",
    "files": "'files' is missing",
    "source.scale.kind": "'source.scale.kind' is missing",
    "training.licence": "'training.licence' is missing",
    "metrics.rows.1.psnr_db": "'metrics.rows[1].psnr_db' is missing",
    "format": '"format": 1',
}
WRONG = [
    ("colour", "red", "unknown key 'colour'"),
    ("target.scale.gamma", 2.2, "unknown key 'target.scale.gamma'"),
    ("metrics.rows.0.fid", 3.0, "unknown key 'metrics.rows[0].fid'"),
    ("format", 2, '"format": 1'),
    ("format", True, '"format": 1'),
    ("name", "Brain T1", "name must be"),
    ("name", "../brain", "name must be"),
    ("name", "brain.", "name must be"),
    ("version", "1.0", "version must be"),
    ("summary", "  ", "summary must be a text that is not empty"),
    ("anatomy", None, "anatomy must be a text"),
    ("method_options", [1], "method_options must be a table"),
    ("source.modality", "mr", "source.modality must be a DICOM modality"),
    ("source.scale.low", -1, "source.scale.low must be a percentile"),
    ("source.scale.high", 101, "source.scale.high must be a percentile"),
    ("source.scale.high_value", 0, "source.scale.high_value must be above 0"),
    ("source.scale.high_value", 1.5, "source.scale.high_value must be above 0 and at most 1"),
    ("target.scale.kind", "HU", "target.scale.kind must be 'hounsfield' or 'relative', got 'HU'"),
    ("reversible", 1, "reversible must be true or false"),
    ("plane", "oblique", "plane must be 'axial' or 'coronal' or 'sagittal'"),
    ("plane", ["axial"], "plane must be"),
    ("spacing_mm", 0, "spacing_mm must be above 0"),
    ("spacing_mm", "1.25", "spacing_mm must be a finite number, got '1.25'"),
    ("spacing_mm", True, "spacing_mm must be a finite number"),
    ("spacing_origin", "guessed", "spacing_origin must be 'stated' or 'estimated'"),
    ("slice_spacing_mm", [0, 6], "slice_spacing_mm must be"),
    ("slice_spacing_mm", [1, 2, 3], "slice_spacing_mm must be a list of 2"),
    ("size_hw", [192, 8], "size_hw must be rows and columns of 16 to 4096 pixels, got [192, 8]"),
    ("size_hw", [192, 160.5], "size_hw[1] must be a whole number, got 160.5"),
    ("training", "much", "training must be a table"),
    ("training.iterations", -1, "training.iterations must be 0 or more"),
    ("training.seeds", [1, "2"], "training.seeds[1] must be a whole number"),
    ("training.loss_terms", {"l1": "1"}, "training.loss_terms.l1 must be a finite number"),
    ("metrics.rows.0.direction", "both", "metrics.rows[0].direction must be"),
    ("metrics.rows.0.cases", 0, "metrics.rows[0].cases must be 1 or more"),
    ("metrics.rows.0.ssim", 1.2, "metrics.rows[0].ssim must be from -1 to 1"),
    ("metrics.rows.0.ssim_body", None, "metrics.rows[0].ssim_body must be a finite number"),
    ("metrics.rows.1.mae", -0.1, "metrics.rows[1].mae must be 0 or more"),
    ("limits", "none", "limits must be a list"),
    ("limits", ["good", ""], "limits[1] must be a text that is not empty"),
    ("files", {"weights.safetensors": "AB" * 32}, "files.weights.safetensors must be a SHA-256"),
    ("files", {"../weights.safetensors": "ab" * 32}, "files must be names of files beside bundle.json"),
    ("files", {"bundle.json": "ab" * 32}, "files must be names of files beside bundle.json"),
    ("training_statistics", 3, "training_statistics must be a table"),
]
BEYOND_A_SCHEMA = [
    ("source.scale.low", 99.5, "source.scale must be a range whose low is below its high, got [99.5, 99.5]"),
    ("slice_spacing_mm", [6, 0.5], "slice_spacing_mm must be two lengths above 0, the smaller first, got [6.0, 0.5]"),
]


def write_text(folder: Path, text: str | bytes) -> Path:
    folder.mkdir()
    (folder / "bundle.json").write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return folder


def test_every_value_of_a_manifest_comes_back_from_its_file(tmp_path: Path) -> None:
    write_manifest(tmp_path, FULL)
    assert read_manifest(tmp_path) == FULL
    assert [path.name for path in tmp_path.iterdir()] == ["bundle.json"]


def test_a_manifest_with_other_values_is_not_equal(tmp_path: Path) -> None:
    write_manifest(tmp_path, replace(FULL, spacing_mm=1.26))
    assert read_manifest(tmp_path) != FULL


def test_equal_manifests_give_equal_bytes_with_sorted_keys(tmp_path: Path) -> None:
    write_manifest(tmp_path, FULL)
    first = (tmp_path / "bundle.json").read_bytes()
    write_manifest(tmp_path, replace(FULL, method_options={"note": None, "channels": [8, 16], "steps": 2}))
    assert (tmp_path / "bundle.json").read_bytes() == first
    assert first.startswith(
        b'{\n  "anatomy": "brain",\n  "centre": "foreground",\n  "citation": "Bi-DPM",\n  "files": {\n'
    )
    assert first.endswith(b'  "version": "1.2.0"\n}\n')
    assert b"\r" not in first


def test_values_that_were_not_measured_are_not_written(tmp_path: Path) -> None:
    write_manifest(tmp_path, replace(FULL, training_statistics=None))
    table = json.loads((tmp_path / "bundle.json").read_text(encoding="utf-8"))
    assert "training_statistics" not in table
    assert "ssim_body" in table["metrics"]["rows"][0]
    assert "ssim_body" not in table["metrics"]["rows"][1]


@pytest.mark.parametrize(("path", "message"), MISSING.items())
def test_a_missing_key_is_named(path: str, message: str) -> None:
    with pytest.raises(BundleInvalidError) as caught:
        Manifest.from_json(changed(path, DELETED))
    assert message in str(caught.value)


@pytest.mark.parametrize(("path", "value", "message"), [*WRONG, *BEYOND_A_SCHEMA])
def test_a_wrong_value_is_refused_with_its_key(path: str, value: object, message: str) -> None:
    with pytest.raises(BundleInvalidError) as caught:
        Manifest.from_json(changed(path, value))
    assert message in str(caught.value)


@pytest.mark.parametrize("table", [None, [], "bundle", 3, {}])
def test_what_is_no_manifest_at_all_is_refused(table: object) -> None:
    with pytest.raises(BundleInvalidError, match='"format": 1'):
        Manifest.from_json(table)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"format": 1,', "not valid JSON"),
        ("", "not valid JSON"),
        (b'{"name": "\xff"}', "utf-8"),
        ('{"format": 1, "name": "a", "name": "b"}', "the key 'name' stands there twice"),
        ('{"format": 1, "spacing_mm": NaN}', "NaN is not a number that JSON knows"),
        ("[" * 100_000, "recursion"),
        (" " * (1 << 20) + "{}", "larger than 1 MiB"),
    ],
    ids=["broken off", "empty", "not UTF-8", "twice", "NaN", "deep", "large"],
)
def test_a_damaged_file_is_refused_with_the_folders_name(tmp_path: Path, text: str | bytes, message: str) -> None:
    folder = write_text(tmp_path / "brain-x", text)
    with pytest.raises(BundleInvalidError) as caught:
        read_manifest(folder)
    assert message in str(caught.value)
    assert str(caught.value).startswith("brain-x/bundle.json: ")


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleInvalidError, match=r"not there; a bundle is a folder with bundle\.json"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda manifest: replace(manifest, summary=""),
        lambda manifest: replace(manifest, method_options={"width": float("nan")}),
        lambda manifest: replace(manifest, training=replace(manifest.training, iterations=2.5)),
    ],
    ids=["empty text", "NaN", "fraction"],
)
def test_what_could_not_be_read_back_is_not_written(tmp_path: Path, spoil: Callable[[Manifest], Manifest]) -> None:
    with pytest.raises(BundleInvalidError):
        write_manifest(tmp_path, spoil(FULL))
    assert not list(tmp_path.iterdir())


def test_a_value_out_of_range_is_refused_where_the_manifest_is_made() -> None:
    with pytest.raises(BundleInvalidError, match="spacing_mm must be above 0, got -1"):
        replace(FULL, spacing_mm=-1.0)


@pytest.mark.parametrize(("reversible", "arrow"), [(True, "T1 <-> CT"), (False, "T1 -> CT")])
def test_the_arrow_tells_whether_there_is_a_way_back(reversible: bool, arrow: str) -> None:
    assert replace(FULL, reversible=reversible).arrow == arrow


def test_the_card_says_what_a_reader_must_know_before_trusting_the_bundle() -> None:
    card = card_text(FULL)
    lines = [" ".join(line.split()) for line in card.splitlines()]
    for line in (
        "brain-t1-ct 1.2.0",
        "T1 -> CT (and back)",
        "For research only, not for diagnosis. Every output is SYNTHETIC.",
        "Slices coronal, 192 rows x 160 columns, 0.5 to 6 mm apart",
        "Pixel spacing 1.25 mm, estimated (from the breadth of the heads)",
        "T1 scale MR, relative, not HU: 0 is percentile 0.5, 0.9 is percentile 99.5",
        "CT scale CT, Hounsfield units, -1000 to 2000 HU",
        "Training 2300 iterations, paired distance squeezenet, loss 1 l1 + 0.5 ssim, seeds 1, 2",
        "Data licence CC BY-NC 4.0",
        "scikit-image, data range 1, whole slice",
        "- Faces are missing.",
        f"weights.safetensors {'ab' * 32}",
    ):
        assert line in lines


def test_the_figures_of_the_card_stand_in_aligned_columns() -> None:
    table = [line for line in card_text(FULL).splitlines() if line.startswith(("  direction", "  T1 ->", "  CT ->"))]
    header, ours, baseline = table
    assert " ".join(ours.split()) == "T1 -> CT val this bundle 15 0.832 23.94 0.0312 0.710 19.50 0.0800"
    assert " ".join(baseline.split()) == "CT -> T1 val source as it is (baseline) 15 0.364 15.60 0.1234 - - -"
    assert len({len(line) for line in table}) == 1
    assert header.index("SSIM") + len("SSIM") == ours.index("0.832") + 5 == baseline.index("0.364") + 5


def test_a_card_without_a_way_back_or_figures_says_so() -> None:
    card = card_text(replace(FULL, reversible=False, metrics=Metrics("no held-out patients", ()), limits=()))
    assert "\nT1 -> CT\n" in card
    assert "No pairs to compare with: no held-out patients" in card
    assert "None are stated." in card


def test_the_texts_of_a_card_are_wrapped() -> None:
    long = "A sentence that goes on and on about what was seen in training. " * 8
    wide = replace(FULL, summary=long, spacing_rule=long, limits=(long,), citation=long, metrics=Metrics(long, ()))
    assert max(map(len, card_text(wide).splitlines())) <= 100
