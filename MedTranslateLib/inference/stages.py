"""What a run reports in, at which stage it is and how long each took out; the reports go on to whoever tells them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

Clock = Callable[[], float]


class Stages:
    """Called by the pipeline as `stages(stage, done, total)`.

    Args:
        tell: Told the same.
        clock: Gives seconds.
    """

    def __init__(self, tell: Callable[[str, int, int], None], clock: Clock = time.perf_counter) -> None:
        self._tell, self._clock = tell, clock
        self._started = self._since = clock()
        self._seconds: dict[str, float] = {}
        self.last = "read"

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Notes the stage and passes the report on."""
        self.note(stage)
        self._tell(stage, done, total)

    def note(self, stage: str) -> None:
        """Ends the stage before, if this is another one."""
        if stage != self.last:
            now = self._clock()
            self._seconds[self.last] = self._seconds.get(self.last, 0.0) + now - self._since
            self._since, self.last = now, stage

    @property
    def total(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._started

    @property
    def seconds(self) -> Mapping[str, float]:
        """Of each stage that has ended, and `total` until now; attempts that failed are counted as well."""
        return {**self._seconds, "total": self.total}
