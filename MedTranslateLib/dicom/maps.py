"""The maps of a result in, Parametric Maps out: how unsure it is and where the model saw the source."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from highdicom.content import VOILUTTransformation
from highdicom.pm import ParametricMap, RealWorldValueMapping
from highdicom.sr.coding import CodedConcept
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from MedTranslateLib import __version__
from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.dicom.composite import (
    MANUFACTURER,
    MODEL,
    SERIAL_NUMBER,
    NewSeries,
    contributing_equipment,
    finished,
    set_dates,
)
from MedTranslateLib.dicom.context import ExportContext
from MedTranslateLib.dicom.patient_study import WHERE_STATED as PATIENT_STUDY_TEXTS
from MedTranslateLib.imaging.display import output_range, uncertainty_range

NO_UNIT = ("1", "UCUM", "no units")
HOUNSFIELD = ("[hnsf'U]", "UCUM", "Hounsfield unit")


@dataclass(frozen=True)
class MapToWrite:
    """A map of real numbers on the output's grid.

    Args:
        name: File name without its ending, and the label of its values.
        array_kji: The numbers (slices, rows, columns).
        unit: Code, scheme and meaning of their unit.
        explanation: What they are, in at most 64 characters.
        high: What viewers show as white at first; 0 is black.
    """

    name: str
    array_kji: npt.NDArray[np.float32]
    unit: tuple[str, str, str]
    explanation: str
    high: float


def maps_of(result: TranslationResult) -> list[MapToWrite]:
    """The maps that a result has; validity it always has."""
    unit = HOUNSFIELD if result.output_scale == "hounsfield" else NO_UNIT
    full = output_range(result).high - output_range(result).low
    seen = result.validity_kji.astype(np.float32)
    maps = [MapToWrite("validity", seen, NO_UNIT, "1 where the model saw the source, else 0", 1.0)]
    if result.uncertainty is not None:
        high = uncertainty_range(result.uncertainty, result).high
        array = result.uncertainty.array_kji
        maps.append(MapToWrite("uncertainty", array, unit, "Standard deviation of the samples", high))
    if result.trust is not None:
        maps.append(MapToWrite("trust", result.trust.trust.array_kji, NO_UNIT, "Trust, 1 is the most trusted", 1.0))
        if result.trust.expected_error is not None:
            array = result.trust.expected_error.array_kji
            maps.append(MapToWrite("expected_error", array, unit, "Expected absolute error", full / 4))
    return maps


def build_map(
    context: ExportContext, images: Sequence[Dataset], series: NewSeries, number: int, given: MapToWrite
) -> Dataset:
    """One Parametric Map with a frame a slice.

    Args:
        context: Patient, study and source.
        images: The derived images of the output, in the order of its slices; the frames lie where they lie.
        series: The series it belongs to.
        number: Instance Number.
        given: The numbers.
    """
    made = ParametricMap(
        source_images=[_nameless(image) for image in images],
        pixel_array=np.asarray(given.array_kji, dtype=np.float32),
        series_instance_uid=series.uid,
        series_number=series.number,
        sop_instance_uid=str(generate_uid(prefix=None)),
        instance_number=number,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL,
        software_versions=__version__,
        device_serial_number=SERIAL_NUMBER,
        contains_recognizable_visual_features=True,  # the skin may show as well as in the output
        real_world_value_mappings=[_mapping(given)],
        voi_lut_transformations=[VOILUTTransformation(given.high / 2, given.high, voi_lut_function="LINEAR_EXACT")],
        content_label=given.name.upper(),
        content_description=given.explanation,
        series_description=series.description,
    )
    made.update(deepcopy(context.patient_study))
    made.update(context.series.of_the_body())
    made.add_new("SyntheticData", "CS", "YES")
    made.add_new("ContributingEquipmentSequence", "SQ", contributing_equipment(context))
    set_dates(made, series.made_at, keep=not context.deidentified)
    return finished(made)


def _nameless(image: Dataset) -> Dataset:
    """The image without its patient: highdicom refuses some of what archives hold, and it is set afterwards anyhow."""
    copy = Dataset()
    copy.update(image)
    copy.file_meta = image.file_meta
    copy.PatientName, copy.PatientID, copy.PatientBirthDate, copy.PatientSex = "", "", "", ""
    for keyword in PATIENT_STUDY_TEXTS:
        copy.pop(keyword, None)
    for keyword in ("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"):
        setattr(copy, keyword, "")
    return copy


def _mapping(given: MapToWrite) -> RealWorldValueMapping:
    return RealWorldValueMapping(
        lut_label=given.name.upper(),
        lut_explanation=given.explanation,
        unit=CodedConcept(*given.unit),
        value_range=(float(given.array_kji.min()), float(given.array_kji.max())),
        slope=1.0,
        intercept=0.0,
    )
