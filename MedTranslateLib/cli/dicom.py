"""`medtranslate dicom`: a finished translation in, a DICOM series of the same patient and study out."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from MedTranslateLib.dicom.export import Export, ExportOptions, export_result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("result", metavar="RESULT", type=Path, help="folder of a finished translation")
    whose = parser.add_mutually_exclusive_group()
    whose.add_argument("--series", type=Path, metavar="FOLDER", help="the DICOM series that was translated")
    whose.add_argument(
        "--no-series", action="store_true", help="it is not known: make a new study, without references (default)"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="new folder for the DICOM files")
    parser.add_argument("--patient-name", default="", metavar="NAME", help="without a series: FAMILY^GIVEN")
    parser.add_argument("--patient-id", default="", metavar="ID", help="without a series: the patient's ID")
    add_export_arguments(parser)
    parser.add_argument("--json", action="store_true", help="answer with one line of JSON")


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that say what is written."""
    parser.add_argument(
        "--deidentify",
        action="store_true",
        help="remove patient, place and dates (PS3.15 basic profile); pixels stay as they are",
    )
    parser.add_argument(
        "--burn-in",
        action="store_true",
        help='draw "SYNTHETIC, research use only" into each slice',
    )
    parser.add_argument(
        "--uncertainty",
        action="store_true",
        help="also write the maps of uncertainty, trust and validity",
    )


def run(arguments: argparse.Namespace) -> int:
    """Writes the files and says which."""
    export = export_result(arguments.result, arguments.series, arguments.out, options_of(arguments))
    tell_warnings(export)
    sys.stdout.write((json.dumps(_table(export)) if arguments.json else sentence(export)) + "\n")
    return 0


def options_of(arguments: argparse.Namespace) -> ExportOptions:
    """The options as given on the command line."""
    return ExportOptions(
        deidentify=arguments.deidentify,
        burn_in=arguments.burn_in,
        uncertainty=arguments.uncertainty,
        patient_name=getattr(arguments, "patient_name", ""),
        patient_id=getattr(arguments, "patient_id", ""),
    )


def tell_warnings(export: Export) -> None:
    """Writes them to standard error."""
    for warning in export.warnings:
        sys.stderr.write(f"medtranslate: note: {warning}\n")


def sentence(export: Export) -> str:
    """What was written, in one line."""
    images = sum(name.startswith("series/") for name in export.files)
    others = ", ".join(name for name in export.files if not name.startswith("series/"))
    accuracy = f"intensities to within {export.accuracy:g}"
    return f"DICOM: {export.folder}: {images} slices in series/ ({accuracy}), {others}. SYNTHETIC, research use only."


def _table(export: Export) -> dict[str, object]:
    return {
        "files": len(export.files),
        "folder": str(export.folder),
        "series_uid": export.series_uid,
        "accuracy": export.accuracy,
        "warnings": list(export.warnings),
    }
