"""Source and output on one grid in, how much of either the other does not explain out, place by place, by scale.

Both images may have any contrast, also an inverted one: what counts is whether equal looks on one side go with equal
looks on the other. A look is a pair of grey values, of the place and of its surroundings. For each look mean and
spread of the other image are taken over all places of the volume that look so; what lies far from that mean, over a
whole neighbourhood, is not explained. This is the residual of the correlation ratio (Roche et al. 1998, MICCAI), made
local.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from MedTranslateLib.core.ledger import LedgerSide
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.trust.ledger_grid import Coarse

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
LOOKS = 32
"""Grey values are told apart in so many steps from -1 to 1."""
SURROUNDINGS_MM = 6.0
BODY_MM = 3.0
BODY_ABOVE = -0.85
"""A place belongs to the body where either image, smoothed by `BODY_MM`, is brighter; -1 is the background."""
LEAST_SPREAD = 0.02
"""Differences of a hundredth of the range are noise, however well the images fit."""
FEWEST_PLACES = 64
"""Fewer places do not say which looks go together."""


@dataclass(frozen=True)
class Evidence:
    """What the regions of a ledger are made from.

    Args:
        geometry: Grid of all arrays, (slices, rows, columns).
        images: Both images in [-1, 1], the source carried to the output's frame.
        body: True inside the body, where the model saw the source.
        scores: For each side (scales, slices, rows, columns): what the other side leaves unexplained, averaged at
            that scale, in units of the usual spread; 0 or above.
    """

    geometry: Geometry
    images: dict[LedgerSide, Array]
    body: Mask
    scores: dict[LedgerSide, Array]


def evidence_of(images: Coarse, scales_mm: tuple[float, ...]) -> Evidence:
    """Compares both sides.

    Args:
        images: Source, output and, where there is one, reconstruction on one grid.
        scales_mm: Standard deviations in mm, in the plane of the slices.
    """
    body = _body(images)
    of_source = _at_scales(_unexplained(images.source, images.output, body, images), scales_mm, images)
    of_output = _at_scales(_unexplained(images.output, images.source, body, images), scales_mm, images)
    if images.back is not None:
        lost = _at_scales(_unexplained(images.source, images.back, body, images), scales_mm, images)
        np.multiply(of_source, lost, out=of_source)
        np.sqrt(np.maximum(of_source, 0, out=of_source), out=of_source)
    scores = {LedgerSide.SOURCE: np.abs(of_source), LedgerSide.OUTPUT: np.abs(of_output)}
    return Evidence(images.geometry, {LedgerSide.SOURCE: images.source, LedgerSide.OUTPUT: images.output}, body, scores)


def smoothed(array: Array, sigma_mm: float, geometry: Geometry) -> Array:
    """Gaussian within each slice; slices may be far apart, and the thresholds hold whatever their distance."""
    columns, rows, _ = geometry.spacing_mm
    sigma = (0.0, sigma_mm / rows, sigma_mm / columns)
    return np.asarray(ndimage.gaussian_filter(array, sigma, mode="nearest", truncate=3.0), dtype=np.float32)


def _body(images: Coarse) -> Mask:
    brighter = smoothed(np.maximum(images.source, images.output), BODY_MM, images.geometry)
    filled = np.stack([ndimage.binary_fill_holes(part) for part in brighter > BODY_ABOVE])
    return np.asarray(filled & images.valid, dtype=bool)


def _unexplained(image: Array, given: Array, body: Mask, images: Coarse) -> Array:
    """How far `image` lies from its mean where `given` looks alike, in units of its spread there; 0 outside."""
    result = np.zeros_like(image)
    if body.sum() < FEWEST_PLACES:
        return result
    looks = _steps(given) * LOOKS + _steps(smoothed(given, SURROUNDINGS_MM, images.geometry))
    there, values = looks[body], image[body].astype(np.float64)
    count, total, squares = (_sums(there, weights) for weights in (None, values, values**2))
    mean = total / np.maximum(count, 1e-9)
    spread = np.sqrt(np.maximum(squares / np.maximum(count, 1e-9) - mean**2, 0) + LEAST_SPREAD**2)
    result[body] = (values - mean[there]) / spread[there]
    return result


def _steps(image: Array) -> npt.NDArray[np.intp]:
    return np.clip((image + 1) * (LOOKS / 2), 0, LOOKS - 1).astype(np.intp)


def _sums(looks: npt.NDArray[np.intp], weights: npt.NDArray[np.float64] | None) -> npt.NDArray[np.float64]:
    """Sum of the weights a look, shared with neighbouring looks, so that rare ones do not explain themselves."""
    table = np.bincount(looks, weights, minlength=LOOKS * LOOKS).astype(np.float64)
    return np.asarray(ndimage.gaussian_filter(table.reshape(LOOKS, LOOKS), 1.0, mode="constant").ravel())


def _at_scales(residual: Array, scales_mm: tuple[float, ...], images: Coarse) -> Array:
    return np.stack([smoothed(residual, scale, images.geometry) for scale in scales_mm])
