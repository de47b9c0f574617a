"""An image file of unknown origin in, a refusal out where its header promises more than the file can hold.

ITK believes a header: a file of 400 bytes that promises 12 GB takes 12 GB, and the system may end the process for it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import SimpleITK as sitk

from MedTranslateLib.core.errors import SourceUnreadableError

MAX_VOXELS = (1 << 31) - 1
"""More than any scanner makes: 8.6 GB as float32."""
MAX_PACKING, MAX_AS_IT_IS = 1040, 4
"""Deflate packs at most 1032 bytes into one, what PNG, NRRD, NIfTI and MetaImage pack with; a number that is written as
text takes two characters at least, and its voxel eight bytes at most."""
NOT_PACKED = re.compile(rb"^encoding: *raw\s*$", re.MULTILINE | re.IGNORECASE)
PACKED_META = re.compile(rb"^CompressedData *= *True\s*$", re.MULTILINE | re.IGNORECASE)
META, NRRD, ANALYZE = (".mha", ".mhd"), (".nrrd", ".nhdr"), (".hdr", ".img")
DATA_FILE = re.compile(rb"(?ims)^\s*(?:ElementDataFile\s*=|data ?file:)[ \t]*(?P<name>[^\r\n]+)(?P<list>.*)")
"""Where .mhd and .nhdr name the file with the voxels, and the rest of the header, which may be a list of files."""
MAX_TEXT_HEADER = 1 << 20


def check_promise(path: Path) -> None:
    """Compares what a header promises with the length of its file, before memory is taken.

    Args:
        path: Any existing file; one that SimpleITK does not know is left to it, it says what is wrong.

    Raises:
        SourceUnreadableError: If the file cannot hold what its header promises, if that is more than any scanner
            makes, or if its voxels lie in a file outside of its folder.
    """
    held = sum(part.stat().st_size for part in {path, *_other_files(path)} if part.is_file())
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        size, voxel_bytes = reader.GetSize(), _bytes_of_voxel(reader)
    except RuntimeError:
        return
    if math.prod(size) > MAX_VOXELS:
        msg = f"{path} promises {_product(size)} voxels, more than the {MAX_VOXELS} that are read. Crop or resample it."
        raise SourceUnreadableError(msg)
    promised = math.prod(size) * voxel_bytes
    if promised > _packing(path) * held:
        msg = (
            f"{path} is damaged: its header promises {_product(size)} voxels, which take {promised} bytes, but the "
            f"file holds {held}. Get it again from its origin."
        )
        raise SourceUnreadableError(msg)


def _packing(path: Path) -> int:
    """How many bytes of voxels one byte of the file can be."""
    name, head = path.name.lower(), _head(path)
    if name.endswith((".nii", *ANALYZE)):
        return MAX_AS_IT_IS
    if name.endswith(NRRD):
        return MAX_AS_IT_IS if NOT_PACKED.search(head) else MAX_PACKING
    if name.endswith(META):
        return MAX_PACKING if PACKED_META.search(head) else MAX_AS_IT_IS
    return MAX_PACKING


def _other_files(path: Path) -> list[Path]:
    """The files beside a header that hold its voxels."""
    if path.suffix.lower() in ANALYZE:
        return [path.with_suffix(ending) for ending in ANALYZE]
    if path.suffix.lower() not in (".mhd", ".nhdr"):
        return []
    found = DATA_FILE.search(_head(path))
    name = found["name"].decode("utf-8", "replace").strip() if found else "LOCAL"
    listed = name.upper().startswith("LIST")
    names = found["list"].decode("utf-8", "replace").split("\n") if found and listed else [name.split(" ")[0], name]
    for stated in (stated.strip() for stated in names):
        if Path(stated).is_absolute() or ".." in Path(stated).parts:
            msg = f"{path} takes its voxels from {stated}, outside of its folder. Put that file beside it, and name it."
            raise SourceUnreadableError(msg)
    many = listed or "%" in name
    return [other for other in path.parent.iterdir() if many or other.name in names]


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_TEXT_HEADER).partition(b"\n\n")[0]


def _bytes_of_voxel(reader: sitk.ImageFileReader) -> int:
    components = max(reader.GetNumberOfComponents(), 1)
    kind = reader.GetPixelID()
    one = sitk.Image([1, 1], kind, components) if components > 1 else sitk.Image([1, 1], kind)
    return int(one.GetSizeOfPixelComponent()) * components


def _product(size: Sequence[int]) -> str:
    return " x ".join(str(n) for n in size)
