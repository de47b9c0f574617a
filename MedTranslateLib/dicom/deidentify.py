"""An export's context with a patient in it in, the same without anything that names the patient, place or time out.

By the Basic Application Confidentiality Profile of PS3.15, annex E, as far as these attributes go: names and numbers
are replaced, dates, ages, descriptions and the scanner's place removed, and every UID of the source is replaced by a
new one, the same everywhere in one export. Pixels are not changed: a head can be recognised by its face.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from MedTranslateLib.core.errors import RequestError
from MedTranslateLib.dicom.codes import Concept, coded
from MedTranslateLib.dicom.context import ExportContext, InstanceReference, SeriesFacts, SlicePlace
from MedTranslateLib.dicom.copying import set_texts

METHOD = "PS3.15 Basic Application Confidentiality Profile"
EMPTIED = (
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
)
KEPT_OF_SERIES = (
    "PatientPosition",
    "BodyPartExamined",
    "Laterality",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)


@dataclass
class NewUids:
    """New UIDs in place of the source's; one that was asked for twice is the same twice.

    Args:
        known: New UIDs by the source's.
    """

    known: dict[str, str] = field(default_factory=dict)

    def of(self, uid: str) -> str:
        """The new UID in place of one of the source's; it cannot be computed from it."""
        if uid not in self.known:
            self.known[uid] = str(generate_uid(prefix=None))
        return self.known[uid]


def deidentified(context: ExportContext) -> ExportContext:
    """The context without the patient.

    Args:
        context: As it was made from the source.

    Raises:
        RequestError: If the source says that its pixels show annotation, which may name the patient.
    """
    if context.series.burned_in:
        msg = (
            "The source says that annotation is burned into its pixels (BurnedInAnnotation YES), and the output may "
            "show it: it cannot be de-identified. Remove the annotation from the source and translate that."
        )
        raise RequestError(msg)
    uids = NewUids()
    return replace(
        context,
        patient_study=_nobody(uids.of(str(context.patient_study.StudyInstanceUID))),
        frame_of_reference=uids.of(context.frame_of_reference),
        position_reference="",
        slices=tuple(_place(place, uids) for place in context.slices),
        series=_facts(context.series),
        source_series_uid=uids.of(context.source_series_uid) if context.source_series_uid else "",
        deidentified=True,
    )


def _nobody(study_uid: str) -> Dataset:
    attributes = Dataset()
    for keyword in EMPTIED:
        set_texts(attributes, keyword, [""])
    number = secrets.token_hex(4).upper()
    given = {
        "PatientName": f"ANONYMOUS^{number}",
        "PatientID": f"ANONYMOUS-{number}",
        "StudyInstanceUID": study_uid,
        "PatientIdentityRemoved": "YES",
        "DeidentificationMethod": METHOD,
        "LongitudinalTemporalInformationModified": "REMOVED",
    }
    for keyword, text in given.items():
        set_texts(attributes, keyword, [text])
    attributes.DeidentificationMethodCodeSequence = [coded(Concept.BASIC_PROFILE)]
    return attributes


def _place(place: SlicePlace, uids: NewUids) -> SlicePlace:
    if place.source is None:
        return place
    return replace(place, source=InstanceReference(place.source.class_uid, uids.of(place.source.instance_uid)))


def _facts(facts: SeriesFacts) -> SeriesFacts:
    kept = Dataset()
    for keyword in KEPT_OF_SERIES:
        if keyword in facts.kept:
            kept[keyword] = facts.kept[keyword]
    return SeriesFacts(facts.number, kept)
