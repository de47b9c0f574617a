"""A source's slices, or a grid alone, in; the context of an export out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from MedTranslateLib.core.errors import InvalidVolumeError, SourceUnreadableError
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.dicom.context import ExportContext, InstanceReference, SeriesFacts, SlicePlace
from MedTranslateLib.dicom.copying import Copied, Illegal, Wanted, copy_attributes, texts_of
from MedTranslateLib.dicom.decimal_strings import decimal_string, decimal_strings
from MedTranslateLib.dicom.patient_study import patient_and_study
from MedTranslateLib.dicom.source_series import SliceFile
from MedTranslateLib.imaging.geometry import LPS_FROM_RAS

PERPENDICULAR = 1e-4
OF_THE_SERIES = (
    Wanted("PatientPosition", Illegal.EMPTY, required=True),
    Wanted("BodyPartExamined"),
    Wanted("Laterality"),
)
PAIRED = frozenset({"ANKLE", "ARM", "BREAST", "CLAVICLE", "EAR", "ELBOW", "EXTREMITY", "EYE", "FOOT", "HAND", "HIP"})
PAIRED |= {"KIDNEY", "KNEE", "LEG", "SHOULDER", "WRIST"}
"""Parts of the body of which there are two: then it must say which, if only that this is not known."""
LOSS = (
    Wanted("LossyImageCompression"),
    Wanted("LossyImageCompressionRatio"),
    Wanted("LossyImageCompressionMethod"),
)
OF_THE_SCANNER = (
    Wanted("Manufacturer"),
    Wanted("ManufacturerModelName"),
    Wanted("InstitutionName"),
    Wanted("StationName"),
    Wanted("DeviceSerialNumber"),
    Wanted("SoftwareVersions"),
)
SPACE = (Wanted("PositionReferenceIndicator"), Wanted("SliceThickness"))


def context_of_series(slices: Sequence[SliceFile]) -> ExportContext:
    """The context of the result of a series.

    Args:
        slices: The source's files, in the order of the result's slices.

    Raises:
        SourceUnreadableError: If a file lacks the UID by which it is referred to.
    """
    first = slices[0].header
    identity, space = patient_and_study(first), copy_attributes(first, SPACE)
    warnings = [*identity.warnings]
    frame = _first_text(first, "FrameOfReferenceUID")
    if not frame:
        frame = str(generate_uid(prefix=None))
        warnings.append("The source states no FrameOfReferenceUID; viewers will not link it with the output by itself.")
    copied = [copy_attributes(first, part) for part in (OF_THE_SERIES, LOSS, OF_THE_SCANNER)]
    for part in copied:
        warnings += part.warnings
    return ExportContext(
        patient_study=identity.attributes,
        frame_of_reference=frame,
        position_reference=str(space.attributes.get("PositionReferenceIndicator", "")),
        slices=tuple(_place_of(file) for file in slices),
        series=_facts(first, *(part.attributes for part in copied)),
        source_series_uid=_first_text(first, "SeriesInstanceUID"),
        warnings=tuple(warnings),
    )


def context_of_grid(geometry: Geometry, study: Copied) -> ExportContext:
    """The context of a result whose source has no series: places from its grid.

    Args:
        geometry: Grid of the result.
        study: Patient and study, see `new_study`.

    Raises:
        InvalidVolumeError: If rows and columns are not perpendicular, which no DICOM image can be.
    """
    directions = LPS_FROM_RAS @ geometry.direction_ras
    if abs(directions[:, 0] @ directions[:, 1]) > PERPENDICULAR:
        msg = "The rows and columns of the result are not perpendicular; a DICOM image cannot hold that grid."
        raise InvalidVolumeError(msg)
    columns, rows, between = geometry.spacing_mm
    orientation = tuple(decimal_strings(directions[:, :2].T.ravel()))
    pixel_spacing, thickness = tuple(decimal_strings([rows, columns])), decimal_string(float(between))
    first_pixels = np.array([(0, 0, k) for k in range(geometry.size_ijk[2])])
    positions = geometry.ras_from_ijk(first_pixels) @ LPS_FROM_RAS
    return ExportContext(
        patient_study=study.attributes,
        frame_of_reference=str(generate_uid(prefix=None)),
        position_reference="",
        slices=tuple(
            SlicePlace(tuple(decimal_strings(position)), orientation, pixel_spacing, thickness)
            for position in positions
        ),
        series=SeriesFacts(kept=_unknown_position()),
        warnings=study.warnings,
    )


def _place_of(file: SliceFile) -> SlicePlace:
    """Position, orientation and spacing exactly as the source's header writes them."""
    header = file.header
    class_uid, instance_uid = _first_text(header, "SOPClassUID"), _first_text(header, "SOPInstanceUID")
    if not class_uid or not instance_uid:
        msg = f"{file.path} lacks its SOPClassUID or SOPInstanceUID: nothing can refer to it. Export the series again."
        raise SourceUnreadableError(msg)
    space = copy_attributes(header, SPACE).attributes
    return SlicePlace(
        position=_decimal_texts(header, "ImagePositionPatient"),
        orientation=_decimal_texts(header, "ImageOrientationPatient"),
        pixel_spacing=_decimal_texts(header, "PixelSpacing"),
        thickness="".join(texts_of(space, "SliceThickness")),
        source=InstanceReference(class_uid, instance_uid),
    )


def _decimal_texts(header: Dataset, keyword: str) -> tuple[str, ...]:
    """As they are written where that is legal; a number of more than 16 characters is shortened."""
    texts = texts_of(header, keyword)
    return tuple(text if len(text) <= 16 else decimal_string(float(text)) for text in texts)


def _facts(header: Dataset, kept: Dataset, loss: Dataset, scanner: Dataset) -> SeriesFacts:
    if loss.get("LossyImageCompression") == "01":
        kept.update(loss)
    _complete_laterality(kept)
    number = _first_text(header, "SeriesNumber")
    return SeriesFacts(
        number=int(number) if number.isdigit() else 0,
        kept=kept,
        burned_in=_first_text(header, "BurnedInAnnotation") == "YES",
        equipment=scanner,
    )


def _complete_laterality(kept: Dataset) -> None:
    """Type 2C: empty where the part of the body is paired, or not stated, and the side is not known."""
    if kept.get("BodyPartExamined", "EXTREMITY") in PAIRED and "Laterality" not in kept:
        kept.Laterality = ""


def _unknown_position() -> Dataset:
    kept = copy_attributes(Dataset(), OF_THE_SERIES).attributes
    _complete_laterality(kept)
    return kept


def _first_text(header: Dataset, keyword: str) -> str:
    return next(iter(texts_of(header, keyword)), "")
