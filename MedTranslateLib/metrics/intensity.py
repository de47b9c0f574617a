"""How close two slices are, with the definitions of the project written out: SSIM, PSNR, MAE in [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

FloatArray = npt.NDArray[np.floating]


@dataclass(frozen=True)
class SliceScore:
    """Similarity of one slice to its reference.

    Args:
        ssim: Structural similarity, Gaussian window of sigma 1.5, data range 1, mean over the whole slice.
        psnr_db: Peak signal-to-noise ratio in dB, data range 1.
        mae: Mean absolute error.
        ssim_body, psnr_body_db, mae_body: The same inside the body mask.
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
        body column averages the SSIM map over the mask, and takes the error inside the mask alone.
    """
    first, second = np.asarray(image, np.float64), np.asarray(reference, np.float64)
    mean, full = structural_similarity(
        first, second, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    error = first - second
    inside = body if body.any() else np.ones_like(body)
    return SliceScore(
        ssim=float(mean),
        psnr_db=float(peak_signal_noise_ratio(second, first, data_range=1.0)) if error.any() else float("inf"),
        mae=float(np.abs(error).mean()),
        ssim_body=float(full[inside].mean()),
        psnr_body_db=_psnr_db(error[inside]),
        mae_body=float(np.abs(error[inside]).mean()),
    )


def mutual_information(image: FloatArray, reference: FloatArray, bins: int = 64) -> float:
    """Mutual information of the intensities of two slices in 0..1, in nats, from their joint histogram."""
    counts, _, _ = np.histogram2d(np.ravel(image), np.ravel(reference), bins=bins, range=((0, 1), (0, 1)))
    joint = counts / counts.sum()
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / apart[seen])).sum())


def _psnr_db(error: FloatArray) -> float:
    mse = float(np.square(error).mean())
    return float("inf") if mse == 0 else float(-10 * np.log10(mse))
