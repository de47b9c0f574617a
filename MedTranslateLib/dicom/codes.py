"""Names of concepts in, the coded items by which DICOM says them out (PS3.16)."""

from __future__ import annotations

from enum import Enum

from pydicom.dataset import Dataset


class Concept(Enum):
    """Code value, coding scheme and meaning; beside it the context group of PS3.16 that it comes from.

    No code of CID 7203 says "translated by a network": the derivation is a code of our own beside its description.
    """

    SYNTHETIC_IMAGE = ("SYNTHETIC", "99MEDTRANSLATE", "Synthetic image of another modality")
    SOURCE_IMAGE = ("121322", "DCM", "Source image for image processing operation")  # CID 7202
    ACQUISITION_EQUIPMENT = ("109101", "DCM", "Acquisition Equipment")  # CID 7005
    PROCESSING_EQUIPMENT = ("109102", "DCM", "Processing Equipment")
    BASIC_PROFILE = ("113100", "DCM", "Basic Application Confidentiality Profile")  # CID 7050
    SAME_FRAME = ("125021", "DCM", "Frame of Reference Identity")  # CID 7100
    IMAGE_ALIGNMENT = ("125024", "DCM", "Image Content-based Alignment")


def coded(concept: Concept) -> Dataset:
    """One item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = concept.value
    return item
