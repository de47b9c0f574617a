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

from MedTranslateLib.core.correspondence import DisplacementField, Origin
from MedTranslateLib.core.errors import InvalidVolumeError, OutputError, SourceNotFoundError, SourceUnreadableError
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.imaging.files import renamed_when_whole
from MedTranslateLib.imaging.geometry import LPS_FROM_RAS, geometry_of
from MedTranslateLib.imaging.nrrd_stream import GZIP_WINDOW_BITS, Allocate, new_array, stream_nrrd

ORIGIN_KEY = "MedTranslate correspondence"
LPS_SIGNS = LPS_FROM_RAS.diagonal().astype(np.float32)


def write_field(path: Path, field: DisplacementField, origin: Origin | None = None) -> None:
    """Writes float32 vectors with gzip, under a temporary name beside `path` and then renamed.

    Args:
        path: A file that ends in .nrrd.
        field: The displacements.
        origin: Where they come from; the header says so, in case the file is ever looked at alone.

    The header is written here because SimpleITK's writer does not notice that the last blocks of a file found no
    space. Equal fields give equal bytes.

    Raises:
        OutputError: If the ending is not .nrrd or the file cannot be written whole.
    """
    if path.suffix.lower() != ".nrrd":
        msg = f"{path}: a displacement field is written as .nrrd, got the ending {path.suffix!r}."
        raise OutputError(msg)
    with renamed_when_whole(path) as temporary, temporary.open("wb") as file:
        file.write(_header(field.geometry, origin))
        file.writelines(_gzip_stream(field.vectors_kji_ras))


def read_field(path: Path, allocate: Allocate = new_array) -> DisplacementField:
    """Reads a displacement field in LPS mm from any file SimpleITK reads.

    Args:
        path: The file.
        allocate: Gives the memory for the vectors of a file that `write_field` wrote; others are copied.

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
    streamed = stream_nrrd(path, sitk.sitkVectorFloat32, allocate)
    if streamed is not None:
        _check_form(path, dimension=3, components=streamed.array_kji.shape[-1])
        return _field_from(streamed.array_kji, streamed.header, path)
    image = _read_by_simpleitk(path)
    _check_form(path, image.GetDimension(), image.GetNumberOfComponentsPerPixel())
    return _field_from(sitk.GetArrayFromImage(image), image, path)


def _header(geometry: Geometry, origin: Origin | None) -> bytes:
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
        *([f"{ORIGIN_KEY}:={origin.value}"] if origin else []),
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


def _read_by_simpleitk(path: Path) -> sitk.Image:
    try:
        return sitk.ReadImage(str(path))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        msg = f"{path} cannot be read: {reason} Expected a displacement field (.nrrd)."
        raise SourceUnreadableError(msg) from error


def _check_form(path: Path, dimension: int, components: int) -> None:
    if (dimension, components) != (3, 3):
        msg = (
            f"{path}: expected a displacement field, 3-D with 3 components a voxel, got {dimension}-D with "
            f"{components} component(s) a voxel."
        )
        raise InvalidVolumeError(msg)


def _field_from(
    vectors: npt.NDArray[np.floating], header: sitk.Image | sitk.ImageFileReader, path: Path
) -> DisplacementField:
    """Takes the vectors' memory over where they are float32."""
    try:
        geometry = geometry_of(header)
        if not vectors.any():
            return DisplacementField(np.broadcast_to(np.float32(0), vectors.shape), geometry)
        vectors = vectors.astype(np.float32, copy=False)
        np.negative(vectors[..., :2], out=vectors[..., :2])  # LPS to RAS
        return DisplacementField(vectors, geometry)
    except InvalidVolumeError as error:
        msg = f"{path}: {error}"
        raise InvalidVolumeError(msg) from error
