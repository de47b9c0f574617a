"""Figures of slices or patients in, their average and spread out, with a rule for what is not defined or infinite.

NaN means that a metric is not defined there (a body column of a slice without a body) and is left out; what is left
out must be NaN for that reason only. Infinity is the PSNR of equal images and is kept: an average that holds one is
infinite, because every finite stand-in would be a made-up number; the MSE beside it then tells the rest.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt


def average(values: Iterable[float]) -> float:
    """Mean of the values that are defined; NaN where none is, infinite where one is."""
    defined = _defined(values)
    return float(defined.mean()) if len(defined) else float("nan")


def spread(values: Iterable[float]) -> float:
    """Standard deviation (ddof 1) of the values that are defined; NaN for fewer than two, or an infinite one."""
    defined = _defined(values)
    return float(defined.std(ddof=1)) if len(defined) > 1 and np.isfinite(defined).all() else float("nan")


def _defined(values: Iterable[float]) -> npt.NDArray[np.float64]:
    array = np.fromiter(values, np.float64)
    return array[~np.isnan(array)]
