"""A zero-shot comparison scores every way on the same slices; its segmentations are what can be worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from MedTranslateLib.bundles.parts import Scale, Side
from MedTranslateLib.cli.main import main
from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.evaluation.config import TissueTruth, read_plan
from MedTranslateLib.evaluation.tissues import TissueClassifier, load_tissues
from MedTranslateLib.evaluation.zero_shot import (
    GUIDED,
    MAPS_ALONE,
    SDEDIT,
    Judge,
    ZeroShotPair,
    ZeroShotScore,
    margins,
    score_zero_shot,
    summarise_zero_shot,
    ways_to_translate,
    zero_shot_text,
)
from MedTranslateLib.imaging.geometry import Plane, SliceGrid
from MedTranslateLib.imaging.scale import IntensityScale, ScaleKind
from MedTranslateLib.inference.weights import load_bundle, with_options
from MedTranslateLib.metrics.clusters import IntensityClusters, cluster_dice
from MedTranslateLib.metrics.intensity import mutual_information
from MedTranslateLib.training.cases import load_cases
from MedTranslateLib.training.config import CaseLayout, DataEntry

CPU = torch.device("cpu")
OPTIONS = {"channels": [16, 16], "steps": 2}
ANY = Side("ANY", "any contrast", Scale("relative", 0.5, 99.8))


def rings(count: int, size: int = 48, seed: int = 0) -> np.ndarray:
    """Slices in [0, 1] of four levels: air, and three rings that are broader or narrower from case to case."""
    place = np.linspace(-1, 1, size)
    radius = np.hypot(place[:, None], place[None]) + 0.04 * np.random.default_rng(seed).random((count, 1, 1))
    levels = np.select([radius < 0.3, radius < 0.5, radius < 0.8], [0.9, 0.5, 0.25], 0.0)
    return levels.astype(np.float32)


@pytest.fixture
def bundle_folder(make_bundle) -> Path:
    return make_bundle("zero", "midiffusion", OPTIONS, source=ANY, reversible=False, size_hw=(48, 48), spacing_mm=4.0)


def score(**changes: float) -> ZeroShotScore:
    values = dict.fromkeys(
        ("ssim", "ssim_source", "psnr_db", "mse", "mae", "ssim_body", "mutual_information", "dice"), 0.5
    )
    return ZeroShotScore(**{**values, **changes})


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


def test_tissues_lie_on_the_grid_of_the_case_which_its_source_centres(tmp_path):
    """The source shows more on the right than the target does; both, and the labels, are cut about its middle."""
    (tmp_path / "heads" / "p1").mkdir(parents=True)
    source, target, labels = np.zeros((2, 40, 60), np.float32), np.zeros((2, 40, 60), np.float32), np.zeros((2, 40, 60))
    source[:, 8:32, 8:50], target[:, 8:32, 8:30] = 100.0, 80.0
    labels[:, 8:32, 8:20], labels[0, 8:32, 20:30] = 41, 2
    for name, array in (("t2.nii.gz", source), ("t1.nii.gz", target), ("labels.nii.gz", labels.astype(np.uint8))):
        sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / "heads" / "p1" / name))
    scale = IntensityScale(ScaleKind.RELATIVE, 0.5, 99.8)
    layout = CaseLayout(SliceGrid(Plane.AXIAL, 1.0, (32, 48)), scale, scale)
    entry = DataEntry("volumes", "heads", source="t2.nii.gz", target="t1.nii.gz")
    truth = TissueTruth("labels.nii.gz", {"left": (2,), "right": (41, 42)})
    (tissues,), (case,) = load_tissues(entry, truth, layout, tmp_path), load_cases((entry,), layout, tmp_path)
    np.testing.assert_array_equal(tissues[0] > 0, case.target[0] > 0)
    assert np.bincount(tissues.ravel(), minlength=3).tolist()[1:] == [24 * 10, 2 * 24 * 12]
    with pytest.raises(ConfigError, match=r"p1 .* has no label map"):
        load_tissues(entry, TissueTruth("none.nii.gz", {"left": (2,)}), layout, tmp_path)


def test_every_way_is_scored_and_the_source_is_scored_by_itself(bundle_folder):
    bundle = load_bundle(bundle_folder, CPU)
    target = rings(2)
    pair = ZeroShotPair((1 - target) * (target > 0) * 2 - 1, target * 2 - 1)
    ways = ways_to_translate(bundle, (0.2, 0.8), pair.target, 2, 1)
    rows = list(score_zero_shot(pair, ways, Judge(IntensityClusters.fit(target, 4)), 0))
    assert [name for name, _ in rows] == [
        "source as it is",
        "histogram of the training target",
        "this bundle",
        "this bundle, drawn from noise",
        "both LMI maps, from noise",
        "self map alone, from noise",
        "unguided",
        "SDEdit 0.2",
        "SDEdit 0.8",
    ]
    scores = dict(rows)
    assert scores["source as it is"].ssim_source == pytest.approx(1.0)
    assert scores["SDEdit 0.2"].ssim_source > scores["SDEdit 0.8"].ssim_source
    assert scores["this bundle"] == scores["both LMI maps, from noise"]
    assert np.isnan(scores["this bundle"].dice_tissue)


def test_sdedit_may_choose_its_best_start_for_each_figure():
    rows = [
        (GUIDED, score(ssim=0.7, psnr_db=20, dice=0.6)),
        (f"{SDEDIT} 0.1", score(ssim=0.6, psnr_db=18, dice=0.5)),
        (f"{SDEDIT} 0.4", score(ssim=0.5, psnr_db=19, dice=0.65)),
        (GUIDED, score(ssim=0.8, psnr_db=22, dice=0.8)),
        (MAPS_ALONE, score(ssim=0.55, psnr_db=19, dice=0.5)),
    ]
    table = summarise_zero_shot(rows)
    assert [row["cases"] for row in table] == [2, 1, 1, 1]
    assert margins(table) == pytest.approx({"ssim": 0.75 - 0.6, "psnr_db": 21 - 19, "dice": 0.7 - 0.65})
    assert margins(table, MAPS_ALONE)["ssim"] == pytest.approx(-0.05)
    assert "psnr_db +2.000" in zero_shot_text(table)


def test_trained_weights_are_used_another_way_without_touching_the_bundle(bundle_folder):
    bundle = load_bundle(bundle_folder, CPU)
    other = with_options(bundle, {"guidance": "none", "start_deviation": 0.4})
    assert (other.method.options.guidance, bundle.method.options.guidance) == ("none", "both")
    for name, tensor in bundle.method.state_dict().items():
        assert torch.equal(other.method.state_dict()[name], tensor)
    with pytest.raises(ConfigError, match="'channels' cannot be chosen"):
        with_options(bundle, {"channels": [32]})


TABLE = """
[[zero_shot]]
bundle = "{bundle}"
starts = [0.5]
clusters = 4
every = 2

[[zero_shot.cases]]
kind = "npz"
folder = "val"
source = "t2"
target = "t1"
pixel_mm = 4.0

[[zero_shot.training]]
kind = "npz"
folder = "train"
target = "t1"
pixel_mm = 4.0

[[schedule]]
bundle = "{bundle}"
steps = [2, 3]
options = {{ sampler = "euler-maruyama" }}
every = 3

[[schedule.cases]]
kind = "npz"
folder = "val"
source = "t2"
target = "t1"
pixel_mm = 4.0
"""


def test_the_command_writes_the_table_and_a_schedule_of_another_sampler(tmp_path, bundle_folder, capsys):
    for number, name in enumerate(("train", "val")):
        (tmp_path / name).mkdir()
        target = rings(4, seed=number)
        np.savez(
            tmp_path / name / "p.npz", t1=(255 * target).astype(np.uint8), t2=(200 * (1 - target)).astype(np.uint8)
        )
    plan = tmp_path / "plan.toml"
    plan.write_text(TABLE.format(bundle=bundle_folder.as_posix()), encoding="utf-8")
    assert main(["evaluate", str(plan), "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    rows = json.loads((tmp_path / "out/zero_shot.json").read_text())["tables"][0]["rows"]
    assert [row["label"] for row in rows][-3:] == [
        "SDEdit 0.5",
        "margin of this bundle",
        "margin of both LMI maps, from noise",
    ]
    assert rows[0]["cases"] == 1
    assert rows[0]["dice_tissue"] is None
    schedule = json.loads((tmp_path / "out/schedule.json").read_text())["tables"][0]
    assert [row["steps"] for row in schedule["rows"]] == [2, 3]
    assert "sampler euler-maruyama" in schedule["title"]
    assert "this bundle against SDEdit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("starts = [0.5]", "starts = []"), "starts above 0"),
        (("clusters = 4", "clusters = 1"), "clusters of 2"),
        (("clusters = 4", "clusters = 4\ntissues = { labels = 'l' }"), "groups of label values"),
        (("clusters = 4", "tissues = 'labels'"), "groups of label values"),
        (("clusters = 4", "tissues = { labels = 'l', groups = { white = 2 } }"), "groups of label values"),
        (("starts = [0.5]", "starts = 0.5"), "starts above 0"),
        (("every = 3", "every = 0"), "every of 1 or more"),
    ],
)
def test_a_wrong_table_is_answered_with_what_is_wrong(tmp_path, change, words):
    (tmp_path / "plan.toml").write_text(TABLE.format(bundle="x").replace(*change), encoding="utf-8")
    with pytest.raises(ConfigError, match=words):
        read_plan(tmp_path / "plan.toml")
