"""`medtranslate ledger`: a finished translation in, the table of what exists on one side only out."""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from MedTranslateLib.bundles.columns import aligned
from MedTranslateLib.core.errors import JobFolderError
from MedTranslateLib.core.ledger import Ledger, LedgerEntry
from MedTranslateLib.core.result import SYNTHETIC_NOTE
from MedTranslateLib.imaging.files import write_text
from MedTranslateLib.imaging.job_folder import read_result

HEADER = ("NO", "SIDE", "IN THE SOURCE", "IN THE OUTPUT", "ML", "STRENGTH", "TRUST", "WHY")
FIGURES = (0, 4, 5, 6)
COLUMNS = (
    "number",
    "side",
    *(f"{side}_ras_{axis}_mm" for side in ("source", "output") for axis in "ras"),
    "volume_mm3",
    "strength",
    "trust",
    "reason",
)
AXES = (("R", "L"), ("A", "P"), ("S", "I"))
WIDTH = 100
EMPTY = "No structure was found on one side only. That is no proof that nothing was lost or made up."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="a finished translation")
    parser.add_argument("--csv", metavar="FILE", type=Path, help="write the table to a CSV file as well")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(arguments: argparse.Namespace) -> int:
    """Prints the ledger.

    Raises:
        JobFolderError: If the folder holds no finished translation, or one without a ledger.
    """
    ledger = read_result(arguments.folder).ledger
    if ledger is None:
        msg = (
            f"The translation in {arguments.folder} has no ledger: it was made without trust maps, or by an older "
            "version. Run `medtranslate translate` again."
        )
        raise JobFolderError(msg)
    if arguments.csv is not None:
        write_text(arguments.csv, _as_csv(ledger))
    sys.stdout.write(_as_json(ledger) if arguments.json else _as_text(ledger))
    return 0


def clinical_position(point_ras: Sequence[float]) -> str:
    """A point as it is said: `L 12, P 20, S 35 mm` lies left, behind and above of the origin.

    Args:
        point_ras: Three coordinates in RAS mm.
    """
    said = [
        f"{letters[value < 0]} {abs(value):.0f}" for letters, value in zip(AXES, map(round, point_ras), strict=True)
    ]
    return f"{', '.join(said)} mm"


def _as_text(ledger: Ledger) -> str:
    rows = [HEADER, *map(_row, ledger.entries)]
    table = aligned(rows, FIGURES) if ledger.entries else [EMPTY]
    return "\n".join([*table, "", *textwrap.wrap(ledger.rule, WIDTH), SYNTHETIC_NOTE, ""])


def _row(entry: LedgerEntry) -> tuple[str, ...]:
    return (
        str(entry.number),
        entry.side.value,
        clinical_position(entry.source_ras),
        clinical_position(entry.output_ras),
        f"{entry.volume_mm3 / 1000:.1f}",
        f"{entry.strength:.2f}",
        "-" if entry.trust is None else f"{entry.trust:.2f}",
        entry.reason,
    )


def _as_json(ledger: Ledger) -> str:
    table = {"rule": ledger.rule, "entries": [entry.to_json() for entry in ledger.entries], "note": SYNTHETIC_NOTE}
    return json.dumps(table, indent=2, ensure_ascii=False) + "\n"


def _as_csv(ledger: Ledger) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for entry in ledger.entries:
        trust = "" if entry.trust is None else f"{entry.trust:.9g}"
        places = [f"{value:.9g}" for value in (*entry.source_ras, *entry.output_ras)]
        sizes = [f"{entry.volume_mm3:.9g}", f"{entry.strength:.9g}", trust]
        writer.writerow([entry.number, entry.side.value, *places, *sizes, entry.reason])
    return text.getvalue()
