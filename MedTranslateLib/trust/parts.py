"""Fields, a source and its way there and back in, one map for each reason why a place is not to be believed out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates

from MedTranslateLib.core.correspondence import Correspondence, Origin
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.fields import (
    is_identity,
    jacobian_determinant,
    map_points,
    round_trip_error_mm,
    sample_on,
    slice_points_ras,
)
from MedTranslateLib.imaging.resample import thin_out
from MedTranslateLib.imaging.scale import IntensityRange
from MedTranslateLib.imaging.slices import slab_of

Slices = npt.NDArray[np.float32]


def round_trip_map(correspondence: Correspondence, grid: Geometry) -> Slices | None:
    """Distance in mm between each point of the output and where the way to the source and back ends.

    Args:
        correspondence: Both fields.
        grid: Grid of the map.

    Returns:
        float32 (slices, rows, columns); None where every point stays in its place.
    """
    if is_identity(correspondence.forward) and is_identity(correspondence.inverse):
        return None
    errors = np.empty(grid.shape_kji, dtype=np.float32)
    for k, points in enumerate(slice_points_ras(grid)):
        errors[k] = round_trip_error_mm(correspondence, points)
    return errors


def folding_map(correspondence: Correspondence, grid: Geometry) -> Slices | None:
    """How near the map from output to source is to a fold: 1 where det J <= 0, 0 where det J >= 1, linear in between.

    Args:
        correspondence: Both fields.
        grid: Grid of the map.

    Returns:
        float32 (slices, rows, columns); None where every point stays in its place.
    """
    if is_identity(correspondence.forward):
        return None
    determinants = jacobian_determinant(sample_on(correspondence.forward, grid))
    folded = np.clip(determinants, 0, 1)
    np.subtract(1, folded, out=folded)
    return folded


def intensity_map(
    source: Volume, grid: Geometry, scaled: IntensityRange, seen: tuple[float, float], slab: int | None = None
) -> Slices:
    """How far the source's intensity lies outside of what the training images had.

    Args:
        source: The image in its own intensities.
        grid: The network's grid, with the axes of the source.
        scaled: The image's intensities that are 0 and 1 for the network, which clips what lies beyond.
        seen: Smallest and largest intensity of the training images as a share of that range.
        slab: Slices that are resampled at once; None for all.

    Returns:
        float32 (slices, rows, columns), as a share of the range; 0 inside.
    """
    distance = np.empty(grid.shape_kji, dtype=np.float32)
    count = len(distance)
    for first in range(0, count, slab or count):
        some = slice(first, min(first + (slab or count), count))
        share = thin_out(source, slab_of(grid, some), scaled.low)
        share -= np.float32(scaled.low)
        share /= np.float32(scaled.high - scaled.low)
        distance[some] = distance_outside(share, seen)
    return distance


def distance_outside(values: Slices, seen: tuple[float, float]) -> Slices:
    """Distance of each value to the range `seen`, 0 inside of it."""
    below, above = np.float32(seen[0]) - values, values - np.float32(seen[1])
    return np.maximum(np.maximum(below, above, out=below), 0, out=below)


def cycle_map(source: Slices, back: Slices) -> Slices:
    """|A - (A -> B -> A)| as a share of the source's range.

    Args:
        source: The slices that were translated, (N, H, W) in [-1, 1].
        back: The same there and back.

    Returns:
        float32 (N, H, W), 0 to 1, where the source has the place.
    """
    residual = source - back
    np.abs(residual, out=residual)
    residual /= 2
    return residual


def carried_to_output(of_source: Slices, correspondence: Correspondence, grid: Geometry) -> Slices:
    """A map of the source as seen from the output: its value at the source point that each output point came from.

    Args:
        of_source: (slices, rows, columns) on `grid`.
        correspondence: Both fields; only the model's own say where an output came from.
        grid: The network's grid.

    Returns:
        The array itself where the model moves nothing, else a new one: linear in between, the border's value beyond.
    """
    if correspondence.origin is not Origin.MODEL or is_identity(correspondence.forward):
        return of_source
    moved = np.empty_like(of_source)
    for k, points in enumerate(slice_points_ras(grid)):
        moved[k] = _value_at(of_source, grid.ijk_from_ras(map_points(correspondence.forward, points)))
    return moved


def _value_at(array_kji: Slices, points_ijk: npt.NDArray[np.float64]) -> Slices:
    coordinates = np.moveaxis(points_ijk[..., ::-1], -1, 0)
    return np.asarray(map_coordinates(array_kji, coordinates, order=1, mode="nearest"), dtype=np.float32)
