"""A number in, a pair of head-like volumes of two contrasts out, always the same: data where there are no patients."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.phantom import head_phantom

SIZE_IJK = (88, 104, 6)
SPACING_MM = (2.2, 2.2, 7.0)
TILT_DEG, ZOOM = 6.0, 0.08
"""Largest tilt of a head about each axis, and its largest difference in size."""
CONTRAST = ((0.0, 0.0), (120.0, 30.0), (350.0, 800.0), (700.0, 450.0), (950.0, 150.0))
"""Brightness of the other contrast at some brightnesses of the first, linear between them."""


def generated_pair(number: int) -> tuple[Volume, Volume]:
    """A head of its own pose and size, and the same head in another contrast.

    Args:
        number: Names the head; equal numbers give equal volumes.

    Returns:
        Source and target on one oblique grid, about 0 to 900.
    """
    chance = np.random.default_rng(number)
    geometry = _geometry(chance)
    source = head_phantom(geometry, f"generated-{number:02d}")
    known, wanted = zip(*CONTRAST, strict=True)
    return source, source.with_array(np.interp(source.array_kji, known, wanted).astype(np.float32))


def _geometry(chance: np.random.Generator) -> Geometry:
    """A grid about the origin, turned against the head and as much coarser as the head shall be smaller."""
    turn = Rotation.from_euler("xyz", chance.uniform(-TILT_DEG, TILT_DEG, 3), degrees=True).as_matrix()
    zoom = 1 + chance.uniform(-ZOOM, ZOOM)
    matrix: npt.NDArray[np.float64] = np.eye(4)
    matrix[:3, :3] = turn @ np.diag(SPACING_MM) * zoom
    matrix[:3, 3] = -matrix[:3, :3] @ ((np.array(SIZE_IJK) - 1) / 2)
    return Geometry(SIZE_IJK, matrix)
