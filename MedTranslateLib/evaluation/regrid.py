"""Slices on one slice grid in, the same slices on another grid of the same plane out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import affine_transform

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.training.cases import Slices


@dataclass(frozen=True)
class Regrid:
    """The way between two slice grids of one case.

    Args:
        source: Grid that slices are on.
        target: Grid they are wanted on; the slices themselves lie in the same places.
    """

    source: Geometry
    target: Geometry

    def __post_init__(self) -> None:
        """Refuses grids whose slices are not the same."""
        between = self._target_to_source()
        slices_stay = np.allclose(between[2], (0, 0, 1, 0), atol=1e-3) and np.allclose(between[:2, 2], 0, atol=1e-3)
        if not slices_stay or self.source.size_ijk[2] != self.target.size_ijk[2]:
            msg = "The slices of both grids do not lie in the same planes; compare these bundles in separate tables."
            raise ConfigError(msg)

    def __call__(self, slices: Slices, outside: float) -> Slices:
        """Linear interpolation within each slice.

        Args:
            slices: (N, H, W) on `source`.
            outside: Value beyond it.

        Returns:
            (N, H', W') on `target`.
        """
        between = self._target_to_source()
        matrix, offset = between[1::-1, 1::-1], between[1::-1, 3]  # rows (j) before columns (i)
        width, height = self.target.size_ijk[:2]
        moved = [
            affine_transform(
                one.astype(np.float64), matrix, offset, (height, width), order=1, mode="constant", cval=outside
            )
            for one in slices
        ]
        return np.asarray(moved, np.float32)

    def _target_to_source(self) -> npt.NDArray[np.float64]:
        between = np.linalg.inv(self.source.ijk_to_ras) @ self.target.ijk_to_ras
        return np.asarray(between, np.float64)
