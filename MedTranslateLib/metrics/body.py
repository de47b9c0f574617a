"""A pair of slices in, the mask of the patient's body out, by one rule for every comparison."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_fill_holes, gaussian_filter, label
from skimage.filters import threshold_otsu

FloatArray = npt.NDArray[np.floating]


def body_mask(source: FloatArray, target: FloatArray) -> npt.NDArray[np.bool_]:
    """Largest filled component above half the Otsu threshold of the brighter of both slices.

    Args:
        source: (H, W) in 0..1.
        target: (H, W) in 0..1, the same anatomy.

    Returns:
        (H, W), all False where both slices are empty. Both images define it, so bone that is dark in MR is inside.
    """
    brighter = gaussian_filter(np.maximum(source, target).astype(np.float64), 1.0)
    if np.ptp(brighter) == 0:
        return np.zeros(brighter.shape, dtype=bool)
    components, count = label(brighter > 0.5 * threshold_otsu(brighter))
    if count == 0:
        return np.zeros(brighter.shape, dtype=bool)
    largest = 1 + int(np.argmax(np.bincount(components.ravel())[1:]))
    return np.asarray(binary_fill_holes(components == largest))
