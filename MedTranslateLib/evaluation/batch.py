"""Images and a bundle's name in, a job folder for each and a table of what became of them out."""

from __future__ import annotations

import csv
import functools
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import Enum
from pathlib import Path
from typing import Any

from MedTranslateLib import __version__
from MedTranslateLib.bundles.store import default_store
from MedTranslateLib.core.errors import CorruptResultError, JobFolderError, RequestError
from MedTranslateLib.core.messages import Message
from MedTranslateLib.core.request import TranslationRequest
from MedTranslateLib.core.result import SYNTHETIC_NOTE
from MedTranslateLib.evaluation.batch_cases import BatchCase
from MedTranslateLib.evaluation.cohort import CohortOptions, OnUnit, Outcome, Unit, run_cohort
from MedTranslateLib.evaluation.job import (
    OVERVIEW,
    acceptance_offered,
    finish_job,
    identity_of,
    request_for,
    with_views,
)
from MedTranslateLib.imaging.files import make_folder, write_json, write_text
from MedTranslateLib.imaging.finished_job import checked_result
from MedTranslateLib.imaging.job_folder import PROVENANCE, Job, read_request, read_result_table, sha256_of_file
from MedTranslateLib.imaging.reading import read_volume
from MedTranslateLib.inference.job import JobTranslator
from MedTranslateLib.inference.provenance import hash_of

TABLE, RECORD = "batch.csv", "batch.json"


class State(str, Enum):
    """What became of a case: `skipped` ones were there already, complete and from the same image, bundle, options."""

    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True)
class BatchPlan:
    """How every case is translated.

    Args:
        bundle: Name of a bundle, or the path of a bundle folder.
        out: Folder for the job folders.
        options: Fields of the request, such as `reverse` and `seed`.
        views: Whether each job gets its pictures.
    """

    bundle: str
    out: Path
    options: Mapping[str, Any]
    views: bool = True


@dataclass(frozen=True)
class CaseReport:
    """A row of `batch.csv`.

    Args:
        case: Name of the case: its job folder's path in the output folder.
        source: Path of the image.
        state: What became of it.
        seconds: How long it took; None where it failed.
        message: Why it failed, or what could not be made beside the translation; mostly empty.
    """

    case: str
    source: str
    state: State
    seconds: float | None
    message: str


def translate_batch(
    cases: Sequence[BatchCase], plan: BatchPlan, where: CohortOptions, on_unit: OnUnit
) -> list[CaseReport]:
    """Translates every case, then writes `batch.csv` and `batch.json` into the output folder.

    Args:
        cases: What to translate.
        plan: How.
        where: In which processes.
        on_unit: Told each outcome as it comes.

    Returns:
        A row a case, in their order.

    Raises:
        BundleNotFoundError: If there is no such bundle.
        RequestError: If an option is unknown or out of range.
        ConfigError: If the scheduler does not answer.
        OutputError: If the tables cannot be written.
    """
    bundle = identity_of(plan.bundle)
    TranslationRequest.from_json({"format": 1, "bundle": bundle, **plan.options})
    make_folder(plan.out)
    out = plan.out.resolve()
    shared = {"bundle": bundle, "options": dict(plan.options), "views": plan.views}
    outcomes = run_cohort([_unit(case, out, shared) for case in cases], translate_case, where, on_unit)
    reports = [_report(case, outcome) for case, outcome in zip(cases, outcomes, strict=True)]
    _write(reports, plan, out)
    return reports


def translate_case(work: Mapping[str, Any]) -> dict[str, str]:
    """Translates one case in a worker, unless its folder holds the very same translation already.

    Args:
        work: `source`, `folder`, `bundle`, `options` and `views`.

    Returns:
        The `state`, and a `message` where something beside the translation could not be made.

    Raises:
        MedTranslateError: Whatever the case fails with.
    """
    source, folder = read_volume(Path(work["source"])), Path(work["folder"])
    job = Job(request_for(source, work["bundle"], **work["options"]), source)
    there = holds_translation(folder, job)
    if there and ((folder / OVERVIEW).is_file() or not work["views"]):
        return {"state": State.SKIPPED.value, "message": ""}
    if there:
        done = with_views(source, folder)
    else:
        with acceptance_offered():
            done = finish_job(job, folder, lambda made: _translator().run(made, _say_nothing), views=work["views"])
    missing = f"scene.mrb was not made: {done.why_no_scene}" if done.why_no_scene else ""
    return {"state": State.DONE.value, "message": missing}


def holds_translation(folder: Path, job: Job) -> bool:
    """Whether a folder holds a complete result of the same image, bundle and options; every file is compared.

    Args:
        folder: A job folder, or none yet.
        job: What shall be translated.

    Raises:
        BundleNotFoundError: If the bundle is gone.
    """
    try:
        checked_result(folder, 0, None)
        hashes = read_result_table(folder)["sha256"]
        whole = all(sha256_of_file(folder / name) == stated for name, stated in hashes.items())
        request = read_request(folder)
        record = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
    except (CorruptResultError, JobFolderError, RequestError, OSError, ValueError):
        return False
    # one bundle may be called by its name or by its path: which one it was is told by the hashes of its files
    return whole and replace(request, bundle=job.request.bundle) == job.request and _made_from(job) == _made_of(record)


def as_csv(reports: Sequence[CaseReport]) -> str:
    """One line a case.

    Args:
        reports: The rows.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(CaseReport)])
    for row in reports:
        seconds = "" if row.seconds is None else f"{row.seconds:.2f}"
        writer.writerow([row.case, row.source, row.state.value, seconds, row.message])
    return text.getvalue()


@functools.cache
def _translator() -> JobTranslator:
    """One a process: it keeps the network for the next case."""
    return JobTranslator()


def _say_nothing(_message: Message) -> None:
    pass


def _made_from(job: Job) -> tuple[object, ...]:
    manifest = default_store().find(job.request.bundle).manifest
    return hash_of(job.source), manifest.name, manifest.version, dict(manifest.files)


def _made_of(record: Mapping[str, Any]) -> tuple[object, ...]:
    source, bundle = record["source"], record["bundle"]
    return source["sha256"], bundle["name"], bundle["version"], bundle["files"]


def _unit(case: BatchCase, out: Path, shared: Mapping[str, Any]) -> Unit:
    work = {"source": str(case.source), "folder": str(out / case.name), **shared}
    return Unit(hashlib.sha256(case.name.encode()).hexdigest(), case.name, work)


def _report(case: BatchCase, outcome: Outcome) -> CaseReport:
    if outcome.message is not None:
        return CaseReport(case.name, str(case.source), State.FAILED, None, outcome.message)
    state, message = State(outcome.answer["state"]), outcome.answer["message"]
    return CaseReport(case.name, str(case.source), state, outcome.seconds, message)


def _write(reports: Sequence[CaseReport], plan: BatchPlan, out: Path) -> None:
    manifest = default_store().find(plan.bundle).manifest
    record = {
        "format": 1,
        "software": {"name": "MedTranslate", "version": __version__},
        "bundle": {"name": manifest.name, "version": manifest.version, "files": dict(manifest.files)},
        "options": dict(plan.options),
        "counts": {state.value: sum(row.state is state for row in reports) for state in State},
        "cases": [asdict(row) for row in reports],
        "note": SYNTHETIC_NOTE,
    }
    write_text(out / TABLE, as_csv(reports))
    write_json(out / RECORD, record)
