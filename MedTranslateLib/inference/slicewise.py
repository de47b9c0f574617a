"""A stack of slices and a network in, translated slices with their spread and velocity out, in batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from MedTranslateLib.core.errors import RequestError
from MedTranslateLib.inference.correspond import smooth_across_slices
from MedTranslateLib.inference.devices import mixed_precision, supports_bfloat16
from MedTranslateLib.inference.weights import LoadedBundle
from MedTranslateLib.methods.contract import Direction, Method, OnStep, SliceBatch
from MedTranslateLib.methods.slice_noise import SliceNoise

BATCH_ON_CPU, BATCH_ON_GPU = 4, 32
"""On a CPU larger batches only leave the caches; on a GPU they fill it."""
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
    """

    direction: Direction
    steps: int
    samples: int
    seed: int
    slice_spacing_mm: float | None = None

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
    drawn = [stack.sample(number, velocity) for number in range(run.samples)]
    images = np.stack(drawn) if len(drawn) > 1 else drawn[0][None]
    return SliceRunResult(
        mean=images.mean(axis=0) if len(drawn) > 1 else images[0],
        deviation=images.std(axis=0, ddof=1) if len(drawn) > 1 else None,
        velocity=None if velocity is None else velocity.numpy(),
        network_seconds=time.perf_counter() - started,
    )


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
        for batch in self._batches():
            with _network(self._bundle.device):
                part = self._bundle.method.predicted_velocity(
                    self._slices[batch].to(self._bundle.device), self._run.direction
                )
            if part is None:
                return None
            parts.append(part.float().cpu())
        spacing = self._run.slice_spacing_mm
        return torch.cat(parts) if spacing is None else smooth_across_slices(torch.cat(parts), spacing)

    def sample(self, number: int, velocity: Tensor | None) -> Slices:
        """One translation of all slices, (N, H, W) in [-1, 1]; does not depend on the size of the batches."""
        spacing = self._run.slice_spacing_mm
        angles = torch.arange(len(self._slices)) * (APART_RAD if spacing is None else spacing / NOISE_MM)
        made = []
        for batch in self._batches():
            images = self._slices[batch].to(self._bundle.device)
            moved = None if velocity is None else velocity[batch].to(self._bundle.device)
            noise = SliceNoise(torch.Generator().manual_seed(self._run.seed + number), angles[batch])
            with _network(self._bundle.device):
                translated = self._bundle.method.translate(
                    SliceBatch(images, moved), self._run.direction, self._run.steps, noise, self._teller(len(images))
                )
            made.append(translated.float().clamp(-1, 1)[:, 0].cpu().numpy())
            self._done += len(images) * self._run.steps
            self._on_slices(self._done, self._total())
        return np.concatenate(made)

    def _batches(self) -> Iterator[slice]:
        size = self._run.batch_size(self._bundle.device)
        for first in range(0, len(self._slices), size):
            yield slice(first, min(first + size, len(self._slices)))

    def _teller(self, count: int) -> OnStep:
        before = self._done

        def tell(done: int, _total: int) -> None:
            if done < self._run.steps:  # the last step is told with its batch
                self._on_slices(before + done * count, self._total())

        return tell

    def _total(self) -> int:
        return len(self._slices) * self._run.samples * self._run.steps


@contextmanager
def _network(device: torch.device) -> Iterator[None]:
    """What a network runs under: no gradient, and half precision where it is fast."""
    with torch.inference_mode(), mixed_precision(device, enabled=supports_bfloat16(device)):
        yield
