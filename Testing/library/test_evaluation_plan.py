"""An evaluation file says what to measure; what it says wrongly is refused by name, before anything is computed."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from MedTranslateLib.bundles.manifest import read_manifest
from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.evaluation.competitors import bundle_folder
from MedTranslateLib.evaluation.config import read_plan
from MedTranslateLib.imaging.geometry import Centre, Plane, SliceGrid
from MedTranslateLib.imaging.scale import IntensityScale, ScaleKind
from MedTranslateLib.methods.catalogue import build_method
from MedTranslateLib.training.config import DataEntry
from MedTranslateLib.training.labelled import LabelledEntry, load_labelled

ROOT = Path(__file__).resolve().parents[2]
CASES = 'kind = "npz"\nfolder = "f"\nsource = "a"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "plan.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "Resources/Evaluation").glob("*.toml")))
def test_the_shipped_evaluation_files_are_understood(name):
    plan = read_plan(ROOT / "Resources/Evaluation" / name)
    assert any((plan.compare, plan.adapt, plan.fields, plan.recover, plan.ledger, plan.trust))


def test_the_zero_shot_files_leave_out_guidance_and_start_sdedit_where_they_did_before():
    """The starts are those that the figures of the documentation were made with."""
    starts = [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4]
    simulated = read_plan(ROOT / "Resources/Evaluation/midiffusion-simulated.toml").compare
    patients = read_plan(ROOT / "Resources/Evaluation/midiffusion-brain.toml").compare[:3]
    assert [table.every for table in (*patients, *simulated)] == [4, 4, 1, 16, 16]
    for table in (*patients, *simulated):
        assert len({method.bundle for method in table.methods}) == 1
        options = {method.title: dict(method.options) for method in table.methods}
        sdedit = [name for name in options if name.startswith("SDEdit")]
        assert [options[name].pop("start_deviation") for name in sdedit] == starts
        assert [float(name.split()[1]) for name in sdedit] == starts
        assert all(options[name] == {"guidance": "none", "temperature": 1.0} for name in sdedit)
        others = [options[name].get("guidance") for name in options if name not in sdedit]
        assert others == [None, None, "both", "self", "none"]
        assert options["this bundle"] == {}
    assert all(len(sum(table.tissues.groups.values(), ())) == 31 for table in simulated)


def test_the_shipped_files_ask_nothing_of_a_bundle_that_its_method_has_not():
    checked = 0
    for path in sorted((ROOT / "Resources/Evaluation").glob("*.toml")):
        for entry in (entry for table in read_plan(path).compare for entry in table.entries):
            card = read_manifest(bundle_folder(entry.bundle, path.parent))
            with torch.device("meta"):  # a network without numbers
                method = build_method(card.method, {**card.method_options, **entry.options})
            assert set(entry.options) <= set(method.options_of_use), entry
            assert all(steps in method.supported_steps for steps in entry.steps), entry
            checked += 1
    assert checked > 60


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "nothing is asked for"),
        ("[[compete]]\nbundle = 'x'\n", "unknown table 'compete'"),
        ("[[fields]]\nbundle = 'x'\n", "at least one"),
        (f"[[fields]]\nbundle = 'x'\nsize = 3\n[[fields.cases]]\n{CASES}", "size"),
        (f"[[schedule]]\nbundle = 'x'\n[[schedule.cases]]\n{CASES}", "unknown table 'schedule'"),
        (f"[[zero_shot]]\nbundle = 'x'\n[[zero_shot.cases]]\n{CASES}", "unknown table 'zero_shot'"),
        (f"[compare]\nbundles = ['x']\n[[compare.cases]]\n{CASES}", "two brackets"),
        ("[[compare]]\nbundles = ['x']\n", "at least one [[compare.cases]]"),
        (f"[[compare]]\nbundle = 'x'\n[[compare.cases]]\n{CASES}", 'bundles = ["x"]'),
        (f"[[compare]]\nbundles = 'x'\n[[compare.cases]]\n{CASES}", "list in brackets for bundles"),
        (f"[[compare]]\n[[compare.cases]]\n{CASES}", "there is none"),
        (f"[[compare]]\nmethods = [{{ bundle = 'x', steps = [5, 0] }}]\n[[compare.cases]]\n{CASES}", "steps"),
        (f"[[compare]]\nmethods = [{{ steps = [5] }}]\n[[compare.cases]]\n{CASES}", "bundle"),
        (f"[[compare]]\nbundles = ['x']\nclusters = [5]\n[[compare.cases]]\n{CASES}", "add [[compare.training]]"),
        ("[[adapt]]\nbundles = ['x']\n", "[adapt.target]"),
        (
            f"[[adapt]]\nbundles = ['x']\n[adapt.target]\n{CASES}[adapt.cases]\n{CASES}[adapt.segmenter]\n",
            "label",
        ),
        ("[[recover]]\ntraining = 'x'\n[recover.known]\nzoom = 0.9\ntwist = 1\n", "twist"),
        ("[[compare]\n", "not valid TOML"),
    ],
)
def test_what_a_file_says_wrongly_is_named(tmp_path, text, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        read_plan(write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        read_plan(tmp_path / "none.toml")


def test_labelled_volumes_are_cut_about_their_middle_with_the_mask_of_one_label(tmp_path):
    """An image whose content lies in a corner: the grid is centred on the image, not on the content."""
    (tmp_path / "heart" / "p1").mkdir(parents=True)
    image, labels = np.zeros((3, 40, 50), np.float32), np.zeros((3, 40, 50), np.uint8)
    image[:, 2:12, 3:18] = 100.0
    labels[1, 14:22, 20:30], labels[1, 24:26, 20:30] = 3, 2
    for name, array in (("ed.nii.gz", image), ("gt.nii.gz", labels)):
        stored = sitk.GetImageFromArray(array)
        stored.SetSpacing((2.0, 2.0, 8.0))
        sitk.WriteImage(stored, str(tmp_path / "heart" / "p1" / name))
    entry = LabelledEntry(
        DataEntry("volumes", "heart", source="ed.nii.gz", target="gt.nii.gz"),
        3,
        IntensityScale(ScaleKind.RELATIVE, 0.5, 97.0),
    )
    (case,) = load_labelled(entry, SliceGrid(Plane.AXIAL, 2.0, (32, 32), Centre.IMAGE), tmp_path)
    assert case.images.shape == case.masks.shape == (3, 32, 32)
    assert int(case.masks.sum()) == 80
    rows, columns = np.nonzero(case.masks[1])
    # the image's middle, row 19.5 and column 24.5, is the middle of the slice, 15.5
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 17, 11, 20)
    assert case.images[0, 4, 4] == pytest.approx(1.0)


def test_labelled_images_without_a_label_map_are_refused(tmp_path):
    (tmp_path / "heart" / "p1").mkdir(parents=True)
    stored = sitk.GetImageFromArray(np.arange(60, dtype=np.float32).reshape(3, 4, 5))
    sitk.WriteImage(stored, str(tmp_path / "heart" / "p1" / "ed.nii.gz"))
    entry = LabelledEntry(
        DataEntry("volumes", "heart", source="ed.nii.gz", target="gt.nii.gz"),
        3,
        IntensityScale(ScaleKind.RELATIVE, 0.5, 97.0),
    )
    with pytest.raises(ConfigError, match="p1"):
        load_labelled(entry, SliceGrid(Plane.AXIAL, 2.0, (32, 32)), tmp_path)
