"""A result and its context in, the DICOM objects of an export out, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from MedTranslateLib.core.correspondence import Origin
from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.dicom.burn_in import burnt_in
from MedTranslateLib.dicom.composite import NewSeries, new_series, reference_to
from MedTranslateLib.dicom.context import ExportContext
from MedTranslateLib.dicom.derived_image import ImageStyle, build_image
from MedTranslateLib.dicom.description import derivation_of, fields_description, series_description
from MedTranslateLib.dicom.registration import FieldToWrite, ImageSet, build_registration
from MedTranslateLib.dicom.stored_values import scale_for
from MedTranslateLib.imaging.display import output_range

IN_PLACE = {Origin.MODEL: False, Origin.IDENTITY: True}
"""Whether places are those of the source; for fields that were estimated afterwards nobody can say."""


@dataclass(frozen=True)
class Output:
    """What an export writes.

    Args:
        context: Patient, study, space and source.
        result: The translation.
        array_kji: Its intensities as they are written, with letters where they are burnt in.
        style: What all slices share.
        series: The series of the images.
        made_at: When the export was made.
    """

    context: ExportContext
    result: TranslationResult
    array_kji: npt.NDArray[np.float32]
    style: ImageStyle
    series: NewSeries
    made_at: datetime


def output_of(context: ExportContext, result: TranslationResult, *, burn_in: bool) -> Output:
    """Decides how a result is written.

    Args:
        context: Patient, study, space and source.
        result: The translation.
        burn_in: Whether "SYNTHETIC, research use only" is drawn into the pixels.

    Raises:
        InvalidVolumeError: If the slices are too small for that.
    """
    shown = output_range(result)
    array = result.translated.array_kji
    if burn_in:
        array = burnt_in(array, shown.low, shown.high)
    scale = scale_for(float(array.min()), float(array.max()))
    style = ImageStyle(
        modality=result.output_modality,
        scale=scale,
        shown=shown,
        hounsfield=result.output_scale == "hounsfield",
        burned_in=burn_in or context.series.burned_in,
        in_place=IN_PLACE.get(result.correspondence.origin),
        derivation=derivation_of(result, scale.accuracy, deidentified=context.deidentified),
    )
    made_at = datetime.now().astimezone()
    series = new_series(context, style.modality, series_description(result), made_at, 0)
    return Output(context, result, array, style, series, made_at)


def image_objects(output: Output) -> Iterator[tuple[str, Dataset]]:
    """The derived images with their file names, in the order of the slices."""
    for place, intensities in enumerate(output.array_kji):
        stored = output.style.scale.store(intensities)
        yield f"{place + 1:04d}.dcm", build_image(output.context, output.series, output.style, place, stored)


def registration_objects(output: Output, images: Sequence[Dataset]) -> Iterator[tuple[str, Dataset]]:
    """The forward and the inverse field.

    Args:
        output: What is written.
        images: Headers of its images.
    """
    fields, context = output.result.correspondence, output.context
    series = new_series(context, "REG", fields_description(fields.origin), output.made_at, 1)
    translated = ImageSet(output.series.uid, tuple(reference_to(image) for image in images))
    source = ImageSet(context.source_series_uid, context.references)
    forward = FieldToWrite("FORWARD", fields.forward, fields.origin, registered=translated, source=source)
    inverse = FieldToWrite("INVERSE", fields.inverse, fields.origin, registered=source, source=translated)
    yield "forward.dcm", build_registration(context, series, 1, forward)
    yield "inverse.dcm", build_registration(context, series, 2, inverse)


def map_objects(output: Output, images: Sequence[Dataset]) -> Iterator[tuple[str, Dataset]]:
    """The maps of the result.

    Args:
        output: What is written.
        images: Headers of its images.
    """
    from MedTranslateLib.dicom.maps import build_map, maps_of  # noqa: PLC0415  # nothing else needs highdicom

    series = new_series(output.context, "OT", "SYNTHETIC: uncertainty and other maps", output.made_at, 2)
    for number, one in enumerate(maps_of(output.result), start=1):
        yield f"{one.name}.dcm", build_map(output.context, images, series, number, one)
