"""A volume in, the slices that tell most about it out, laid out as a viewer shows them: patient's right on the left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from MedTranslateLib.core.errors import InvalidVolumeError
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.geometry import ANATOMICAL, Plane, foreground_threshold, source_axes

AnyArray = npt.NDArray[Any]
LETTERS = (("R", "L"), ("A", "P"), ("S", "I"))
"""Letters towards +R, -R; +A, -A; +S, -S."""
OBLIQUE_COSINE = 0.34
"""About 20 degrees: from here on a direction is named by two letters."""
MAX_ANISOTROPY = 4.0
MIN_EXTENT_RATIO = 0.4
IN_PLANE_SHARES = (0.25, 0.5, 0.75)
MARGIN_MM = 6.0


@dataclass(frozen=True)
class SliceView:
    """One slice of a grid in display order, cut to the part that shows the patient.

    Args:
        geometry: The grid it is taken from; nothing is resampled.
        plane: The anatomical plane that the slice is closest to.
        index: Voxel index along the slice axis.
        window: First and last (exclusive) display column, first and last (exclusive) display row.
    """

    geometry: Geometry
    plane: Plane
    index: int
    window: tuple[int, int, int, int]

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height of the picture."""
        axes, _ = source_axes(self.geometry, self.plane)
        spacing = self.geometry.spacing_mm
        first_column, last_column, first_row, last_row = self.window
        return (last_column - first_column) * spacing[axes[0]], (last_row - first_row) * spacing[axes[1]]

    @property
    def directions_ras(self) -> npt.NDArray[np.float64]:
        """3x3: the columns are unit vectors along display columns, display rows and the slice axis."""
        axes, signs = source_axes(self.geometry, self.plane)
        return np.asarray(self.geometry.direction_ras[:, axes] * np.array(signs))

    @property
    def letters(self) -> tuple[str, str, str, str]:
        """Patient directions at the left, right, top and bottom edge."""
        across, down, _ = self.directions_ras.T
        return direction_letters(-across), direction_letters(across), direction_letters(-down), direction_letters(down)

    @property
    def caption(self) -> str:
        """Plane and position, such as "axial, S 23 mm"."""
        normal = self.directions_ras[:, 2]
        axis = int(np.argmax(np.abs(normal)))
        middle = self.points_ras().reshape(-1, 3).mean(axis=0)[axis]
        letter = LETTERS[axis][0 if middle >= 0 else 1]
        return f"{self.plane.value}, {letter} {abs(middle):.0f} mm"

    def take(self, array_kji: AnyArray) -> AnyArray:
        """The slice of an array on this grid, shape (display rows, display columns)."""
        axes, signs = source_axes(self.geometry, self.plane)
        columns, rows, across = axes
        flat = np.take(array_kji, self.index, axis=2 - across)
        # What remains is in the order k, j, i without the slice axis; rows must come first.
        flat = flat.T if columns > rows else flat
        flat = flat[:: signs[1], :: signs[0]]
        first_column, last_column, first_row, last_row = self.window
        return np.asarray(flat[first_row:last_row, first_column:last_column])

    def points_ras(self) -> npt.NDArray[np.float64]:
        """RAS position in mm of each pixel centre, shape (display rows, display columns, 3)."""
        axes, signs = source_axes(self.geometry, self.plane)
        first_column, last_column, first_row, last_row = self.window
        size = self.geometry.size_ijk
        across = np.arange(size[axes[0]])[:: signs[0]][first_column:last_column]
        down = np.arange(size[axes[1]])[:: signs[1]][first_row:last_row]
        points_ijk = np.empty((len(down), len(across), 3))
        points_ijk[..., axes[0]] = across
        points_ijk[..., axes[1]] = down[:, None]
        points_ijk[..., axes[2]] = self.index
        return self.geometry.ras_from_ijk(points_ijk)


def choose_views(volume: Volume) -> list[SliceView]:
    """Three planes through the middle of the patient, or up to three slices of a thick-sliced or flat volume.

    Args:
        volume: Any image; a constant one is shown whole.

    Returns:
        One to three different views.
    """
    extents = foreground_extents(volume)
    if is_nearly_isotropic(volume.geometry):
        planes = [(plane, 0.5) for plane in ANATOMICAL]
    else:
        plane = acquisition_plane(volume.geometry)
        slices = volume.geometry.size_ijk[source_axes(volume.geometry, plane)[0][2]]
        planes = [(plane, share) for share in (IN_PLANE_SHARES if slices >= 3 else (0.5,))]
    views = [_view(volume.geometry, plane, share, extents) for plane, share in planes]
    return list({(view.plane, view.index): view for view in views}.values())


def is_nearly_isotropic(geometry: Geometry) -> bool:
    """Whether a slice in any of the three planes looks like the patient: no flat volume, no long voxels."""
    extent = geometry.spacing_mm * geometry.size_ijk
    anisotropy = geometry.spacing_mm.max() / geometry.spacing_mm.min()
    return bool(anisotropy <= MAX_ANISOTROPY and extent.min() >= MIN_EXTENT_RATIO * extent.max())


def acquisition_plane(geometry: Geometry) -> Plane:
    """The plane across which the voxels are longest, or the volume is thinnest where they are equally long."""
    spacing, size = geometry.spacing_mm, np.array(geometry.size_ijk)
    longest = np.isclose(spacing, spacing.max(), rtol=0.01)
    through = 2 if not longest.any() else int(np.argmin(np.where((size == 1) | longest, size, size.max() + 1)))
    return next(plane for plane in ANATOMICAL if source_axes(geometry, plane)[0][2] == through)


def foreground_extents(volume: Volume) -> list[tuple[int, int]]:
    """First and last (exclusive) voxel of the foreground along i, j, k; 0.2 % of it at each end is ignored."""
    try:
        above = volume.array_kji > foreground_threshold(volume)
    except InvalidVolumeError:
        return [(0, n) for n in volume.geometry.size_ijk]
    extents = []
    for axis in (2, 1, 0):
        share = np.cumsum(above.sum(axis=tuple(a for a in range(3) if a != axis)) / max(above.sum(), 1))
        extents.append((int(np.searchsorted(share, 0.002)), int(np.searchsorted(share, 0.998)) + 1))
    return extents


def direction_letters(direction_ras: npt.NDArray[np.float64]) -> str:
    """One letter for a direction along a patient axis, two where it lies between two axes."""
    order = np.argsort(-np.abs(direction_ras), kind="stable")
    named = [a for a in order[:2] if abs(direction_ras[a]) >= OBLIQUE_COSINE]
    return "".join(LETTERS[a][0 if direction_ras[a] >= 0 else 1] for a in named)


def _view(geometry: Geometry, plane: Plane, share: float, extents: list[tuple[int, int]]) -> SliceView:
    axes, signs = source_axes(geometry, plane)
    window: list[int] = []
    for axis, sign in zip(axes[:2], signs[:2], strict=True):
        size, margin = geometry.size_ijk[axis], int(np.ceil(MARGIN_MM / geometry.spacing_mm[axis]))
        low, high = max(extents[axis][0] - margin, 0), min(extents[axis][1] + margin, size)
        window += [low, high] if sign > 0 else [size - high, size - low]
    low, high = extents[axes[2]]
    along = share if signs[2] > 0 else 1 - share
    index = min(int(low + along * (high - low)), geometry.size_ijk[axes[2]] - 1)
    return SliceView(geometry, plane, index, (window[0], window[1], window[2], window[3]))
