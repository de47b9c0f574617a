"""A stack of slices and a network in, translated slices with their spread and velocity out, in batches.

The memory does not grow with the number of samples: their mean and spread are kept up to date sample by sample.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from MedTranslateLib.checks.memory_settings import BATCH_ON_CPU, BATCH_ON_GPU
from MedTranslateLib.core.errors import RequestError
from MedTranslateLib.inference.correspond import smooth_across_slices
from MedTranslateLib.inference.repeatable import network_at_work
from MedTranslateLib.inference.weights import LoadedBundle
from MedTranslateLib.methods.contract import Direction, Method, OnStep, SliceBatch
from MedTranslateLib.methods.slice_noise import SliceNoise

NOISE_MM = 15.0
"""Distance along the stack over which the noise of a slice turns by one radian: neighbours look alike."""
APART_RAD = 11.0
"""Angle between slices that are not of one volume: their noise is hardly alike."""

Slices = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SliceRun:
    """How slices are run.

    Args:
        direction: Which way.
        steps: Steps of the method.
        samples: Number of translations drawn.
        seed: Seed of the first; each further one takes the next number.
        slice_spacing_mm: Distance of neighbouring slices; None where they are not of one volume.
        batch: Slices that go through the network at once; None takes the usual number of the device.
        slab: Neighbouring slices that are worked on at once, with all their samples; None takes the whole stack.
    """

    direction: Direction
    steps: int
    samples: int
    seed: int
    slice_spacing_mm: float | None = None
    batch: int | None = None
    slab: int | None = None

    def batch_size(self, device: torch.device) -> int:
        """Slices a batch on that device."""
        return self.batch or (BATCH_ON_CPU if device.type == "cpu" else BATCH_ON_GPU)

    def slabs(self, count: int) -> Iterator[slice]:
        """The slabs of a stack of `count` slices, from the first slice on."""
        size = self.slab or count
        return (slice(first, min(first + size, count)) for first in range(0, count, size))


@dataclass(frozen=True)
class SliceRunResult:
    """Translated slices.

    Args:
        mean: Mean over the samples, (N, H, W) in [-1, 1].
        deviation: Standard deviation over the samples in the same units; None for one sample.
        velocity: Stationary velocity that every sample followed, (N, 2, H, W) in pixels; None where the method moves
            nothing.
        network_seconds: Time spent in the method.
    """

    mean: Slices
    deviation: Slices | None
    velocity: Slices | None
    network_seconds: float


def translate_slices(
    slices: Slices, bundle: LoadedBundle, run: SliceRun, on_slices: Callable[[int, int], None]
) -> SliceRunResult:
    """Predicts where pixels come from, joins neighbouring slices, then draws every sample along that velocity.

    Args:
        slices: (N, H, W) in [-1, 1].
        bundle: The network.
        run: Direction, steps, samples, seed and slice distance.
        on_slices: Called as `on_slices(done, total)` in units of slices times samples times steps.
    """
    stack = SliceStackRun(bundle, run, torch.from_numpy(np.ascontiguousarray(slices))[:, None], on_slices)
    started = time.perf_counter()
    velocity = stack.velocity()
    mean = np.empty(slices.shape, dtype=np.float32)
    deviation = np.empty_like(mean) if run.samples > 1 else None
    for slab in run.slabs(len(slices)):
        spread = _Spread(mean[slab])
        for number in range(run.samples):
            spread.add(stack.sample(number, velocity, slab))
        if deviation is not None:
            spread.write_deviation(deviation[slab])
    return SliceRunResult(
        mean=mean,
        deviation=deviation,
        velocity=None if velocity is None else velocity.numpy(),
        network_seconds=time.perf_counter() - started,
    )


class _Spread:
    """Mean and standard deviation of samples that come one by one (Welford 1962), so that none has to be kept.

    Args:
        mean: Filled in place with the mean of what was added.
    """

    def __init__(self, mean: Slices) -> None:
        self._mean, self._count = mean, 0
        self._squares: Slices | None = None

    def add(self, sample: Slices) -> None:
        """Takes the next sample, of the shape of the mean; its memory is used up."""
        self._count += 1
        if self._count == 1:
            self._mean[...] = sample
            return
        if self._squares is None:
            self._squares = np.zeros_like(self._mean)
        before = sample - self._mean
        self._mean += before / np.float32(self._count)
        sample -= self._mean
        sample *= before
        self._squares += sample

    def write_deviation(self, out: Slices) -> None:
        """Writes the standard deviation, over one less than the number of samples, into `out`."""
        if self._squares is not None:
            np.sqrt(self._squares / np.float32(self._count - 1), out=out)


def velocity_of(method: Method, slices: Slices) -> Slices:
    """The velocity that a method predicts for slices (N, H, W) on the CPU, (N, 2, H, W) in pixels, in full precision.

    Raises:
        RequestError: If the method moves nothing.
    """
    with torch.inference_mode():
        velocity = method.to("cpu").predicted_velocity(torch.from_numpy(np.ascontiguousarray(slices))[:, None])
    if velocity is None:
        msg = f"{type(method).__name__} leaves every pixel in its place; it has no velocity."
        raise RequestError(msg)
    return velocity.float().numpy()


class SliceStackRun:
    """One stack in a network, batch by batch."""

    def __init__(
        self, bundle: LoadedBundle, run: SliceRun, slices: Tensor, on_slices: Callable[[int, int], None]
    ) -> None:
        self._bundle, self._run, self._slices, self._on_slices = bundle, run, slices, on_slices
        self._done = 0

    def velocity(self) -> Tensor | None:
        """The velocity of all slices, smooth across them, (N, 2, H, W) on the CPU; None where nothing moves."""
        parts = []
        for batch in self._batches(slice(0, len(self._slices))):
            with network_at_work(self._bundle.device):
                part = self._bundle.method.predicted_velocity(
                    self._slices[batch].to(self._bundle.device), self._run.direction
                )
            if part is None:
                return None
            parts.append(part.float().cpu())
        velocity, spacing = torch.cat(parts), self._run.slice_spacing_mm
        parts.clear()
        return velocity if spacing is None else smooth_across_slices(velocity, spacing, self._run.slab)

    def sample(self, number: int, velocity: Tensor | None, slab: slice) -> Slices:
        """One translation of the slices of a slab, (N, H, W) in [-1, 1]; does not depend on the size of the batches."""
        spacing = self._run.slice_spacing_mm
        angles = torch.arange(len(self._slices)) * (APART_RAD if spacing is None else spacing / NOISE_MM)
        made = np.empty((slab.stop - slab.start, *self._slices.shape[2:]), dtype=np.float32)
        for batch in self._batches(slab):
            images = self._slices[batch].to(self._bundle.device)
            moved = None if velocity is None else velocity[batch].to(self._bundle.device)
            noise = SliceNoise(torch.Generator().manual_seed(self._run.seed + number), angles[batch])
            with network_at_work(self._bundle.device):
                translated = self._bundle.method.translate(
                    SliceBatch(images, moved), self._run.direction, self._run.steps, noise, self._teller(len(images))
                )
            made[batch.start - slab.start : batch.stop - slab.start] = translated.float().clamp(-1, 1)[:, 0].cpu()
            self._done += len(images) * self._run.steps
            self._on_slices(self._done, self._total())
        return made

    def _batches(self, slab: slice) -> Iterator[slice]:
        size = self._run.batch_size(self._bundle.device)
        for first in range(slab.start, slab.stop, size):
            yield slice(first, min(first + size, slab.stop))

    def _teller(self, count: int) -> OnStep:
        before = self._done

        def tell(done: int, _total: int) -> None:
            if done < self._run.steps:  # the last step is told with its batch
                self._on_slices(before + done * count, self._total())

        return tell

    def _total(self) -> int:
        return len(self._slices) * self._run.samples * self._run.steps
