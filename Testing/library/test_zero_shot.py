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
from MedTranslateLib.evaluation.tissues import TissueCase, TissueClassifier, load_tissues
from MedTranslateLib.evaluation.zero_shot import (
    GUIDED,
    SDEDIT,
    Judge,
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
from MedTranslateLib.training.cases import TrainingCase
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


def test_a_cluster_is_the_tissue_most_of_it_is(tmp_path):
    images = rings(4)
    labels = np.select([images > 0.8, images > 0.4], [1, 2], 0)
    case = TissueCase("one", images * 2 - 1, labels)
    clusters = IntensityClusters.fit(images, 4)
    classifier = TissueClassifier.fit(clusters, [case], 2)
    assert classifier.tissue_of.tolist() == [0, 0, 2, 1]
    assert classifier.dice(images, labels) == 1.0
    half = labels.copy()
    half[:2] = 0
    kept = [(labels[2:] == n).sum() / (labels == n).sum() for n in (1, 2)]
    assert classifier.dice(images, half) == pytest.approx(np.mean([2 * share / (1 + share) for share in kept]))
    with pytest.raises(ConfigError, match="more clusters"):
        TissueClassifier.fit(clusters, [TissueCase("none", images * 2 - 1, labels * 0)], 2)


def test_tissues_are_read_from_label_maps_beside_the_images(tmp_path):
    (tmp_path / "heads" / "p1").mkdir(parents=True)
    image, labels = np.zeros((2, 32, 32), np.float32), np.zeros((2, 32, 32), np.uint8)
    image[:, 8:24, 8:24], labels[:, 8:24, 8:16], labels[0, 8:24, 16:24] = 100.0, 41, 2
    for name, array in (("t1.nii.gz", image), ("labels.nii.gz", labels)):
        sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / "heads" / "p1" / name))
    scale = IntensityScale(ScaleKind.RELATIVE, 0.5, 99.8)
    layout = CaseLayout(SliceGrid(Plane.AXIAL, 1.0, (32, 32)), scale, scale)
    entry = DataEntry("volumes", "heads", source="t2.nii.gz", target="t1.nii.gz")
    (case,) = load_tissues(entry, TissueTruth("labels.nii.gz", {"left": (2,), "right": (41, 42)}), layout, tmp_path)
    assert np.bincount(case.labels.ravel(), minlength=3).tolist() == [2 * 1024 - 384, 128, 256]


def test_every_way_is_scored_and_the_source_is_scored_by_itself(bundle_folder):
    bundle = load_bundle(bundle_folder, CPU)
    target = rings(2)
    case = TrainingCase("p", (1 - target) * (target > 0) * 2 - 1, target * 2 - 1, paired=True)
    ways = ways_to_translate(bundle, (0.2, 0.8), case.target, 2, 1)
    rows = list(score_zero_shot(case, ways, Judge(IntensityClusters.fit(target, 4)), 0))
    assert [name for name, _ in rows] == [
        "source as it is",
        "histogram of the training target",
        "this bundle",
        "both LMI maps, from noise",
        "self map alone",
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
    ]
    table = summarise_zero_shot(rows)
    assert [row["cases"] for row in table] == [2, 1, 1]
    assert margins(table) == pytest.approx({"ssim": 0.75 - 0.6, "psnr_db": 21 - 19, "dice": 0.7 - 0.65})
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
    assert [row["label"] for row in rows][-2:] == ["SDEdit 0.5", "margin"]
    assert rows[0]["dice_tissue"] is None
    schedule = json.loads((tmp_path / "out/schedule.json").read_text())["tables"][0]
    assert [row["steps"] for row in schedule["rows"]] == [2, 3]
    assert "sampler euler-maruyama" in schedule["title"]
    assert "guidance against SDEdit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("starts = [0.5]", "starts = []"), "starts above 0"),
        (("clusters = 4", "clusters = 1"), "clusters of 2"),
        (("clusters = 4", "clusters = 4\ntissues = { labels = 'l' }"), "groups of label values"),
        (("every = 3", "every = 0"), "every of 1 or more"),
    ],
)
def test_a_wrong_table_is_answered_with_what_is_wrong(tmp_path, change, words):
    (tmp_path / "plan.toml").write_text(TABLE.format(bundle="x").replace(*change), encoding="utf-8")
    with pytest.raises(ConfigError, match=words):
        read_plan(tmp_path / "plan.toml")
