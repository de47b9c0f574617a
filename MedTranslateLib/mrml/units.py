"""The nodes of a result in, what the values of its two images are measured in out."""

from __future__ import annotations

import slicer

from MedTranslateLib.imaging.display import HOUNSFIELD_UNIT, OWN_UNIT, RELATIVE_UNIT
from MedTranslateLib.imaging.scale import ScaleKind
from MedTranslateLib.mrml.scene import ATTRIBUTE_PREFIX, ResultNodes

SCALE = f"{ATTRIBUTE_PREFIX}scale"


def unit_of_source(nodes: ResultNodes) -> str:
    """HU for what its header calls CT; a source that was itself translated has the unit of that translation."""
    if nodes.source.GetAttribute(SCALE):
        return _unit(nodes.source)
    modality = nodes.output.GetAttribute(f"{ATTRIBUTE_PREFIX}source.modality")
    return HOUNSFIELD_UNIT if modality == "CT" else OWN_UNIT


def unit_of_output(nodes: ResultNodes) -> str:
    """HU only where the bundle's scale is in HU."""
    return _unit(nodes.output)


def _unit(translated: slicer.vtkMRMLScalarVolumeNode) -> str:
    return HOUNSFIELD_UNIT if translated.GetAttribute(SCALE) == ScaleKind.HOUNSFIELD.value else RELATIVE_UNIT
