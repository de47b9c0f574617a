"""Ways to use a zero-shot bundle are scored on the same slices; segmentations are what can be worked out by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from MedTranslateLib.bundles.parts import Scale, Side
from MedTranslateLib.cli.main import main
from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.evaluation import evaluate
from MedTranslateLib.evaluation.cohort import Outcome
from MedTranslateLib.evaluation.compare_config import TissueTruth
from MedTranslateLib.evaluation.competitors import line_up
from MedTranslateLib.evaluation.config import read_plan
from MedTranslateLib.evaluation.metric_names import METRICS
from MedTranslateLib.evaluation.tissues import TissueClassifier, case_tissues
from MedTranslateLib.evaluation.units import Place, compare_units
from MedTranslateLib.imaging.geometry import Plane, SliceGrid
from MedTranslateLib.imaging.scale import IntensityScale, ScaleKind
from MedTranslateLib.inference.weights import load_bundle, with_options
from MedTranslateLib.metrics.clusters import IntensityClusters, cluster_dice
from MedTranslateLib.metrics.intensity import mutual_information
from MedTranslateLib.training.cases import list_cases, load_case
from MedTranslateLib.training.config import CaseLayout, DataEntry

CPU = torch.device("cpu")
OPTIONS = {"channels": [16, 16], "steps": 2}
ANY = Side("ANY", "any contrast", Scale("relative", 0.5, 99.8))
SCALE = IntensityScale(ScaleKind.RELATIVE, 0.5, 99.8)


def rings(count: int, size: int = 48, seed: int = 0) -> np.ndarray:
    """Slices in [0, 1] of four levels: air, and three rings that are broader or narrower from case to case."""
    place = np.linspace(-1, 1, size)
    radius = np.hypot(place[:, None], place[None]) + 0.04 * np.random.default_rng(seed).random((count, 1, 1))
    levels = np.select([radius < 0.3, radius < 0.5, radius < 0.8], [0.9, 0.5, 0.25], 0.0)
    return levels.astype(np.float32)


@pytest.fixture
def bundle_folder(make_bundle) -> Path:
    return make_bundle("zero", "midiffusion", OPTIONS, source=ANY, reversible=False, size_hw=(48, 48), spacing_mm=4.0)


def test_clusters_find_levels_and_count_them_from_the_darkest():
    images = rings(3) + np.random.default_rng(1).normal(0, 0.01, (3, 48, 48))
    clusters = IntensityClusters.fit(images, 4)
    assert clusters.centres == pytest.approx([0.0, 0.25, 0.5, 0.9], abs=0.01)
    assert clusters.segment(np.array([0.0, 0.11, 0.14, 0.36, 0.39, 0.69, 0.71, 1.0])).tolist() == [
        0,
        0,
        1,
        1,
        2,
        2,
        3,
        3,
    ]


def test_cluster_dice_is_the_mean_over_clusters_that_are_there():
    found, truth = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 0, 1, 2, 2, 2])
    assert cluster_dice(found, truth, 4) == pytest.approx((1 + 2 / 3 + 4 / 5) / 3)
    assert cluster_dice(truth, truth, 3) == 1.0


def test_mutual_information_is_the_entropy_of_an_image_with_itself_and_nothing_by_chance():
    image = np.repeat([0.1, 0.4, 0.6, 0.9], 64)
    assert mutual_information(image, image) == pytest.approx(np.log(4))
    assert mutual_information(image, 1 - image) == pytest.approx(np.log(4))
    assert mutual_information(image, np.tile([0.2, 0.8], 128)) == pytest.approx(0.0, abs=1e-12)


def test_clusters_are_found_though_a_level_in_between_is_empty_and_too_few_levels_are_refused():
    """Evenly spaced first centres would leave one of five clusters empty here."""
    clusters = IntensityClusters.fit(rings(3) + 0.02 * (rings(3) > 0.8) * np.arange(48), 5)
    assert len(set(clusters.centres)) == 5
    with pytest.raises(ConfigError, match="as many different"):
        IntensityClusters.fit(np.full((2, 8, 8), 0.5), 3)


def test_a_shade_is_the_tissue_that_is_most_frequent_there():
    images = np.array([[[0.2, 0.2, 0.2, 0.8, 0.8, 0.0]]], np.float32)
    labels = np.array([[[1, 1, 2, 2, 2, 0]]])
    classifier = TissueClassifier.fit([images], [labels], 2)
    # found within the five labelled pixels: 1 1 1 2 2
    assert classifier.dice(images, labels) == pytest.approx((4 / 5 + 4 / 5) / 2)
    assert classifier.dice(np.where(images == 0, 1, images), labels) == classifier.dice(
        images, labels
    )  # air is not asked
    assert classifier.dice(images + 0.05, labels) == classifier.dice(images, labels)  # unseen shades: the nearest
    assert np.isnan(classifier.dice(images, labels * 0))
    with pytest.raises(ConfigError, match=r"Tissue 3 .* occurs in no"):
        TissueClassifier.fit([images], [labels], 3)


def tissues_of(folder: Path, entry: DataEntry, truth: TissueTruth, size_hw: tuple[int, int]):
    """True tissues of the only case of an entry, and the case."""
    layout = CaseLayout(SliceGrid(Plane.AXIAL, 1.0, size_hw), SCALE, SCALE)
    (files,) = list_cases(entry, folder)
    return case_tissues(files, entry, truth, layout, folder), load_case(files, entry, layout)


def test_tissues_lie_on_the_grid_of_the_case_which_its_source_centres(tmp_path):
    """The source shows more on the right than the target does; both, and the labels, are cut about its middle."""
    (tmp_path / "heads" / "p1").mkdir(parents=True)
    source, target, labels = np.zeros((2, 40, 60), np.float32), np.zeros((2, 40, 60), np.float32), np.zeros((2, 40, 60))
    source[:, 8:32, 8:50], target[:, 8:32, 8:30] = 100.0, 80.0
    labels[:, 8:32, 8:20], labels[0, 8:32, 20:30] = 41, 2
    for name, array in (("t2.nii.gz", source), ("t1.nii.gz", target), ("labels.nii.gz", labels.astype(np.uint8))):
        sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / "heads" / "p1" / name))
    entry = DataEntry("volumes", "heads", source="t2.nii.gz", target="t1.nii.gz")
    truth = TissueTruth("labels.nii.gz", {"left": (2,), "right": (41, 42)})
    tissues, case = tissues_of(tmp_path, entry, truth, (32, 48))
    np.testing.assert_array_equal(tissues[0] > 0, case.target[0] > 0)
    assert np.bincount(tissues.ravel(), minlength=3).tolist()[1:] == [24 * 10, 2 * 24 * 12]
    with pytest.raises(ConfigError, match=r"p1 .* has no label map"):
        tissues_of(tmp_path, entry, TissueTruth("none.nii.gz", {"left": (2,)}), (32, 48))


def test_the_label_map_of_a_picture_is_turned_and_centred_as_the_picture_is(tmp_path):
    labels = np.zeros((20, 16), np.uint8)
    labels[2:6, 1:4], labels[12:16, 9:15] = 7, 9
    (tmp_path / "heads").mkdir()
    for end, array in (("ct", labels * 20), ("seg", labels)):
        sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / f"heads/1BA054_{end}.png"))
    entry = DataEntry("png-pairs", "heads", target="_ct.png", transpose=True, flip_rows=True, stored_range=(0, 255))
    tissues, case = tissues_of(tmp_path, entry, TissueTruth("_seg.png", {"a": (9,), "b": (7,)}), (16, 20))
    # (row, column) becomes (15 - column, row); the two fill columns 2 to 15, whose middle moves from 8.5 to 9.5
    expected = np.zeros((1, 16, 20), int)
    expected[0, 12:15, 3:7], expected[0, 1:7, 13:17] = 2, 1
    np.testing.assert_array_equal(tissues, expected)
    np.testing.assert_allclose(case.target, np.array([-1, 2 * 180 / 255 - 1, 2 * 140 / 255 - 1])[expected], atol=1e-6)


def test_the_label_map_of_stacks_is_a_stack_of_the_same_size(tmp_path):
    (tmp_path / "heads").mkdir()
    labels = np.arange(2 * 16 * 20).reshape(2, 16, 20) % 5
    np.savez(tmp_path / "heads/p1.npz", t1=labels * 9.0, labels=labels, short=labels[:1])
    entry = DataEntry("npz", "heads", target="t1")
    tissues, _ = tissues_of(tmp_path, entry, TissueTruth("labels", {"a": (4,), "b": (1, 2)}), (16, 20))
    np.testing.assert_array_equal(tissues, np.select([labels == 4, (labels == 1) | (labels == 2)], [1, 2], 0))
    with pytest.raises(ConfigError, match=r"p1 .*\(1, 16, 20\) for images of \(2, 16, 20\)"):
        tissues_of(tmp_path, entry, TissueTruth("short", {"a": (4,)}), (16, 20))
    with pytest.raises(ConfigError, match=r"p1.npz has no array 'seg'"):
        tissues_of(tmp_path, entry, TissueTruth("seg", {"a": (4,)}), (16, 20))


def test_trained_weights_are_used_another_way_without_touching_the_bundle(bundle_folder):
    bundle = load_bundle(bundle_folder, CPU)
    other = with_options(bundle, {"guidance": "none", "start_deviation": 0.4})
    assert (other.method.options.guidance, bundle.method.options.guidance) == ("none", "both")
    for name, tensor in bundle.method.state_dict().items():
        assert torch.equal(other.method.state_dict()[name], tensor)
    with pytest.raises(ConfigError, match="'channels' cannot be chosen"):
        with_options(bundle, {"channels": [32]})


PLAN = """
[[compare]]
title = "zero-shot"
clusters = [2, 4]
every = 2
pictures = 0
methods = [
  {{ bundle = "{bundle}", title = "this bundle" }},
  {{ bundle = "{bundle}", title = "both LMI maps", options = {{ start_deviation = 0.0, guidance = "both" }} }},
  {{ bundle = "{bundle}", title = "SDEdit 0.2", options = {{ guidance = "none", start_deviation = 0.2 }} }},
  {{ bundle = "{bundle}", title = "SDEdit 0.8", options = {{ guidance = "none", start_deviation = 0.8 }} }},
  {{ bundle = "{bundle}", title = "Euler", steps = [2, 3], options = {{ sampler = "euler-maruyama" }} }},
]

[compare.tissues]
labels = "labels.nii.gz"
groups = {{ outer = [3, 42], inner = [2], core = [4] }}

[[compare.cases]]
kind = "volumes"
folder = "val"
source = "t2.nii.gz"
target = "t1.nii.gz"

[[compare.training]]
kind = "volumes"
folder = "train"
target = "t1.nii.gz"
"""
SWAPPED = {0.0: 0.0, 0.25: 0.25, 0.5: 0.9, 0.9: 0.5}
"""What the source shows for each level of the target."""
VALUES = {0.0: 0, 0.25: 42, 0.5: 2, 0.9: 4}
"""Value of each level in the label maps."""


def exchanged(images: np.ndarray, table: dict[float, float]) -> np.ndarray:
    return np.select([np.isclose(images, level) for level in table], list(table.values()))


def write_volume(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((4.0, 4.0, 8.0))
    sitk.WriteImage(image, str(path))


def write_labels(case: Path, target: np.ndarray, **changes: int) -> None:
    write_volume(case / "labels.nii.gz", exchanged(target, {**VALUES, **changes}).astype(np.uint8))


def write_case(case: Path, target: np.ndarray) -> None:
    write_volume(case / "t1.nii.gz", (1000.3 * target).astype(np.float32))
    write_volume(case / "t2.nii.gz", (700.3 * exchanged(target, SWAPPED)).astype(np.float32))
    write_labels(case, target)


@pytest.fixture
def plan(tmp_path, bundle_folder) -> Path:
    """Two cases to translate, the second without a label map, and one to learn from."""
    for number, name in enumerate(("train/p", "val/p", "val/q")):
        write_case(tmp_path / name, rings(4, seed=number))
    (tmp_path / "val/q/labels.nii.gz").unlink()
    path = tmp_path / "plan.toml"
    path.write_text(PLAN.format(bundle=bundle_folder.as_posix()), encoding="utf-8")
    return path


@pytest.fixture
def in_this_process(monkeypatch) -> None:
    """Units are done one after the other, here."""

    def run_cohort(units, do, _options, on_unit):
        for number, unit in enumerate(units):
            do(unit.work)
            on_unit(Outcome(unit.key, unit.label), number + 1, len(units))
        return [Outcome(unit.key, unit.label) for unit in units]

    monkeypatch.setattr(evaluate, "run_cohort", run_cohort)


def told(plan: Path) -> tuple[int, dict[tuple[str, str, str], float], list[dict]]:
    """Exit status, figures by case, method and metric, and problems of an evaluation."""
    out = plan.parent / "out"
    status = main(["evaluate", str(plan), "--out", str(out), "--device", "cpu"])
    with (out / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    figures = {(row["case"], row["method"], row["metric"]): float(row["value"] or "nan") for row in rows}
    problems = json.loads((out / "summary.json").read_text(encoding="utf-8"))["problems"]
    return status, figures, [one for one in problems if one["severity"] == "failed"]  # rings of 4 slices are doubtful


def test_the_command_scores_every_way_and_segments_by_intensity_alone(plan, in_this_process):
    """The source shows two of four levels swapped: two clusters and one tissue of three are found, the others not."""
    status, figures, problems = told(plan)
    ways = ["this bundle", "both LMI maps", "SDEdit 0.2", "SDEdit 0.8", "Euler @ 2 steps", "Euler @ 3 steps"]
    assert {method for _, method, _ in figures} == {"source as it is", "histogram matching", *ways}
    same = {metric: value for (case, method, metric), value in figures.items() if (case, method) == ("p", ways[0])}
    assert same == {metric: figures["p", "both LMI maps", metric] for metric in same}
    assert figures["p", "SDEdit 0.2", "ssim_source"] > figures["p", "SDEdit 0.8", "ssim_source"]
    assert figures["p", "Euler @ 2 steps", "mse"] != figures["p", "Euler @ 3 steps", "mse"]

    source = {metric: value for (case, method, metric), value in figures.items() if method == "source as it is"}
    assert source["ssim_source"] == 1.0
    assert source["dice_kmeans_4"] == pytest.approx(0.5)
    assert source["dice_tissue"] == pytest.approx(1 / 3, abs=1e-5)
    seen = rings(4, seed=1)[::2]
    assert source["mse"] == pytest.approx((seen > 0.4).mean() * (0.4 / 0.9) ** 2, rel=1e-5)

    assert {metric for _, _, metric in figures} <= set(METRICS)
    assert status == 1
    assert [(problem["case"], problem["method"]) for problem in problems if problem["severity"] == "failed"] == [
        ("q", "")
    ]
    assert "has no label map 'labels.nii.gz'" in problems[0]["message"]
    assert not any(case == "q" for case, _, _ in figures)


def test_a_case_is_measured_again_once_its_label_map_is_there_or_another(plan, in_this_process):
    text = plan.read_text(encoding="utf-8")
    plan.write_text("".join(line for line in text.splitlines(True) if line[:3] != "  {" or "SDEdit 0.2" in line))
    assert told(plan)[0] == 1
    write_labels(plan.parent / "val/q", rings(4, seed=2))
    swapped = exchanged(rings(4, seed=1), SWAPPED)
    write_labels(plan.parent / "val/p", swapped)
    status, figures, problems = told(plan)
    assert (status, problems) == (0, [])
    assert figures["q", "source as it is", "dice_tissue"] == pytest.approx(1 / 3, abs=1e-5)
    assert figures["p", "source as it is", "dice_tissue"] == 1.0
    write_volume(plan.parent / "val/p/labels.nii.gz", np.ones((4, 48, 48), np.uint8))  # no named tissue
    status, figures, problems = told(plan)
    assert (status, problems) == (0, [])
    assert np.isnan(figures["p", "source as it is", "dice_tissue"])
    assert figures["q", "source as it is", "dice_tissue"] == pytest.approx(1 / 3, abs=1e-5)


def test_keys_depend_on_the_label_maps_that_a_unit_reads(plan):
    lineup = line_up(read_plan(plan).compare[0], plan.parent, {})

    def keys() -> dict[str, str]:
        units = compare_units(0, read_plan(plan), lineup, Place(plan, plan.parent, plan.parent / "out", "cpu"))
        return {unit.label: unit.key for unit in units}

    def changed(before: dict[str, str]) -> set[str]:
        after = keys()
        return {label.split()[1].rstrip(",") for label in after if after[label] != before[label]}

    first = keys()
    assert changed(first) == set()
    write_labels(plan.parent / "val/q", rings(4, seed=2))
    assert changed(first) == {"q"}
    second = keys()
    write_labels(plan.parent / "train/p", exchanged(rings(4), SWAPPED))
    assert changed(second) == {"p", "q"}
    third = keys()
    plan.write_text(plan.read_text(encoding="utf-8").replace("[3, 42]", "[42]"), encoding="utf-8")
    assert changed(third) == {"p", "q"}


def test_each_number_of_clusters_that_a_file_may_ask_for_has_a_title_of_its_own():
    for count in range(2, 11):
        assert METRICS[f"dice_kmeans_{count}"].title == f"Dice, K-means {count}"
        assert f"with {count} clusters" in METRICS[f"dice_kmeans_{count}"].definition


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("clusters = [2, 4]", "clusters = [1]"), "clusters of 2 to 10"),
        (("clusters = [2, 4]", "clusters = [11]"), "clusters of 2 to 10"),
        (("clusters = [2, 4]", "clusters = 4"), "list in brackets for clusters, got 4"),
        (("every = 2", "every = 0"), "every of 1 or more"),
        (("steps = [2, 3]", "steps = [0]"), "steps and samples of 1 or more"),
        (("steps = [2, 3]", "samples = 0"), "steps and samples of 1 or more"),
        (("steps = [2, 3]", "starts = [0.5]"), "'starts'"),
        (('labels = "labels.nii.gz"', ""), "labels"),
        (('labels = "labels.nii.gz"', 'labels = ""'), "needs labels and groups"),
        (('labels = "labels.nii.gz"', "labels = 3"), "labels must be str"),
        (('labels = "labels.nii.gz"', 'labels = "l"\nvalues = [1]'), "'values'"),
        (("[2], core", "2, core"), "groups of label values"),
        (("[2], core", "['white'], core"), "groups of label values"),
        (("[2], core", "[], core"), "groups of label values"),
        (("groups = {{ outer = [3, 42], inner = [2], core = [4] }}", ""), "groups of label values"),
        (("[compare.tissues]", "[compare.tissue]"), "'tissue'"),
        (('folder = "train"\ntarget', 'folder = "train"\nsource'), "training images of the target"),
        (
            ('kind = "volumes"\nfolder = "val"', 'kind = "generated"\ncount = 1\nfolder = "val"'),
            "generated heads have no",
        ),
    ],
)
def test_a_wrong_table_is_answered_with_what_is_wrong(tmp_path, change, words):
    assert change[0] in PLAN
    (tmp_path / "plan.toml").write_text(PLAN.replace(*change).format(bundle="x"), encoding="utf-8")
    with pytest.raises(ConfigError, match=words):
        read_plan(tmp_path / "plan.toml")


def test_tissues_that_are_no_table_are_refused(tmp_path):
    cases = "[[compare.cases]]\nkind = 'npz'\nfolder = 'f'\nsource = 'a'\n"
    path = tmp_path / "plan.toml"
    path.write_text(f"[[compare]]\nbundles = ['x']\ntissues = 'labels'\n{cases}", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"\[compare.tissues\] needs labels and groups of label values, got 'labels'"):
        read_plan(path)
