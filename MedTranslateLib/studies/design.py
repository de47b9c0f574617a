"""A study file (TOML) in, a checked design out; an unknown key is an error."""

from __future__ import annotations

import sys
from pathlib import Path

from MedTranslateLib.bundles.typed_table import from_table
from MedTranslateLib.core.errors import BundleInvalidError, StudyError
from MedTranslateLib.studies.study import Study

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read_design(path: Path) -> Study:
    """Reads a study file.

    Args:
        path: The file; image paths in it are relative to its folder.

    Returns:
        The design.

    Raises:
        StudyError: If the file is missing, is not TOML, or has a wrong, missing or unknown key.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError) as error:
        msg = f"The study file {path} does not exist."
        raise StudyError(msg) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{path} is not valid TOML: {error}"
        raise StudyError(msg) from error
    try:
        return from_table(Study, table)
    except (BundleInvalidError, StudyError) as error:
        msg = f"{path}: {error}"
        raise StudyError(msg) from error
