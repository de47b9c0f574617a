"""`medtranslate study status`: a study folder in, how far each reader is and whether all is as it was sealed out."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime
from pathlib import Path

from MedTranslateLib.bundles.columns import aligned
from MedTranslateLib.studies.key import KEY
from MedTranslateLib.studies.prepare_plan import read_seal
from MedTranslateLib.studies.session_status import ReaderProgress, StudyRecord, read_record

HEADER = ("READER", "READ", "OF", "ANSWERS", "CHANGED", "LAST ANSWER", "STATE")
FIGURES = (1, 2, 3, 4)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the action."""
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="a study folder")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(arguments: argparse.Namespace) -> int:
    """Checks the study and prints the table."""
    record = read_record(arguments.folder)
    opened = (arguments.folder / KEY).exists()
    if arguments.json:
        table = {
            "title": record.plan.title,
            "readers": [_as_table(progress) for progress in record.progress()],
            "key_opened": opened,
            "key_sha256": read_seal(arguments.folder).key_sha256,
        }
        sys.stdout.write(json.dumps(table, indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(_as_text(record, arguments.folder, opened=opened))
    return 0


def _as_text(record: StudyRecord, folder: Path, *, opened: bool) -> str:
    rows = [HEADER, *(_row(progress) for progress in record.progress())]
    key = "has been opened" if opened else f"is sealed: {read_seal(folder).key_sha256}"
    lines = [record.plan.title, "", *aligned(rows, FIGURES), ""]
    return "\n".join([*lines, f"The key {key}", "Plan, images and answers are as they were sealed and given.", ""])


def _row(progress: ReaderProgress) -> tuple[str, ...]:
    return (
        progress.reader,
        str(progress.done),
        str(progress.total),
        str(progress.answers),
        str(progress.superseded),
        "-" if progress.last_utc is None else f"{progress.last_utc:%Y-%m-%d %H:%M} UTC",
        _state(progress),
    )


def _state(progress: ReaderProgress) -> str:
    if progress.finished:
        return "finished"
    until = progress.may_go_on_utc
    if until is not None and until > datetime.now(until.tzinfo):
        return f"waits until {until:%Y-%m-%d %H:%M} UTC"
    return "reading" if progress.answers else "not begun"


def _as_table(progress: ReaderProgress) -> dict[str, object]:
    return {
        "reader": progress.reader,
        "done": progress.done,
        "total": progress.total,
        "answers": progress.answers,
        "superseded": progress.superseded,
        "last_utc": None if progress.last_utc is None else progress.last_utc.isoformat(),
        "state": _state(progress),
    }
