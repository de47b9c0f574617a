"""Variants of a training file differ in what they say and in nothing else, and each is trained once."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from test_training import CARD

from MedTranslateLib.bundles.manifest import WEIGHTS
from MedTranslateLib.bundles.verify import verify_bundle
from MedTranslateLib.cli.main import main
from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.evaluation.compare_config import Family
from MedTranslateLib.evaluation.training_runs import TrainingSite, folder_name, kept_bundles, trained_bundles
from MedTranslateLib.inference.weights import load_bundle
from MedTranslateLib.methods.catalogue import build_method
from MedTranslateLib.training.cases import load_cases
from MedTranslateLib.training.config import TrainingConfig, read_config, read_tables
from MedTranslateLib.training.export import check_card
from MedTranslateLib.training.loop import CHECKPOINT, Trainer, TrainingRun
from MedTranslateLib.training.variants import SHARED_NETWORK, VariantConfig, read_variant, read_variants

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHIPPED = sorted((Path(__file__).parents[2] / "Resources" / "Training").glob("comparison-*.toml"))
EVERY = [
    pytest.param(path, one, id=f"{path.stem.removeprefix('comparison-')}-{one.variant.name}")
    for path in SHIPPED
    for one in read_variants(path)
]


def test_there_are_three_files_of_comparisons():
    assert [path.stem for path in SHIPPED] == [
        "comparison-brain-mr-ct",
        "comparison-brain-t1-flair",
        "comparison-cardiac",
    ]


@pytest.mark.parametrize(("path", "one"), EVERY)
def test_a_shipped_variant_has_data_grid_network_and_budget_of_its_file(path, one: VariantConfig):
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    plain, config = read_config(path), one.config
    assert (config.data, config.validation, config.layout) == (plain.data, plain.validation, plain.layout)
    assert {key: config.method_options[key] for key in SHARED_NETWORK} == {
        key: raw["method"][key] for key in ("channels", "residual_blocks", "patch")
    }
    # the name tells the share of pairs, in percent, and nothing else of the training changes
    percent = re.search(r"-(\d+)$", one.variant.name)
    wanted = {**raw["training"], "paired_ratio": int(percent[1]) / 100 if percent else 1.0}
    assert {"paired_ratio": 1.0, **config.raw["training"]} == wanted
    changed = {"distance_weight": 1.0, "l1_weight": 0.0, "ssim_weight": 0.0}
    perceptual = "perceptual" in one.variant.name
    assert config.raw["loss"] == {**raw.get("loss", {}), **(changed if perceptual else {})}


@pytest.mark.parametrize(("path", "one"), EVERY)
def test_a_shipped_variant_can_be_built_and_is_what_its_name_and_title_say(path, one: VariantConfig):
    name, options = one.variant.name, one.config.method_options
    method = build_method(one.config.method, options)
    check_card(one.config)
    assert one.config.card["reversible"] == method.reversible
    assert one.config.card["summary"].startswith(f"{one.variant.title}, for comparison. ")
    assert name.startswith(options.get("path", one.config.method))
    assert options.get("pairs_only", False) == ("pairs-only" in name)
    steps = re.match(r"bidpm-(\d)-step", name)
    assert not steps or options["steps"] == int(steps[1])
    percent = re.search(r"-(\d+)$", name)
    assert re.findall(r"@ (\d+) % paired", one.variant.title) == ([percent[1]] if percent else [])


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_names_titles_and_bundles_of_the_variants_of_a_file_are_its_own(path):
    entries = read_variants(path)
    for values in (
        [entry.variant.name for entry in entries],
        [entry.variant.title for entry in entries],
        [entry.config.name for entry in entries],
        [repr((e.config.method, e.config.method_options, e.config.training, e.config.distance)) for e in entries],
    ):
        assert len(set(values)) == len(values) == len(tomllib.loads(path.read_text(encoding="utf-8"))["variants"])
    assert all(entry.config.name == f"{path.stem}-{entry.variant.name}" for entry in entries)
    assert read_config(path).name == path.stem  # the file itself is one more setup, without the variants


FILE = """
name = "toy"
[card]
{card}
[grid]
plane = "axial"
spacing_mm = 1.0
size_hw = [16, 24]
[source]
modality = "MR"
name = "A"
scale = {{ kind = "relative", low = 0.0, high = 100.0 }}
[target]
modality = "MR"
name = "B"
scale = {{ kind = "relative", low = 0.0, high = 100.0 }}
[method]
name = "bidpm"
channels = [16, 16]
[loss]
distance = "ms-ssim"
[training]
iterations = 2
batch_size = 2
save_every = 1
[[data]]
kind = "npz"
folder = "data"
source = "a"
target = "b"
stored_range = [0, 200]
{variants}
"""
ONE_STEP = '[[variants]]\nname = "one-step"\ntitle = "One step"\nmethod = { name = "bidpm" }\n'
FLOW = '[[variants]]\nname = "flow"\ntitle = "A flow"\nmethod = { name = "flow-matching", path = "i-cfm" }\n'
HALF = "training = { paired_ratio = 0.5, batch_size = 4 }\nloss = { l1_weight = 0.25 }\n"


def written(folder: Path, *variants: str, without: str = "") -> Path:
    """The training file with these variants; `without` is a key of the card that is left out."""
    card = "\n".join(f"{key} = {value!r}".replace("'", '"') for key, value in CARD.items() if key != without)
    path = folder / "toy.toml"
    path.write_text(FILE.format(card=card, variants="".join(variants)), encoding="utf-8")
    return path


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    """Two patients whose target is the negative of the source."""
    (tmp_path / "data").mkdir()
    for number in range(2):
        source = np.random.default_rng(number).integers(0, 200, (3, 16, 24)).astype(np.uint8)
        np.savez(tmp_path / "data" / f"patient{number}.npz", a=source, b=200 - source)
    return tmp_path


def test_a_variant_changes_what_it_says_and_takes_the_rest_from_its_file(tmp_path):
    path = written(tmp_path, ONE_STEP, FLOW + HALF)
    first, second = (entry.config for entry in read_variants(path))
    assert (first.name, second.name) == ("toy-one-step", "toy-flow")
    assert (first.method, dict(first.method_options)) == ("bidpm", {"channels": [16, 16]})
    assert second.method == "flow-matching"
    assert dict(second.method_options) == {"channels": [16, 16], "path": "i-cfm"}
    assert (first.training.paired_ratio, first.training.batch_size, first.distance.l1_weight) == (1.0, 2, 0.0)
    assert (second.training.paired_ratio, second.training.batch_size, second.distance.l1_weight) == (0.5, 4, 0.25)
    assert second.training.iterations == 2
    assert second.card["summary"] == f"A flow, for comparison. {CARD['summary']}"
    assert read_variant(path, "flow") == second


def test_a_one_way_method_is_said_to_be_one_on_the_card(tmp_path):
    sdedit = '[[variants]]\nname = "s"\ntitle = "S"\nmethod = { name = "sdedit", start_deviation = 0.8 }\n'
    assert [entry.config.card["reversible"] for entry in read_variants(written(tmp_path, sdedit, FLOW))] == [
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("variants", "words"),
    [
        ("", r"toy\.toml: it has no \[\[variants\]\]"),
        (ONE_STEP.replace("[[variants]]", "[variants]"), r"it has no \[\[variants\]\]"),
        (ONE_STEP + FLOW.replace('"flow"', '"one-step"'), "the variant 'one-step' stands twice"),
        (ONE_STEP.replace("bidpm", "magic"), r"one-step: method.name = 'magic'; known are bidpm, combination"),
        (ONE_STEP.replace('name = "bidpm"', "steps = 2"), "method.name = None; known are bidpm"),
        (ONE_STEP.replace('{ name = "bidpm" }', '"bidpm"'), "one-step: method must be a table"),
        (ONE_STEP + "training = 3\n", "one-step: training must be a table"),
        (ONE_STEP + "data = 3\n", "Unknown key 'data' for Variant; known are name, title, method, training, loss"),
        (ONE_STEP + "training = { speed = 1 }\n", "Unknown key 'speed' for TrainingOptions"),
        (ONE_STEP + "loss = { l2 = 1 }\n", "Unknown key 'l2' for DistanceOptions"),
        (ONE_STEP.replace('"one-step"', '"One/step"'), "small letters, digits and hyphens, got 'One/step'"),
        (ONE_STEP.replace('"one-step"', '""'), "small letters, digits and hyphens"),
        (ONE_STEP.replace('title = "One step"\n', ""), "missing 1 required positional argument: 'title'"),
    ],
)
def test_wrong_variants_are_answered_with_what_is_wrong(tmp_path, variants, words):
    with pytest.raises(ConfigError, match=words):
        read_variants(written(tmp_path, variants))


def test_a_variant_that_is_not_there_is_answered_with_those_that_are(tmp_path):
    with pytest.raises(ConfigError, match=r"no variant 'two-step'; it has one-step, flow"):
        read_variant(written(tmp_path, ONE_STEP, FLOW), "two-step")


@pytest.mark.parametrize("key", ["summary", "limits"])
def test_a_key_that_the_card_lacks_is_named_with_variants_and_without(tmp_path, key):
    path = written(tmp_path, ONE_STEP, without=key)
    for read in (read_config, read_variants):
        with pytest.raises(ConfigError, match=f"missing 1 required positional argument: '{key}'"):
            read(path)


@pytest.mark.parametrize(("line", "key"), [('name = "bidpm"', "name"), ("scale = {", "scale")])
def test_a_key_that_a_nested_table_lacks_is_named(tmp_path, line, key):
    path = written(tmp_path, FLOW)
    lines = path.read_text(encoding="utf-8").splitlines()
    lines.remove(next(one for one in lines if one.startswith(line)))
    path.write_text("\n".join(lines), encoding="utf-8")
    assert read_tables(path)["name"] == "toy"
    with pytest.raises(ConfigError, match=f"the key '{key}' is missing"):
        read_config(path)


def test_an_unknown_method_or_option_is_told_before_data_are_read(tmp_path):
    path = written(tmp_path, ONE_STEP.replace("{ name", "{ stepps = 2, name"))
    with pytest.raises(ConfigError, match="Unknown key 'stepps' for BiDpmOptions"):
        check_card(read_variant(path, "one-step"))
    path.write_text(path.read_text(encoding="utf-8").replace('name = "bidpm"\nch', 'name = "magic"\nch'))
    with pytest.raises(ConfigError, match="Unknown method 'magic'"):
        check_card(read_config(path))


def site(root: Path, told: list[tuple[str, int, int]]) -> TrainingSite:
    return TrainingSite(root, root, root / "out", "cpu", lambda *progress: told.append(progress))


def stop_after_one_iteration(config: TrainingConfig, root: Path) -> None:
    """What a killed run leaves: a checkpoint, and no bundle."""
    run = TrainingRun(config, root / "out" / f"{folder_name(config)}-training", root, torch.device("cpu"))
    trainer = Trainer(run, load_cases(config.data, config.layout, root))
    trainer.step()
    trainer.save()


def test_missing_variants_are_trained_once_and_those_that_stopped_go_on(data_root):
    path, told = written(data_root, ONE_STEP, FLOW, ONE_STEP.replace("one-step", "not-asked-for")), []
    family = Family("toy.toml", "kept", only=("one-step", "flow"))
    stop_after_one_iteration(read_variant(path, "flow"), data_root)
    folders = trained_bundles(family, site(data_root, told))
    assert told == [("one-step", 1, 2), ("one-step", 2, 2), ("flow", 2, 2)]
    assert [folder.name.rpartition("-")[0] for folder in folders.values()] == ["toy-one-step", "toy-flow"]
    assert [verify_bundle(folder).name for folder in folders.values()] == ["toy-one-step", "toy-flow"]
    assert len(list((data_root / "out").iterdir())) == 4  # two bundles, two folders of checkpoints
    (data_root / "data").rename(data_root / "moved")  # a finished family needs no data
    before = [(folder / WEIGHTS).stat().st_mtime_ns for folder in folders.values()]
    assert trained_bundles(family, site(data_root, told)) == folders
    assert [(folder / WEIGHTS).stat().st_mtime_ns for folder in folders.values()] == before
    assert len(told) == 3
    path.write_text(path.read_text(encoding="utf-8").replace("iterations = 2", "iterations = 3"), encoding="utf-8")
    (data_root / "moved").rename(data_root / "data")
    others = trained_bundles(family, site(data_root, told))  # another file is another training
    assert not set(others.values()) & set(folders.values())


def test_a_bundle_that_was_not_finished_is_written_again_from_its_last_checkpoint(data_root):
    written(data_root, FLOW)
    family, told = Family("toy.toml", "kept"), []
    (folder,) = trained_bundles(family, site(data_root, told)).values()
    weights = (folder / WEIGHTS).read_bytes()
    (folder / "bundle.json").unlink()
    trained_bundles(family, site(data_root, told))
    verify_bundle(folder)
    assert (folder / WEIGHTS).read_bytes() == weights
    assert len(told) == 2  # no further iteration


def test_training_data_that_are_missing_are_named(tmp_path):
    written(tmp_path, FLOW)
    with pytest.raises(ConfigError, match="give its parent with --data"):
        trained_bundles(Family("toy.toml", "kept"), site(tmp_path, []))


def test_kept_bundles_lie_in_the_folder_of_weights_by_the_name_of_their_variant(tmp_path):
    written(tmp_path, ONE_STEP, FLOW)
    kept = kept_bundles(Family("toy.toml", "weights/toy"), tmp_path)
    assert kept == {name: tmp_path / "weights" / "toy" / name for name in ("one-step", "flow")}
    assert list(kept_bundles(Family("toy.toml", "w", only=("flow",)), tmp_path)) == ["flow"]
    with pytest.raises(ConfigError, match=r"toy.toml has no variant 'fast'; it has one-step, flow"):
        kept_bundles(Family("toy.toml", "w", only=("fast",)), tmp_path)


def test_the_command_line_trains_the_variant_that_is_asked_for(data_root, capsys):
    path, out = written(data_root, ONE_STEP, FLOW), data_root / "bundle"
    assert main(["train", str(path), "--variant", "flow", "--out", str(out), "--device", "cpu"]) == 0
    assert "Wrote the bundle toy-flow" in capsys.readouterr().out
    bundle = load_bundle(out, torch.device("cpu"))
    assert (bundle.manifest.name, bundle.manifest.method) == ("toy-flow", "flow-matching")
    assert bundle.manifest.method_options == {"channels": [16, 16], "path": "i-cfm"}
    state = torch.load(out.with_name("bundle-training") / CHECKPOINT, weights_only=True)
    assert state["iteration"] == 2
    assert json.loads(state["setup"])["method"]["path"] == "i-cfm"


def test_the_command_line_without_a_variant_trains_the_file_itself(data_root):
    path, out = written(data_root, ONE_STEP, FLOW), data_root / "bundle"
    assert main(["train", str(path), "--out", str(out), "--device", "cpu"]) == 0
    assert verify_bundle(out).name == "toy"


@pytest.mark.parametrize(
    ("variants", "words"), [(FLOW, "has no variant 'fast'; it has flow"), ("", "it has no [[variants]]")]
)
def test_the_command_line_says_which_variants_there_are(data_root, capsys, variants, words):
    path = written(data_root, variants)
    assert main(["train", str(path), "--variant", "fast", "--out", str(data_root / "bundle")]) == 2
    assert words in capsys.readouterr().err
    assert not (data_root / "bundle").exists()
