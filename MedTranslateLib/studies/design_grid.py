"""The one grid and the one rule for grey levels that every image of a study goes through, real or synthetic."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from MedTranslateLib.core.errors import StudyError


class GridAxes(str, Enum):
    """Along what the study's grid lies: the patient's axes, or each image's own (for planes that follow an organ)."""

    PATIENT = "patient"
    ACQUIRED = "acquired"


class Scaling(str, Enum):
    """How intensities become grey levels: between percentiles of each image, or between two fixed values (HU)."""

    PERCENTILES = "percentiles"
    VALUES = "values"


@dataclass(frozen=True)
class StudyGrid:
    """The one grid that every image of the study is resampled to.

    Args:
        size_ijk: Voxels from right to left, front to back, and feet to head.
        spacing_mm: Their distance along the same axes; no finer than what the bundles work on.
        axes: Along what the grid lies. With `acquired`, columns, rows and slices are those of each image.

    Raises:
        StudyError: If a size is below 1, or a spacing is not positive.
    """

    size_ijk: tuple[int, int, int] = (192, 224, 160)
    spacing_mm: tuple[float, float, float] = (1.25, 1.25, 1.25)
    axes: GridAxes = GridAxes.PATIENT

    def __post_init__(self) -> None:
        """Checks."""
        if min(self.size_ijk) < 1 or not min(self.spacing_mm) > 0:
            msg = f"grid: expected sizes of 1 or more and positive spacings, got {self.size_ijk}, {self.spacing_mm} mm."
            raise StudyError(msg)


@dataclass(frozen=True)
class Intensity:
    """The one rule that turns the intensities of every image into grey levels.

    Args:
        scaling: Whether `low` and `high` are percentiles of the foreground of each image, or intensities (HU).
        low: What becomes the darkest level.
        high: What becomes the brightest level.
        blur_mm: Standard deviation of a blur that takes away what interpolation did to some of the images.
        cut_background: Whether all that lies outside of the body becomes the darkest level.

    Raises:
        StudyError: If `low` is not below `high`, or the blur is negative.
    """

    scaling: Scaling = Scaling.PERCENTILES
    low: float = 0.5
    high: float = 99.5
    blur_mm: float = 0.5
    cut_background: bool = True

    def __post_init__(self) -> None:
        """Checks."""
        percent = self.scaling is Scaling.VALUES or (self.low >= 0 and self.high <= 100)
        if not self.low < self.high or not percent or not self.blur_mm >= 0:
            msg = f"intensity: expected low < high (percentiles in 0..100) and blur_mm >= 0, got {self!r}."
            raise StudyError(msg)
