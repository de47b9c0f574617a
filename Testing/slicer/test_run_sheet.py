# ruff: noqa: E402  # without Slicer's core the file is skipped before it imports what needs it
"""The record of a run can be read by people, saved, and repeated with the choices it names and no others."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

from MedTranslateLib.bundles.store import BundleStore
from MedTranslateLib.core.correspondence import Correspondence
from MedTranslateLib.core.errors import BundleNotFoundError, BundleTamperedError, InvalidVolumeError, RequestError
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.mrml.choice_check import request_for
from MedTranslateLib.mrml.links import results_in
from MedTranslateLib.mrml.run_sheet import Repetition, RunSheet
from MedTranslateLib.mrml.runs import TranslationChoice
from MedTranslateLib.mrml.scene import ResultNodes

DIGEST = "0123456789abcdef" * 4


SOFTWARE = {"name": "MedTranslate", "version": "0.4", "python": "3.12.1", "git_commit": "c" * 40}
RUN = {
    "from": "T1",
    "reverse": True,
    "steps": 3,
    "samples": 5,
    "seed": 77,
    "estimate_drift": True,
    "method_options": {"guidance": "both"},
    "device_requested": "auto",
    "device": "cpu",
    "device_name": "x86_64",
    "precision": "float32",
    "batch_size": 4,
    "slab": None,
    "threads": 2,
}
GATE = {
    "verdict": "doubtful",
    "reasons": ["The slices are 9 mm apart."],
    "accepted": True,
    "looks_like": "T1",
    "confidence": 0.934,
}
MEMORY = {
    "plan": {"mode": "slabs", "needed_bytes": 1_840_000_000},
    "finished": {"device": "cpu", "batch_size": 4, "slab": 32},
    "stepped_down": [{"stage": "translate"}, {"stage": "translate"}],
    "after_kill": True,
}


def sha256_of(volume: Volume) -> str:
    """As the record has it: voxels as float32, size as int64, matrix as float64, all little endian."""
    size, matrix = volume.geometry.size_ijk, volume.geometry.ijk_to_ras
    voxels = struct.pack(f"<{volume.array_kji.size}f", *volume.array_kji.ravel().tolist())
    return hashlib.sha256(
        voxels + struct.pack("<3q", *size) + struct.pack("<16d", *matrix.ravel().tolist())
    ).hexdigest()


def record_of(volume: Volume, **changes: Any) -> dict[str, Any]:
    table: dict[str, Any] = {
        "format": 1,
        "created_utc": "2026-08-01T10:11:12+00:00",
        "software": SOFTWARE,
        "source": {
            "name": "source",
            "modality": "MR",
            "sha256": sha256_of(volume),
            "size_ijk": list(volume.geometry.size_ijk),
            "ijk_to_ras": volume.geometry.ijk_to_ras.tolist(),
        },
        "bundle": {"name": "identity", "version": "1.2", "method": "bidpm", "files": {"weights.safetensors": DIGEST}},
        "run": RUN,
        "gate": GATE,
        "request": {"bundle": "identity", "trust": False},
        "memory": MEMORY,
        "times_s": {"network": 1.5, "total": 3.25},
        "note": "SYNTHETIC, research use only",
    }
    return {**table, **changes}


@pytest.fixture
def source(known: SimpleNamespace) -> Volume:
    return known.numbered(known.oblique_grid((9, 8, 5)))


@pytest.fixture
def nodes(source: Volume, add_to_scene: Callable[..., ResultNodes]) -> ResultNodes:
    identity = Correspondence.identity(source.geometry)
    return add_to_scene(source.geometry, identity, source=source, provenance=record_of(source))


def test_the_sheet_says_what_was_run_on_what_and_that_a_doubt_was_overridden(
    nodes: ResultNodes, source: Volume
) -> None:
    lines = {line.label: line.text for line in RunSheet.of(nodes).lines()}
    digest = record_of(source)["source"]["sha256"]
    assert lines == {
        "Bundle": "identity 1.2 (bidpm)",
        "Its files": "weights.safetensors: SHA-256 0123456789ab...",
        "Run": "steps 3, samples 5, seed 77, reversed, drift estimated, guidance = both",
        "Device": "cpu (x86_64), float32, batches of 4",
        "Input gate": "doubtful, looks like T1 (93 %), translated anyway because the user asked for it. "
        "The slices are 9 mm apart.",
        "Memory plan": "slabs, needed about 1.8 GB, ran in batches of 4, slabs of 32, after 2 attempts with too little "
        "memory, started anew after the system had ended it",
        "Source": f"MR, 9 x 8 x 5, SHA-256 {digest[:12]}...",
        "Software": "MedTranslate 0.4, git_commit cccccccccccc..., python 3.12.1",
        "Made": "2026-08-01T10:11:12+00:00, 3.2 s",
    }


def test_an_older_or_shorter_record_leaves_out_what_it_does_not_say(nodes: ResultNodes) -> None:
    nodes.provenance.SetText(json.dumps({"bundle": {"name": "old"}}))
    labels = [line.label for line in RunSheet.of(nodes).lines()]
    assert labels == ["Bundle", "Software"]
    with pytest.raises(RequestError, match="does not say how to repeat"):
        RunSheet.of(nodes).choice()


def test_the_choice_is_exactly_that_of_the_record(nodes: ResultNodes, store: BundleStore) -> None:
    choice = RunSheet.of(nodes).choice()
    assert choice == TranslationChoice(
        "identity",
        reverse=True,
        steps=3,
        samples=5,
        seed=77,
        device="cpu",
        estimate_drift=True,
        accept_doubtful=True,
        method_options={"guidance": "both"},
        batch_size=4,
        trust=False,
        slab=0,
        threads=2,
    )
    request = request_for(choice, store.find("identity"))
    assert (request.seed, request.batch_size, request.method_options) == (77, 4, {"guidance": "both"})
    assert request.accept_doubtful


def test_the_record_is_saved_byte_for_byte(nodes: ResultNodes, tmp_path: Path) -> None:
    RunSheet.of(nodes).save(tmp_path / "provenance.json")
    assert (tmp_path / "provenance.json").read_text(encoding="utf-8") == nodes.provenance.GetText()


@pytest.mark.parametrize("text", ["", "{", "[1, 2]"])
def test_a_record_that_was_changed_by_hand_is_not_believed(nodes: ResultNodes, text: str) -> None:
    nodes.provenance.SetText(text)
    with pytest.raises(RequestError, match="changed by hand"):
        RunSheet.of(nodes)


def test_a_deleted_record_says_so(scene: slicer.vtkMRMLScene, nodes: ResultNodes) -> None:
    scene.RemoveNode(nodes.provenance)
    (left,) = results_in(scene)
    with pytest.raises(RequestError, match="was deleted"):
        RunSheet.of(left)


# Whether it can be repeated


@pytest.fixture
def repeatable(nodes: ResultNodes, source: Volume, store: BundleStore) -> ResultNodes:
    """A record of the very bundle that is installed."""
    manifest = store.find("identity").manifest
    bundle = {"name": "identity", "version": manifest.version, "files": dict(manifest.files)}
    nodes.provenance.SetText(json.dumps(record_of(source, bundle=bundle)))
    return nodes


def test_the_same_source_and_bundle_can_be_run_again_also_in_a_reopened_scene(
    repeatable: ResultNodes, store: BundleStore, reopened: Callable
) -> None:
    RunSheet.of(repeatable).check_repeatable(repeatable.source, store)
    (back,) = results_in(reopened())
    RunSheet.of(back).check_repeatable(back.source, store)


def test_another_version_of_the_bundle_is_refused(nodes: ResultNodes, store: BundleStore) -> None:
    with pytest.raises(BundleTamperedError, match=r"not the one of the record \(1\.2\)"):
        RunSheet.of(nodes).check_repeatable(nodes.source, store)


def test_a_bundle_that_is_gone_is_refused(nodes: ResultNodes, source: Volume, store: BundleStore) -> None:
    nodes.provenance.SetText(json.dumps(record_of(source, bundle={"name": "lost", "files": {}})))
    with pytest.raises(BundleNotFoundError):
        RunSheet.of(nodes).check_repeatable(nodes.source, store)


def test_a_source_with_one_changed_voxel_or_another_place_is_refused(
    repeatable: ResultNodes, store: BundleStore
) -> None:
    sheet = RunSheet.of(repeatable)
    slicer.util.arrayFromVolume(repeatable.source)[4, 7, 8] += 0.5
    with pytest.raises(InvalidVolumeError, match="was changed or moved"):
        sheet.check_repeatable(repeatable.source, store)
    slicer.util.arrayFromVolume(repeatable.source)[4, 7, 8] -= 0.5
    sheet.check_repeatable(repeatable.source, store)
    origin = repeatable.source.GetOrigin()
    repeatable.source.SetOrigin(origin[0], origin[1] + 0.01, origin[2])
    with pytest.raises(InvalidVolumeError, match="was changed or moved"):
        sheet.check_repeatable(repeatable.source, store)


# What came of it


def test_a_repeated_output_is_identical_or_its_differences_are_told(
    source: Volume, nodes: ResultNodes, add_to_scene: Callable
) -> None:
    identity = Correspondence.identity(source.geometry)
    again = add_to_scene(source.geometry, identity)
    assert Repetition.of(nodes, again).sentence() == "The output is identical, voxel for voxel."
    values = slicer.util.arrayFromVolume(again.output)
    values[0, 0, 0] += 3.0
    values[2, 3, 4] -= 1.0
    different = Repetition.of(nodes, again)
    assert different.largest == pytest.approx(3.0)
    assert different.mean == pytest.approx(4.0 / (9 * 8 * 5))
    assert different.sentence() == ("The output differs by up to 3 and by 0.0111 on average (relative, not HU).")


def test_outputs_on_other_grids_are_not_compared(
    nodes: ResultNodes, known: SimpleNamespace, add_to_scene: Callable
) -> None:
    other = known.oblique_grid((9, 8, 6))
    with pytest.raises(InvalidVolumeError, match="not compared"):
        Repetition.of(nodes, add_to_scene(other, Correspondence.identity(other)))
    assert np.isfinite(slicer.util.arrayFromVolume(nodes.output)).all()
