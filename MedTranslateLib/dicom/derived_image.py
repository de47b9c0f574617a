"""A translated slice and its place in, a derived MR or CT image out that claims nothing of an acquisition.

The class is that of the target's modality, as the standard has no other for a single slice of it. Image Type is
DERIVED and SECONDARY. What such an image must say of its acquisition says that there was none: Scanning Sequence RM
("research mode"), Sequence Variant NONE, and empty echo and repetition times or tube voltage (PS3.3 C.8.2.1, C.8.3.1).
A CT that is not in Hounsfield units has Rescale Type US, "unspecified" (PS3.3 C.11.1.1.2), which the standard reserves
to images that are not as acquired. An MR has slope and intercept as well, as an extension of its class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, MRImageStorage

from MedTranslateLib.core.errors import RequestError
from MedTranslateLib.dicom.codes import Concept, coded
from MedTranslateLib.dicom.composite import NewSeries, finished, new_instance, referenced
from MedTranslateLib.dicom.context import ExportContext
from MedTranslateLib.dicom.stored_values import StoredScale
from MedTranslateLib.imaging.display import DisplayRange

STORAGE = {"MR": MRImageStorage, "CT": CTImageStorage}
IMAGE_TYPE = {
    "MR": ["DERIVED", "SECONDARY", "OTHER", "SYNTHETIC"],
    "CT": ["DERIVED", "SECONDARY", "AXIAL", "SYNTHETIC"],
}
EMPTY = {
    "MR": ("ScanOptions", "MRAcquisitionType", "RepetitionTime", "EchoTime", "EchoTrainLength"),
    "CT": ("KVP", "AcquisitionNumber"),
}


@dataclass(frozen=True)
class ImageStyle:
    """What all slices of an output share.

    Args:
        modality: "MR" or "CT".
        scale: What stored values stand for.
        shown: What viewers show as black and white at first.
        hounsfield: Whether the intensities are Hounsfield units.
        burned_in: Whether letters were drawn into the pixels, by us or before.
        in_place: Whether the method left every pixel where the source has it; None if that is not known.
        derivation: How the output was made, in words.
    """

    modality: str
    scale: StoredScale
    shown: DisplayRange
    hounsfield: bool
    burned_in: bool
    in_place: bool | None
    derivation: str


def storage_class(modality: str) -> str:
    """The SOP Class of a derived image.

    Raises:
        RequestError: If there is none for this modality.
    """
    if modality not in STORAGE:
        msg = f"An output of modality {modality!r} cannot be written as DICOM; expected {' or '.join(STORAGE)}."
        raise RequestError(msg)
    return str(STORAGE[modality])


def build_image(
    context: ExportContext, series: NewSeries, style: ImageStyle, place: int, stored: npt.NDArray[np.uint16]
) -> Dataset:
    """One derived slice.

    Args:
        context: Patient, study, space and source.
        series: The series it belongs to.
        style: What all slices share.
        place: Number of the slice in the result, from 0.
        stored: Stored values (rows, columns).
    """
    image = new_instance(context, series, storage_class(style.modality), place + 1)
    image.update(context.series.kept)
    if context.deidentified:
        del image.ContentDate, image.ContentTime
    image.ImageType = IMAGE_TYPE[style.modality]
    for keyword in EMPTY[style.modality]:
        setattr(image, keyword, None)
    if style.modality == "MR":
        image.ScanningSequence, image.SequenceVariant = "RM", "NONE"
    image.ContentQualification = "RESEARCH"
    image.BurnedInAnnotation = "YES" if style.burned_in else "NO"
    _set_plane(image, context, place)
    _set_derivation(image, context, style, place)
    _set_pixels(image, style, stored)
    return finished(image)


def _set_plane(image: Dataset, context: ExportContext, place: int) -> None:
    here = context.slices[place]
    image.ImagePositionPatient = list(here.position)
    image.ImageOrientationPatient = list(here.orientation)
    image.PixelSpacing = list(here.pixel_spacing)
    image.SliceThickness = here.thickness or None


def _set_derivation(image: Dataset, context: ExportContext, style: ImageStyle, place: int) -> None:
    image.DerivationDescription = style.derivation
    image.DerivationCodeSequence = [coded(Concept.SYNTHETIC_IMAGE)]
    reference = context.slices[place].source
    if reference is not None:
        item = referenced(reference)
        item.PurposeOfReferenceCodeSequence = [coded(Concept.SOURCE_IMAGE)]
        if style.in_place is not None:
            item.SpatialLocationsPreserved = "YES" if style.in_place else "NO"
        image.SourceImageSequence = [item]


def _set_pixels(image: Dataset, style: ImageStyle, stored: npt.NDArray[np.uint16]) -> None:
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Rows, image.Columns = stored.shape
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
    image.RescaleSlope, image.RescaleIntercept = style.scale.slope, style.scale.intercept
    image.RescaleType = "HU" if style.hounsfield else "US"
    image.WindowCenter = f"{(style.shown.low + style.shown.high) / 2:g}"
    image.WindowWidth = f"{style.shown.high - style.shown.low:g}"
    image.VOILUTFunction = "LINEAR_EXACT"  # LINEAR takes 1 off the width, which is all of a range of 0..1
    image.WindowCenterWidthExplanation = style.shown.unit
    image.add_new("PixelData", "OW", stored.astype("<u2").tobytes())
