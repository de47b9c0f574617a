"""What a worker says: one JSON object a line, each with `event` and `job`."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from MedTranslateLib.core import errors
from MedTranslateLib.core.errors import MedTranslateError

MAX_LINE_BYTES = 1 << 20
"""No message comes near it; a longer line is not ours and would only fill the memory."""


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Args:
        job: Name of the job folder.
        stage: `read`, `prepare`, `translate`, `estimate`, `assemble`, `check` or `write`.
        done, total: Units of this stage, `total` at least 1.
        eta_s: Expected seconds until the job is done; None while that is unknown.
    """

    job: str
    stage: str
    done: int
    total: int
    eta_s: float | None = None


@dataclass(frozen=True)
class Log:
    """A line for the log window."""

    job: str
    message: str


@dataclass(frozen=True)
class Failure:
    """The job has ended without a result; `message` is what a user should read, `code` that of the error class."""

    job: str
    code: str
    message: str


@dataclass(frozen=True)
class Done:
    """The job has a complete result; `result` is the path of `result.json`."""

    job: str
    result: str
    seconds: float


Message: TypeAlias = "Progress | Log | Failure | Done"
EVENTS: dict[str, type[Progress | Log | Failure | Done]] = {
    "progress": Progress,
    "log": Log,
    "error": Failure,
    "done": Done,
}


def to_line(message: Message) -> str:
    """One line of JSON without a line end."""
    event = next(name for name, kind in EVENTS.items() if isinstance(message, kind))
    return json.dumps({"event": event, **asdict(message)}, ensure_ascii=False)


def from_line(line: str) -> Message | None:
    """Reads a line back; None where it is not one of our messages (a library may print as well)."""
    try:
        table: Any = json.loads(line)
        message: Message = EVENTS[table.pop("event")](**table)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return message if _is_well_formed(message) else None


def error_of(failure: Failure) -> MedTranslateError:
    """The error class that the failure's code names, with its message."""
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, MedTranslateError) and kind.code == failure.code:
            return kind(failure.message)
    return MedTranslateError(failure.message)


class LineSplitter:
    """Bytes in whatever pieces a pipe hands them over in, whole lines out.

    A line ends with a line feed, before which one carriage return is taken off. It is decoded as UTF-8 only when it is
    whole, so a piece may end inside a character. A line longer than `MAX_LINE_BYTES` is dropped.
    """

    def __init__(self) -> None:
        self._unfinished = bytearray()
        self._too_long = False

    def feed(self, chunk: bytes) -> list[str]:
        """Takes the next piece and gives the lines that it completes."""
        *ended, begun = chunk.split(b"\n")
        lines = []
        for part in ended:
            self._append(part)
            if not self._too_long:
                lines.append(self._text())
            self._forget()
        self._append(begun)
        return lines

    def rest(self) -> str:
        """What came after the last line end, once no more will come; empty where there is nothing."""
        text = self._text()
        self._forget()
        return text

    def _append(self, part: bytes) -> None:
        self._too_long = self._too_long or len(self._unfinished) + len(part) > MAX_LINE_BYTES
        if self._too_long:
            self._unfinished.clear()
        else:
            self._unfinished += part

    def _text(self) -> str:
        return bytes(self._unfinished).removesuffix(b"\r").decode("utf-8", errors="replace")

    def _forget(self) -> None:
        self._unfinished.clear()
        self._too_long = False


def _is_well_formed(message: Message) -> bool:
    """Whether the values are of the stated kinds, so that nobody who computes with them has to ask again."""
    if isinstance(message, Progress):
        texts: tuple[object, ...] = (message.job, message.stage)
        counts = isinstance(message.done, int) and isinstance(message.total, int) and message.total >= 1
        return _all_text(texts) and counts and (message.eta_s is None or _is_number(message.eta_s))
    if isinstance(message, Log):
        return _all_text((message.job, message.message))
    if isinstance(message, Failure):
        return _all_text((message.job, message.code, message.message))
    return _all_text((message.job, message.result)) and _is_number(message.seconds)


def _all_text(values: tuple[object, ...]) -> bool:
    return all(isinstance(value, str) for value in values)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
