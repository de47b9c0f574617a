"""A correspondence in, the numbers that tell whether it can be trusted out: round trip, folding, smoothness, error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from MedTranslateLib.core.correspondence import Correspondence, DisplacementField
from MedTranslateLib.core.errors import InvalidVolumeError
from MedTranslateLib.imaging.fields import inside, is_identity, jacobian_determinant, map_points, slice_points_ras

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RoundTrip:
    """Distance between grid points and where forward and then inverse bring them: mean, 99.9th percentile, maximum."""

    mean: float
    p999: float
    maximum: float


@dataclass(frozen=True)
class TracingScore:
    """How trustworthy a correspondence is at the points of its forward grid.

    Args:
        round_trip_mm: In mm, over the points that both fields cover.
        round_trip_voxels: The same in index units of the forward grid.
        left_share: Share of the points that the forward field moves out of the inverse field's grid.
        det_j_min: Smallest Jacobian determinant of the forward field in patient space.
        folded_share: Share of the points where that determinant is not positive.
        displacement_mean_mm: Mean length of the forward displacements.
        displacement_max_mm: Greatest length of the forward displacements.
        roughness: As `roughness` of the forward field.
    """

    round_trip_mm: RoundTrip
    round_trip_voxels: RoundTrip
    left_share: float
    det_j_min: float
    folded_share: float
    displacement_mean_mm: float
    displacement_max_mm: float
    roughness: float


def score_tracing(correspondence: Correspondence, mask_kji: Mask | None = None) -> TracingScore:
    """Measures a correspondence.

    Args:
        correspondence: Forward and inverse field; swap them to measure the other direction.
        mask_kji: True where to measure, on the grid of the forward field; None measures everywhere. An identity
            is zero everywhere and needs no mask that fits.

    Raises:
        InvalidVolumeError: If the mask has another shape than the forward field's grid, or selects nothing.
    """
    forward = correspondence.forward
    selected = np.ones(forward.geometry.shape_kji, dtype=bool)
    if mask_kji is not None and not is_identity(forward):
        selected = _checked(mask_kji, forward)
    errors = _round_trip_errors_ijk(correspondence, selected)
    errors_mm = errors @ forward.geometry.ijk_to_ras[:3, :3].T
    determinants = jacobian_determinant(forward)[selected]
    lengths = np.linalg.norm(forward.vectors_kji_ras[selected], axis=-1)
    return TracingScore(
        round_trip_mm=_summary(errors_mm),
        round_trip_voxels=_summary(errors),
        left_share=1 - len(errors) / int(selected.sum()),
        det_j_min=float(determinants.min()),
        folded_share=float((determinants <= 0).mean()),
        displacement_mean_mm=float(lengths.mean(dtype=np.float64)),
        displacement_max_mm=float(lengths.max()),
        roughness=roughness(forward, selected),
    )


def roughness(field: DisplacementField, mask_kji: Mask | None = None) -> float:
    """How far from smooth a field is: mean Frobenius norm of J - I, J the derivative of p -> p + vector(p).

    Without a unit (mm per mm): 0 for a translation, 2 sqrt(2) sin(angle / 2) for a rotation, sqrt(3) |s - 1| for a
    zoom by s. The first-order diffusion regulariser of registration (Fischer and Modersitzki 2002) as a mean of norms
    instead of squares. Differences are central, one-sided at the border; along an axis of one voxel the displacement
    counts as constant, as for `imaging.fields.jacobian_determinant`.

    Args:
        field: Displacements in RAS mm; oblique and anisotropic grids are respected.
        mask_kji: True where to measure, on the field's grid; None measures everywhere.

    Returns:
        At least 0; low is smooth, which says nothing about being right.

    Raises:
        InvalidVolumeError: If the mask has another shape than the field's grid, or selects nothing.
    """
    if is_identity(field):
        return 0.0
    selected = ... if mask_kji is None else _checked(mask_kji, field)
    to_index = np.linalg.inv(field.geometry.ijk_to_ras[:3, :3])
    squares = np.zeros(field.geometry.shape_kji)
    for component in np.moveaxis(field.vectors_kji_ras, -1, 0):  # one at a time, for the memory of large volumes
        along_ijk = np.stack([_difference(component, axis) for axis in (2, 1, 0)], axis=-1)
        squares += np.square(along_ijk @ to_index).sum(axis=-1)
    return float(np.sqrt(squares[selected]).mean())


def known_deformation_error_mm(
    field: DisplacementField, known: DisplacementField, mask_kji: Mask | None = None
) -> float:
    """Mean distance in mm between where a field and the known one map the points of the known one's grid.

    The mean of |phi(p) - phi_known(p)|, the target registration error with every voxel of the mask as a landmark.

    Args:
        field: The recovered field, on any grid. Where it has none it moves nothing, and is measured so.
        known: The true one.
        mask_kji: True where to measure, on the grid of `known`; None measures everywhere.

    Raises:
        InvalidVolumeError: If the mask has another shape than the grid of `known`, or selects nothing.
    """
    shape = known.geometry.shape_kji
    selected = np.ones(shape, dtype=bool) if mask_kji is None else _checked(mask_kji, known)
    total = 0.0
    for points, chosen in zip(slice_points_ras(known.geometry), selected, strict=True):
        start = points[chosen]
        total += float(np.linalg.norm(map_points(field, start) - map_points(known, start), axis=-1).sum())
    return total / int(selected.sum())


def _difference(component: npt.NDArray[np.float32], axis: int) -> Floats:
    """Derivative by the index along one axis of the array."""
    if component.shape[axis] == 1:
        return np.zeros(component.shape)
    return np.asarray(np.gradient(component.astype(np.float64), axis=axis))


def _checked(mask_kji: Mask, forward: DisplacementField) -> Mask:
    mask = np.asarray(mask_kji, dtype=bool)
    if mask.shape != forward.geometry.shape_kji or not mask.any():
        msg = (
            f"The mask must select points on the forward field's grid {forward.geometry.shape_kji}; it has shape "
            f"{mask.shape} and selects {int(mask.sum())}. Resample the field with `sample_on` where the grids differ."
        )
        raise InvalidVolumeError(msg)
    return mask


def _round_trip_errors_ijk(correspondence: Correspondence, selected: Mask) -> Floats:
    """Errors (N, 3) in index units at the selected points whose partners the inverse covers."""
    forward, inverse = correspondence.forward, correspondence.inverse
    to_index = forward.geometry.ras_to_ijk[:3, :3].T
    errors = []
    for points, chosen in zip(slice_points_ras(forward.geometry), selected, strict=True):
        start = points[chosen]
        partner = map_points(forward, start)
        kept = inside(inverse, partner)
        errors.append((map_points(inverse, partner[kept]) - start[kept]) @ to_index)
    return np.concatenate(errors)


def _summary(errors: Floats) -> RoundTrip:
    if not len(errors):
        return RoundTrip(float("nan"), float("nan"), float("nan"))
    lengths = np.linalg.norm(errors, axis=-1)
    return RoundTrip(float(lengths.mean()), float(np.percentile(lengths, 99.9)), float(lengths.max()))
