"""The parts of a bundle's card: frozen values, each of which can say which of its own values are out of range."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

NOT_MEASURED = "not measured"
"""The definition of metrics that are not there."""
ANY_MODALITY = "ANY"
"""The modality of a side that no training restricts: any image of the anatomy may be the source."""
MODALITY = re.compile(r"[A-Z]{2,16}")


class Rule(NamedTuple):
    """One thing a manifest must keep to: whether it does, the key, what was expected and what was got."""

    kept: bool
    key: str
    expected: str
    got: object


@dataclass(frozen=True)
class Scale:
    """How intensities of one modality are normalised; the same four values as `imaging.scale.IntensityScale`.

    Args:
        kind: `hounsfield`: `low` and `high` are HU. `relative`: they are percentiles, 0 to 100.
        low: Mapped to -1.
        high: Mapped to 1 (hounsfield), or to `high_value` of the range 0..1 (relative).
        high_value: Relative only.
    """

    kind: Literal["hounsfield", "relative"]
    low: float
    high: float
    high_value: float = 1.0

    def rules(self, key: str) -> Iterator[Rule]:
        """What these values must keep to; `key` is where the scale stands in the manifest."""
        yield Rule(self.low < self.high, key, "a range whose low is below its high", [self.low, self.high])
        if self.kind == "relative":
            yield Rule(self.low >= 0, f"{key}.low", "a percentile, 0 to 100", self.low)
            yield Rule(self.high <= 100, f"{key}.high", "a percentile, 0 to 100", self.high)
        yield Rule(0 < self.high_value <= 1, f"{key}.high_value", "above 0 and at most 1", self.high_value)


@dataclass(frozen=True)
class Side:
    """One side of a translation.

    Args:
        modality: As DICOM writes it, such as "MR" or "CT"; `ANY_MODALITY` where training saw the other side alone.
        name: What a reader calls it, such as "T1", "FLAIR" or "CT".
        scale: How its intensities are normalised.
    """

    modality: str
    name: str
    scale: Scale

    def rules(self, key: str) -> Iterator[Rule]:
        """What these values must keep to; `key` is where the side stands in the manifest."""
        known = MODALITY.fullmatch(self.modality) is not None
        yield Rule(known, f"{key}.modality", "a DICOM modality such as 'MR'", self.modality)
        yield from self.scale.rules(f"{key}.scale")


@dataclass(frozen=True)
class Training:
    """How the weights came about.

    Args:
        data: The training images, in words.
        licence: Their licence.
        distance: The paired distance, such as `squeezenet` or `ms-ssim`.
        loss_terms: Weight of each term of the loss.
        iterations: Optimiser steps.
        seeds: Seeds of everything random.
    """

    data: str
    licence: str
    distance: str
    loss_terms: Mapping[str, float]
    iterations: int
    seeds: tuple[int, ...]

    def rules(self, key: str) -> Iterator[Rule]:
        """What these values must keep to; `key` is where the training stands in the manifest."""
        yield Rule(self.iterations >= 0, f"{key}.iterations", "0 or more", self.iterations)


@dataclass(frozen=True)
class MetricRow:
    """One line of the quality table.

    Args:
        direction: `forward` is source to target.
        set: The images it was measured on.
        label: What made the output: "this bundle", or the name of a baseline such as "source as it is".
        cases: Number of patients.
        ssim, psnr_db, mae: Whole slice, as `Metrics.definition` says.
        ssim_body, psnr_body_db, mae_body: The same inside the body, where that was measured.
        baseline: Whether the row is something to beat rather than the bundle itself.
    """

    direction: Literal["forward", "reverse"]
    set: str
    label: str
    cases: int
    ssim: float
    psnr_db: float
    mae: float
    ssim_body: float | None = None
    psnr_body_db: float | None = None
    mae_body: float | None = None
    baseline: bool = False

    def rules(self, key: str) -> Iterator[Rule]:
        """What these values must keep to; `key` is where the row stands in the manifest."""
        yield Rule(self.cases >= 1, f"{key}.cases", "1 or more", self.cases)
        for name, ssim in (("ssim", self.ssim), ("ssim_body", self.ssim_body)):
            yield Rule(ssim is None or -1 <= ssim <= 1, f"{key}.{name}", "from -1 to 1", ssim)
        for name, mae in (("mae", self.mae), ("mae_body", self.mae_body)):
            yield Rule(mae is None or mae >= 0, f"{key}.{name}", "0 or more", mae)


@dataclass(frozen=True)
class Metrics:
    """Quality on held-out patients; a number without its definition is not a result."""

    definition: str
    rows: tuple[MetricRow, ...]

    def rules(self, key: str) -> Iterator[Rule]:
        """What these values must keep to; `key` is where the metrics stand in the manifest."""
        for number, row in enumerate(self.rows):
            yield from row.rules(f"{key}.rows[{number}]")
