"""Which point of the source belongs to which point of the output: two displacement fields and where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from MedTranslateLib.core.errors import InvalidVolumeError
from MedTranslateLib.core.volume import Geometry


class Origin(str, Enum):
    """How a correspondence came about; it is shown wherever a field is shown."""

    MODEL = "model"
    IDENTITY = "identity"
    ESTIMATED = "estimated"


@dataclass(frozen=True)
class DisplacementField:
    """Displacements on a regular grid: the point at RAS position p is mapped to p + vector(p).

    Args:
        vectors_kji_ras: Displacements in mm along R, A, S; float32 of shape (slices, rows, columns, 3), read-only.
        geometry: Grid of the displacements.

    Raises:
        InvalidVolumeError: If the shapes do not agree or a displacement is not finite.
    """

    vectors_kji_ras: npt.NDArray[np.float32]
    geometry: Geometry

    def __post_init__(self) -> None:
        """Checks the array and freezes a view of it, without a copy."""
        vectors = np.asarray(self.vectors_kji_ras, dtype=np.float32).view()
        if vectors.shape != (*self.geometry.shape_kji, 3):
            msg = f"A field on this grid needs shape {(*self.geometry.shape_kji, 3)}, got {vectors.shape}."
            raise InvalidVolumeError(msg)
        if not self.is_zero_view(vectors) and not np.isfinite(vectors).all():
            msg = "A displacement field holds NaN or infinite displacements."
            raise InvalidVolumeError(msg)
        vectors.setflags(write=False)
        object.__setattr__(self, "vectors_kji_ras", vectors)

    @staticmethod
    def is_zero_view(vectors: npt.NDArray[np.float32]) -> bool:
        """Tells whether the array is one zero seen everywhere, as `zero` makes it."""
        return not any(vectors.strides) and not vectors.flat[0]

    @classmethod
    def zero(cls, covering: Geometry) -> DisplacementField:
        """No displacement, on a 2x2x2 grid that covers `covering` to the outer faces of its voxels."""
        geometry = coarse_grid(covering)
        return cls(np.broadcast_to(np.float32(0), (*geometry.shape_kji, 3)), geometry)


@dataclass(frozen=True)
class Correspondence:
    """Both ways between an output and its source.

    Args:
        forward: Maps a point of the output to the point of the source it came from (a resampling field: Slicer
            "from parent", ITK output-to-input).
        inverse: Maps a point of the source to the point of the output it went to.
        origin: Whether the model made it, every point stayed in place, or it was estimated afterwards.
    """

    forward: DisplacementField
    inverse: DisplacementField
    origin: Origin

    @classmethod
    def identity(cls, covering: Geometry) -> Correspondence:
        """Every point of the output came from the same place in the source; costs no memory."""
        zero = DisplacementField.zero(covering)
        return cls(zero, zero, Origin.IDENTITY)


def coarse_grid(covering: Geometry) -> Geometry:
    """The 2x2x2 grid whose points are the corners of the box of all voxels of `covering`, half a voxel out."""
    size = np.array(covering.size_ijk, dtype=np.float64)
    matrix = np.eye(4)
    matrix[:3, :3] = covering.ijk_to_ras[:3, :3] * size
    matrix[:3, 3] = covering.ras_from_ijk([-0.5, -0.5, -0.5])
    return Geometry((2, 2, 2), matrix)
