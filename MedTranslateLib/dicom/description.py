"""A result in, the sentences by which its DICOM objects say what it is out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from MedTranslateLib.core.correspondence import Origin
from MedTranslateLib.core.result import SYNTHETIC_NOTE, TranslationResult
from MedTranslateLib.imaging.display import output_range

LONGEST_ST = 1024
SPACE = {
    Origin.MODEL: "the method moved pixels; the registration objects beside it say from where",
    Origin.IDENTITY: "every pixel stays in its place",
    Origin.ESTIMATED: "whether pixels stayed in place was estimated afterwards",
}


FIELDS = {
    Origin.MODEL: "made by the model",
    Origin.IDENTITY: "no deformation",
    Origin.ESTIMATED: "estimated, not by the model",
}


def fields_description(origin: Origin) -> str:
    """What the series of a result's fields is called."""
    return f"SYNTHETIC: fields, {FIELDS[origin]}"


def series_description(result: TranslationResult) -> str:
    """At most 64 characters that begin with SYNTHETIC and end with the unit; the bundle is in the derivation."""
    unit = output_range(result).unit
    name = result.output_name[: 64 - len(f"SYNTHETIC  ({unit})")]
    return f"SYNTHETIC {name} ({unit})"


def derivation_of(result: TranslationResult, accuracy: float, *, deidentified: bool) -> str:
    """How the output was made; names no file, which may be called after the patient.

    Args:
        result: The translation.
        accuracy: The largest error of stored values, in the output's unit.
        deidentified: Whether to leave out the source's hash, by which who has the source would know whose it is.
    """
    bundle, run, software = (_part(result.provenance, name) for name in ("bundle", "run", "software"))
    sources = f" from {run['from']}" if run.get("from") else ""
    maker = f"{software.get('name', 'MedTranslate')} {software.get('version', '')}"
    model = f"bundle {bundle.get('name')} {bundle.get('version')} ({bundle.get('method')})"
    settings = ", ".join(f"{name} {run.get(name)}" for name in ("steps", "samples", "seed"))
    sentences = [
        f"{SYNTHETIC_NOTE}.",
        f"Image of {result.output_name} made{sources} by {maker.strip()}, {model}, {settings}.",
        f"Never acquired: intensities were computed; {SPACE[result.correspondence.origin]}.",
        f"Intensities: {output_range(result).unit}, stored to within {accuracy:g}.",
    ]
    if not deidentified:
        sentences.append(f"SHA-256 of the source's voxels: {_part(result.provenance, 'source').get('sha256')}.")
    return " ".join(sentences)[:LONGEST_ST]


def _part(provenance: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = provenance.get(name)
    return part if isinstance(part, Mapping) else {}
