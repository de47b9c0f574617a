"""Two slices in, their normalised mutual information out, one of them moved along a displacement if there is one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from MedTranslateLib.methods.fields import warp
from MedTranslateLib.methods.mutual_information import normalised_mutual_information

Floats = npt.NDArray[np.float32]


def mutual_information_of(fixed: Floats, moving: Floats, displacement: Floats | None = None) -> float:
    """Normalised mutual information, 1 to 2, of slices (H, W) in [-1, 1]; see `methods.mutual_information`.

    Args:
        fixed: One slice.
        moving: The other, read at p + displacement(p).
        displacement: (2, H, W) in pixels; None leaves `moving` where it is.
    """
    first, second = (torch.from_numpy(np.ascontiguousarray(image))[None, None].float() for image in (fixed, moving))
    if displacement is not None:
        second = warp(second, torch.from_numpy(np.ascontiguousarray(displacement))[None].float())
    return float(normalised_mutual_information(first, second)[0])
