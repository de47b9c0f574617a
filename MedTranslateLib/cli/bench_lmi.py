"""`medtranslate bench lmi`: nothing in, the local mutual information layer against a histogram out."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.imaging.phantom import head_phantom
from MedTranslateLib.methods.lmi import local_mutual_information
from MedTranslateLib.methods.lmi_reference import histogram_lmi

SIDE, PIXEL_MM = 128, 1.8
REPEATS = 15
NOISE = 0.02


def run_lmi() -> int:
    """Times both on one 128 x 128 slice of the head phantom and a noisy copy, in turns, and compares the maps."""
    torch.set_num_threads(1)  # where two threads wait for each other, the small tasks of the layer suffer most
    clean, noisy = _slices()
    batches = clean[None, None], noisy[None, None]

    def layer() -> Tensor:
        return local_mutual_information(*batches)[0, 0]

    layer()  # the first call allocates
    seconds, quick = _fastest(layer, REPEATS)
    reference_seconds, slow = _fastest(lambda: histogram_lmi(clean, noisy), 2)
    correlation = float(torch.corrcoef(torch.stack([quick.flatten(), slow.flatten()]))[0, 1])
    sys.stdout.write(
        f"LMI of one {SIDE}x{SIDE} slice, one thread: layer {1000 * seconds:.1f} ms, histogram "
        f"{1000 * reference_seconds:.0f} ms, best of {REPEATS} and 2 runs\n"
    )
    figures = {"ratio": round(reference_seconds / seconds, 1), "correlation": round(correlation, 4)}
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0


def _slices() -> tuple[Tensor, Tensor]:
    """A slice in [0, 1] with a scanner's noise, and a noisier copy."""
    phantom = head_phantom(Geometry((SIDE, SIDE, 1), np.diag([PIXEL_MM, PIXEL_MM, PIXEL_MM, 1.0]))).array_kji[0]
    middle = torch.from_numpy(phantom / phantom.max())
    generator = torch.Generator().manual_seed(0)
    noise = NOISE * torch.randn(2, SIDE, SIDE, generator=generator)
    clean = (middle + noise[0]).clamp(0, 1).float()
    return clean, (clean + noise[1]).clamp(0, 1)


def _fastest(call: Callable[[], Tensor], repeats: int) -> tuple[float, Tensor]:
    """Seconds of the fastest of several calls, which noise of the machine can only lengthen, and the result."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - started)
    return min(times), result
