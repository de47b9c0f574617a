"""A finished run in, the table that `provenance.json` holds out: enough to run the same case again."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

import MedTranslateLib
from MedTranslateLib import __version__
from MedTranslateLib.bundles.parts import ANY_MODALITY
from MedTranslateLib.checks.gate import GateReport
from MedTranslateLib.checks.memory_plan import MemoryPlan
from MedTranslateLib.checks.memory_settings import Settings
from MedTranslateLib.core.code_version import commit_of, hash_of_library
from MedTranslateLib.core.request import TranslationRequest
from MedTranslateLib.core.result import SYNTHETIC_NOTE
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.slices import SlicedVolume
from MedTranslateLib.inference.devices import name_of, supports_bfloat16
from MedTranslateLib.inference.slicewise import SliceRun
from MedTranslateLib.inference.step_down import StepDown
from MedTranslateLib.inference.weights import LoadedBundle

DISTRIBUTIONS = {
    "simpleitk": "SimpleITK",
    "scipy": "scipy",
    "monai": "monai",
    "scikit_image": "scikit-image",
    "safetensors": "safetensors",
}
"""Libraries whose version a record states besides those of Python, torch and numpy: key and distribution."""


def describe_run(  # noqa: PLR0913  # one argument a section of the record
    request: TranslationRequest,
    source: Volume,
    bundle: LoadedBundle,
    gate: GateReport,
    run: SliceRun,
    sliced: SlicedVolume,
    network_seconds: float,
) -> dict[str, Any]:
    """The record of one run; its form is `provenance.schema.json`."""
    return {
        "format": 1,
        "created_utc": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "software": _software(),
        "source": _source(source),
        "bundle": _bundle(bundle),
        "run": _run(request, bundle, run),
        "gate": {
            "verdict": gate.verdict.value,
            "reasons": list(gate.reasons),
            "accepted": request.accept_doubtful,
            "looks_like": gate.looks_like,
            "confidence": gate.confidence,
            "stated": gate.stated,
        },
        "intensity": {"source_low": sliced.intensities.low, "source_high": sliced.intensities.high},
        "network_grid": _grid(sliced.stack.geometry),
        "times_s": {"network": round(network_seconds, 3)},
        "note": SYNTHETIC_NOTE,
    }


@dataclass(frozen=True)
class MemoryUse:
    """How a run came to fit into the memory.

    Args:
        plan: What was planned before the run.
        finished: What it finished with.
        failed: Attempts before that, which needed too much.
        after_kill: Whether the system had killed the run's first process.
    """

    plan: MemoryPlan
    finished: Settings
    failed: tuple[StepDown, ...] = ()
    after_kill: bool = False


def with_memory(record: Mapping[str, Any], request: TranslationRequest, use: MemoryUse) -> dict[str, Any]:
    """Adds to a record what was asked for, and how the run came to fit.

    Args:
        record: As `describe_run` made it.
        request: As it was asked for, before the plan completed it.
        use: The memory plan and what became of it.
    """
    asked = request.to_json()
    for elsewhere in ("format", "source_name", "source_modality", "source_synthetic"):
        del asked[elsewhere]
    finished = {"device": use.finished.device, "batch_size": use.finished.batch, "slab": use.finished.slab}
    memory = {
        "plan": use.plan.to_json(),
        "finished": finished,
        "stepped_down": [step.to_json() for step in use.failed],
        "after_kill": use.after_kill,
    }
    return {**record, "request": asked, "memory": memory}


def with_times(record: Mapping[str, Any], seconds: Mapping[str, float]) -> dict[str, Any]:
    """Adds to a record how long its stages took; writing is timed where it is done.

    Args:
        record: As `describe_run` made it.
        seconds: By stage.
    """
    return {**record, "times_s": {**record["times_s"], **{name: round(took, 3) for name, took in seconds.items()}}}


def hash_of(volume: Volume) -> str:
    """SHA-256 of the voxel bytes (float32, little endian, k j i) followed by the size and the matrix (float64)."""
    digest = hashlib.sha256()
    for slices in volume.array_kji:  # one by one, so that no second image is made
        digest.update(np.ascontiguousarray(slices, dtype="<f4").data)
    digest.update(np.array(volume.geometry.size_ijk, dtype="<i8").tobytes())
    digest.update(volume.geometry.ijk_to_ras.astype("<f8").tobytes())
    return digest.hexdigest()


def _source(source: Volume) -> dict[str, Any]:
    identity = {"name": source.name, "modality": source.modality, "sha256": hash_of(source)}
    return {**identity, **_grid(source.geometry)}


def _software() -> dict[str, str]:
    package = Path(MedTranslateLib.__file__).resolve().parent
    commit = commit_of(package.parent)
    return {
        "name": "MedTranslate",
        "version": __version__,
        "code_sha256": hash_of_library(package),
        **({} if commit is None else {"git_commit": commit}),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        **{key: _version(name) for key, name in DISTRIBUTIONS.items()},
        "platform": platform.platform(),
    }


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def _bundle(bundle: LoadedBundle) -> dict[str, Any]:
    manifest = bundle.manifest
    return {
        "name": manifest.name,
        "version": manifest.version,
        "method": manifest.method,
        "files": dict(manifest.files),
    }


def _run(request: TranslationRequest, bundle: LoadedBundle, run: SliceRun) -> dict[str, Any]:
    device = bundle.device
    start = bundle.manifest.target if request.reverse else bundle.manifest.source
    return {
        "from": "" if start.modality == ANY_MODALITY else start.name,  # then nobody said what the source shows
        "reverse": request.reverse,
        "steps": run.steps,
        "samples": run.samples,
        "seed": run.seed,
        "estimate_drift": request.estimate_drift,
        "method_options": dict(request.method_options),
        "device_requested": request.device,
        "device": str(device),
        "device_name": name_of(device),
        "precision": "bfloat16" if supports_bfloat16(device) else "float32",
        "batch_size": run.batch_size(device),
        "slab": run.slab or None,
        "threads": torch.get_num_threads(),
        "method": dict(bundle.method.facts),
    }


def _grid(geometry: Geometry) -> dict[str, Any]:
    return {"size_ijk": list(geometry.size_ijk), "ijk_to_ras": geometry.ijk_to_ras.tolist()}
