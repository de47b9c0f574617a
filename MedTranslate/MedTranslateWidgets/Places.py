"""The name of a resource in, its path out, from a source tree as well as from an installed extension."""

from __future__ import annotations

from pathlib import Path

MODULE_FOLDER = Path(__file__).resolve().parents[1]
LIBRARY_FOLDER = next(
    (folder for folder in (MODULE_FOLDER, MODULE_FOLDER.parent) if (folder / "MedTranslateLib").is_dir()),
    MODULE_FOLDER.parent,
)
"""The folder that holds `MedTranslateLib`: where the worker process starts."""


def resourcePath(name: str) -> str:
    """Path of a file or folder of `Resources`.

    Args:
        name: Path within `Resources`, such as `UI/TranslatePanel.ui`.

    Returns:
        Its path.

    Raises:
        FileNotFoundError: If it is in neither place: beside the installed module, or in the source tree.
    """
    candidates = [folder / "Resources" / name for folder in (MODULE_FOLDER, MODULE_FOLDER.parent)]
    for candidate in candidates:
        if candidate.exists():
            return str(candidate)
    msg = f"The extension is incomplete: {name} is in none of {', '.join(map(str, candidates))}. Install it again."
    raise FileNotFoundError(msg)
