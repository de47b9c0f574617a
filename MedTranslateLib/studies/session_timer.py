"""When a case came up and a question opened in, how long they were looked at out: pauses do not count."""

from __future__ import annotations

from datetime import datetime

from MedTranslateLib.studies.session_clock import WatchedClock


class Timer:
    """Times one case at a time, by the clock that is never set.

    Args:
        clock: The clocks.
    """

    def __init__(self, clock: WatchedClock) -> None:
        self._clock = clock
        self._case_s = self._question_s = 0.0
        self._since: float | None = None
        self.question_utc = clock.utc()

    def start(self, looked_before_s: float) -> None:
        """A case comes up, and its first question with it.

        Args:
            looked_before_s: How long it was looked at in earlier sessions.

        Raises:
            ClockSetBackError: If the computer's clock was set back.
        """
        self.question_utc = self._clock.utc()
        self._case_s, self._question_s = looked_before_s, 0.0
        self._since = self._clock.seconds()

    def next_question(self, utc: datetime) -> None:
        """The next question opens.

        Args:
            utc: When.
        """
        self._tick()
        self._question_s, self.question_utc = 0.0, utc

    def pause(self) -> None:
        """Nothing is looked at."""
        self._tick()
        self._since = None

    def resume(self) -> None:
        """The case is looked at again."""
        self._since = self._clock.seconds()

    def question_s(self) -> float:
        """How long the question has been open, in seconds."""
        self._tick()
        return self._question_s

    def looked_s(self) -> float:
        """How long the case has been looked at, in seconds."""
        self._tick()
        return self._case_s

    def _tick(self) -> None:
        if self._since is not None:
            now = self._clock.seconds()
            self._case_s += now - self._since
            self._question_s += now - self._since
            self._since = now
