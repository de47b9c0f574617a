"""A medical image and where it lies in the patient: the value every other part of the library starts from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from MedTranslateLib.core.errors import InvalidVolumeError

FloatArray = npt.NDArray[np.floating]
MAX_ABSOLUTE_MM = 1e7


@dataclass(frozen=True)
class Geometry:
    """A regular grid of voxel centres in patient space.

    Args:
        size_ijk: Number of voxels along i (columns), j (rows) and k (slices).
        ijk_to_ras: 4x4 float64 matrix from voxel indices to RAS millimetres; voxel centres, not corners.

    Raises:
        InvalidVolumeError: If a size is below 1 or the matrix is not finite, not affine or singular.
    """

    size_ijk: tuple[int, int, int]
    ijk_to_ras: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        """Takes a private read-only copy of the matrix and checks it."""
        matrix = np.array(self.ijk_to_ras, dtype=np.float64)
        matrix.setflags(write=False)
        object.__setattr__(self, "ijk_to_ras", matrix)
        object.__setattr__(self, "size_ijk", tuple(int(n) for n in self.size_ijk))
        _check_size(self.size_ijk)
        _check_matrix(matrix)

    @property
    def spacing_mm(self) -> npt.NDArray[np.float64]:
        """Distance between neighbouring voxel centres along i, j, k in mm."""
        return np.sqrt(np.square(self.ijk_to_ras[:3, :3]).sum(axis=0))

    @property
    def direction_ras(self) -> npt.NDArray[np.float64]:
        """3x3 matrix whose columns are the unit vectors of i, j, k in RAS."""
        return np.asarray(self.ijk_to_ras[:3, :3] / self.spacing_mm, dtype=np.float64)

    @property
    def origin_ras(self) -> npt.NDArray[np.float64]:
        """RAS position of voxel (0, 0, 0) in mm."""
        return self.ijk_to_ras[:3, 3]

    @property
    def ras_to_ijk(self) -> npt.NDArray[np.float64]:
        """Inverse of `ijk_to_ras`."""
        return np.asarray(np.linalg.inv(self.ijk_to_ras), dtype=np.float64)

    @property
    def shape_kji(self) -> tuple[int, int, int]:
        """Shape of a numpy array on this grid."""
        i, j, k = self.size_ijk
        return (k, j, i)

    def ras_from_ijk(self, points_ijk: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Maps voxel indices, shape (..., 3), to RAS mm."""
        points = np.asarray(points_ijk, dtype=np.float64)
        return points @ self.ijk_to_ras[:3, :3].T + self.ijk_to_ras[:3, 3]

    def ijk_from_ras(self, points_ras: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Maps RAS mm, shape (..., 3), to continuous voxel indices."""
        inverse = self.ras_to_ijk
        return np.asarray(points_ras, dtype=np.float64) @ inverse[:3, :3].T + inverse[:3, 3]

    def same_grid(self, other: Geometry, tolerance_mm: float = 1e-6) -> bool:
        """Tells whether both grids have the same size and place each corner within `tolerance_mm`."""
        if self.size_ijk != other.size_ijk:
            return False
        corners = _corners_ijk(self.size_ijk)
        return bool(np.abs(self.ras_from_ijk(corners) - other.ras_from_ijk(corners)).max() <= tolerance_mm)


@dataclass(frozen=True)
class Volume:
    """One scalar image with its geometry.

    Args:
        array_kji: Intensities, converted to a read-only float32 array of shape (slices, rows, columns).
        geometry: The grid the intensities lie on.
        name: How the image is called in messages and file names.
        modality: DICOM-like modality of the image where it is known, for example "MR" or "CT".
        synthetic: Whether the image says of itself that no scanner made it.

    Raises:
        InvalidVolumeError: If array and geometry do not agree or a value is not finite.
    """

    array_kji: npt.NDArray[np.float32]
    geometry: Geometry
    name: str = "volume"
    modality: str | None = None
    synthetic: bool = False

    def __post_init__(self) -> None:
        """Converts to float32, freezes the array and checks it."""
        array = _as_float32(self.array_kji, self.name)
        if array.shape != self.geometry.shape_kji:
            msg = f"{self.name}: array has shape {array.shape}, its geometry needs {self.geometry.shape_kji}."
            raise InvalidVolumeError(msg)
        object.__setattr__(self, "array_kji", array)

    def with_array(self, array_kji: FloatArray, name: str | None = None) -> Volume:
        """Returns a volume on the same grid with other intensities."""
        return replace(self, array_kji=array_kji, name=name or self.name)


def _as_float32(array: FloatArray, name: str) -> npt.NDArray[np.float32]:
    converted = np.ascontiguousarray(array, dtype=np.float32)
    if converted is array or np.shares_memory(converted, array):
        converted = converted.view()
    converted.setflags(write=False)
    if converted.ndim != 3 or converted.size == 0:
        msg = f"{name}: expected a 3-D image with at least one slice, got shape {converted.shape}."
        raise InvalidVolumeError(msg)
    if not np.isfinite(converted.sum(dtype=np.float64)) and not np.isfinite(converted).all():
        count = int((~np.isfinite(converted)).sum())
        msg = f"{name}: {count} voxels are NaN or infinite; expected finite intensities. Repair the image first."
        raise InvalidVolumeError(msg)
    return converted


def _check_size(size_ijk: tuple[int, int, int]) -> None:
    if len(size_ijk) != 3 or min(size_ijk) < 1:
        msg = f"A volume needs at least one voxel along each of three axes, got size {size_ijk}."
        raise InvalidVolumeError(msg)


def _check_matrix(matrix: npt.NDArray[np.float64]) -> None:
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or np.abs(matrix).max() > MAX_ABSOLUTE_MM:
        msg = f"The voxel-to-patient matrix must be 4x4 with finite values, got {matrix.tolist()}."
        raise InvalidVolumeError(msg)
    if not np.array_equal(matrix[3], [0, 0, 0, 1]):
        msg = f"The last row of the voxel-to-patient matrix must be 0 0 0 1, got {matrix[3].tolist()}."
        raise InvalidVolumeError(msg)
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    if spacing.min() <= 1e-6:
        msg = f"The voxel spacing must be positive, got {spacing.round(9).tolist()} mm."
        raise InvalidVolumeError(msg)
    if abs(np.linalg.det(matrix[:3, :3] / spacing)) < 1e-3:
        msg = f"The direction matrix is singular: {(matrix[:3, :3] / spacing).round(6).tolist()}. Repair the header."
        raise InvalidVolumeError(msg)


def _corners_ijk(size_ijk: tuple[int, int, int]) -> npt.NDArray[np.float64]:
    ends = [(0.0, n - 1.0) for n in size_ijk]
    return np.array([[i, j, k] for i in ends[0] for j in ends[1] for k in ends[2]])
