"""Answers in, the rows of a CSV file out: what was said of which blinded item, all that is on disk."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

from MedTranslateLib.studies.answers import Answer, standing

COLUMNS = (
    "number",
    "reader",
    "item",
    "repeat",
    "practice",
    "question",
    "value",
    "marks_ras_mm",
    "started_utc",
    "answered_utc",
    "seconds",
    "window_low",
    "window_high",
    "slices_visited",
    "trace_s_ras_mm",
    "supersedes",
    "stands",
)


def answers_csv(answers: Sequence[Answer]) -> str:
    """All answers as CSV, one a row, superseded ones as well (`stands` is 0).

    Args:
        answers: In their order.

    Returns:
        Text with a header; lists are JSON; times are ISO 8601 in UTC.
    """
    valid = {answer.number for answer in standing(answers)}
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_row(answer, stands=answer.number in valid) for answer in answers)
    return text.getvalue()


def _row(answer: Answer, *, stands: bool) -> list[object]:
    low, high = answer.window or ("", "")
    return [
        answer.number,
        answer.reader,
        answer.item,
        answer.repeat,
        int(answer.practice),
        answer.question,
        "" if answer.value is None else f"{answer.value:.9g}",
        json.dumps(answer.marks) if answer.marks or answer.value is None else "",
        answer.started_utc.isoformat(),
        answer.answered_utc.isoformat(),
        f"{answer.seconds:.3f}",
        low,
        high,
        json.dumps(answer.slices_visited),
        json.dumps(answer.trace),
        answer.supersedes or "",
        int(stands),
    ]
