"""`medtranslate trace`: a point of the source or the output in, its partner in the other image out, as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from MedTranslateLib.core.errors import RequestError
from MedTranslateLib.imaging.job_folder import read_correspondence
from MedTranslateLib.imaging.tracing import trace_point


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
    sys.stdout.write(json.dumps(traced.to_json()) + "\n")
    return 0
