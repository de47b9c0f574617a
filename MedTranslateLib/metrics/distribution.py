"""Two sets of slices in, as features or as pixels, and how far their distributions lie apart out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.linalg import qr, svdvals

from MedTranslateLib.core.errors import InvalidVolumeError

FloatArray = npt.NDArray[np.floating]
Floats = npt.NDArray[np.float64]
HISTOGRAM_BINS = 256


def frechet_distance(first: FloatArray, second: FloatArray) -> float:
    """Squared Frechet distance of the Gaussians with the means and covariances of two sets of features.

    |m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2)), Dowson and Landau 1982. Heusel et al. 2017, Eq. 6, call it FID where
    the features are those of their Inception network, and only then may it be called so.

    With C = A A^T the trace of the root is the sum of the singular values of A1^T A2, so nothing is inverted and no
    root of a singular matrix is taken: sets smaller than the number of features are exact too. Small sets do bias the
    distance upwards: compare figures of sets of equal sizes only.

    Args:
        first: (N, D) features of one set.
        second: (M, D) features of the other.

    Returns:
        At least 0; NaN where a set has fewer than two members, whose covariance is not defined.

    Raises:
        InvalidVolumeError: If the sets do not have the same number of features, or one is not finite.
    """
    one, other = _checked(first, second)
    if min(len(one), len(other)) < 2:
        return float("nan")
    root_1, root_2 = _covariance_root(one), _covariance_root(other)
    shared = float(svdvals(root_1 @ root_2.T).sum())
    spreads = float(np.square(root_1).sum() + np.square(root_2).sum())
    return max(_mean_shift(one, other) + spreads - 2 * shared, 0.0)


def simplified_frechet_distance(first: FloatArray, second: FloatArray) -> float:
    """Frechet distance of Gaussians without correlations: sum of (m1 - m2)^2 + (s1 - s2)^2 over the features.

    m and s are mean and standard deviation (ddof 1) of each feature: the covariances of `frechet_distance` with all
    that lies off the diagonal left out. Kim et al. 2020 (Sensors 20(6), 1548) introduce the simplified Frechet distance
    because of the cost of the covariance term; the wording of their equation could not be checked against the paper,
    so figures that cite it need not be comparable with these.

    Args:
        first: (N, D) features of one set.
        second: (M, D) features of the other.

    Returns:
        At least 0, at most `frechet_distance`; NaN where a set has fewer than two members.

    Raises:
        InvalidVolumeError: If the sets do not have the same number of features, or one is not finite.
    """
    one, other = _checked(first, second)
    if min(len(one), len(other)) < 2:
        return float("nan")
    return _mean_shift(one, other) + float(np.square(one.std(axis=0, ddof=1) - other.std(axis=0, ddof=1)).sum())


def bhattacharyya_distance(first: FloatArray, second: FloatArray, bins: int = HISTOGRAM_BINS) -> float:
    """Distance of the intensity distributions of two sets of slices; see `histogram_distance`.

    Args:
        first: Any shape, in 0..1.
        second: Any shape, in 0..1.
        bins: See `intensity_histogram`.

    Returns:
        0 (equal histograms) to infinity (no bin in common); NaN where a set has no pixels.

    Raises:
        InvalidVolumeError: If a value is not finite.
    """
    return histogram_distance(intensity_histogram(first, bins), intensity_histogram(second, bins))


def histogram_distance(first: FloatArray, second: FloatArray) -> float:
    """-ln sum sqrt(p q) of two histograms, Bhattacharyya 1943.

    Args:
        first: (bins,) counts of one set; p is their share.
        second: (bins,) counts of the other; q is their share.

    Returns:
        0 (equal histograms) to infinity (no bin in common); NaN where a set has no pixels.
    """
    pixels = float(np.sum(first)), float(np.sum(second))
    if not all(pixels):
        return float("nan")
    overlap = float(np.sqrt(np.asarray(first) / pixels[0] * (np.asarray(second) / pixels[1])).sum())
    return max(-float(np.log(overlap)), 0.0) if overlap > 0 else float("inf")


def intensity_histogram(values: FloatArray, bins: int = HISTOGRAM_BINS) -> Floats:
    """Number of pixels in each of the equal bins that divide 0..1, background included; (bins,).

    Args:
        values: Any shape, in 0..1; values outside count in the outermost bins.
        bins: Number of bins.

    Raises:
        InvalidVolumeError: If a value is not finite.
    """
    flat = np.ravel(values)
    if not np.isfinite(flat).all():
        msg = "A pixel is not finite; intensity distributions need finite slices in 0..1."
        raise InvalidVolumeError(msg)
    counts, _ = np.histogram(np.clip(flat, 0, 1), bins=bins, range=(0, 1))
    return counts.astype(np.float64)


def _checked(first: FloatArray, second: FloatArray) -> tuple[Floats, Floats]:
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if one.ndim != 2 or other.ndim != 2 or one.shape[1] != other.shape[1]:
        msg = f"Two sets of features must have the shapes (N, D) and (M, D), got {one.shape} and {other.shape}."
        raise InvalidVolumeError(msg)
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        msg = "A feature is not finite; look for NaN in the slices that it was taken from."
        raise InvalidVolumeError(msg)
    return one, other


def _mean_shift(one: Floats, other: Floats) -> float:
    return float(np.square(one.mean(axis=0) - other.mean(axis=0)).sum())


def _covariance_root(features: Floats) -> Floats:
    """B (min(N, D), D) with B^T B the covariance (ddof 1) of the features (N, D)."""
    centred = features - features.mean(axis=0)
    return np.asarray(qr(centred, mode="r")[0][: min(centred.shape)] / np.sqrt(len(features) - 1))
