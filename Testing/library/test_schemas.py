"""The contracts on disk: our files keep to the published schemas, and the schemas refuse what is not ours."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from jsonschema import Draft202012Validator
from test_bundles_manifest import DELETED, FULL, MISSING, WRONG, changed

from MedTranslateLib.checks.gate import inspect
from MedTranslateLib.core.correspondence import Correspondence
from MedTranslateLib.core.request import TranslationRequest
from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.core.schemas import SchemaName, load_schema
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.job_folder import write_result
from MedTranslateLib.inference.pipeline import translate
from MedTranslateLib.inference.weights import load_bundle

NAMES: tuple[SchemaName, ...] = get_args(SchemaName)
HASH = "0123456789abcdef" * 4
MATRIX = [[-1.1, 0.0, 0.2, 31.0], [0.0, 1.3, 0.0, -57.0], [0.1, 0.0, 4.0, 12.5], [0.0, 0.0, 0.0, 1.0]]
RESULT = {
    "format": 1,
    "job": "out",
    "files": {
        "translated": "translated.nrrd",
        "forward_field": "forward_field.nrrd",
        "inverse_field": "inverse_field.nrrd",
        "validity": "validity.nrrd",
        "uncertainty": "uncertainty.nrrd",
        "provenance": "provenance.json",
        "trust": "trust.nrrd",
        "expected_error": "expected_error.nrrd",
        "trust_round_trip": "trust_round_trip.nrrd",
        "trust_folding": "trust_folding.nrrd",
        "trust_intensity": "trust_intensity.nrrd",
        "trust_cycle": "trust_cycle.nrrd",
        "ledger": "ledger.json",
        "ledger_regions": "ledger_regions.nrrd",
    },
    "sha256": {
        "translated.nrrd": HASH,
        "forward_field.nrrd": HASH,
        "inverse_field.nrrd": HASH,
        "validity.nrrd": HASH,
        "uncertainty.nrrd": HASH,
        "provenance.json": HASH,
        "trust.nrrd": HASH,
        "expected_error.nrrd": HASH,
        "trust_round_trip.nrrd": HASH,
        "trust_folding.nrrd": HASH,
        "trust_intensity.nrrd": HASH,
        "trust_cycle.nrrd": HASH,
        "ledger.json": HASH,
        "ledger_regions.nrrd": HASH,
    },
    "correspondence": "model",
    "output": {"name": "CT", "modality": "CT", "scale": "hounsfield", "minimum": -1000.0, "maximum": 1830.5},
    "synthetic": True,
    "note": "SYNTHETIC, research use only",
}
ALWAYS = {"translated.nrrd", "forward_field.nrrd", "inverse_field.nrrd", "validity.nrrd", "provenance.json"}
LEDGER = {
    "format": 1,
    "rule": "What exceeds 99 % of the training slices.",
    "entries": [
        {
            "number": 1,
            "side": "source",
            "source_ras": [-12.5, 3.0, 41.25],
            "output_ras": [-12.0, 3.5, 41.25],
            "volume_mm3": 812.5,
            "strength": 2.5,
            "trust": None,
            "reason": "The output shows nothing where the source is bright.",
        }
    ],
    "note": "SYNTHETIC, research use only",
}
PROVENANCE = {
    "format": 1,
    "created_utc": "2025-03-01T12:30:00+00:00",
    "software": {
        "name": "MedTranslate",
        "version": "0.1.0",
        "python": "3.12.3",
        "torch": "2.6.0",
        "numpy": "2.2.6",
        "simpleitk": "2.5.0",
        "scipy": "1.15.1",
        "monai": "1.4.0",
        "scikit_image": "0.25.0",
        "safetensors": "0.5.2",
        "platform": "Linux",
        "code_sha256": HASH,
        "git_commit": "0123456789abcdef0123456789abcdef01234567",
    },
    "source": {"name": "head", "modality": None, "sha256": HASH, "size_ijk": [5, 4, 3], "ijk_to_ras": MATRIX},
    "bundle": {"name": "b", "version": "1.0.0", "method": "bidpm", "files": {"weights.safetensors": HASH}},
    "run": {
        "from": "T1",
        "reverse": False,
        "steps": 1,
        "samples": 1,
        "seed": 0,
        "device_requested": "auto",
        "device": "cpu",
        "device_name": "x86_64",
        "precision": "float32",
        "batch_size": 4,
        "slab": None,
        "threads": 2,
    },
    "request": {"bundle": "b", "samples": 1, "batch_size": None},
    "memory": {
        "plan": {
            "mode": "full",
            "device": "cpu",
            "batch_size": 4,
            "slab": None,
            "needed_bytes": 800_000_000,
            "free_bytes": 5_000_000_000,
            "device_needed_bytes": 0,
            "device_free_bytes": None,
            "seconds": None,
        },
        "finished": {"device": "cpu", "batch_size": 2, "slab": 32},
        "stepped_down": [
            {"device": "cpu", "batch_size": 4, "slab": None, "stage": "translate", "reason": "MemoryError: 3 GB"}
        ],
        "after_kill": False,
    },
    "gate": {
        "verdict": "doubtful",
        "reasons": ["Its slices are 12 mm apart."],
        "accepted": True,
        "looks_like": "T1",
        "confidence": 0.97,
        "stated": "MR",
    },
    "intensity": {"source_low": 0.0, "source_high": 812.5},
    "network_grid": {"size_ijk": [192, 192, 3], "ijk_to_ras": MATRIX},
    "times_s": {"total": 4.5, "network": 3.25},
    "note": "SYNTHETIC, research use only",
}
REQUEST = TranslationRequest("brain", "head", "MR", True, 2, 3, 4, "cuda:0", True).to_json()
EXAMPLES: dict[SchemaName, dict[str, Any]] = {
    "bundle": FULL.to_json(),
    "request": REQUEST,
    "result": RESULT,
    "provenance": PROVENANCE,
    "ledger": LEDGER,
}
OPEN_TABLES = {
    ("bundle", "method_options"),
    ("bundle", "training_statistics"),
    ("request", "method_options"),
    ("provenance", "run.method_options"),
    ("provenance", "request"),
}
OPTIONAL = {
    ("request", "source_name"),
    ("request", "source_modality"),
    ("request", "source_synthetic"),
    ("request", "reverse"),
    ("request", "steps"),
    ("request", "samples"),
    ("request", "seed"),
    ("request", "device"),
    ("request", "estimate_drift"),
    ("request", "trust"),
    ("request", "accept_doubtful"),
    ("request", "method_options"),
    *(("result", f"files.{Path(name).stem}") for name in RESULT["sha256"] if name not in ALWAYS),
    *(("result", f"sha256.{name}") for name in RESULT["sha256"] if name not in ALWAYS),
    *(("request", name) for name in ("batch_size", "slab", "threads")),
    *(("provenance", f"software.{name}") for name in ("scipy", "monai", "scikit_image", "safetensors")),
    *(("provenance", f"software.{name}") for name in ("code_sha256", "git_commit")),
    *(("provenance", name) for name in ("run.slab", "run.threads", "request", "memory")),
    ("provenance", "times_s"),
    ("bundle", "training_statistics"),
    ("bundle", "centre"),
    ("provenance", "run.estimate_drift"),
    ("provenance", "run.method_options"),
    ("provenance", "run.method"),
    ("provenance", "gate.looks_like"),
    ("provenance", "gate.confidence"),
    ("provenance", "gate.stated"),
}


def is_valid(name: SchemaName, table: object) -> bool:
    return bool(Draft202012Validator(load_schema(name)).is_valid(table))


def tables_in(table: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Path of the table itself and of every table below it."""
    yield path
    for key, value in table.items():
        if isinstance(value, dict):
            yield from tables_in(value, (*path, key))


def at(table: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    for key in path:
        table = table[key]
    return table


FIXED_TABLES = [
    (name, path)
    for name, example in EXAMPLES.items()
    for path in tables_in(example)
    if (name, ".".join(path)) not in OPEN_TABLES and path[-1:] not in {("loss_terms",), ("files",)}
]


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_itself_valid_and_has_an_identifier(name: SchemaName) -> None:
    schema = load_schema(name)
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:medtranslate:{name}:1"


@pytest.mark.parametrize("name", NAMES)
def test_a_complete_example_is_valid_but_not_in_another_format(name: SchemaName) -> None:
    Draft202012Validator(load_schema(name)).validate(EXAMPLES[name])
    assert not is_valid(name, {**EXAMPLES[name], "format": 2})


@pytest.mark.parametrize(("name", "path"), FIXED_TABLES)
def test_an_unknown_key_is_refused_in_every_table(name: SchemaName, path: tuple[str, ...]) -> None:
    table = copy.deepcopy(EXAMPLES[name])
    at(table, path)["surprise"] = 1
    assert not is_valid(name, table)


@pytest.mark.parametrize(("name", "path"), FIXED_TABLES)
def test_every_key_is_required_unless_it_is_known_to_be_optional(name: SchemaName, path: tuple[str, ...]) -> None:
    for key in at(EXAMPLES[name], path):
        table = copy.deepcopy(EXAMPLES[name])
        del at(table, path)[key]
        optional = (name, ".".join((*path, key))) in OPTIONAL or path[:1] == ("times_s",) or key == "high_value"
        assert is_valid(name, table) == optional, key


@pytest.mark.parametrize(
    "request_made",
    [
        TranslationRequest("brain"),
        TranslationRequest("brain", method_options={"guidance": "both", "start_deviation": 0.5}),
        TranslationRequest("/a folder/brain", steps=2000, samples=64, seed=2**63 - 1, device="mps"),
    ],
)
def test_every_request_keeps_to_its_schema_and_is_read_back(request_made: TranslationRequest) -> None:
    table = json.loads(json.dumps(request_made.to_json()))
    assert is_valid("request", table)
    assert TranslationRequest.from_json(table) == request_made


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("request", "steps", 0),
        ("request", "steps", 1.5),
        ("request", "samples", 65),
        ("request", "seed", -1),
        ("request", "bundle", ""),
        ("request", "reverse", "yes"),
        ("result", "files.translated", "../translated.nrrd"),
        ("result", "sha256.provenance.json", HASH.upper()),
        ("result", "correspondence", "guessed"),
        ("result", "output.scale", "HU"),
        ("result", "synthetic", False),
        ("result", "note", ""),
        ("provenance", "created_utc", "yesterday"),
        ("provenance", "created_utc", "2025-03-01T12:30:00"),
        ("provenance", "source.size_ijk", [5, 4]),
        ("provenance", "source.size_ijk", [5, 4, 0]),
        ("provenance", "network_grid.ijk_to_ras", MATRIX[:3]),
        ("provenance", "gate.verdict", "refused"),
        ("provenance", "run.precision", "float16"),
        ("provenance", "bundle.files", {"weights.safetensors": "abc"}),
    ],
)
def test_a_value_out_of_the_contract_is_refused(name: SchemaName, path: str, value: object) -> None:
    table = copy.deepcopy(EXAMPLES[name])
    *parents, last = ("sha256", "provenance.json") if path == "sha256.provenance.json" else path.split(".")
    at(table, tuple(parents))[last] = value
    assert not is_valid(name, table)


@pytest.mark.parametrize(("path", "value"), [(path, value) for path, value, _ in WRONG])
def test_the_bundle_schema_refuses_what_the_reader_refuses(path: str, value: object) -> None:
    assert not is_valid("bundle", changed(path, value))


@pytest.mark.parametrize("path", MISSING)
def test_the_bundle_schema_misses_the_keys_that_the_reader_misses(path: str) -> None:
    assert not is_valid("bundle", changed(path, DELETED))


def test_a_result_without_samples_keeps_to_the_schema_on_disk(tmp_path: Path) -> None:
    geometry = Geometry((5, 4, 3), np.array(MATRIX))
    volume = Volume(np.arange(60, dtype=np.float32).reshape(3, 4, 5) / 60, geometry, "head", "MR")
    ones = np.ones((3, 4, 5), dtype=np.uint8)
    identity = Correspondence.identity(geometry)
    write_result(tmp_path / "job", TranslationResult(volume, identity, ones, None, PROVENANCE, "FLAIR", "MR"))
    written = json.loads((tmp_path / "job" / "result.json").read_text(encoding="utf-8"))
    Draft202012Validator(load_schema("result")).validate(written)
    assert written["job"] == "job"
    assert "uncertainty" not in written["files"]


def test_the_record_of_a_run_keeps_to_the_schema(make_bundle: Callable[..., Path], oblique_head: Volume) -> None:
    bundle = load_bundle(make_bundle("brain-b"), torch.device("cpu"))
    request = TranslationRequest("brain-b", "oblique", device="cpu")
    gate = inspect(oblique_head, bundle.manifest, reverse=False)
    result = translate(request, oblique_head, bundle, gate, lambda *_: None)
    record = json.loads(json.dumps(dict(result.provenance)))
    Draft202012Validator(load_schema("provenance")).validate(record)
    assert record["source"]["name"] == "oblique"
