"""`medtranslate study run`: a prepared study and a reader in, answers out: in 3D Slicer, as text, or from a script."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
from pathlib import Path

from MedTranslateLib.core.errors import DependencyMissingError, StudyError
from MedTranslateLib.studies.session_files import CheckedFiles

STUDY_VARIABLE, READER_VARIABLE = "MEDTRANSLATE_STUDY", "MEDTRANSLATE_READER"
"""What the module finds in its environment when it is to begin with a study."""
SLICER_VARIABLE = "MEDTRANSLATE_SLICER"
LEADING_SLICER_OUT = ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV")
SELECT_MODULE = "slicer.util.selectModule('MedTranslate')"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the action."""
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="a study folder")
    parser.add_argument("--reader", required=True, metavar="NAME", help="a reader of the study")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--slicer", type=Path, metavar="FILE", help=f"Slicer's program (default: ${SLICER_VARIABLE}, PATH)"
    )
    how.add_argument("--text", action="store_true", help="ask in this terminal; look at the images elsewhere")
    how.add_argument("--script", type=Path, metavar="FILE", help="take the answers from a file of JSON lines")


def run(arguments: argparse.Namespace) -> int:
    """Lets the reader read."""
    from MedTranslateLib.cli.study_text import read_as_text, read_from_script

    if arguments.script is not None:
        return read_from_script(arguments.folder, arguments.reader, arguments.script)
    if arguments.text:
        return read_as_text(arguments.folder, arguments.reader)
    return _read_in_slicer(arguments.folder, arguments.reader, arguments.slicer)


def _read_in_slicer(folder: Path, reader: str, slicer: Path | None) -> int:
    program = find_slicer(slicer)
    plan = CheckedFiles(folder).plan
    if reader not in plan.orders:
        msg = f"The study has no reader {reader!r}; it has {', '.join(plan.orders)}."
        raise StudyError(msg)
    kept = {name: value for name, value in os.environ.items() if name not in LEADING_SLICER_OUT}
    environment = {**kept, STUDY_VARIABLE: str(folder.resolve()), READER_VARIABLE: reader}
    return subprocess.run([*slicer_command(program)], env=environment, check=False).returncode


def slicer_command(program: Path) -> list[str]:
    """What starts Slicer with the module.

    Args:
        program: Slicer's program.
    """
    from MedTranslateLib.inference.runner import WORKING_FOLDER

    module = WORKING_FOLDER / "MedTranslate"
    where = ["--additional-module-paths", str(module)] if module.is_dir() else []
    return [str(program), "--no-splash", *where, "--python-code", SELECT_MODULE]


def find_slicer(said: Path | None) -> Path:
    """Slicer's program.

    Args:
        said: Where the user says it is; None looks at the environment.

    Raises:
        DependencyMissingError: If there is none.
    """
    named = said or (Path(os.environ[SLICER_VARIABLE]) if os.environ.get(SLICER_VARIABLE) else None)
    if named is not None and not named.is_file():
        msg = f"{named} does not exist; give the path of Slicer's program."
        raise DependencyMissingError(msg)
    found = named or shutil.which("Slicer")
    if found is None:
        msg = (
            f"3D Slicer was not found. Give --slicer FILE or set {SLICER_VARIABLE}; or read with --text, where the "
            "images are looked at elsewhere."
        )
        raise DependencyMissingError(msg)
    return Path(found)
