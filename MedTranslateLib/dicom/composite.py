"""The context of an export in, a data set with what every object of it has out: patient, study, series, equipment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime

from pydicom import config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, ExplicitVRLittleEndian, generate_uid

from MedTranslateLib import __version__
from MedTranslateLib.dicom.codes import Concept, coded
from MedTranslateLib.dicom.context import ExportContext, InstanceReference

MANUFACTURER = "MedTranslate"
MODEL = "MedTranslate"
SERIAL_NUMBER = "software"
NO_DATE, NO_TIME = "19000101", "000000"
"""Where the standard wants a date and the patient's dates were removed."""
OPTIONAL_TIMES = ("InstanceCreationDate", "InstanceCreationTime", "SeriesDate", "SeriesTime")
LONGEST_LO = 64
MAX_SERIES_NUMBER = 2**31 - 1
OURS = 9000
"""Added to the source's series number, so that the output stands behind the acquired series of its study."""


@dataclass(frozen=True)
class NewSeries:
    """A series that is being written.

    Args:
        uid: Its UID.
        number: Series Number.
        modality: Modality of its objects, such as "MR" or "REG".
        description: Series Description.
        made_at: When the export was made.
    """

    uid: str
    number: int
    modality: str
    description: str
    made_at: datetime


def new_series(context: ExportContext, modality: str, description: str, made_at: datetime, place: int) -> NewSeries:
    """A new series in the context's study.

    Args:
        context: The export.
        modality: Modality of its objects.
        description: Begins with "SYNTHETIC"; what is too long for a header is cut.
        made_at: When the export was made.
        place: 0 for the export's first series, 1 for its second, and so on.
    """
    number = OURS + 10 * context.series.number + place
    number = number if number <= MAX_SERIES_NUMBER else OURS + place
    return NewSeries(str(generate_uid(prefix=None)), number, modality, description[:LONGEST_LO], made_at)


def new_instance(context: ExportContext, series: NewSeries, class_uid: str, number: int) -> Dataset:
    """An object of a series, still without its content.

    Args:
        context: Patient, study and space.
        series: The series it belongs to.
        class_uid: SOP Class.
        number: Instance Number.
    """
    made = Dataset()
    made.update(deepcopy(context.patient_study))
    made.SOPClassUID = class_uid
    made.SOPInstanceUID = str(generate_uid(prefix=None))
    made.InstanceNumber = number
    made.add_new("SyntheticData", "CS", "YES")
    made.Modality = series.modality
    made.SeriesInstanceUID = series.uid
    made.SeriesNumber = series.number
    made.SeriesDescription = series.description
    made.FrameOfReferenceUID = context.frame_of_reference
    made.PositionReferenceIndicator = context.position_reference
    _set_equipment(made, context)
    set_dates(made, series.made_at, keep=not context.deidentified)
    made.file_meta = _file_meta(made)
    return made


def finished(made: Dataset) -> Dataset:
    """States the character set: Latin-1 where that holds every text of the object, else UTF-8."""
    made.SpecificCharacterSet = "ISO_IR 100" if all(map(_is_latin, _texts(made))) else "ISO_IR 192"
    return made


def referenced(reference: InstanceReference) -> Dataset:
    """One item of a sequence of references."""
    item = Dataset()
    item.ReferencedSOPClassUID = reference.class_uid
    item.ReferencedSOPInstanceUID = reference.instance_uid
    return item


def series_referenced(uid: str, references: Sequence[InstanceReference]) -> Dataset:
    """One item of a Referenced Series Sequence: a series and instances of it."""
    item = Dataset()
    item.SeriesInstanceUID = uid
    item.ReferencedInstanceSequence = [referenced(one) for one in references]
    return item


def reference_to(made: Dataset) -> InstanceReference:
    """How others refer to a written object."""
    return InstanceReference(str(made.SOPClassUID), str(made.SOPInstanceUID))


def contributing_equipment(context: ExportContext) -> list[Dataset]:
    """Who made the output, and where it is known who acquired the source."""
    ours = Dataset()
    ours.PurposeOfReferenceCodeSequence = [coded(Concept.PROCESSING_EQUIPMENT)]
    ours.Manufacturer, ours.ManufacturerModelName, ours.SoftwareVersions = MANUFACTURER, MODEL, __version__
    ours.ContributionDescription = "Translated the source into a synthetic image of another modality; for research use"
    scanner = deepcopy(context.series.equipment)
    if not scanner.get("Manufacturer"):
        return [ours]
    scanner.PurposeOfReferenceCodeSequence = [coded(Concept.ACQUISITION_EQUIPMENT)]
    scanner.ContributionDescription = "Acquired the source"
    return [scanner, ours]


def set_dates(made: Dataset, made_at: datetime, *, keep: bool) -> None:
    """Sets when an object was made; without `keep` it has a date that is none where the standard wants one.

    Args:
        made: The object.
        made_at: When the export was made.
        keep: Whether it may be said.
    """
    date, time = (made_at.strftime("%Y%m%d"), made_at.strftime("%H%M%S")) if keep else (NO_DATE, NO_TIME)
    made.ContentDate, made.ContentTime = date, time
    for keyword, value in zip(OPTIONAL_TIMES, (date, time) * 2, strict=True):
        if keep:
            setattr(made, keyword, value)
        else:
            made.pop(keyword, None)


def _set_equipment(made: Dataset, context: ExportContext) -> None:
    made.Manufacturer, made.ManufacturerModelName = MANUFACTURER, MODEL
    made.DeviceSerialNumber, made.SoftwareVersions = SERIAL_NUMBER, __version__
    made.ContributingEquipmentSequence = contributing_equipment(context)


def _file_meta(made: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = made.SOPClassUID
    meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    meta.ImplementationVersionName = "MEDTRANSLATE"
    return meta


def _texts(made: Dataset) -> Iterable[str]:
    with config.disable_value_validation():
        return [str(element.value) for element in made.iterall() if element.VR in ("PN", "LO", "SH", "ST", "LT", "UT")]


def _is_latin(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True
