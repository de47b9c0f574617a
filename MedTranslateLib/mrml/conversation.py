"""What a worker process writes for one job in, its messages and how the job ended out; whoever owns the process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from MedTranslateLib.core.errors import MedTranslateError, WorkerDiedError
from MedTranslateLib.core.messages import Done, Failure, LineSplitter, Message, from_line
from MedTranslateLib.imaging.finished_job import checked_result

KEPT_LINES = 20
KEPT_CHARACTERS = 200


@dataclass(frozen=True)
class Outcome:
    """How a job ended: with a result or with an error, never with both.

    Args:
        result: Path of a `result.json` that was looked at; None where the job failed.
        error: What a user should read; None where there is a result.
    """

    result: Path | None = None
    error: MedTranslateError | None = None


class Conversation:
    """Listens to one job at a time; knows no process, so that any kind of process can be listened to.

    Args:
        clock: Seconds since some moment, the same as `seconds_silent` is asked with.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._folder: Path | None = None
        self._lines = LineSplitter()
        self._last_heard = clock()
        self._outcome: Outcome | None = None
        self._strange: list[str] = []
        self._strange_count = 0

    @property
    def outcome(self) -> Outcome | None:
        """How the job ended; None while it runs."""
        return self._outcome

    @property
    def strange_count(self) -> int:
        """Number of lines that were no messages."""
        return self._strange_count

    @property
    def strange_lines(self) -> tuple[str, ...]:
        """The first of them for a log: cut, and without paths, in which names of people occur."""
        return tuple(self._strange)

    def begin(self, folder: Path) -> None:
        """Forgets the job before and listens to the one in `folder`."""
        self._folder = folder
        self._lines = LineSplitter()
        self._last_heard = self._clock()
        self._outcome = None
        self._strange.clear()
        self._strange_count = 0

    def hear(self, chunk: bytes) -> list[Message]:
        """Takes what came on the process's standard output, however it was cut into pieces.

        Args:
            chunk: Bytes; nothing for a process that gave a signal without output.

        Returns:
            Messages of this job in their order; none after the one that ended it, and none of other jobs.
        """
        if chunk:
            self._last_heard = self._clock()
        return self._understand(self._lines.feed(chunk))

    def overhear(self, chunk: bytes) -> None:
        """Keeps some of what came on the process's standard error; it is no message and no sign of life."""
        for line in chunk.decode("utf-8", "replace").splitlines():
            self._keep_strange(line)

    def process_ended(self, exit_code: int, crashed: bool) -> Outcome:  # noqa: FBT001  # the pair that Qt's signal gives
        """Settles what the job came to, now that nothing more can be heard.

        Args:
            exit_code: Exit code of the process.
            crashed: Whether it was ended by a signal; its exit code means nothing then.

        Returns:
            The outcome: that of the job where it had ended before, else an error.
        """
        self._understand([self._lines.rest()])
        return self._died(self._how(exit_code, crashed=crashed))

    def not_started(self, reason: str) -> Outcome:
        """Settles that the process could not be started; `reason` is what the system says of it."""
        return self._died(f"could not be started ({reason})")

    def seconds_silent(self, now: float) -> float:
        """Seconds since anything was heard of the process, or since the job began."""
        return max(0.0, now - self._last_heard)

    def _understand(self, lines: list[str]) -> list[Message]:
        mine = []
        for line in lines:
            message = from_line(line)
            if message is None:
                self._keep_strange(line)
            elif self._outcome is None and self._folder is not None and message.job == self._folder.name:
                self._outcome = _outcome_of(message, self._folder)
                mine.append(message)
        return mine

    def _keep_strange(self, line: str) -> None:
        words = line.split()
        if not words:
            return
        self._strange_count += 1
        if len(self._strange) < KEPT_LINES:
            text = " ".join("PATH" if "/" in word or "\\" in word else word for word in words)
            self._strange.append(f"worker said: {text[:KEPT_CHARACTERS]}")

    def _died(self, how: str) -> Outcome:
        if self._outcome is None:
            count = self._strange_count
            strange = f" It wrote {count} lines that are no messages; the log has the first." if count else ""
            msg = f"The background process {how}.{strange} The scene was not changed; press Apply to try again."
            self._outcome = Outcome(error=WorkerDiedError(msg))
        return self._outcome

    @staticmethod
    def _how(exit_code: int, *, crashed: bool) -> str:
        if crashed:
            return "was ended by the system before it had a result; there may not be enough memory for this volume"
        if exit_code == 0:
            return "ended by itself without a result, although it reported no error"
        return f"ended with exit code {exit_code} before it had a result"


def _outcome_of(message: Message, folder: Path) -> Outcome | None:
    """None for a message that does not end the job; what says that it is done is believed only with its result."""
    if not isinstance(message, (Done, Failure)):
        return None
    try:
        return Outcome(result=checked_result(folder, 0, message if isinstance(message, Failure) else None))
    except MedTranslateError as error:
        return Outcome(error=error)
