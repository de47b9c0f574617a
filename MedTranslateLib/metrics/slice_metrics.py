"""A translated slice, its target and its source in, every figure of a pair of slices by its name out."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import numpy.typing as npt

from MedTranslateLib.core.errors import InvalidVolumeError
from MedTranslateLib.metrics.intensity import mutual_information, normalised_mutual_information, score_slice, ssim
from MedTranslateLib.metrics.multiscale import WINDOW, ms_ssim

FloatArray = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]


def slice_metrics(image: FloatArray, reference: FloatArray, source: FloatArray, body: Mask) -> dict[str, float]:
    """Compares a translated slice with its target and its source.

    Args:
        image: The translation, (H, W) in 0..1, both at least 11.
        reference: The true target, (H, W) in 0..1.
        source: What was translated, (H, W) in 0..1.
        body: (H, W), True inside the patient.

    Returns:
        `ssim`, `psnr_db`, `mae` and `ssim_body`, `psnr_body_db`, `mae_body` of `score_slice`, `ssim_source` (to the
        source), `ms_ssim`, `mse`, `mi_nats` and `nmi` (64 x 64 bins). NaN means not defined: the body columns where
        `body` is empty, `nmi` where both slices have one shade only. PSNR of equal slices is infinite. Means over
        slices: `metrics.averages`.

    Raises:
        InvalidVolumeError: If the shapes differ, are too small for the window of SSIM, or a value is not finite.
    """
    _check(image, reference, source, body)
    first, second = np.asarray(image, np.float64), np.asarray(reference, np.float64)
    return {
        **asdict(score_slice(first, second, np.asarray(body, bool))),
        "ssim_source": ssim(first, source),
        "ms_ssim": ms_ssim(first, second),
        "mse": float(np.square(first - second).mean()),
        "mi_nats": mutual_information(first, second),
        "nmi": normalised_mutual_information(first, second),
    }


def _check(image: FloatArray, reference: FloatArray, source: FloatArray, body: Mask) -> None:
    shapes = [np.shape(array) for array in (image, reference, source, body)]
    if len(set(shapes)) > 1 or len(shapes[0]) != 2 or min(shapes[0]) < WINDOW:
        msg = (
            f"A translation, its target, its source and the body mask must have one shape (H, W) of at least {WINDOW} "
            f"pixels a side; got {', '.join(map(str, shapes))}. Bring them to one slice grid first."
        )
        raise InvalidVolumeError(msg)
    for name, array in (("translation", image), ("target", reference), ("source", source)):
        if not np.isfinite(array).all():
            msg = (
                f"The {name} holds {int((~np.isfinite(array)).sum())} values that are not finite; no metric is defined."
            )
            raise InvalidVolumeError(msg)
