"""`medtranslate trace`: a point of the source or the output in, its partner in the other image out, as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from MedTranslateLib.core.errors import RequestError
from MedTranslateLib.imaging.job_folder import read_correspondence, read_result_table
from MedTranslateLib.imaging.reading import read_volume
from MedTranslateLib.imaging.tracing import trace_point, value_at
from MedTranslateLib.imaging.trust_files import TRUST_FILES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="a finished translation")
    parser.add_argument("--point", nargs=3, type=float, required=True, metavar=("R", "A", "S"), help="position in mm")
    parser.add_argument("--from", dest="start", choices=("source", "output"), default="source", help="default: source")


def run(arguments: argparse.Namespace) -> int:
    """Prints where the point went or came from."""
    if not all(abs(value) < 1e6 for value in arguments.point):  # also false for NaN
        msg = f"--point needs three finite RAS coordinates in mm, got {arguments.point}."
        raise RequestError(msg)
    correspondence = read_correspondence(arguments.folder)
    traced = trace_point(correspondence, arguments.point, from_output=arguments.start == "output")
    trusted = _trusted(arguments.folder, traced.output_ras)
    traced = replace(traced, trust=trusted.get("trust"), expected_error=trusted.get("expected_error"))
    sys.stdout.write(json.dumps(traced.to_json()) + "\n")
    return 0


def _trusted(folder: Path, output_ras: tuple[float, float, float]) -> dict[str, float | None]:
    """What the maps of trust say at a point of the output; nothing where the result has none."""
    roles = read_result_table(folder)["files"]
    return {
        role: value_at(read_volume(folder / TRUST_FILES[role]), output_ras)
        for role in ("trust", "expected_error")
        if role in roles
    }
