"""What the pipeline reports in, progress messages with a stage and the remaining seconds out."""

from __future__ import annotations

import time
from collections.abc import Callable

from MedTranslateLib.core.messages import Message, Progress

SPANS = {
    "read": (0.0, 0.01),
    "prepare": (0.01, 0.04),
    "translate": (0.04, 0.92),
    "estimate": (0.92, 0.94),
    "assemble": (0.94, 0.95),
    "write": (0.95, 1.0),
}
"""Where each stage lies on the way from 0 to 1, as measured on a CPU with 100 slices."""
Clock = Callable[[], float]
TRUSTED_SHARE = 0.06
"""Before this share an estimate would only measure the start of the process."""


class ProgressTeller:
    """Called by the pipeline as `teller(stage, done, total)`; sends a `Progress` message each time."""

    def __init__(self, job: str, say: Callable[[Message], None], clock: Clock = time.perf_counter) -> None:
        self._job = job
        self._say = say
        self._clock = clock
        self._started = clock()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Tells how far `stage` is and, once it can be trusted, how long the rest takes."""
        first, last = SPANS[stage]
        share = first + (last - first) * done / max(total, 1)
        elapsed = self._clock() - self._started
        eta = elapsed * (1 - share) / share if share >= TRUSTED_SHARE else None
        self._say(Progress(self._job, stage, done, total, None if eta is None else round(eta, 1)))
