"""A displacement field in, a NRRD file out that Slicer, ITK and ANTs read to the same mapping; and back.

Vectors are LPS millimetres on an LPS grid. Two keys say what the numbers are: Slicer opens the file as a transform
because of `intent_code` (1006, NIfTI's displacement vector), and as one "from parent" because of
`displacement field type` (resampling: points of the file's own space are mapped to p + vector).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from MedTranslateLib.core.correspondence import DisplacementField
from MedTranslateLib.core.errors import InvalidVolumeError, OutputError, SourceNotFoundError, SourceUnreadableError
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.imaging.geometry import LPS_FROM_RAS, geometry_of
from MedTranslateLib.imaging.writing import renamed_when_whole

LPS_SIGNS = LPS_FROM_RAS.diagonal().astype(np.float32)
GZIP_WINDOW_BITS = 31
"""zlib's code for a gzip stream; its header then holds neither a date nor a name."""


def write_field(path: Path, field: DisplacementField) -> None:
    """Writes float32 vectors with gzip, under a temporary name beside `path` and then renamed.

    The header is written here because SimpleITK's writer does not notice that the last blocks of a file found no
    space. Equal fields give equal bytes.

    Raises:
        OutputError: If the ending is not .nrrd or the file cannot be written whole.
    """
    if path.suffix.lower() != ".nrrd":
        msg = f"{path}: a displacement field is written as .nrrd, got the ending {path.suffix!r}."
        raise OutputError(msg)
    with renamed_when_whole(path) as temporary, temporary.open("wb") as file:
        file.write(_header(field.geometry))
        file.writelines(_gzip_stream(field.vectors_kji_ras))


def read_field(path: Path) -> DisplacementField:
    """Reads a displacement field in LPS mm from any file SimpleITK reads.

    Returns:
        The field in RAS mm. One that is zero everywhere takes no memory for its vectors.

    Raises:
        SourceNotFoundError: If nothing is there.
        SourceUnreadableError: If no reader understands it, or it is damaged.
        InvalidVolumeError: If it is not a 3-D grid of finite 3-vectors.
    """
    if not path.exists():
        msg = f"{path} does not exist; expected a displacement field (.nrrd)."
        raise SourceNotFoundError(msg)
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        msg = f"{path} cannot be read: {reason} Expected a displacement field (.nrrd)."
        raise SourceUnreadableError(msg) from error
    return _field_from(image, path)


def _header(geometry: Geometry) -> bytes:
    matrix = LPS_FROM_RAS @ geometry.ijk_to_ras[:3]
    directions = " ".join(_vector(column) for column in matrix[:, :3].T)
    lines = [
        "NRRD0005",
        "type: float",
        "dimension: 4",
        "space: left-posterior-superior",
        f"sizes: 3 {' '.join(map(str, geometry.size_ijk))}",
        f"space directions: none {directions}",
        "kinds: vector domain domain domain",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_vector(matrix[:, 3])}",
        "measurement frame: (1,0,0) (0,1,0) (0,0,1)",
        "displacement field type:=resampling",
        "intent_code:=1006",
    ]
    return ("\n".join(lines) + "\n\n").encode("ascii")


def _vector(values: npt.NDArray[np.float64]) -> str:
    return "(" + ",".join(repr(float(value) + 0.0) for value in values) + ")"  # + 0.0: no "-0.0"


def _gzip_stream(vectors_kji_ras: npt.NDArray[np.float32]) -> Iterator[bytes]:
    """Slice by slice. Run lengths alone: the digits of smooth fields hardly repeat, and searching costs three times."""
    compressor = zlib.compressobj(1, zlib.DEFLATED, GZIP_WINDOW_BITS, zlib.DEF_MEM_LEVEL, zlib.Z_RLE)
    for vectors in vectors_kji_ras:
        yield compressor.compress((vectors * LPS_SIGNS + np.float32(0)).astype("<f4").tobytes())
    yield compressor.flush()


def _field_from(image: sitk.Image, path: Path) -> DisplacementField:
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 3:
        got = f"{image.GetDimension()}-D with {image.GetNumberOfComponentsPerPixel()} component(s) a voxel"
        msg = f"{path}: expected a displacement field, 3-D with 3 components a voxel, got {got}."
        raise InvalidVolumeError(msg)
    try:
        geometry = geometry_of(image)
        vectors = sitk.GetArrayViewFromImage(image)
        if not vectors.any():
            return DisplacementField(np.broadcast_to(np.float32(0), vectors.shape), geometry)
        return DisplacementField(vectors.astype(np.float32) * LPS_SIGNS, geometry)
    except InvalidVolumeError as error:
        msg = f"{path}: {error}"
        raise InvalidVolumeError(msg) from error
