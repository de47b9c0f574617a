"""How close two slices are, with the definitions of the project written out: SSIM, PSNR, MAE, mutual information."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import entropy
from skimage.metrics import structural_similarity

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.metrics.averages import average

FloatArray = npt.NDArray[np.floating]


@dataclass(frozen=True)
class SliceScore:
    """Similarity of one slice to its reference.

    Args:
        ssim: Structural similarity, Gaussian window of sigma 1.5, data range 1, mean over the whole slice but for the
            border of 5 pixels that the window does not fit in.
        psnr_db: Peak signal-to-noise ratio in dB, data range 1; infinite for equal images.
        mae: Mean absolute error.
        ssim_body, psnr_body_db, mae_body: The same inside the body mask; NaN, not defined, where that is empty.
    """

    ssim: float
    psnr_db: float
    mae: float
    ssim_body: float
    psnr_body_db: float
    mae_body: float


def score_slice(image: FloatArray, reference: FloatArray, body: npt.NDArray[np.bool_]) -> SliceScore:
    """Compares a slice with its reference.

    Args:
        image: (H, W) in 0..1.
        reference: (H, W) in 0..1.
        body: (H, W), True inside the patient.

    Returns:
        SSIM after Wang et al. 2004, computed by scikit-image with Gaussian weights and population covariance; the
        body column averages the SSIM map over the mask, and takes the error inside the mask alone. Without a body
        the body columns are NaN; see `metrics.averages`.
    """
    first, second = np.asarray(image, np.float64), np.asarray(reference, np.float64)
    mean, full = _ssim(first, second)
    error = first - second
    return SliceScore(
        ssim=mean,
        psnr_db=_psnr_db(error),
        mae=float(np.abs(error).mean()),
        ssim_body=average(full[body]),
        psnr_body_db=_psnr_db(error[body]),
        mae_body=average(np.abs(error[body])),
    )


def ssim(image: FloatArray, reference: FloatArray) -> float:
    """Structural similarity of two slices (H, W) in 0..1, as in `SliceScore`."""
    return _ssim(np.asarray(image, np.float64), np.asarray(reference, np.float64))[0]


def mae_hu(mae: float, range_hu: tuple[float, float]) -> float:
    """Mean absolute error in Hounsfield units, of one that was taken on images in 0..1.

    Args:
        mae: Mean absolute error, or any other mean difference, in 0..1.
        range_hu: What 0 and 1 stand for, in HU. What the scale clips is lost: HU beyond the range count as its ends.

    Raises:
        ConfigError: If the range does not rise.
    """
    low, high = range_hu
    if not low < high:
        msg = f"The HU range must rise, got {low:g} to {high:g}; give (lowest, highest) of the intensity scale."
        raise ConfigError(msg)
    return mae * (high - low)


def mutual_information(image: FloatArray, reference: FloatArray, bins: int = 64) -> float:
    """Mutual information of the intensities of two slices in 0..1, in nats, from their joint histogram."""
    joint = _joint_histogram(image, reference, bins)
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / apart[seen])).sum())


def normalised_mutual_information(image: FloatArray, reference: FloatArray, bins: int = 64) -> float:
    """Normalised mutual information (H1 + H2) / H12 of two slices in 0..1, Studholme et al. 1999.

    The form of scikit-image's `normalized_mutual_information`, which however takes its bins from the range of each
    image; here they divide 0..1, as for `mutual_information`.

    Returns:
        1 (independent) to 2 (each determines the other); NaN where each slice has one shade only.
    """
    joint = _joint_histogram(image, reference, bins)
    together = float(entropy(joint, axis=None))
    if together == 0:
        return float("nan")
    return float(entropy(joint.sum(axis=1)) + entropy(joint.sum(axis=0))) / together


def _joint_histogram(image: FloatArray, reference: FloatArray, bins: int) -> npt.NDArray[np.float64]:
    counts, _, _ = np.histogram2d(np.ravel(image), np.ravel(reference), bins=bins, range=((0, 1), (0, 1)))
    return np.asarray(counts / counts.sum())


def _ssim(first: FloatArray, second: FloatArray) -> tuple[float, FloatArray]:
    """The mean and the map (H, W)."""
    mean, full = structural_similarity(
        first, second, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    return float(mean), np.asarray(full)


def _psnr_db(error: FloatArray) -> float:
    """NaN of no pixels, infinite of no error."""
    mse = average(np.square(error).ravel())
    return float("inf") if mse == 0 else float(-10 * np.log10(mse))
