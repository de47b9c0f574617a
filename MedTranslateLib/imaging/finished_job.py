"""A job folder whose worker says that it is done in, the path of a result that can be read out, or why it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from MedTranslateLib.core.correspondence import Origin
from MedTranslateLib.core.errors import CorruptResultError, WorkerDiedError
from MedTranslateLib.core.messages import Failure, error_of
from MedTranslateLib.imaging.job_folder import FILES, RESULT, read_result_table
from MedTranslateLib.imaging.trust_files import LEDGER_FILES, TRUST_FILES

OPTIONAL_FILES = frozenset({"uncertainty", *TRUST_FILES, *LEDGER_FILES})


def checked_result(folder: Path, exit_code: int, failure: Failure | None) -> Path:
    """The result of an ended worker; both its exit code and the result itself must say so.

    The files themselves are compared with their hashes when they are read, see `read_result`.

    Args:
        folder: The job folder.
        exit_code: Exit code of the worker; 0 for one that stays alive.
        failure: What the worker said of an error.

    Returns:
        The path of `result.json`.

    Raises:
        MedTranslateError: The error the worker reported, as the class its code names.
        WorkerDiedError: If the process ended without a result and without saying why.
        CorruptResultError: If the worker reported success, but the result is missing or damaged.
    """
    if failure is not None:
        raise error_of(failure)
    if exit_code != 0:
        msg = f"The worker ended with exit code {exit_code} and no result. It may have run out of memory."
        raise WorkerDiedError(msg)
    if not (folder / RESULT).is_file():
        msg = f"The worker reported success, but {folder / RESULT} is missing. Run the translation again."
        raise CorruptResultError(msg)
    try:
        wrong = _first_wrong_key(read_result_table(folder))
    except CorruptResultError as error:
        wrong = str(error)
    if wrong is not None:
        msg = f"The worker reported success, but {folder / RESULT} is damaged ({wrong}). Run the translation again."
        raise CorruptResultError(msg)
    return folder / RESULT


def _first_wrong_key(table: dict[str, Any]) -> str | None:
    """Name of the first part that a reader of the result would stumble over; the files are those that we write."""
    if table.get("format") != 1:
        return "format"
    files, hashes, output = (table.get(key) for key in ("files", "sha256", "output"))
    if not isinstance(files, dict) or not _are_ours(files):
        return "files"
    if not isinstance(hashes, dict) or not all(isinstance(hashes.get(name), str) for name in files.values()):
        return "sha256"
    if not isinstance(output, dict) or not all(
        isinstance(output.get(key), str) for key in ("name", "modality", "scale")
    ):
        return "output"
    return None if table.get("correspondence") in [origin.value for origin in Origin] else "correspondence"


def _are_ours(files: dict[str, Any]) -> bool:
    expected = {role: name for role, name in FILES.items() if role in files or role not in OPTIONAL_FILES}
    return files == expected
