"""A displacement field and points in, mapped points, det J and round-trip errors out; all in RAS millimetres.

A field is linear between its grid points. Outside its grid, more than half a voxel beyond the outermost centres, it
moves nothing, as ITK has it (Slicer holds the border's displacement there): ask `inside` before trusting a point.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from MedTranslateLib.core.correspondence import Correspondence, DisplacementField
from MedTranslateLib.core.errors import InvalidVolumeError
from MedTranslateLib.core.volume import FloatArray, Geometry

Points = npt.NDArray[np.float64]
POINTS_AT_ONCE = 1 << 16


def map_points(field: DisplacementField, points_ras: npt.ArrayLike) -> Points:
    """Maps points by p -> p + vector(p).

    Args:
        field: Displacements in RAS mm.
        points_ras: (..., 3) in RAS mm.

    Returns:
        float64 (..., 3) in RAS mm. Points outside the grid stay where they are.
    """
    points = np.array(points_ras, dtype=np.float64)
    if is_identity(field):
        return points
    flat = points.reshape(-1, 3)
    for first in range(0, len(flat), POINTS_AT_ONCE):
        some = flat[first : first + POINTS_AT_ONCE]
        some += _displacement(field, some)
    return points


def is_identity(field: DisplacementField) -> bool:
    """Tells whether the field is the stored-once zero of an identity correspondence."""
    return DisplacementField.is_zero_view(field.vectors_kji_ras)


def inside(field: DisplacementField, points_ras: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Tells for points (..., 3) in RAS mm whether the field's grid covers them, to the outer faces of its voxels."""
    return _covered(field.geometry, field.geometry.ijk_from_ras(points_ras))


def field_from_index_displacement(displacement_kji: FloatArray, geometry: Geometry) -> DisplacementField:
    """Turns displacements in voxels into a field in mm.

    Args:
        displacement_kji: (slices, rows, columns, 3) or (slices, rows, columns, 2) in voxels of `geometry`. Components
            come in the order of the array's axes, as a method gives them: (k, j, i), or (j, i) within slices.
        geometry: Grid of the displacements.

    Raises:
        InvalidVolumeError: If the shapes do not agree or a displacement is not finite.
    """
    components = displacement_kji.shape[-1]
    if components not in (2, 3):
        msg = f"A displacement needs 2 components (rows, columns) or 3 (slices, rows, columns), got {components}."
        raise InvalidVolumeError(msg)
    mm_from_voxels = geometry.ijk_to_ras[:3, components - 1 :: -1].astype(np.float32)
    return DisplacementField(np.asarray(displacement_kji, dtype=np.float32) @ mm_from_voxels.T, geometry)


def jacobian_determinant(field: DisplacementField) -> npt.NDArray[np.float32]:
    """Determinant of the derivative of p -> p + vector(p) in patient space, at each grid point.

    Oblique, anisotropic and left-handed grids are respected; SimpleITK's filter ignores the direction matrix.

    Returns:
        (slices, rows, columns), from central differences, one-sided at the border. Along an axis of one voxel the
        displacement counts as constant, so a single slice has its in-plane determinant.
    """
    shape = field.geometry.shape_kji
    if is_identity(field):
        return np.broadcast_to(np.float32(1), shape)
    result = np.empty(shape, dtype=np.float32)
    for k, determinants in enumerate(_determinants_of_slices(field)):
        result[k] = determinants
    return result


def jacobian_at(field: DisplacementField, points_ras: npt.ArrayLike) -> Points:
    """Determinant of the derivative at any points, from differences over one voxel to each side.

    Args:
        field: Displacements in RAS mm.
        points_ras: (..., 3) in RAS mm.

    Returns:
        (...); at grid points the values of `jacobian_determinant`, 1 outside the grid.
    """
    points = np.asarray(points_ras, dtype=np.float64)
    flat = points.reshape(-1, 3)
    result = np.ones(len(flat))
    covered = inside(field, flat)
    if not is_identity(field) and covered.any():
        result[covered] = _determinants_at(field, field.geometry.ijk_from_ras(flat[covered]))
    return result.reshape(points.shape[:-1])


def round_trip_error_mm(correspondence: Correspondence, points_ras: npt.ArrayLike) -> Points:
    """Distance in mm between points (..., 3) of the output and where forward and then inverse bring them."""
    points = np.asarray(points_ras, dtype=np.float64)
    back = map_points(correspondence.inverse, map_points(correspondence.forward, points))
    return np.asarray(np.linalg.norm(back - points, axis=-1))


def sample_on(field: DisplacementField, geometry: Geometry) -> DisplacementField:
    """The same mapping on another grid, which should not be coarser; zero where the field's own grid ends."""
    if field.geometry.same_grid(geometry):
        return field
    if is_identity(field):
        return DisplacementField(np.broadcast_to(np.float32(0), (*geometry.shape_kji, 3)), geometry)
    vectors = np.empty((*geometry.shape_kji, 3), dtype=np.float32)
    for k, points in enumerate(slice_points_ras(geometry)):
        vectors[k] = _displacement(field, points.reshape(-1, 3)).reshape(points.shape)
    return DisplacementField(vectors, geometry)


def compose_fields(first: DisplacementField, second: DisplacementField) -> DisplacementField:
    """The field of p -> second(first(p)), on the grid of `first`; an identity gives back the other field."""
    if is_identity(first):
        return second
    if is_identity(second):
        return first
    vectors = np.empty_like(first.vectors_kji_ras)
    for k, points in enumerate(slice_points_ras(first.geometry)):
        vectors[k] = map_points(second, points + first.vectors_kji_ras[k]) - points
    return DisplacementField(vectors, first.geometry)


def slice_points_ras(geometry: Geometry) -> Iterator[Points]:
    """The voxel centres of one slice after the other, each (rows, columns, 3) in RAS mm."""
    columns, rows, slices = geometry.size_ijk
    within = np.stack(np.meshgrid(np.arange(columns), np.arange(rows), [0.0]), axis=-1)[:, :, 0]
    first = geometry.ras_from_ijk(within)
    for k in range(slices):
        yield first + k * geometry.ijk_to_ras[:3, 2]


def _displacement(field: DisplacementField, points_ras: Points) -> Points:
    """Displacement in mm at points (N, 3); zero outside the grid."""
    points_ijk = field.geometry.ijk_from_ras(points_ras)
    covered = _covered(field.geometry, points_ijk)
    if covered.all():
        return _interpolate(field.vectors_kji_ras, points_ijk)
    result = np.zeros(points_ijk.shape)
    result[covered] = _interpolate(field.vectors_kji_ras, points_ijk[covered])
    return result


def _covered(geometry: Geometry, points_ijk: Points) -> npt.NDArray[np.bool_]:
    within = (points_ijk >= -0.5) & (points_ijk < np.array(geometry.size_ijk) - 0.5)
    return np.asarray(within.all(axis=-1))


def _interpolate(vectors_kji: npt.NDArray[np.float32], points_ijk: Points) -> Points:
    """Trilinear at indices (N, 3), clamped to the grid: three times as fast as scipy's three scalar interpolations."""
    size = np.array(vectors_kji.shape[2::-1])
    points = np.clip(points_ijk, 0, size - 1)
    low = np.minimum(points.astype(np.intp), np.maximum(size - 2, 0))
    strides = np.array([1, size[0], size[0] * size[1]])
    steps = np.where(size > 1, strides, 0)
    corners = np.array([(i, j, k) for k in (0, 1) for j in (0, 1) for i in (0, 1)]) @ steps
    i, j, k = np.moveaxis(np.stack([1 - (points - low), points - low]), -1, 0)
    weights = k[:, None, None] * j[None, :, None] * i[None, None, :]
    values = vectors_kji.reshape(-1, 3).take(corners[:, None] + low @ strides, axis=0)
    return np.asarray(np.einsum("cn,cnd->nd", weights.reshape(8, -1), values))


def _determinants_of_slices(field: DisplacementField) -> Iterator[Points]:
    vectors, matrix = field.vectors_kji_ras, field.geometry.ijk_to_ras[:3, :3]
    last = len(vectors) - 1
    for k in range(len(vectors)):
        below, above = max(k - 1, 0), min(k + 1, last)
        across = (vectors[above].astype(np.float64) - vectors[below]) / max(above - below, 1)
        here = vectors[k].astype(np.float64)
        yield _determinant(matrix, [_derivative(here, 1), _derivative(here, 0), across])


def _derivative(array: Points, axis: int) -> Points:
    if array.shape[axis] == 1:
        return np.zeros_like(array)
    return np.asarray(np.gradient(array, axis=axis))


def _determinants_at(field: DisplacementField, points_ijk: Points) -> Points:
    last = np.array(field.geometry.size_ijk) - 1.0
    points = np.clip(points_ijk, 0, last)
    derivatives = []
    for axis, step in enumerate(np.eye(3)):
        high, low = np.minimum(points + step, last), np.maximum(points - step, 0)
        width = np.maximum(high - low, 1)[:, axis, None]
        change = _interpolate(field.vectors_kji_ras, high) - _interpolate(field.vectors_kji_ras, low)
        derivatives.append(change / width)
    return _determinant(field.geometry.ijk_to_ras[:3, :3], derivatives)


def _determinant(matrix: Points, derivatives: list[Points]) -> Points:
    """Det J of x -> x + d(x) from d's derivatives along i, j, k, each (..., 3) in mm a voxel.

    The derivative of the mapped position by the index is matrix + derivatives; dividing by that of the position
    itself, the matrix, leaves the derivative in patient space.
    """
    a, b, c = (np.moveaxis(derivative + matrix[:, axis], -1, 0) for axis, derivative in enumerate(derivatives))
    volume = (
        a[0] * (b[1] * c[2] - b[2] * c[1]) + a[1] * (b[2] * c[0] - b[0] * c[2]) + a[2] * (b[0] * c[1] - b[1] * c[0])
    )
    return np.asarray(volume / np.linalg.det(matrix))
