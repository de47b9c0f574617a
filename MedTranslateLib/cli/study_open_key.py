"""`medtranslate study open-key`: a study that was read and its key in, a study that can be analysed out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from MedTranslateLib.studies.session_opening import open_key


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the action."""
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="a study folder")
    parser.add_argument(
        "--key", type=Path, metavar="FILE", help="the key (default: FOLDER.key.json, beside the folder)"
    )
    parser.add_argument(
        "--anyway", action="store_true", help="open it although readers have not finished; noted for ever"
    )


def run(arguments: argparse.Namespace) -> int:
    """Opens the key and says so."""
    folder: Path = arguments.folder
    key = arguments.key or folder.with_name(f"{folder.resolve().name}.key.json")
    opened = open_key(folder, key, anyway=arguments.anyway)
    lines = [f"The key of {folder} is the one that was sealed, and is open now: no more answers are taken."]
    if opened.unfinished:
        lines.append(f"Noted: {', '.join(opened.unfinished)} had not finished.")
    lines.append(f"Analyse: medtranslate study analyse {folder} --out REPORT")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0
