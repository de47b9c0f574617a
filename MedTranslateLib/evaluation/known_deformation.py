"""Two domains with a known deformation between them in, how well a method recovers it out (a check of made-up fields).

Target slices are heads as they are; source slices are such heads pushed through a map that is known: one fixed zoom,
one fixed bend, and a random smooth part of each case. Both show one modality, so that nothing else distinguishes them.
A field that is predicted from the source alone can undo what distinguishes the domains; the random part it can only
guess, which sets the floor. Every head is first brought to one outline size, so that its own size counts neither as
known nor as random.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, map_coordinates

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.metrics.body import body_mask
from MedTranslateLib.training.cases import Slices, TrainingCase

Floats = npt.NDArray[np.float64]
INVERSE_ITERATIONS = 60
OUTLINE_SHARE = 0.8
"""Share of the slice that the longer side of every head's outline fills."""


@dataclass(frozen=True)
class KnownDeformation:
    """The map phi from a point of the output to the point of the source it came from, in pixels.

    Args:
        zoom: Factor of the source's size about the middle of the slice.
        bend_px: Largest sideways displacement; a half wave over the rows.
        random_px: Largest displacement of the random part of a case.
        random_smoothness_px: Standard deviation of the Gaussian that makes it smooth.
    """

    zoom: float = 0.85
    bend_px: float = 8.0
    random_px: float = 2.0
    random_smoothness_px: float = 14.0

    def systematic(self, size: tuple[int, int]) -> Floats:
        """Displacement (2, H, W) that all cases share: zoom about the middle, then bend."""
        rows, columns = np.mgrid[: size[0], : size[1]].astype(np.float64)
        up, across = rows - (size[0] - 1) / 2, columns - (size[1] - 1) / 2
        bend = self.bend_px * np.cos(np.pi * up / size[0])
        return np.stack([(self.zoom - 1) * up, (self.zoom - 1) * across + bend])

    def of_case(self, size: tuple[int, int], rng: np.random.Generator) -> Floats:
        """The systematic displacement followed by a random one."""
        systematic = self.systematic(size)
        noise = np.stack([gaussian_filter(rng.normal(size=size), self.random_smoothness_px) for _ in range(2)])
        noise *= self.random_px / np.linalg.norm(noise, axis=0).max()
        return systematic + np.stack([read_at(part, systematic) for part in noise])


@dataclass(frozen=True)
class DeformedCase:
    """One patient of the source domain.

    Args:
        case: The slices: the source deformed, no target.
        displacement: The known phi - id, (2, H, W) in pixels.
        body: (H, W), True inside the head, in the output's frame.
    """

    case: TrainingCase
    displacement: Floats
    body: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Recovery:
    """Means inside the body over all cases, in pixels.

    Args:
        cases: Number of cases.
        known_px: Length of the known displacement.
        error_px: Distance of the recovered from the known position.
        floor_px: Length of the random part: the error of one who knows the domains perfectly.
        pixel_mm: Size of a pixel.
    """

    cases: int
    known_px: float
    error_px: float
    floor_px: float
    pixel_mm: float

    @property
    def reached(self) -> bool:
        """At most a third of the known displacement, and at most 1 px above the floor."""
        return self.error_px <= self.known_px / 3 and self.error_px <= self.floor_px + 1


def read_at(image: Floats, displacement: Floats) -> Floats:
    """The image at p + displacement(p), linear; beyond the border its nearest value."""
    grid = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.asarray(map_coordinates(image, grid + displacement, order=1, mode="nearest"))


def inverse_of(displacement: Floats) -> Floats:
    """Fixed-point inverse (Chen et al. 2008); the maps here stretch by far less than 1 px a px."""
    inverse = -displacement
    for _ in range(INVERSE_ITERATIONS):
        inverse = -np.stack([read_at(part, inverse) for part in displacement])
    return inverse


def to_one_outline(image: Floats) -> Floats:
    """Scales and shifts a slice (H, W) in [-1, 1] so that the head's outline fills its middle."""
    body = body_mask((image + 1) / 2, (image + 1) / 2)
    size = np.array(body.shape)
    places = np.argwhere(body)
    low, high = places.min(axis=0), places.max(axis=0)
    factor = (high - low + 1) / (OUTLINE_SHARE * size * np.array([1.0, 0.8]))
    grid = np.moveaxis(np.mgrid[: size[0], : size[1]], 0, -1)
    points = (grid - (size - 1) / 2) * factor + (low + high) / 2
    return np.asarray(map_coordinates(image, np.moveaxis(points, -1, 0), order=1, cval=-1.0))


def deformed_cases(
    cases: Sequence[TrainingCase], known: KnownDeformation, rng: np.random.Generator
) -> Iterator[DeformedCase]:
    """The middle source slice of each case, deformed."""
    for case in cases:
        head = _middle_slice(case)
        displacement = known.of_case(head.shape, rng)
        deformed = read_at(head + 1, inverse_of(displacement)) - 1
        body = body_mask((head + 1) / 2, (head + 1) / 2)
        yield DeformedCase(TrainingCase(case.name, _stack(deformed), None, paired=False), displacement, body)


def target_cases(cases: Sequence[TrainingCase]) -> Iterator[TrainingCase]:
    """The middle source slice of each case as it is: the target domain."""
    for case in cases:
        yield TrainingCase(case.name, None, _stack(_middle_slice(case)), paired=False)


def score_recovery(
    cases: Sequence[DeformedCase], recovered: Sequence[Floats], known: KnownDeformation, pixel_mm: float
) -> Recovery:
    """Compares recovered displacements, (2, H, W) each in pixels, with the known ones inside the body."""
    rows = []
    for case, displacement in zip(cases, recovered, strict=True):
        systematic = known.systematic(case.body.shape)
        lengths = [case.displacement, displacement - case.displacement, case.displacement - systematic]
        rows.append([np.linalg.norm(length, axis=0)[case.body].mean() for length in lengths])
    known_px, error_px, floor_px = np.mean(rows, axis=0).tolist()
    return Recovery(len(rows), known_px, error_px, floor_px, pixel_mm)


def _middle_slice(case: TrainingCase) -> Floats:
    if case.source is None:
        msg = f"Case {case.name} has no source slices to make the domains from."
        raise ConfigError(msg)
    return to_one_outline(case.source[len(case.source) // 2].astype(np.float64))


def _stack(image: Floats) -> Slices:
    return image[None].astype(np.float32)
