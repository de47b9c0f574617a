"""A source and a request in, a finished job folder with its pictures out; who runs the job is handed in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from MedTranslateLib.bundles.store import default_store
from MedTranslateLib.core.errors import DoubtfulInputError
from MedTranslateLib.core.request import TranslationRequest
from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.imaging.job_folder import REQUEST, SOURCE, Job, read_result, write_job
from MedTranslateLib.inference.runner import WORKING_FOLDER

OVERVIEW, SCENE = "overview.png", "scene.mrb"


@dataclass(frozen=True)
class FinishedJob:
    """A finished translation and what stands beside it.

    Args:
        folder: Its job folder.
        result: What was made.
        scene: The scene for Slicer; None where there is none.
        why_no_scene: Why it could not be made; empty where it was made, or not wanted.
    """

    folder: Path
    result: TranslationResult
    scene: Path | None
    why_no_scene: str = ""


def request_for(source: Volume, bundle: str, **options: object) -> TranslationRequest:
    """A request whose source fields are those of `source`.

    Args:
        source: The image to translate.
        bundle: Name of a bundle, or the path of a bundle folder.
        options: Further fields of the request.

    Raises:
        BundleNotFoundError: If there is no bundle of that name and no bundle folder at that path.
        RequestError: If an option is unknown or out of range.
    """
    of_source = {"name": source.name, "modality": source.modality, "synthetic": source.synthetic}
    table = {**{f"source_{key}": value for key, value in of_source.items()}, **options}
    return TranslationRequest.from_json({"format": 1, "bundle": identity_of(bundle), **table})


def identity_of(bundle: str) -> str:
    """What finds a bundle from any working folder: its name, or its whole path.

    Args:
        bundle: Name of a bundle, or the path of a bundle folder.

    Raises:
        BundleNotFoundError: If there is neither.
    """
    found = default_store().find(bundle)
    return bundle if found.manifest.name == bundle else str(found.folder.resolve())


def finish_job(job: Job, out: Path, run: Callable[[Path], object], *, views: bool) -> FinishedJob:
    """Writes a job folder, has it run, and adds `overview.png` and `scene.mrb`.

    Args:
        job: Request and source.
        out: The folder; made where there is none.
        run: Given the folder, leaves a complete result in it.
        views: Whether the pictures are wanted.

    Raises:
        MedTranslateError: Whatever the job failed with; a folder that this call made is then removed again.
    """
    existed = out.exists()
    write_job(out, job)
    try:
        run(out)
    except BaseException:
        _take_back(out, existed=existed)
        raise
    return with_views(job.source, out) if views else FinishedJob(out, read_result(out), None)


def with_views(source: Volume, out: Path) -> FinishedJob:
    """Adds the pictures to a finished job, the overview last: where it is, all that can be made has been.

    Args:
        source: What was translated.
        out: The job folder.

    Raises:
        CorruptResultError: If a file of the result is missing or was changed.
        OutputError: If the overview cannot be written.
    """
    from MedTranslateLib.evaluation.overview import write_overview  # noqa: PLC0415  # matplotlib takes a second

    result = read_result(out)
    why_no_scene = _make_scene(out)
    write_overview(out / OVERVIEW, source, result)
    return FinishedJob(out, result, None if why_no_scene else out / SCENE, why_no_scene)


@contextmanager
def acceptance_offered() -> Iterator[None]:
    """While inside, the refusal of a doubtful image says which option translates it anyway.

    Raises:
        DoubtfulInputError: The refusal.
    """
    try:
        yield
    except DoubtfulInputError as error:
        msg = f"{error} Give --accept-doubtful to translate it anyway."
        raise DoubtfulInputError(msg) from error


def _make_scene(out: Path) -> str:
    """Why there is no scene; empty where there is one."""
    scene = out / SCENE
    command = [sys.executable, "-m", "MedTranslateLib.mrml.scene_export", str(out.resolve()), str(scene.resolve())]
    done = subprocess.run(command, cwd=WORKING_FOLDER, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode == 0 and scene.is_file():
        return ""
    reason = done.stderr.strip().splitlines()
    return reason[-1] if reason else f"exit code {done.returncode}"


def _take_back(out: Path, *, existed: bool) -> None:
    """Removes what a failed job left, so nothing looks like a result."""
    for name in (REQUEST, SOURCE):
        (out / name).unlink(missing_ok=True)
    if not existed and out.is_dir() and not any(out.iterdir()):
        out.rmdir()
