"""`medtranslate study new`: a study file in, a study folder for readers and a sealed key out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from MedTranslateLib.core.errors import SourceNotFoundError

SAMPLE = Path("Resources/Studies/sample.toml")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the action."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("design", metavar="STUDY.toml", type=Path, nargs="?", help="the study file")
    what.add_argument("--sample", action="store_true", help="prepare the sample study that comes along")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="folder for the readers; made anew")
    parser.add_argument(
        "--key", type=Path, metavar="FILE", help="where the key goes (default: FOLDER.key.json, beside the folder)"
    )
    parser.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda:0 or mps (default auto)")
    parser.add_argument("--accept-doubtful", action="store_true", help="translate images that the input gate doubts")


def run(arguments: argparse.Namespace) -> int:
    """Prepares the study and says what to do with both parts."""
    from MedTranslateLib.cli.study_images import CaseLoader
    from MedTranslateLib.studies.design import read_design
    from MedTranslateLib.studies.prepare import prepare_study

    design = _sample() if arguments.sample else arguments.design
    study = read_design(design)
    out: Path = arguments.out
    key = arguments.key or out.with_name(f"{out.name}.key.json")
    with CaseLoader(study, design.parent, arguments.device, accept_doubtful=arguments.accept_doubtful) as load:
        prepared = prepare_study(study, out, key, load)
    turns = len(study.singles) + len(study.pairs) + study.repeats
    sys.stdout.write(
        f"Made:    {prepared.folder}: {prepared.items} items, {turns} to read for each of "
        f"{', '.join(study.readers)}. This folder is what readers get.\n"
        f"Key:     {prepared.key_file}: says which item is which. Keep it where no reader comes.\n"
        f"Publish: {prepared.key_sha256}\n"
        "         the key's SHA-256: register it, or send it to somebody; it proves that the key was never changed.\n"
        f"Read:    medtranslate study run {prepared.folder} --reader {study.readers[0]}\n"
    )
    return 0


def _sample() -> Path:
    from MedTranslateLib.inference.runner import WORKING_FOLDER

    path = WORKING_FOLDER / SAMPLE
    if not path.is_file():
        msg = f"The sample study {path} is missing; it comes with a source tree (git clone)."
        raise SourceNotFoundError(msg)
    return path
