"""`medtranslate study analyse`: a study whose key is open in, a report with figures, tables and exports out."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("folder", metavar="STUDY_FOLDER", type=Path, help="a study whose key has been opened")
    parser.add_argument("--out", metavar="REPORT", type=Path, required=True, help="new folder for report and tables")
    parser.add_argument(
        "--anyway", action="store_true", help="analyse although readers had not finished; the page says so"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Writes the report; see `study_report`."""
    from MedTranslateLib.cli.study_report import write_report  # plots and statistics take seconds to import

    return write_report(arguments)
