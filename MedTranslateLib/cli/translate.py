"""`medtranslate translate`: any image in, a folder with its translation, fields and pictures out."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from MedTranslateLib.cli.job import run_translation
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.evaluation.job import FinishedJob, acceptance_offered, request_for
from MedTranslateLib.imaging.job_folder import DICOM, Job
from MedTranslateLib.imaging.reading import read_volume


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("source", metavar="SOURCE", type=Path, help="image file or DICOM folder")
    parser.add_argument("--bundle", required=True, help="name of a bundle (see `medtranslate bundles list`)")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="folder for the result")
    parser.add_argument(
        "--dicom", action="store_true", help="also write FOLDER/dicom, into the study of SOURCE (a DICOM folder)"
    )
    add_run_arguments(parser)


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that say how a translation is run."""
    parser.add_argument("--reverse", action="store_true", help="from the bundle's target modality to its source")
    parser.add_argument("--steps", type=int, default=None, metavar="N", help="steps (default: the bundle's)")
    parser.add_argument(
        "--samples", type=int, default=1, metavar="N", help="draw N translations, for an uncertainty map"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of everything random (default 0)")
    parser.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda:0 or mps (default auto)")
    parser.add_argument(
        "--estimate-drift",
        action="store_true",
        help="register output to source and store those fields, marked as estimated, in place of the method's own",
    )
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        type=_option,
        dest="method_options",
        metavar="NAME=VALUE",
        help="use the trained weights another way than the bundle says, such as guidance=both; may be given repeatedly",
    )
    parser.add_argument(
        "--no-trust",
        action="store_false",
        dest="trust",
        help="make neither trust maps nor the ledger; saves the way back where a bundle has one",
    )
    parser.add_argument("--accept-doubtful", action="store_true", help="translate an image that the input gate doubts")
    parser.add_argument("--no-views", action="store_true", help="do not make overview.png and scene.mrb")


def run(arguments: argparse.Namespace) -> int:
    """Translates and says what was made."""
    source = read_volume(arguments.source)
    if arguments.dicom:
        _check_series(arguments.source, source)
    request = request_for(source, arguments.bundle, **run_options(arguments))
    with acceptance_offered():
        done = run_translation(Job(request, source), arguments.out, views=not arguments.no_views, debug=arguments.debug)
    tell(done)
    if arguments.dicom:
        _write_dicom(done.folder, arguments.source)
    return 0


def _check_series(series: Path, source: Volume) -> None:
    """Says before the translation, not after it, that its source has no series to go with."""
    from MedTranslateLib.dicom.export import check_series

    check_series(series, source)


def _write_dicom(folder: Path, series: Path) -> None:
    from MedTranslateLib.cli.dicom import sentence, tell_warnings
    from MedTranslateLib.dicom.export import ExportOptions, export_result

    export = export_result(folder, series, folder / DICOM, ExportOptions())
    tell_warnings(export)
    sys.stdout.write(sentence(export) + "\n")


def run_options(arguments: argparse.Namespace) -> dict[str, object]:
    """The request's options as given on the command line."""
    names = ("reverse", "steps", "samples", "seed", "device", "estimate_drift", "accept_doubtful", "trust")
    options = {name: getattr(arguments, name) for name in names}
    return {**options, "method_options": dict(arguments.method_options)}


def _option(text: str) -> tuple[str, str | float | bool]:
    """`NAME=VALUE`; a value that is a number becomes one, `true` and `false` a switch."""
    name, mark, value = text.partition("=")
    if not (name and mark and value):
        msg = f"expected NAME=VALUE, got {text!r}"
        raise argparse.ArgumentTypeError(msg)
    if value in ("true", "false"):
        return name, value == "true"
    try:
        number = float(value)
    except ValueError:
        return name, value
    return name, int(number) if number.is_integer() else number


def tell(done: FinishedJob) -> None:
    """Four lines: what was made and how to look at it."""
    result, folder = done.result, done.folder
    bundle = result.provenance["bundle"]
    unit = "HU" if result.output_scale == "hounsfield" else "relative 0..1, not HU"
    state = {
        "identity": "every pixel stays in place",
        "model": "made by the model",
        "estimated": "estimated from both pictures, not by the model",
    }
    origin = state[result.correspondence.origin.value]
    what = f"{result.output_name} ({unit}) by {bundle['name']} {bundle['version']}. SYNTHETIC, research use only."
    command = os.environ.get("MEDTRANSLATE_COMMAND", "medtranslate")  # run.py says how it was called
    lines = [
        f"Made:  {folder / 'translated.nrrd'}: {what}",
        f"Trace: both fields beside it ({origin}); {command} trace {folder} --point R A S",
        f"Look:  {folder / 'overview.png'}"
        if (folder / "overview.png").is_file()
        else "Look:  no pictures were wanted",
        f"Open:  {done.scene} in 3D Slicer (drag it into the window)" if done.scene else "Open:  no scene was made",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
