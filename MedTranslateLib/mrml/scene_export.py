"""A finished job folder in, `scene.mrb` out: a child process, because only it may load Slicer's core.

Run as `python -m MedTranslateLib.mrml.scene_export JOB_FOLDER OUT.mrb`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from MedTranslateLib.core.errors import DependencyMissingError, MedTranslateError

EXIT_OWN_MISTAKE, EXIT_USERS_MISTAKE, EXIT_NO_SLICER = 1, 2, 3


def export_scene(job_folder: Path, out: Path) -> None:
    """Writes a scene that opens in Slicer with source and output side by side.

    Args:
        job_folder: Folder with a finished translation.
        out: The .mrb to write.

    Raises:
        DependencyMissingError: If slicer-core is not installed.
        JobFolderError: If the job has no result.
        CorruptResultError: If a file of the result is missing or was changed.
        OutputError: If the scene cannot be written.
    """
    try:
        from MedTranslateLib.mrml.mrb_file import write_mrb  # noqa: PLC0415  # needs an optional package
    except ImportError as error:
        msg = (
            f"Writing {out.name} needs the package slicer-core, which cannot be loaded ({error}). "
            'Install it with: pip install "MedTranslateLib[scene]"'
        )
        raise DependencyMissingError(msg) from error
    write_mrb(job_folder, out)


def main(arguments: list[str] | None = None) -> int:
    """Entry of the child process.

    Args:
        arguments: Command line without the program's name; None takes that of the process.

    Returns:
        Exit code: 0 only with a complete file, 2 for the user's mistakes, 3 without slicer-core, 1 for ours.
    """
    parser = argparse.ArgumentParser(prog="scene_export", description="Writes scene.mrb from a finished job folder.")
    parser.add_argument("job_folder", type=Path)
    parser.add_argument("out", type=Path)
    parsed = parser.parse_args(arguments)
    try:
        export_scene(parsed.job_folder, parsed.out)
    except DependencyMissingError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_NO_SLICER
    except MedTranslateError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USERS_MISTAKE if error.users_mistake else EXIT_OWN_MISTAKE
    return 0


if __name__ == "__main__":
    sys.exit(main())
