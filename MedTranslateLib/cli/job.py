"""A source and a request in, a finished job folder with its pictures out; shared by `translate`, `demo`, `rerun`."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from MedTranslateLib.bundles.store import default_store
from MedTranslateLib.core.messages import Log, Message, Progress
from MedTranslateLib.core.request import TranslationRequest
from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.imaging.job_folder import REQUEST, SOURCE, Job, read_result, write_job
from MedTranslateLib.inference.runner import WORKING_FOLDER, run_job

STAGES = {
    "read": "reading",
    "prepare": "preparing slices",
    "translate": "translating",
    "estimate": "estimating drift",
    "assemble": "assembling",
    "write": "writing",
}


@dataclass(frozen=True)
class FinishedJob:
    """A finished translation and what stands beside it; `scene` is None where Slicer's core is not installed."""

    folder: Path
    result: TranslationResult
    scene: Path | None


def run_translation(job: Job, out: Path, *, views: bool, debug: bool) -> FinishedJob:
    """Runs a job in a worker process with a progress bar, then makes `overview.png` and `scene.mrb`.

    Raises:
        MedTranslateError: Whatever the job failed with; a folder that this call made is then removed again.
    """
    existed = out.exists()
    write_job(out, job)
    try:
        with ProgressBar() as bar:
            run_job(out, bar.show, debug=debug)
    except BaseException:
        _take_back(out, existed=existed)
        raise
    result = read_result(out)
    scene = _make_views(job.source, result, out) if views else None
    return FinishedJob(out, result, scene)


class ProgressBar:
    """A bar on standard error that follows a worker's messages."""

    def __init__(self) -> None:
        self._bar = tqdm(total=1, bar_format="{desc:>16} |{bar:30}| {n_fmt}/{total_fmt}{postfix}", file=sys.stderr)

    def __enter__(self) -> ProgressBar:
        """The bar itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leaves the last state on the screen."""
        self._bar.close()

    def show(self, message: Message) -> None:
        """Draws a progress message; a log message goes above the bar."""
        if isinstance(message, Log):
            self._bar.write(message.message, file=sys.stderr)
        if isinstance(message, Progress):
            self._bar.set_description_str(STAGES.get(message.stage, message.stage), refresh=False)
            left = "" if message.eta_s is None else f" {message.eta_s:.0f} s left"
            self._bar.set_postfix_str(left, refresh=False)
            self._bar.total = message.total
            self._bar.n = message.done
            self._bar.refresh()


def _make_views(source: Volume, result: TranslationResult, out: Path) -> Path | None:
    from MedTranslateLib.evaluation.overview import write_overview  # matplotlib takes a second to import

    write_overview(out / "overview.png", source, result)
    scene = out / "scene.mrb"
    command = [sys.executable, "-m", "MedTranslateLib.mrml.scene_export", str(out.resolve()), str(scene.resolve())]
    done = subprocess.run(command, cwd=WORKING_FOLDER, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode == 0 and scene.is_file():
        return scene
    reason = done.stderr.strip().splitlines()
    sys.stderr.write(f"scene.mrb was not made: {reason[-1] if reason else f'exit code {done.returncode}'}\n")
    return None


def _take_back(out: Path, *, existed: bool) -> None:
    """Removes what a failed job left, so nothing looks like a result."""
    for name in (REQUEST, SOURCE):
        (out / name).unlink(missing_ok=True)
    if not existed and out.is_dir() and not any(out.iterdir()):
        out.rmdir()


def request_for(source: Volume, bundle: str, **options: object) -> TranslationRequest:
    """A request whose source fields are those of `source`.

    Raises:
        BundleNotFoundError: If there is no bundle of that name and no bundle folder at that path.
    """
    found = default_store().find(bundle)
    # the worker runs in another folder, so a path must not depend on ours
    identity = bundle if found.manifest.name == bundle else str(found.folder.resolve())
    table = {"format": 1, "bundle": identity, "source_name": source.name, "source_modality": source.modality, **options}
    return TranslationRequest.from_json(table)
