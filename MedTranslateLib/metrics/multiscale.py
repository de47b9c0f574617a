"""Two slices in, their similarity over several scales out (multi-scale SSIM)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter
from skimage.transform import downscale_local_mean

FloatArray = npt.NDArray[np.floating]
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales, Wang et al. 2003, Section 3.2."""
WINDOW, SIGMA = 11, 1.5


def ms_ssim(image: FloatArray, reference: FloatArray, data_range: float = 1.0) -> float:
    """Multi-scale structural similarity, Wang, Simoncelli and Bovik 2003, Eq. 7.

    Each scale has half the size of the one before, by means of 2 x 2 pixels. The contrast and structure terms of all
    scales and the luminance term of the coarsest are averaged over the places where the window of 11 x 11 pixels
    (Gaussian, sigma 1.5) fits in, and multiplied with the weights of the paper as exponents.

    Args:
        image: (H, W), both at least 11.
        reference: (H, W).
        data_range: Largest less smallest possible value.

    Returns:
        At most 1. Slices of fewer than 176 pixels a side have room for fewer than five scales: as many as fit are used,
        with their weights divided by their sum. A term below zero counts as zero, as its power is not defined.
    """
    first: FloatArray = np.asarray(image, np.float64)
    second: FloatArray = np.asarray(reference, np.float64)
    scales = min(len(WEIGHTS), int(np.log2(min(first.shape) / WINDOW)) + 1)
    product = 1.0
    for number in range(scales):
        ssim, structure = _similarity(first, second, data_range)
        term = ssim if number == scales - 1 else structure
        product *= max(term, 0.0) ** (WEIGHTS[number] / sum(WEIGHTS[:scales]))
        first, second = _halved(first), _halved(second)
    return product


def _similarity(first: FloatArray, second: FloatArray, data_range: float) -> tuple[float, float]:
    """Means of both factors of Wang et al. 2004, Eq. 13, and of the second one; K1 = 0.01, K2 = 0.03."""
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mean_1, mean_2 = _smoothed(first), _smoothed(second)
    variances = _smoothed(first * first) - mean_1**2 + _smoothed(second * second) - mean_2**2
    covariance = _smoothed(first * second) - mean_1 * mean_2
    structure = (2 * covariance + c2) / (variances + c2)
    luminance = (2 * mean_1 * mean_2 + c1) / (mean_1**2 + mean_2**2 + c1)
    return float((luminance * structure).mean()), float(structure.mean())


def _smoothed(image: FloatArray) -> FloatArray:
    """Gaussian means where the whole window lies in the image."""
    margin = WINDOW // 2
    return np.asarray(gaussian_filter(image, SIGMA, radius=margin)[margin:-margin, margin:-margin])


def _halved(image: FloatArray) -> FloatArray:
    """Means of 2 x 2 pixels; an odd last row or column is dropped."""
    rows, columns = (size // 2 * 2 for size in image.shape)
    return np.asarray(downscale_local_mean(image[:rows, :columns], (2, 2)))
