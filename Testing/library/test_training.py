"""Training reads what it should, resumes where it stopped, and refuses what it cannot use."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from MedTranslateLib.bundles.verify import verify_bundle
from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.evaluation.card_metrics import card_summaries, metric_rows
from MedTranslateLib.inference.weights import load_bundle
from MedTranslateLib.methods.contract import Direction, SliceBatch
from MedTranslateLib.methods.slice_noise import SliceNoise
from MedTranslateLib.training.cases import load_cases, measured_high_value
from MedTranslateLib.training.config import TrainingConfig, TrainingOptions, parse_config, read_config
from MedTranslateLib.training.export import check_card, export_bundle
from MedTranslateLib.training.loop import Trainer, TrainingRun, fit, learning_rate, update_average
from MedTranslateLib.training.sampler import SliceSampler, augment, build_pools

CPU = torch.device("cpu")
CARD = {
    "version": "1.0.0",
    "anatomy": "phantom",
    "summary": "A bundle that a test trains.",
    "training_data": "made by the test",
    "training_licence": "Apache-2.0",
    "spacing_origin": "stated",
    "spacing_rule": "made by the test",
    "limits": ["For tests."],
    "citation": "none",
}


def table(**changes: object) -> dict:
    scale = {"kind": "relative", "low": 0.0, "high": 100.0}
    return {
        "name": "toy",
        "card": CARD,
        "grid": {"plane": "axial", "spacing_mm": 1.0, "size_hw": [16, 24]},
        "source": {"modality": "MR", "name": "A", "scale": scale},
        "target": {"modality": "MR", "name": "B", "scale": scale},
        "method": {"name": "bidpm", "channels": [16, 16]},
        "loss": {"distance": "ms-ssim", "distance_weight": 0.0, "l1_weight": 1.0},
        "training": {"iterations": 6, "batch_size": 4, "learning_rate": 1e-3, "save_every": 3, "seed": 5},
        "data": [{"kind": "npz", "folder": "data", "source": "a", "target": "b", "stored_range": [0, 200]}],
        **changes,
    }


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    """Three patients whose target is the negative of the source."""
    rng = np.random.default_rng(1)
    (tmp_path / "data").mkdir()
    for number in range(3):
        source = rng.integers(0, 200, (5, 16, 24)).astype(np.uint8)
        np.savez(tmp_path / "data" / f"patient{number}.npz", a=source, b=200 - source)
    return tmp_path


def config(**changes: object) -> TrainingConfig:
    return parse_config(table(**changes))


def silent_step(_done: int, _total: int) -> None:
    pass


def silent(_done: int, _total: int, _loss: float) -> None:
    pass


def test_npz_stacks_become_slices_between_minus_one_and_one(data_root):
    cases = load_cases(config().data, config().layout, data_root)
    with np.load(data_root / "data" / "patient1.npz") as stored:
        np.testing.assert_allclose(cases[1].source, stored["a"] / 100.0 - 1, atol=1e-6)
    np.testing.assert_allclose(cases[1].source, -cases[1].target, atol=1e-6)
    assert [case.name for case in cases] == ["patient0", "patient1", "patient2"]


def test_png_pairs_are_turned_to_display_order_and_matched_by_name(tmp_path):
    (tmp_path / "png").mkdir()
    # one bright pixel at stored row 10, column 30 of an image with rows right-left, columns inferior-superior
    stored = np.zeros((40, 60), np.uint8)
    stored[10, 30] = 250
    for end in ("mri", "ct"):
        sitk.WriteImage(sitk.GetImageFromArray(stored), str(tmp_path / "png" / f"1AB_{end}.png"))
    sitk.WriteImage(sitk.GetImageFromArray(stored), str(tmp_path / "png" / "2XY_mri.png"))  # has no partner
    entry = {"kind": "png-pairs", "folder": "png", "source": "_mri.png", "target": "_ct.png", "stored_range": [0, 250]}
    flipped = {**entry, "transpose": True, "flip_rows": True}
    setup = config(data=[flipped], grid={"plane": "coronal", "spacing_mm": 1.0, "size_hw": [60, 40]})
    cases = load_cases(setup.data, setup.layout, tmp_path)
    assert [(case.name, case.paired) for case in cases] == [("1AB", True), ("2XY", False)]
    # transposed: row 30, column 10; rows turned over: row 60 - 1 - 30 = 29; then the grid is centred on that pixel
    row, column = np.unravel_index(cases[0].source[0].argmax(), (60, 40))
    assert abs(row - 29.5) <= 1
    assert abs(column - 19.5) <= 1
    assert cases[1].target is None


def test_folders_of_volumes_are_paired_by_file_name_and_must_share_a_grid(tmp_path, oblique_head):
    from MedTranslateLib.imaging.writing import write_volume

    entry = {"kind": "volumes", "folder": "cases", "source": "t1.nrrd", "target": "t2.nrrd"}
    setup = config(data=[entry], grid={"plane": "axial", "spacing_mm": 4.0, "size_hw": [48, 48]})
    (tmp_path / "cases" / "p1").mkdir(parents=True)
    write_volume(tmp_path / "cases" / "p1" / "t1.nrrd", oblique_head)
    write_volume(tmp_path / "cases" / "p1" / "t2.nrrd", oblique_head.with_array(900 - oblique_head.array_kji))
    cases = load_cases(setup.data, setup.layout, tmp_path)
    assert cases[0].source.shape == (30, 48, 48)
    inner = (slice(5, 25), slice(18, 30), slice(18, 30))
    np.testing.assert_allclose(cases[0].source[inner], -cases[0].target[inner], atol=0.05)
    moved = np.array(oblique_head.geometry.ijk_to_ras)
    moved[0, 3] += 3
    from MedTranslateLib.core.volume import Geometry, Volume

    other = Volume(oblique_head.array_kji, Geometry(oblique_head.geometry.size_ijk, moved))
    write_volume(tmp_path / "cases" / "p1" / "t2.nrrd", other)
    with pytest.raises(ConfigError, match=r"not on the same grid.*register them first"):
        load_cases(setup.data, setup.layout, tmp_path)


def test_the_high_value_is_where_the_percentile_lies_in_the_stored_range(tmp_path):
    (tmp_path / "data").mkdir()
    stack = np.zeros((1, 16, 24), np.uint8)
    stack[0, 4:12, 4:20] = 120  # the foreground's highest value, 120 of 200
    np.savez(tmp_path / "data" / "p.npz", a=stack, b=stack)
    assert measured_high_value(config().data, config().layout, tmp_path, "source") == pytest.approx(0.6)


@pytest.mark.parametrize(("ratio", "paired_rows"), [(1.0, 4), (0.34, 2), (0.0, 0)])
def test_a_batch_is_all_half_or_not_paired_as_the_ratio_says(data_root, ratio, paired_rows):
    options = {**table()["training"], "paired_ratio": ratio}
    setup = config(training=options)
    sampler = SliceSampler(build_pools(load_cases(setup.data, setup.layout, data_root), setup.training), setup.training)
    batch = sampler.batch(3)
    assert batch.paired.tolist() == [True] * paired_rows + [False] * (4 - paired_rows)
    same = [torch.allclose(s, -t, atol=1e-5) for s, t in zip(batch.source, batch.target, strict=True)]
    assert same[:paired_rows] == [True] * paired_rows
    assert not all(same[paired_rows:]) or paired_rows == 4


def test_a_method_that_learns_from_the_target_alone_never_sees_a_source(data_root):
    targets = [{"kind": "npz", "folder": "data", "target": "b", "stored_range": [0, 200]}]
    with_sources = load_cases(config().data, config().layout, data_root)
    alone = load_cases(config(data=targets).data, config().layout, data_root)
    batches = [
        SliceSampler(build_pools(cases, config().training, target_alone=True), config().training).batch(2)
        for cases in (with_sources, alone)
    ]
    assert [tuple(batch.source.shape) for batch in batches] == [(0, 1, 16, 24)] * 2
    assert torch.equal(batches[0].target, batches[1].target)
    assert batches[0].target.shape == (4, 1, 16, 24)
    sources = [{"kind": "npz", "folder": "data", "source": "a", "stored_range": [0, 200]}]
    with pytest.raises(ConfigError, match="no target images"):
        build_pools(
            load_cases(config(data=sources).data, config().layout, data_root), config().training, target_alone=True
        )


def test_midiffusion_measures_its_data_trains_resumes_and_is_exported_as_a_one_way_bundle(data_root, tmp_path):
    targets = [{"kind": "npz", "folder": "data", "target": "b", "stored_range": [0, 200]}]
    pairs = [{"kind": "npz", "folder": "data", "source": "a", "target": "b", "stored_range": [0, 200]}]
    method = {
        "name": "midiffusion",
        "channels": [16, 16],
        "steps": 2,
        "contrast": 1.0,
        "picture": True,
        "guidance": "picture",
    }
    any_side = {"modality": "ANY", "name": "any contrast", "scale": table()["source"]["scale"]}
    setup = config(method=method, data=targets, validation=pairs, source=any_side, card={**CARD, "reversible": False})
    training, held_out = (load_cases(entries, setup.layout, data_root) for entries in (setup.data, setup.validation))
    short = config(
        **{
            **table(),
            "method": method,
            "data": targets,
            "source": any_side,
            "training": {**table()["training"], "iterations": 3},
        }
    )
    fit(TrainingRun(short, tmp_path / "ck", data_root, CPU), training, [], silent)
    fitted = fit(TrainingRun(setup, tmp_path / "ck", data_root, CPU, resume=True), training, held_out, silent)
    straight = fit(TrainingRun(setup, tmp_path / "other", data_root, CPU), training, held_out, silent)
    for name, tensor in straight.state_dict().items():
        torch.testing.assert_close(fitted.state_dict()[name], tensor, msg=name)
    stacked = np.concatenate([case.target for case in training])
    assert float(fitted.mean) == pytest.approx(stacked.mean(), abs=1e-4)
    assert float(fitted.deviation) == pytest.approx(stacked.std(), abs=1e-3)
    manifest = export_bundle(setup, fitted, tmp_path / "bundle", data_root)
    assert (manifest.source.modality, manifest.training.distance) == ("ANY", "none")
    rows = metric_rows(card_summaries(load_bundle(tmp_path / "bundle", CPU), held_out, training, silent_step), "toy")
    labels = [(row.label, row.baseline) for row in rows]  # nothing to regress on
    assert labels == [("this bundle", False), ("source as it is", True), ("histogram matching", True)]


def test_a_stored_range_may_hold_for_one_side(data_root):
    entry = {"kind": "npz", "folder": "data", "source": "a", "target": "b", "stored_range": [0, 400]}
    both, target_alone = (
        load_cases(config(data=[{**entry, **more}]).data, config().layout, data_root)[0]
        for more in ({}, {"stored_sides": ["target"]})
    )
    assert float(both.source.max()) < 0.01  # 199 of 400
    assert float(target_alone.source.max()) == 1.0  # measured
    np.testing.assert_array_equal(both.target, target_alone.target)
    with pytest.raises(ConfigError, match="stored_sides"):
        config(data=[{**entry, "stored_sides": ["left"]}])


def test_stacks_with_a_stated_pixel_size_are_brought_to_the_grid(tmp_path):
    (tmp_path / "data").mkdir()
    stack = np.zeros((2, 32, 48), np.uint8)
    stack[:, 12:20, 20:28] = 100
    np.savez(tmp_path / "data" / "p.npz", a=stack, b=stack)
    entry = {"kind": "npz", "folder": "data", "source": "a", "target": "b", "pixel_mm": 0.5}
    (case,) = load_cases(config(data=[entry]).data, config().layout, tmp_path)
    assert case.target.shape == (2, 16, 24)
    assert float((case.target > 0).sum()) == 2 * 4 * 4  # half as many pixels each way
    assert case.slice_spacing_mm is None  # a stack does not say how far its slices are apart
    with pytest.raises(ConfigError, match="pixel_mm"):
        load_cases(config(data=[{**entry, "pixel_mm": 0.0}]).data, config().layout, tmp_path)


def test_the_same_iteration_gives_the_same_batch_and_the_next_another(data_root):
    setup = config()
    sampler = SliceSampler(build_pools(load_cases(setup.data, setup.layout, data_root), setup.training), setup.training)
    torch.testing.assert_close(sampler.batch(7).source, sampler.batch(7).source)
    assert not torch.equal(sampler.batch(7).source, sampler.batch(8).source)


def test_the_last_iterations_see_whole_slices(data_root):
    setup = config(training={**table()["training"], "crop": 8, "whole_from": 5, "whole_batch_size": 3})
    sampler = SliceSampler(build_pools(load_cases(setup.data, setup.layout, data_root), setup.training), setup.training)
    assert sampler.batch(4).source.shape == (4, 1, 8, 8)
    assert sampler.batch(5).source.shape == (3, 1, 16, 24)


def test_augmentation_without_widths_only_mirrors_left_and_right():
    slices = torch.rand(6, 2, 8, 10, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8
    moved = augment(slices, TrainingOptions(iterations=1, flip=True), np.random.default_rng(0))
    mirrored = [not torch.allclose(a, b, atol=1e-4) for a, b in zip(moved, slices, strict=True)]
    assert 0 < sum(mirrored) < 6
    for a, b, flipped in zip(moved, slices, mirrored, strict=True):
        torch.testing.assert_close(a, b.flip(-1) if flipped else b, atol=1e-4, rtol=0)


def test_a_crop_is_a_piece_of_the_slice_at_its_own_scale():
    slices = torch.linspace(-0.9, 0.9, 20).view(1, 1, 1, 20).expand(1, 1, 20, 20)
    options = TrainingOptions(iterations=1, flip=False, crop=8)
    moved = augment(slices, options, np.random.default_rng(3))
    assert moved.shape == (1, 1, 8, 8)
    steps = moved[0, 0, :, 1:] - moved[0, 0, :, :-1]
    torch.testing.assert_close(steps, torch.full_like(steps, 1.8 / 19), atol=1e-3, rtol=0)


def test_a_full_turn_of_both_images_is_the_same_so_pairs_stay_pairs():
    slices = torch.rand(4, 1, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
    options = TrainingOptions(iterations=1, rotation_deg=30, zoom=0.2, shift=0.1, crop=12)
    moved = augment(torch.cat([slices, slices], 1), options, np.random.default_rng(2))
    torch.testing.assert_close(moved[:, 0], moved[:, 1])


def test_a_resumed_run_ends_with_the_weights_of_one_that_was_never_stopped(data_root, tmp_path):
    cases = load_cases(config().data, config().layout, data_root)
    whole = fit(TrainingRun(config(), tmp_path / "whole", data_root, CPU), cases, [], silent)
    stopped = Trainer(TrainingRun(config(), tmp_path / "stopped", data_root, CPU), cases)
    for _ in range(3):
        stopped.step()
    stopped.save()
    del stopped
    resumed = fit(TrainingRun(config(), tmp_path / "stopped", data_root, CPU, resume=True), cases, [], silent)
    for (name, one), other in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5, msg=name)


def test_a_checkpoint_is_not_overwritten_by_accident_nor_resumed_with_another_setup(data_root, tmp_path):
    cases = load_cases(config().data, config().layout, data_root)
    fit(TrainingRun(config(), tmp_path / "run", data_root, CPU), cases, [], silent)
    with pytest.raises(ConfigError, match="--resume"):
        fit(TrainingRun(config(), tmp_path / "run", data_root, CPU), cases, [], silent)
    other = config(method={"name": "bidpm", "channels": [16, 32]})
    with pytest.raises(ConfigError, match="another method, grid or data"):
        fit(TrainingRun(other, tmp_path / "run", data_root, CPU, resume=True), cases, [], silent)


def test_the_average_of_the_weights_keeps_its_share():
    averaged, method = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
    averaged.weight.data.fill_(10.0)
    method.weight.data.fill_(2.0)
    update_average(averaged, method, 0.75)
    assert averaged.weight.item() == pytest.approx(0.75 * 10 + 0.25 * 2)


def test_the_learning_rate_warms_up_and_falls_as_half_a_cosine():
    options = TrainingOptions(iterations=100, learning_rate=1.0, schedule="cosine", warmup=10)
    assert learning_rate(options, 0) == pytest.approx(0.1)
    assert learning_rate(options, 50) == pytest.approx(0.5)
    assert learning_rate(options, 100) == pytest.approx(0.0)
    constant = TrainingOptions(iterations=100, learning_rate=1.0)
    assert learning_rate(constant, 99) == 1.0


def test_training_learns_the_negative_of_an_image(data_root, tmp_path):
    options = {**table()["training"], "iterations": 150, "learning_rate": 5e-3, "ema": 0.9, "flip": False}
    setup = config(training=options)
    cases = load_cases(setup.data, setup.layout, data_root)
    method = fit(TrainingRun(setup, tmp_path / "run", data_root, CPU), cases, [], silent)
    source, target = torch.from_numpy(cases[0].source[:, None]), torch.from_numpy(cases[0].target[:, None])
    before = (source - target).abs().mean()
    for direction, start, goal in ((Direction.FORWARD, source, target), (Direction.REVERSE, target, source)):
        made = method.translate(
            SliceBatch(start), direction, 1, SliceNoise.alike(torch.Generator(), len(start)), silent_step
        )
        assert (made - goal).abs().mean() < before / 2


def test_the_exported_bundle_verifies_and_holds_the_averaged_weights_in_half_precision(data_root, tmp_path):
    cases = load_cases(config().data, config().layout, data_root)
    method = fit(TrainingRun(config(), tmp_path / "run", data_root, CPU), cases, [], silent)
    manifest = export_bundle(config(), method, tmp_path / "toy", data_root)
    assert verify_bundle(tmp_path / "toy") == manifest
    loaded = load_bundle(tmp_path / "toy", CPU).method
    for one, other in zip(method.state_dict().values(), loaded.state_dict().values(), strict=True):
        torch.testing.assert_close(one.half().float(), other)
    assert manifest.training.loss_terms == {"ms-ssim": 0.0, "l1": 1.0, "1 - ssim": 0.0}


def test_a_card_says_what_was_measured_where_there_are_no_pairs(data_root, tmp_path):
    told = config(card={**CARD, "quality": "Dice 0.9 on 3 phantoms"})
    cases = load_cases(told.data, told.layout, data_root)
    method = fit(TrainingRun(told, tmp_path / "run", data_root, CPU), cases, [], silent)
    assert export_bundle(told, method, tmp_path / "toy", data_root).metrics.definition == "Dice 0.9 on 3 phantoms"


def test_a_way_back_that_the_method_does_not_have_is_refused_before_training():
    check_card(config())
    one_way = {"name": "plasticine", "channels": [16, 16]}
    with pytest.raises(ConfigError, match="reversible = false"):
        check_card(config(method=one_way))
    check_card(config(method=one_way, card={**CARD, "reversible": False}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"colour": 1}, "Unknown table 'colour'"),
        ({"training": {"iterations": 5, "speed": 2}}, "Unknown key 'speed' for TrainingOptions"),
        ({"training": {"iterations": 0}}, "must be at least 1"),
        ({"loss": {"distance": "l7"}}, "lpips, squeezenet, ms-ssim"),
        ({"grid": {"plane": "diagonal", "spacing_mm": 1.0, "size_hw": [16, 16]}}, "needs a plane"),
        ({"data": [{"kind": "zip", "folder": "x", "source": "a"}]}, "choose npz, png-pairs, volumes or generated"),
    ],
)
def test_a_wrong_training_file_is_answered_with_the_key(change, words):
    with pytest.raises(ConfigError, match=words):
        config(**change)


def test_a_missing_training_file_and_a_missing_table_are_named(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        read_config(tmp_path / "none.toml")
    (tmp_path / "empty.toml").write_text("name = 'x'\n")
    with pytest.raises(ConfigError, match="is missing"):
        read_config(tmp_path / "empty.toml")


def test_a_missing_data_folder_says_how_to_give_it(tmp_path):
    with pytest.raises(ConfigError, match="give its parent with --data"):
        load_cases(config().data, config().layout, tmp_path / "nowhere")


@pytest.mark.parametrize(
    "name",
    [
        "bidpm-brain-t1-flair",
        "bidpm-brain-mr-ct",
        "midiffusion-brain-ct",
        "midiffusion-brain-flair",
        "midiffusion-brain-t1",
        "midiffusion-brain-t1-simulated",
    ],
)
def test_the_training_files_of_the_shipped_bundles_are_valid_and_match_their_bundles(name):
    root = Path(__file__).parents[2] / "Resources"
    setup = read_config(root / "Training" / f"{name}.toml")
    card = json.loads((root / "Bundles" / name / "bundle.json").read_text(encoding="utf-8"))
    assert card["name"] == setup.name == name
    assert card["training"]["iterations"] == setup.training.iterations
    assert card["size_hw"] == list(setup.grid.size_hw)
    assert card["method_options"] == dict(setup.method_options)
    assert card["limits"] == list(setup.card["limits"])
