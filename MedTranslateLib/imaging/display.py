"""A volume or a result in, the intensities that a picture or a viewer shows as black and white out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.core.volume import Volume

RELATIVE_UNIT = "relative, not HU"
HOUNSFIELD_UNIT = "HU"
OWN_UNIT = "intensities as in the file"
SOFT_TISSUE_HU = (-160.0, 240.0)
"""Wide enough to show the skull's outline as well as soft tissue."""
SOURCE_PERCENTILES = (1.0, 99.0)


@dataclass(frozen=True)
class DisplayRange:
    """What is shown as black (`low`) and as white (`high`), and the unit of both."""

    low: float
    high: float
    unit: str


def source_range(source: Volume) -> DisplayRange:
    """Percentiles of the image; the soft tissue window for an image that its header calls CT."""
    if source.modality == "CT":
        return DisplayRange(*SOFT_TISSUE_HU, HOUNSFIELD_UNIT)
    low, high = (float(value) for value in np.percentile(source.array_kji, SOURCE_PERCENTILES))
    if not high > low:
        low, high = float(source.array_kji.min()), float(source.array_kji.max())
    return DisplayRange(low, high if high > low else low + 1.0, OWN_UNIT)


def output_range(result: TranslationResult) -> DisplayRange:
    """The whole relative scale, or the soft tissue window where the output is in HU; never measured on the output."""
    if result.output_scale == "hounsfield":
        return DisplayRange(*SOFT_TISSUE_HU, HOUNSFIELD_UNIT)
    return DisplayRange(0.0, 1.0, RELATIVE_UNIT)


def uncertainty_range(uncertainty: Volume, result: TranslationResult) -> DisplayRange:
    """From zero to the 99.5th percentile of the standard deviation, in the output's unit."""
    high = float(np.percentile(uncertainty.array_kji, 99.5))
    smallest = 0.01 * (output_range(result).high - output_range(result).low)
    return DisplayRange(0.0, max(high, smallest), output_range(result).unit)


def source_contrast(source: Volume, result: TranslationResult) -> str:
    """What the source shows, such as "T1": as the provenance says, else the modality of its header, else nothing."""
    run = result.provenance.get("run", {})
    return str(run.get("from") or source.modality or "")
