"""Findings in, JSON-able tables and arrays out, and back, exactly: how the result of a unit is kept on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from MedTranslateLib.evaluation.measurement import Findings, Measurement, Pictured, Problem, Severity
from MedTranslateLib.evaluation.unit_store import UnitStore

Arrays = Mapping[str, npt.NDArray[Any]]
PICTURES = ("source", "output", "target", "uncertainty", "displacement")


@dataclass(frozen=True)
class SetSample:
    """What one case adds to the figures of a whole set of images.

    Args:
        table, direction, method: As in `Measurement`.
        arrays: `output_features` and `target_features` (N, D), `output_histogram` and `target_histogram` (bins,).
    """

    table: str
    direction: str
    method: str
    arrays: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class UnitResult:
    """Everything a unit of work leaves behind.

    Args:
        findings: Figures, pictures, problems.
        samples: What it adds to sets.
    """

    findings: Findings
    samples: tuple[SetSample, ...] = ()


def write_result(store: UnitStore, key: str, result: UnitResult) -> None:
    """Keeps the result of a unit.

    Raises:
        OutputError: If it cannot be written.
    """
    findings, arrays = result.findings, {}
    pictures = []
    for number, picture in enumerate(findings.pictures):
        pictures.append({name: getattr(picture, name) for name in ("table", "case", "direction", "method")})
        for name in PICTURES:
            image = getattr(picture, name)
            if image is not None:
                arrays[f"picture/{number}/{name}"] = np.asarray(image, np.float32)
    samples = []
    for number, sample in enumerate(result.samples):
        samples.append({"table": sample.table, "direction": sample.direction, "method": sample.method})
        arrays |= {f"sample/{number}/{name}": array for name, array in sample.arrays.items()}
    content = {
        "measurements": [list(asdict(one).values()) for one in findings.measurements],
        "problems": [{**asdict(problem), "severity": problem.severity.value} for problem in findings.problems],
        "pictures": pictures,
        "samples": samples,
    }
    store.write(key, content, arrays)


def read_result(store: UnitStore, key: str) -> UnitResult:
    """Reads back what `write_result` kept.

    Raises:
        CorruptResultError: If there is no whole result.
    """
    content, arrays = store.read(key)
    names = [one.name for one in fields(Measurement)]
    findings = Findings(
        measurements=tuple(Measurement(**dict(zip(names, row, strict=True))) for row in content["measurements"]),
        pictures=tuple(
            Pictured(**{**labels, **_under(arrays, f"picture/{number}/")})
            for number, labels in enumerate(content["pictures"])
        ),
        problems=tuple(Problem(**{**row, "severity": Severity(row["severity"])}) for row in content["problems"]),
    )
    samples = tuple(
        SetSample(**labels, arrays=_under(arrays, f"sample/{number}/"))
        for number, labels in enumerate(content["samples"])
    )
    return UnitResult(findings, samples)


def _under(arrays: Arrays, prefix: str) -> dict[str, npt.NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
