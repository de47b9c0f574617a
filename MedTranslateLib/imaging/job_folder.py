"""The folder where the two arms meet: a request and a source in, a complete result out, renamed into place last."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from MedTranslateLib.core.correspondence import Correspondence, DisplacementField, Origin
from MedTranslateLib.core.errors import CorruptResultError, JobFolderError, MedTranslateError, OutputError
from MedTranslateLib.core.request import TranslationRequest
from MedTranslateLib.core.result import SYNTHETIC_NOTE, TranslationResult
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.imaging.export_folder import is_export
from MedTranslateLib.imaging.field_files import read_field, write_field
from MedTranslateLib.imaging.files import make_folder, output_error, write_json
from MedTranslateLib.imaging.nrrd_stream import Allocate, new_array
from MedTranslateLib.imaging.reading import read_mask, read_volume
from MedTranslateLib.imaging.trust_files import (
    LEDGER_FILES,
    TRUST_FILES,
    read_ledger,
    read_trust,
    write_ledger,
    write_trust,
)
from MedTranslateLib.imaging.writing import write_mask, write_volume

REQUEST = "request.json"
SOURCE = "source.nrrd"
RESULT = "result.json"
PROVENANCE = "provenance.json"
DICOM = "dicom"
PART = ".part-result"
FILES = {
    "translated": "translated.nrrd",
    "forward_field": "forward_field.nrrd",
    "inverse_field": "inverse_field.nrrd",
    "validity": "validity.nrrd",
    "uncertainty": "uncertainty.nrrd",
    "provenance": PROVENANCE,
    **TRUST_FILES,
    **LEDGER_FILES,
}


@dataclass(frozen=True)
class Job:
    """What a worker reads: the request and its source."""

    request: TranslationRequest
    source: Volume


def write_job(folder: Path, job: Job, *, compress: bool = True) -> None:
    """Writes source and then request into a folder; results of an earlier run there are removed first.

    Args:
        folder: Folder of the job; made where there is none, for this user alone.
        job: What the worker shall read.
        compress: Whether the source is compressed; see `write_volume`.

    Raises:
        OutputError: If the folder holds something else, or cannot be written to.
    """
    make_folder(folder, private=True)
    known = {REQUEST, SOURCE, RESULT, PART, "overview.png", "scene.mrb", *FILES.values()}
    there = {path.name for path in folder.iterdir()}
    if is_export(folder / DICOM):  # with a file of someone else's in it, it stays, and the job is refused
        known.add(DICOM)
    unfinished = {name for name in there if name.startswith(".part-")}
    foreign = sorted(there - known - unfinished)
    if foreign:
        msg = f"{folder} is not empty: it holds {foreign[0]!r}. Choose a new folder, nothing was overwritten."
        raise OutputError(msg)
    (folder / RESULT).unlink(missing_ok=True)
    for name in (known | unfinished) - {RESULT}:
        _remove(folder / name)
    write_volume(folder / SOURCE, job.source, compress=compress)
    write_json(folder / REQUEST, job.request.to_json())


def read_request(folder: Path) -> TranslationRequest:
    """Reads the request of a job.

    Raises:
        JobFolderError: If there is no readable request.
    """
    return TranslationRequest.from_json(_read_table(folder / REQUEST, JobFolderError))


def read_source(folder: Path) -> Volume:
    """Reads the source of a job, with the name and modality that the request states.

    Raises:
        JobFolderError: If it is missing; otherwise as `read_volume`.
    """
    path = folder / SOURCE
    if not path.is_file():
        msg = f"The job folder {folder} has no {SOURCE}; a job is written by `medtranslate translate`."
        raise JobFolderError(msg)
    request = read_request(folder)
    volume = read_volume(path)
    synthetic = volume.synthetic or request.source_synthetic
    return Volume(volume.array_kji, volume.geometry, request.source_name, request.source_modality, synthetic)


def write_result(folder: Path, result: TranslationResult) -> None:
    """Writes all files under a temporary folder, moves them into place, and `result.json` last of all.

    Raises:
        OutputError: If a file cannot be written; then no `result.json` exists.
    """
    part = folder / PART
    _remove(part)
    (folder / RESULT).unlink(missing_ok=True)
    make_folder(part)
    try:
        names = _write_parts(part, result)
        table = _result_table(folder.name, part, names, result)
        for name in names.values():
            (part / name).replace(folder / name)
        write_json(folder / RESULT, table)
    except OSError as error:
        raise (error if isinstance(error, OutputError) else output_error(folder, error)) from error
    finally:
        _remove(part)


def read_result(folder: Path, allocate: Allocate = new_array) -> TranslationResult:
    """Reads a finished job back, after checking every file against its hash.

    Args:
        folder: The job folder.
        allocate: Gives the memory for images and fields.

    Returns:
        The result; the arrays from `allocate` are its own.

    Raises:
        JobFolderError: If the job has no result.
        CorruptResultError: If a file is missing or was changed.
    """
    table = read_result_table(folder)

    def checked(name: str) -> Path:
        return _checked_file(folder, table, name)

    with ThreadPoolExecutor(max_workers=2) as pool:  # hashing and inflating let another thread run
        translated = pool.submit(lambda: read_volume(checked("translated"), allocate))
        forward = pool.submit(lambda: _read_field(checked("forward_field"), allocate))
        inverse = pool.submit(lambda: _read_field(checked("inverse_field"), allocate))
        roles = set(table["files"])
        uncertainty = pool.submit(
            lambda: read_volume(checked("uncertainty"), allocate) if "uncertainty" in roles else None
        )
        validity = pool.submit(lambda: read_mask(checked("validity"), allocate))
        trust = pool.submit(lambda: read_trust(roles, checked, allocate))
        ledger = pool.submit(lambda: read_ledger(roles, checked, allocate))
    return TranslationResult(
        translated=translated.result(),
        correspondence=Correspondence(forward.result(), inverse.result(), Origin(table["correspondence"])),
        validity_kji=validity.result(),
        uncertainty=uncertainty.result(),
        provenance=_read_table(checked("provenance"), CorruptResultError),
        output_name=table["output"]["name"],
        output_modality=table["output"]["modality"],
        output_scale=table["output"]["scale"],
        trust=trust.result(),
        ledger=ledger.result(),
    )


def read_result_table(folder: Path) -> dict[str, Any]:
    """The content of `result.json`; only a finished job has one.

    Raises:
        JobFolderError: If the folder is missing or the job has no result.
    """
    if not (folder / RESULT).is_file():
        msg = f"{folder} holds no finished translation ({RESULT} is missing); run `medtranslate translate` again."
        raise JobFolderError(msg)
    return _read_table(folder / RESULT, CorruptResultError)


def read_correspondence(folder: Path, allocate: Allocate = new_array) -> Correspondence:
    """Reads only the two fields of a finished job; see `read_result`.

    Args:
        folder: The job folder.
        allocate: Gives the memory for the vectors.
    """
    origin = Origin(read_result_table(folder)["correspondence"])
    forward = _read_field(folder / FILES["forward_field"], allocate)
    return Correspondence(forward, _read_field(folder / FILES["inverse_field"], allocate), origin)


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes as hexadecimal digits."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _write_parts(part: Path, result: TranslationResult) -> dict[str, str]:
    started = time.perf_counter()
    names = {role: name for role, name in FILES.items() if role not in TRUST_FILES and role not in LEDGER_FILES}
    write_volume(part / FILES["translated"], replace(result.translated, synthetic=True))
    fields = result.correspondence
    write_field(part / FILES["forward_field"], fields.forward, fields.origin)
    write_field(part / FILES["inverse_field"], fields.inverse, fields.origin)
    write_mask(part / FILES["validity"], result.validity_kji, result.translated.geometry)
    if result.uncertainty is None:
        del names["uncertainty"]
    else:
        write_volume(part / FILES["uncertainty"], result.uncertainty)
    names = {**names, **write_trust(part, result.trust), **write_ledger(part, result)}
    write_json(part / PROVENANCE, _with_write_time(result.provenance, time.perf_counter() - started))
    return names


def _with_write_time(record: Mapping[str, Any], seconds: float) -> Mapping[str, Any]:
    """A record that states the time of all together gets that of the files as well, which only now is known."""
    times = record.get("times_s", {})
    if "total" not in times:
        return record
    total = round(times["total"] + seconds, 3)
    return {**record, "times_s": {**times, "write": round(seconds, 3), "total": total}}


def _result_table(job: str, part: Path, names: dict[str, str], result: TranslationResult) -> dict[str, Any]:
    array = result.translated.array_kji
    return {
        "format": 1,
        "job": job,
        "files": names,
        "sha256": {name: sha256_of_file(part / name) for name in names.values()},
        "correspondence": result.correspondence.origin.value,
        "output": {
            "name": result.output_name,
            "modality": result.output_modality,
            "scale": result.output_scale,
            "minimum": float(array.min()),
            "maximum": float(array.max()),
        },
        "synthetic": True,
        "note": SYNTHETIC_NOTE,
    }


def _read_field(path: Path, allocate: Allocate) -> DisplacementField:
    try:
        return read_field(path, allocate)
    except MedTranslateError as error:
        msg = f"The field {path} cannot be read: {error}"
        raise CorruptResultError(msg) from error


def _read_table(path: Path, kind: type[MedTranslateError]) -> dict[str, Any]:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        msg = f"{path} is missing."
        raise kind(msg) from error
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read: {error}"
        raise kind(msg) from error
    if not isinstance(table, dict):
        msg = f"{path} must hold a table, got {type(table).__name__}."
        raise kind(msg)
    return table


def _checked_file(folder: Path, table: Mapping[str, Any], name: str) -> Path:
    """The file of a part, after its bytes were compared with what `result.json` states."""
    path = folder / FILES[name]
    expected = table["sha256"].get(FILES[name], "a file that is stated")
    got = sha256_of_file(path) if path.is_file() else "no file"
    if got != expected:
        msg = f"The {name} of this result ({path}) was changed or is missing: expected SHA-256 {expected}, got {got}."
        raise CorruptResultError(msg)
    return path


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
