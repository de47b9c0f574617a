"""A source and a request in, a finished job folder with its pictures out; shared by `translate`, `demo`, `rerun`."""

from __future__ import annotations

import sys
from pathlib import Path

from tqdm import tqdm

from MedTranslateLib.core.messages import Log, Message, Progress
from MedTranslateLib.evaluation.job import FinishedJob, finish_job, request_for
from MedTranslateLib.imaging.job_folder import Job
from MedTranslateLib.inference.runner import run_job

__all__ = ["FinishedJob", "ProgressBar", "request_for", "run_translation"]
STAGES = {
    "read": "reading",
    "prepare": "preparing slices",
    "translate": "translating",
    "estimate": "estimating drift",
    "assemble": "assembling",
    "check": "checking the output",
    "write": "writing",
}


def run_translation(job: Job, out: Path, *, views: bool, debug: bool) -> FinishedJob:
    """Runs a job in a worker process with a progress bar, then makes `overview.png` and `scene.mrb`.

    Raises:
        MedTranslateError: Whatever the job failed with; a folder that this call made is then removed again.
    """

    def run(folder: Path) -> None:
        with ProgressBar() as bar:
            run_job(folder, bar.show, debug=debug)

    done = finish_job(job, out, run, views=views)
    if done.why_no_scene:
        sys.stderr.write(f"scene.mrb was not made: {done.why_no_scene}\n")
    return done


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
