"""A finished job folder, and the series its source came from, in; a folder of DICOM objects out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pydicom import config, dcmwrite
from pydicom.dataset import Dataset

from MedTranslateLib.core.errors import OutputError, RequestError
from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.dicom.context import ExportContext
from MedTranslateLib.dicom.context_of import context_of_grid, context_of_series
from MedTranslateLib.dicom.deidentify import deidentified
from MedTranslateLib.dicom.derived_image import storage_class
from MedTranslateLib.dicom.objects import Output, image_objects, map_objects, output_of, registration_objects
from MedTranslateLib.dicom.patient_study import new_study
from MedTranslateLib.dicom.source_series import find_source_series
from MedTranslateLib.imaging.export_folder import EXPORT
from MedTranslateLib.imaging.files import make_folder, output_error, write_json
from MedTranslateLib.imaging.job_folder import read_result, read_source


@dataclass(frozen=True)
class ExportOptions:
    """What a user may choose.

    Args:
        deidentify: Remove what names the patient, the place and the time.
        burn_in: Draw "SYNTHETIC, research use only" into the pixels.
        uncertainty: Also write the result's maps; there must be one of its uncertainty or trust.
        patient_name, patient_id: For a source of which no series is known.
    """

    deidentify: bool = False
    burn_in: bool = False
    uncertainty: bool = False
    patient_name: str = ""
    patient_id: str = ""


@dataclass(frozen=True)
class Export:
    """What was written.

    Args:
        folder: Where.
        files: The DICOM files, relative to it.
        series_uid: Series of the derived images.
        accuracy: The largest distance between an intensity and what its stored value stands for.
        warnings: What the user has to know, one sentence each.
    """

    folder: Path
    files: tuple[str, ...]
    series_uid: str
    accuracy: float
    warnings: tuple[str, ...] = ()


def export_result(job: Path, series: Path | None, out: Path, options: ExportOptions) -> Export:
    """Writes the output as a derived series, the fields as registrations, and the maps if wanted.

    Args:
        job: A finished job folder.
        series: Folder of the DICOM series that was translated; None where it is not known, for a study of its own.
        out: The new folder; it is complete or not there.
        options: What the user chose.

    Returns:
        What was written: `series/` with a file a slice, `fields/`, `maps/` and `export.json`.

    Raises:
        MedTranslateError: If the job is not finished, the series is not its source, or `out` cannot be written.
    """
    _check_options(options, series)
    _check_out(out)
    result = read_result(job)
    storage_class(result.output_modality)
    _check_maps(result, options)
    context = _context(read_source(job), result, series, options)
    output = output_of(context, result, burn_in=options.burn_in)
    place = out.resolve()  # "." has no name of its own
    part = place.with_name(f".part-{place.name}")
    try:
        shutil.rmtree(part, ignore_errors=True)
        make_folder(part, private=True)
        export = _written(part, output, maps=options.uncertainty)
        if place.exists():
            place.rmdir()
        part.rename(place)
    except OSError as error:
        raise (error if isinstance(error, OutputError) else output_error(out, error)) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return replace(export, folder=out)


def check_series(series: Path, source: Volume) -> None:
    """Checks that a folder holds the series of a source, before time is spent on its translation.

    Args:
        series: The folder.
        source: What was read from it.

    Raises:
        SourceUnreadableError: If it does not, or cannot be referred to.
    """
    context_of_series(find_source_series(series, source))


def _check_options(options: ExportOptions, series: Path | None) -> None:
    if series is not None and (options.patient_name or options.patient_id):
        msg = "A patient's name or ID was given beside a series; the series says whose it is. Leave one of them out."
        raise RequestError(msg)


def _check_out(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        msg = f"{out} is there already and not empty. Choose a new folder, nothing was overwritten."
        raise OutputError(msg)


def _check_maps(result: TranslationResult, options: ExportOptions) -> None:
    if options.uncertainty and result.uncertainty is None and result.trust is None:
        msg = "This result has no map of uncertainty or trust. Translate with --samples 8, or write it without maps."
        raise RequestError(msg)


def _context(source: Volume, result: TranslationResult, series: Path | None, options: ExportOptions) -> ExportContext:
    if series is None:
        study = new_study(options.patient_name, options.patient_id)
        context = context_of_grid(result.translated.geometry, study)
    else:
        context = context_of_series(find_source_series(series, source))
    return deidentified(context) if options.deidentify else context


def _written(part: Path, output: Output, *, maps: bool) -> Export:
    headers, files = [], []
    for name, made in image_objects(output):
        files.append(_write(part, f"series/{name}", made))
        del made.PixelData
        headers.append(made)
    for name, made in _others(output, headers, maps=maps):
        files.append(_write(part, name, made))
    table = {"format": 1, "files": files, "series_uid": output.series.uid, "accuracy": output.style.scale.accuracy}
    write_json(part / EXPORT, table)
    return Export(part, tuple(files), output.series.uid, output.style.scale.accuracy, output.context.warnings)


def _others(output: Output, headers: list[Dataset], *, maps: bool) -> Iterator[tuple[str, Dataset]]:
    for name, made in registration_objects(output, headers):
        yield f"fields/{name}", made
    if maps:
        for name, made in map_objects(output, headers):
            yield f"maps/{name}", made


def _write(folder: Path, name: str, made: Dataset) -> str:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    with config.disable_value_validation():  # what the patient is called is written as the source has it
        dcmwrite(path, made, enforce_file_format=True)
    return name
