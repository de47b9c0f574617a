"""A stack of slices and a network in, translated slices with their spread and velocity out, in batches."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from MedTranslateLib.inference.devices import mixed_precision, supports_bfloat16
from MedTranslateLib.inference.weights import LoadedBundle
from MedTranslateLib.methods.contract import Direction

BATCH_ON_CPU, BATCH_ON_GPU = 4, 32
"""On a CPU larger batches only leave the caches; on a GPU they fill it."""


@dataclass(frozen=True)
class SliceRun:
    """How slices are run: direction, steps of the method, number of samples and seed."""

    direction: Direction
    steps: int
    samples: int
    seed: int

    @staticmethod
    def batch_size(device: torch.device) -> int:
        """Slices a batch on that device."""
        return BATCH_ON_CPU if device.type == "cpu" else BATCH_ON_GPU


@dataclass(frozen=True)
class SliceRunResult:
    """Translated slices.

    Args:
        mean: Mean over the samples, (N, H, W) in [-1, 1].
        deviation: Standard deviation over the samples in the same units; None for one sample.
        velocity: Mean stationary velocity, (N, 2, H, W) in pixels; None where the method moves nothing.
        network_seconds: Time spent in the method.
    """

    mean: npt.NDArray[np.float32]
    deviation: npt.NDArray[np.float32] | None
    velocity: npt.NDArray[np.float32] | None
    network_seconds: float


def translate_slices(
    slices: npt.NDArray[np.float32], bundle: LoadedBundle, run: SliceRun, on_slices: Callable[[int, int], None]
) -> SliceRunResult:
    """Runs every batch `run.samples` times.

    Args:
        slices: (N, H, W) in [-1, 1].
        bundle: The network.
        run: Direction, steps, samples and seed.
        on_slices: Called as `on_slices(done, total)` in units of slices times samples times steps.
    """
    total = len(slices) * run.samples * run.steps
    drawn, seconds, done = [], 0.0, 0
    size = run.batch_size(bundle.device)
    for sample in range(run.samples):
        # one generator a sample, so that the first samples do not depend on how many are drawn
        generator = torch.Generator().manual_seed(run.seed + sample)
        images, velocities = [], []
        for first in range(0, len(slices), size):
            batch = slices[first : first + size, None]
            started = time.perf_counter()
            image, velocity = _run_batch(batch, bundle, run, generator)
            seconds += time.perf_counter() - started
            images.append(image)
            velocities.append(velocity)
            done += len(batch) * run.steps
            on_slices(done, total)
        drawn.append((np.concatenate(images), _joined(velocities)))
    return _summary(drawn, seconds)


@torch.inference_mode()
def _run_batch(
    batch: npt.NDArray[np.float32], bundle: LoadedBundle, run: SliceRun, generator: torch.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
    device = bundle.device
    source = torch.from_numpy(np.ascontiguousarray(batch)).to(device)
    with mixed_precision(device, enabled=supports_bfloat16(device)):
        made = bundle.method.translate(source, run.direction, run.steps, generator, _ignore)
    images = made.images.float().clamp(-1, 1)[:, 0].cpu().numpy()
    return images, None if made.velocity is None else made.velocity.float().cpu().numpy()


def _joined(velocities: list[npt.NDArray[np.float32] | None]) -> npt.NDArray[np.float32] | None:
    present = [velocity for velocity in velocities if velocity is not None]
    return np.concatenate(present) if present else None


def _summary(
    drawn: list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]], seconds: float
) -> SliceRunResult:
    images = np.stack([image for image, _ in drawn]) if len(drawn) > 1 else drawn[0][0][None]
    velocities = [velocity for _, velocity in drawn if velocity is not None]
    return SliceRunResult(
        mean=images.mean(axis=0) if len(drawn) > 1 else images[0],
        deviation=images.std(axis=0, ddof=1) if len(drawn) > 1 else None,
        velocity=np.mean(velocities, axis=0) if velocities else None,
        network_seconds=seconds,
    )


def _ignore(_done: int, _total: int) -> None:
    """A batch is short; progress is told per batch."""
