"""Heads of three tissues in two contrasts, on an oblique and anisotropic grid, with a ball in one side where wanted."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from MedTranslateLib.core.correspondence import Correspondence
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.trust.ledger_grid import LedgerImages

TURN = np.deg2rad(20.0)
COLUMNS, ROWS, SLICES = 1.1, 1.3, 4.0
OBLIQUE = Geometry(
    (90, 72, 7),
    np.array(
        [
            [-COLUMNS * np.cos(TURN), ROWS * np.sin(TURN), 0.0, 55.0],
            [-COLUMNS * np.sin(TURN), -ROWS * np.cos(TURN), 0.0, 61.0],
            [0.0, 0.0, SLICES, -17.0],
            [0.0, 0.0, 0.0, 1.0],
        ]
    ),
)
IN_SOURCE = np.array([-0.4, 0.1, 0.6], dtype=np.float32)
IN_OUTPUT = np.array([0.7, 0.0, -0.5], dtype=np.float32)
"""The contrast of the output is inverted, and not linear in that of the source."""


def head(geometry: Geometry = OBLIQUE, seed: int = 3, noise: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Source and output, float32 in [-1, 1]: the same tissues in both, the background at -1."""
    rng = np.random.default_rng(seed)
    count, height, width = geometry.shape_kji
    field = ndimage.gaussian_filter(rng.normal(size=geometry.shape_kji), (1, 6, 6))
    tissue = np.digitize(field, np.quantile(field, [0.33, 0.67]))
    rows, columns = np.mgrid[:height, :width]
    inside = ((rows - height / 2) / (0.45 * height)) ** 2 + ((columns - width / 2) / (0.45 * width)) ** 2 < 1
    inside = np.broadcast_to(inside, (count, height, width))
    images = [values[tissue] + noise * rng.normal(size=tissue.shape) for values in (IN_SOURCE, IN_OUTPUT)]
    source, output = (np.where(inside, image, -1).clip(-1, 1).astype(np.float32) for image in images)
    return source, output


def ball(centre_ijk: tuple[float, float, float], diameter_mm: float, geometry: Geometry = OBLIQUE) -> np.ndarray:
    """True within half the diameter of the centre, by distances in RAS mm."""
    k, j, i = np.indices(geometry.shape_kji)
    points = geometry.ras_from_ijk(np.stack([i, j, k], axis=-1))
    return np.linalg.norm(points - geometry.ras_from_ijk(centre_ijk), axis=-1) <= diameter_mm / 2


def images_of(source: np.ndarray, output: np.ndarray, geometry: Geometry = OBLIQUE, **more) -> LedgerImages:
    """Both on one grid; every point stays in its place unless `correspondence` says otherwise."""
    more.setdefault("correspondence", Correspondence.identity(geometry))
    return LedgerImages(source, output, geometry, **more)
