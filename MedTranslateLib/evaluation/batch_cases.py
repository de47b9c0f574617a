"""A folder in, every image under it that can be translated out, each with a name of its own."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from MedTranslateLib.core.errors import ConfigError, SourceNotFoundError
from MedTranslateLib.core.result import SYNTHETIC_NOTE
from MedTranslateLib.imaging.job_folder import PROVENANCE, REQUEST, RESULT, SOURCE

ENDINGS = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
SEGMENTATION = ".seg.nrrd"
DICOM_ENDING = ".dicom"
"""What a DICOM folder ends in where its own name is taken."""
DICOM_MARK, DICOM_MARK_AT = b"DICM", 128


@dataclass(frozen=True)
class BatchCase:
    """An image to translate.

    Args:
        name: Its path in the folder without the ending, with slashes: the job folder's path in the output folder.
        source: The file, or the folder with a DICOM series; a whole path.
    """

    name: str
    source: Path


def find_cases(folder: Path, out: Path) -> tuple[BatchCase, ...]:
    """Looks for images in a folder and in those inside it, in sorted order.

    Taken are files with the endings of `ENDINGS`, and folders with DICOM files. Not taken is what is hidden, what lies
    in `out` or in a job folder, because it is synthetic or the copy of a source, and a segmentation of Slicer's.

    Args:
        folder: Where to look.
        out: Folder for the results; it may lie in `folder`.

    Raises:
        SourceNotFoundError: If there is no such folder, or no image in it.
        ConfigError: If `out` is the folder itself, or two images cannot be told apart by name.
    """
    root, output = folder.resolve(), out.resolve()
    if not root.is_dir():
        msg = f"{folder} is no folder; expected one that holds images. A single image: `medtranslate translate`."
        raise SourceNotFoundError(msg)
    if root == output:
        msg = f"{folder} holds the images and cannot hold the results as well; choose another folder with --out."
        raise ConfigError(msg)
    sources = list(_sources(root, output))
    if not sources:
        expected = f"expected files that end in {', '.join(ENDINGS)}, or DICOM files"
        msg = f"{folder} holds no image to translate; {expected}. What lies in a job folder is not taken."
        raise SourceNotFoundError(msg)
    named = zip(_names(root, sources), sources, strict=True)
    return tuple(sorted((BatchCase(name, source) for name, source in named), key=lambda case: case.name))


def _sources(root: Path, output: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(root):
        here = Path(place)
        if here == output or _is_job_folder(here):
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        seen = sorted(name for name in files if not name.startswith("."))
        yield from (here / name for name in seen if _ending(name))
        if any(_is_dicom(here / name) for name in seen if not _ending(name)):
            yield here


def _is_job_folder(folder: Path) -> bool:
    """Whether a translation was, or shall be, made there: its images are synthetic, or the copy of a source."""
    requested = (folder / REQUEST).is_file() and (folder / SOURCE).is_file()
    return requested or any(_says_synthetic(folder / name) for name in (RESULT, PROVENANCE))


def _says_synthetic(path: Path) -> bool:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(table, dict) and table.get("note") == SYNTHETIC_NOTE


def _ending(name: str) -> str:
    """The ending of a name by which it is an image; empty where it is none."""
    lower = name.lower()
    if lower.endswith(SEGMENTATION):
        return ""
    return next((name[-len(ending) :] for ending in ENDINGS if lower.endswith(ending)), "")


def _is_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.seek(DICOM_MARK_AT)
            return file.read(len(DICOM_MARK)) == DICOM_MARK
    except OSError:
        return False


def _names(root: Path, sources: Sequence[Path]) -> list[str]:
    """Short names; where two would share a folder, or one lie in the other's, the endings tell them apart."""
    short = [_name(root, source) for source in sources]
    clashing = _clashing(short)
    names = [
        _name(root, source, whole=True) if name in clashing else name
        for name, source in zip(short, sources, strict=True)
    ]
    for name in sorted(_clashing(names)):
        one, *_ = (source for source, given in zip(sources, names, strict=True) if given == name)
        msg = f"{one} would be translated into the folder {name!r}, which another image needs as well. Rename one."
        raise ConfigError(msg)
    return names


def _name(root: Path, source: Path, *, whole: bool = False) -> str:
    path = source.relative_to(root).as_posix() if source != root else root.name
    if whole:
        return path + DICOM_ENDING if source.is_dir() else path
    return path if source.is_dir() else path.removesuffix(_ending(path))


def _clashing(names: Sequence[str]) -> set[str]:
    """Names of which there are two, on a disk that does not tell case, or in whose folder another one lies."""
    count = Counter(name.casefold() for name in names)
    holding = {str(parent) for name in count for parent in PurePosixPath(name).parents}
    return {name for name in names if count[name.casefold()] > 1 or name.casefold() in holding}
