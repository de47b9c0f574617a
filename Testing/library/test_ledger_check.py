"""`[[ledger]]` measures what a bundle with a known fault does: one that rubs out whatever is very bright."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ledger_phantom import ball, head

from MedTranslateLib.bundles.manifest import read_manifest
from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.evaluation.competitors import layout_of
from MedTranslateLib.evaluation.config import read_plan
from MedTranslateLib.evaluation.ledger_check import score_ledger
from MedTranslateLib.evaluation.ledger_config import LedgerCheck
from MedTranslateLib.evaluation.metric_names import METRICS
from MedTranslateLib.inference.weights import LoadedBundle
from MedTranslateLib.methods.identity import Identity
from MedTranslateLib.training.config import DataEntry, read_config
from MedTranslateLib.training.ledger_thresholds import LedgerPatients, measure_ledger

RESOURCES = Path(__file__).parents[2] / "Resources"
GRID = Geometry((96, 96, 5), np.diag([1.2, 1.2, 5.0, 1.0]))
ENTRY = DataEntry("npz", "cases", source="t1", target="flair", stored_range=(0.0, 255.0))


class Eraser(Identity):
    """Leaves an image as it is, but for what is brighter than every tissue of the phantom."""

    def translate(self, batch, direction, steps, noise, on_step):
        made = super().translate(batch, direction, steps, noise, on_step)
        return torch.where(made > 0.8, torch.full_like(made, 0.1), made)


@pytest.fixture
def bundle():
    card = replace(read_manifest(RESOURCES / "Bundles" / "bidpm-brain-t1-flair"), size_hw=(96, 96), reversible=True)
    return LoadedBundle(replace(card, training_statistics=None), Eraser(), torch.device("cpu"))


@pytest.fixture
def data(tmp_path):
    """One patient: the lesion is very bright in T1 and merely dark in FLAIR."""
    source, output = head(GRID)
    lesion = ball((52, 40, 2), 24, GRID)
    source[lesion], output[lesion] = 0.95, -0.8
    (tmp_path / "cases").mkdir()
    stored = {
        name: np.rint((image + 1) * 127.5).astype(np.uint8) for name, image in (("t1", source), ("flair", output))
    }
    np.savez(tmp_path / "cases" / "one.npz", tumour=lesion, **stored)
    return tmp_path


def rows_of(data, bundle, **more):
    plan = LedgerCheck("unused", (ENTRY,), "tumour", strengths=(1.0,), diameters_mm=(15.0,), contrasts=(0.3,), **more)
    return list(score_ledger(plan, bundle, layout_of(bundle.manifest), data))


def test_the_lesion_that_is_rubbed_out_is_listed_and_the_one_that_is_kept_is_not(data, bundle):
    rows = {(row.direction.value, row.table): row.figures for row in rows_of(data, bundle)}
    forward, reverse = rows["forward", "strength"], rows["reverse", "strength"]
    assert (forward["ledger_listed"], forward["ledger_false"]) == (1, 0.0)
    assert (reverse["ledger_listed"], reverse["ledger_false"]) == (0, 0.0)
    lost, kept = rows["forward", "lesion"], rows["reverse", "lesion"]
    assert lost["contrast_source"] > 1 > abs(lost["contrast_output"])
    assert lost["contrast_target"] == pytest.approx(kept["contrast_source"], rel=0.02)
    assert kept["contrast_output"] == pytest.approx(kept["contrast_source"], rel=0.02)
    assert all(name in METRICS for figures in rows.values() for name in figures)


def test_a_table_without_a_lesion_that_is_large_enough_is_refused(data, bundle):
    with pytest.raises(ConfigError, match="no case has a lesion"):
        rows_of(data, bundle, least_lesion_mm3=1e6)


def test_masks_that_are_not_there_are_refused_by_name(data, bundle):
    plan = LedgerCheck("unused", (ENTRY,), "oedema")
    with pytest.raises(ConfigError, match="oedema"):
        list(score_ledger(plan, bundle, layout_of(bundle.manifest), data))


def test_thresholds_are_set_on_every_so_many_th_patient_of_the_training_file(data, bundle):
    for name in ("two", "three", "four"):
        (data / "cases" / f"{name}.npz").write_bytes((data / "cases" / "one.npz").read_bytes())
    config = small_training()
    told: list[int] = []
    found = measure_ledger(bundle, config, data, LedgerPatients("tumour", every=3), told.append)
    assert told == [1, 2]
    assert [(one.direction, one.patients, one.slices) for one in found.calibrations] == [
        ("forward", 2, 10),
        ("reverse", 2, 10),
    ]
    assert all(one.entries_a_slice <= 1 / 15 for one in found.calibrations)


def small_training():
    config = read_config(RESOURCES / "Training" / "bidpm-brain-t1-flair.toml")
    return replace(config, data=(ENTRY,), grid=replace(config.grid, size_hw=(96, 96)))


def test_the_shipped_evaluation_file_asks_for_the_held_out_tumour_patients():
    plan = read_plan(RESOURCES / "Evaluation" / "ledger.toml").ledger[0]
    assert (plan.bundle, plan.lesions, plan.cases[0].folder) == ("bidpm-brain-t1-flair", "tumour", "data/tcga-lgg/val")
