"""A size and a geometry in, a smooth head-like phantom out: for benchmarks and for tests that need no patient."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from MedTranslateLib.core.volume import Geometry, Volume

# centre and half axes in mm from the middle of the volume (R, A, S), brightness
ELLIPSOIDS = (
    ((0.0, 0.0, 0.0), (72.0, 92.0, 80.0), 0.9),
    ((0.0, 0.0, 0.0), (66.0, 86.0, 74.0), -0.7),
    ((0.0, -2.0, 2.0), (60.0, 78.0, 66.0), 0.5),
    ((24.0, 10.0, 5.0), (9.0, 24.0, 14.0), -0.35),
    ((-22.0, 14.0, 8.0), (8.0, 20.0, 12.0), -0.3),
    ((10.0, -40.0, -15.0), (18.0, 14.0, 16.0), 0.25),
)
EDGE_MM = 4.0


def head_phantom(geometry: Geometry, name: str = "phantom") -> Volume:
    """Sum of smooth-edged ellipsoids of different sizes, so left, right, front and back all differ.

    Args:
        geometry: Grid of the volume; the phantom lies around its middle, upright in RAS.
        name: Name of the volume.

    Returns:
        Intensities from 0 to about 900, edges about `EDGE_MM` wide.
    """
    k, j, i = np.meshgrid(*(np.arange(n) for n in geometry.shape_kji), indexing="ij", sparse=True)
    middle = geometry.ras_from_ijk((np.array(geometry.size_ijk) - 1) / 2)
    matrix = geometry.ijk_to_ras
    place = [matrix[r, 0] * i + matrix[r, 1] * j + matrix[r, 2] * k + matrix[r, 3] - middle[r] for r in range(3)]
    total = np.zeros(geometry.shape_kji)
    for centre, half, brightness in ELLIPSOIDS:
        total += brightness * _soft_ellipsoid(place, centre, half)
    return Volume((1000 * total).astype(np.float32), geometry, name, "MR")


def _soft_ellipsoid(
    place: list[npt.NDArray[np.float64]], centre: tuple[float, float, float], half: tuple[float, float, float]
) -> npt.NDArray[np.float64]:
    radius = np.sqrt(sum(((p - c) / h) ** 2 for p, c, h in zip(place, centre, half, strict=True)))
    distance_mm = (radius - 1) * min(half)
    return np.asarray(1 / (1 + np.exp(distance_mm * (4 / EDGE_MM))))
