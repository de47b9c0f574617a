"""What the pipeline reports in, progress messages with a stage and the remaining seconds out."""

from __future__ import annotations

import time
from collections.abc import Callable

from MedTranslateLib.bundles.manifest import Manifest
from MedTranslateLib.core.messages import Message, Progress
from MedTranslateLib.core.request import TranslationRequest

WORK = (0.04, 0.92)
"""Where translating and checking lie on the way from 0 to 1, as measured on a CPU with 100 slices."""
MAPS_WORK = 0.3
"""Trust maps and ledger of a slice, in evaluations of a network."""
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
        self._spans = spans(0.0)

    def expect(self, check_share: float) -> None:
        """Says how much of the work of translating and checking is checking, so that the remaining time does not jump.

        Args:
            check_share: 0 to 1, see `share_of_check`.
        """
        self._spans = spans(check_share)

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Tells how far `stage` is and, once it can be trusted, how long the rest takes."""
        first, last = self._spans[stage]
        share = first + (last - first) * done / max(total, 1)
        elapsed = self._clock() - self._started
        eta = elapsed * (1 - share) / share if share >= TRUSTED_SHARE else None
        self._say(Progress(self._job, stage, done, total, None if eta is None else round(eta, 1)))


def share_of_check(request: TranslationRequest, manifest: Manifest, steps: int) -> float:
    """How much of translating and checking will be checking, counted in evaluations of the network.

    Args:
        request: Number of samples, and whether trust maps are made.
        manifest: Whether the bundle can translate back.
        steps: Steps of a translation.
    """
    if not request.trust:
        return 0.0
    check = MAPS_WORK + (steps if manifest.reversible else 0)
    return check / (check + request.samples * steps)


def spans(check_share: float) -> dict[str, tuple[float, float]]:
    """Where each stage lies on the way from 0 to 1.

    Args:
        check_share: 0 to 1, see `share_of_check`.
    """
    begins, ends = WORK
    made = ends - (ends - begins) * check_share
    return {
        "read": (0.0, 0.01),
        "prepare": (0.01, begins),
        "translate": (begins, made),
        "estimate": (made, made + 0.02),
        "assemble": (made + 0.02, made + 0.03),
        "check": (made + 0.03, ends + 0.03),
        "write": (ends + 0.03, 1.0),
    }
