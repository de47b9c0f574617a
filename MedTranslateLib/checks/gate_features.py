"""Slices of an image in, a few numbers out that say what kind of picture it is, whatever its scale.

All of them are shares, ratios or logarithms: they stay about the same where intensities are stretched by a factor. The
first ones describe the outline alone and do not depend on the contrast at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from MedTranslateLib.checks.gate_slices import Pictures

Picture = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
SHAPE_FEATURES = ("log_area", "log_aspect", "solidity")
"""Of the outline: area in square mm, height over width, share of the surrounding rectangle."""
LEVELS = ("q05", "q10", "q25", "q50", "q75", "q90", "q95")
PROFILE = ("rim1", "rim2", "rim3", "rim4", "rim5", "rim6")
"""Mean brightness by depth below the outline: skin, skull, and what lies within."""
INNER_LEVELS = ("inner02", "inner10", "inner25", "inner75", "inner90", "inner98")
INNER = (
    *("inner_level", "inner_slope", "inner_noise", "fine_skew", "fine_low", "fine_high", "fine_spread"),
    *("coarse_skew", "fine_coarse", "fine_depth"),
)
"""Of what lies deep within: which of its small structures are brighter than their surroundings."""
FEATURES = (
    *SHAPE_FEATURES,
    *LEVELS,
    *("dark", "entropy", "edges", "noise", "background"),
    *PROFILE,
    *INNER_LEVELS,
    *INNER,
)
DEPTHS = (0.0, 0.05, 0.1, 0.17, 0.3, 0.55, np.inf)
"""Bounds of the profile, over the radius of a disc of the same area."""
INNER_DEPTH = 0.2
FINE_MM, SURROUNDINGS_MM, COARSE_MM = (1.2, 4.0), 3.0, (3.0, 10.0)
TINY = 1e-3


@dataclass(frozen=True)
class Outline:
    """The body in one slice.

    Args:
        mask: Its pixels, filled.
        depth: Distance of each pixel from the outline, over the radius of a disc of the same area.
    """

    mask: Mask
    depth: npt.NDArray[np.float64]


def features_of(pictures: Pictures, outlines: Sequence[Outline]) -> npt.NDArray[np.float64]:
    """The features of an image: the median over its slices, in the order of `FEATURES`.

    Args:
        pictures: Slices of one image.
        outlines: The body in each.
    """
    rows = [
        picture_features(picture, outline, pictures.spacing_mm)
        for picture, outline in zip(pictures.slices, outlines, strict=True)
    ]
    return np.median([[row[name] for name in FEATURES] for row in rows], axis=0)


def picture_features(picture: Picture, outline: Outline, spacing_mm: float) -> Mapping[str, float]:
    """The features of one slice.

    Args:
        picture: Brightness in 0..1, shape (rows, columns).
        outline: The body in it.
        spacing_mm: Pixel spacing.
    """
    return {
        **_shape(outline, spacing_mm),
        **_levels(picture, outline),
        **_profile(picture, outline),
        **_inner(picture, outline, spacing_mm),
    }


def outline_of(picture: Picture) -> Outline:
    """The largest bright part of a slice, with its holes filled; the whole slice where there is none.

    Args:
        picture: Brightness in 0..1, shape (rows, columns).
    """
    smooth = np.sqrt(np.maximum(ndimage.gaussian_filter(picture, 1.5), 0))  # air and tissue apart, tissue and bone not
    labels, count = ndimage.label(smooth > _otsu(smooth))
    if not count:
        mask = np.ones(picture.shape, dtype=bool)
    else:
        largest = 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
        mask = ndimage.binary_fill_holes(labels == largest)
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return Outline(mask, depth / np.sqrt(mask.sum() / np.pi))


def _otsu(values: Picture) -> float:
    """Otsu's threshold over 128 bins (Otsu 1979)."""
    counts, edges = np.histogram(values, 128)
    centres = (edges[1:] + edges[:-1]) / 2
    below, moment = np.cumsum(counts), np.cumsum(counts * centres)
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (moment[-1] * below - moment * below[-1]) ** 2 / (below * above)
    return float(centres[int(np.argmax(np.nan_to_num(between[:-1], nan=-1.0, posinf=-1.0)))])


def _shape(outline: Outline, spacing_mm: float) -> Mapping[str, float]:
    rows, columns = np.nonzero(outline.mask)
    height, width = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
    area = len(rows)
    values = (np.log(area * spacing_mm**2), np.log(height / width), area / (height * width))
    return dict(zip(SHAPE_FEATURES, map(float, values), strict=True))


def _levels(picture: Picture, outline: Outline) -> Mapping[str, float]:
    within = picture[outline.mask]
    levels = np.quantile(within, [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95])
    share = np.histogram(within, 32, (0, 1))[0] / len(within)
    share = share[share > 0]
    core = ndimage.binary_erosion(outline.mask, iterations=3)
    core = core if core.any() else outline.mask
    rows, columns = np.gradient(ndimage.gaussian_filter(picture, 0.7))
    spread = float(within.std()) + TINY
    outside = picture[~outline.mask]
    return {
        **dict(zip(LEVELS, map(float, levels), strict=True)),
        "dark": float((within < levels[3] / 2).mean()),
        "entropy": float(-(share * np.log(share)).sum()),
        "edges": float(np.log(np.hypot(rows, columns)[core].mean() / spread + TINY)),
        "noise": float(np.log(np.abs(ndimage.laplace(picture))[core].mean() / spread + TINY)),
        "background": float(outside.mean()) if outside.size else 0.0,
    }


def _profile(picture: Picture, outline: Outline) -> Mapping[str, float]:
    typical = float(np.median(picture[outline.mask]))
    bins = np.digitize(outline.depth[outline.mask], DEPTHS, right=True) - 1
    count = np.bincount(bins, minlength=len(PROFILE))[: len(PROFILE)]
    total = np.bincount(bins, picture[outline.mask], minlength=len(PROFILE))[: len(PROFILE)]
    means = np.where(count > 0, total / np.maximum(count, 1), typical)
    return dict(zip(PROFILE, map(float, means), strict=True))


def _inner(picture: Picture, outline: Outline, spacing_mm: float) -> Mapping[str, float]:
    """Which structures deep within are bright: grey or white matter, fluid; extremes are cut off first."""
    deep = outline.depth > INNER_DEPTH
    deep = deep if deep.any() else outline.mask
    levels = np.quantile(picture[deep], [0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98]) + TINY
    spread = float(levels[5] - levels[1]) / 2.56 + TINY
    clipped = np.clip(picture, levels[0], levels[6])
    fine, coarse = (
        (_smooth(clipped, deep, low / spacing_mm) - _smooth(clipped, deep, high / spacing_mm))[deep] / spread
        for low, high in (FINE_MM, COARSE_MM)
    )
    depth = outline.depth[deep]
    ratios = np.log(np.delete(levels, 3) / levels[3])
    low, high = np.quantile(fine, [0.05, 0.95])
    values = (
        np.log(levels[3]),
        _slope(depth, clipped[deep]) / spread,
        np.log(np.abs(ndimage.laplace(clipped))[deep].mean() / spread + TINY),
        *(_skew(fine), low, high, np.log(fine.std() + TINY)),
        *(_skew(coarse), _correlation(fine, coarse), _correlation(depth, np.abs(fine))),
    )
    return dict(zip((*INNER_LEVELS, *INNER), map(float, (*ratios, *values)), strict=True))


def _smooth(picture: Picture, mask: Mask, sigma: float) -> Picture:
    """Gaussian mean over the pixels of the mask alone."""
    weights = mask.astype(np.float32)
    smooth: Picture = ndimage.gaussian_filter(picture * weights, sigma) / (
        ndimage.gaussian_filter(weights, sigma) + np.float32(TINY)
    )
    return smooth


def _skew(values: npt.NDArray[np.floating]) -> float:
    centred = values - values.mean()
    return float((centred**3).mean() / (centred.std() ** 3 + 1e-6))


def _correlation(one: npt.NDArray[np.floating], other: npt.NDArray[np.floating]) -> float:
    first, second = one - one.mean(), other - other.mean()
    return float((first * second).mean() / (first.std() * second.std() + 1e-9))


def _slope(x: npt.NDArray[np.floating], y: npt.NDArray[np.floating]) -> float:
    """Least-squares slope of y over x; 0 where x does not vary."""
    centred = x - x.mean()
    return float((centred * y).mean() / ((centred**2).mean() + 1e-9))
