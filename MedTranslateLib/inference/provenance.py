"""A finished run in, the table that `provenance.json` holds out: enough to run the same case again."""

from __future__ import annotations

import hashlib
import platform
from datetime import datetime, timezone
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from MedTranslateLib import __version__
from MedTranslateLib.bundles.parts import ANY_MODALITY
from MedTranslateLib.core.request import TranslationRequest
from MedTranslateLib.core.result import SYNTHETIC_NOTE
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.slices import SlicedVolume
from MedTranslateLib.inference.devices import supports_bfloat16
from MedTranslateLib.inference.gate import GateReport
from MedTranslateLib.inference.slicewise import SliceRun
from MedTranslateLib.inference.weights import LoadedBundle


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
        },
        "intensity": {"source_low": sliced.intensities.low, "source_high": sliced.intensities.high},
        "network_grid": _grid(sliced.stack.geometry),
        "times_s": {"network": round(network_seconds, 3)},
        "note": SYNTHETIC_NOTE,
    }


def hash_of(volume: Volume) -> str:
    """SHA-256 of the voxel bytes (float32, little endian, k j i) followed by the size and the matrix (float64)."""
    digest = hashlib.sha256(np.ascontiguousarray(volume.array_kji, dtype="<f4").tobytes())
    digest.update(np.array(volume.geometry.size_ijk, dtype="<i8").tobytes())
    digest.update(volume.geometry.ijk_to_ras.astype("<f8").tobytes())
    return digest.hexdigest()


def _source(source: Volume) -> dict[str, Any]:
    identity = {"name": source.name, "modality": source.modality, "sha256": hash_of(source)}
    return {**identity, **_grid(source.geometry)}


def _software() -> dict[str, str]:
    return {
        "name": "MedTranslate",
        "version": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "simpleitk": version("SimpleITK"),
        "platform": platform.platform(),
    }


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
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or device.type
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
        "device_name": name,
        "precision": "bfloat16" if supports_bfloat16(device) else "float32",
        "batch_size": run.batch_size(device),
        "method": dict(bundle.method.facts),
    }


def _grid(geometry: Geometry) -> dict[str, Any]:
    return {"size_ijk": list(geometry.size_ijk), "ijk_to_ras": geometry.ijk_to_ras.tolist()}
