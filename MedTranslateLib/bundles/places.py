"""An installation and an environment in, the folders that hold bundles out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

FOLDER_VARIABLE = "MEDTRANSLATE_BUNDLES"


def shipped_folders(package: Path) -> tuple[Path, ...]:
    """Where the bundles lie that came with the package folder `MedTranslateLib`; empty where there are none.

    A wheel carries them inside the package; in a source tree, and where Slicer installs the extension, `Resources`
    lies beside it.
    """
    candidates = (package / "Resources" / "Bundles", package.parent / "Resources" / "Bundles")
    return tuple(folder for folder in candidates if folder.is_dir())[:1]


def user_folder(environment: Mapping[str, str], platform: str) -> Path:
    """The user's own bundles: what MEDTRANSLATE_BUNDLES says, else the platform's folder for a program's data.

    Args:
        environment: Environment variables.
        platform: As `sys.platform` has it.

    Returns:
        The folder, which need not exist.
    """
    if environment.get(FOLDER_VARIABLE):
        return Path(environment[FOLDER_VARIABLE]).expanduser().absolute()
    if platform == "win32":
        base = Path(environment.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(environment.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "MedTranslate" / "Bundles"
