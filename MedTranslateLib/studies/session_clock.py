"""The computer's clocks in, a time that can be trusted out: a wall clock that was set back is noticed."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Protocol

from MedTranslateLib.core.errors import ClockSetBackError

TOLERANCE = timedelta(seconds=2)
"""What a time server may correct without a word."""


class Clock(Protocol):
    """Two clocks: one that tells the date, and one that is never set."""

    def utc(self) -> datetime:
        """Date and time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; never set, never goes back."""
        ...


class SystemClock:
    """The clocks of this computer."""

    def utc(self) -> datetime:
        """Date and time, aware, in UTC."""
        return datetime.now(timezone.utc)

    def monotonic(self) -> float:
        """Seconds since some moment; never set, never goes back."""
        return time.monotonic()


class WatchedClock:
    """A clock that refuses to tell a time that cannot be.

    Args:
        clock: Both clocks.
        latest: The latest time that was stored; None where there is none.

    Raises:
        ClockSetBackError: If it is earlier now.
    """

    def __init__(self, clock: Clock, latest: datetime | None) -> None:
        self._clock = clock
        self._latest = latest
        self._start_utc = clock.utc()
        self._start_s = clock.monotonic()
        self.utc()

    def seconds(self) -> float:
        """Seconds of the clock that is never set."""
        return self._clock.monotonic()

    def utc(self) -> datetime:
        """Date and time, checked.

        Raises:
            ClockSetBackError: If the clock was set back, since the latest stored time or since this one began.
        """
        now = self._clock.utc()
        due = self._start_utc + timedelta(seconds=self._clock.monotonic() - self._start_s)
        if self._latest is not None and now < self._latest - TOLERANCE:
            said = f"the latest answer or event of this study was stored at {_told(self._latest)}"
        elif now < due - TOLERANCE:
            said = f"by the time that has passed since this session began it must be {_told(due)}"
        else:
            self._latest = max(now, self._latest or now)
            return now
        msg = (
            f"The computer's clock was set back: it shows {_told(now)}, but {said}. Nothing is stored under a wrong "
            "time. Set the clock right; if it is right now, end the session and begin again once that time has passed."
        )
        raise ClockSetBackError(msg)


def _told(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
