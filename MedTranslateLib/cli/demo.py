"""`medtranslate demo`: the main job on a sample head, no network needed after installation."""

from __future__ import annotations

import argparse
from pathlib import Path

from MedTranslateLib.cli.job import request_for, run_translation
from MedTranslateLib.cli.translate import tell
from MedTranslateLib.core.errors import SourceNotFoundError
from MedTranslateLib.imaging.job_folder import Job
from MedTranslateLib.imaging.reading import read_volume
from MedTranslateLib.inference.runner import WORKING_FOLDER

BUNDLE = "bidpm-brain-t1-flair"
SAMPLE = Path("Resources/SampleData/colin27_t1.nii.gz")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument("--out", type=Path, default=Path("demo-output"), metavar="FOLDER", help="default: demo-output")
    parser.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda:0 or mps (default auto)")


def run(arguments: argparse.Namespace) -> int:
    """Translates the sample head from T1 to FLAIR and says what was made."""
    path = WORKING_FOLDER / SAMPLE
    if not path.is_file():
        msg = f"The sample image {path} is missing; the demo runs from a source tree (git clone)."
        raise SourceNotFoundError(msg)
    source = read_volume(path)
    request = request_for(source, BUNDLE, device=arguments.device)
    tell(run_translation(Job(request, source), arguments.out, views=True, debug=arguments.debug))
    return 0
