"""What a worker says: one JSON object a line, each with `event` and `job`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Args:
        job: Name of the job folder.
        stage: `read`, `prepare`, `translate`, `assemble` or `write`.
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
        return EVENTS[table.pop("event")](**table)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
