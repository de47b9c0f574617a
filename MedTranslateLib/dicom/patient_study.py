"""A source's header, or a name and a number, in; the attributes of patient and study for the written objects out."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from MedTranslateLib.dicom.copying import Copied, Illegal, Wanted, copy_attributes, set_texts, texts_of

UNKNOWN_NAME = "SYNTHETIC^NoSourceSeries"
UNKNOWN_ID = "SYNTHETIC-NO-SOURCE-SERIES"
IDENTITY = ("PatientName", "PatientID", "StudyID", "AccessionNumber")
EMPTY_IF_MISSING = ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "ReferringPhysicianName")
WHERE_STATED = (
    "IssuerOfPatientID",
    "PatientBirthTime",
    "PatientSpeciesDescription",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "StudyDescription",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
)
WANTED = (
    *(Wanted(keyword, Illegal.KEEP, required=True) for keyword in IDENTITY),
    *(Wanted(keyword, Illegal.EMPTY, required=True) for keyword in EMPTY_IF_MISSING),
    *(Wanted(keyword) for keyword in WHERE_STATED),
)


def patient_and_study(header: Dataset) -> Copied:
    """The modules Patient, General Study and Patient Study as the source has them.

    Args:
        header: Header of any slice of the source.

    Returns:
        The attributes; what must be there and is missing is empty, except for a study's UID, which is made.
    """
    copied = copy_attributes(header, WANTED)
    attributes, warnings = copied.attributes, list(copied.warnings)
    if "DeidentificationMethod" not in attributes:  # the one needs the other
        attributes.pop("PatientIdentityRemoved", None)
    study = "".join(texts_of(header, "StudyInstanceUID")[:1])
    if not study:
        study = str(generate_uid(prefix=None))
        warnings.append("The source states no study (StudyInstanceUID is missing); the output is put into a new one.")
    set_texts(attributes, "StudyInstanceUID", [study])
    return Copied(attributes, tuple(warnings))


def new_study(name: str = "", number: str = "") -> Copied:
    """A study of its own, for a source of which no series is known.

    Args:
        name: Patient's name in DICOM's form, such as FAMILY^GIVEN; empty if unknown.
        number: Patient ID; empty if unknown.
    """
    attributes = Dataset()
    for keyword in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "ReferringPhysicianName"):
        set_texts(attributes, keyword, [""])
    given = {
        "PatientName": name or UNKNOWN_NAME,
        "PatientID": number or UNKNOWN_ID,
        "StudyID": "",
        "AccessionNumber": "",
        "StudyDescription": "SYNTHETIC, source series unknown",
        "StudyInstanceUID": str(generate_uid(prefix=None)),
    }
    for keyword, text in given.items():
        set_texts(attributes, keyword, [text])
    note = "No source series was given: a new study was made, without references to the source's images."
    return Copied(attributes, (note,))
