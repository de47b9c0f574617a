"""Source and output slices of one volume in, the velocity that best explains the output by moving the source out.

A check of methods that claim to leave every pixel in its place: normalised mutual information, a stationary velocity,
coarse to fine, the same scaling and squaring as everywhere. It is in plane, because such methods work slice by slice.
What it finds is an estimate from two pictures, not something a method did: results carry it under that name only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from MedTranslateLib.methods.fields import fade_at_border, integrate, limit_slope, warp
from MedTranslateLib.methods.mutual_information import normalised_mutual_information

OnIteration = Callable[[int, int], None]
BINS = 16
SQUARINGS = 5
"""Enough for the displacements of a search; the fields of a result are integrated with more."""
FINE_SIDE, MOST_SLICES = 64, 32
"""The search sees at most about so many pixels a side and slices, so that it takes seconds; velocities are smooth."""


@dataclass(frozen=True)
class RegistrationOptions:
    """How the search goes.

    Args:
        iterations: Adam steps at half of the fine resolution, and at the fine one.
        control: Points between two control points of the velocity.
        step: Adam's step size in pixels of the scale.
        smoothness: Weight of the mean squared slope of the velocity against minus the likeness of both directions.
        border_px, steepest: As `fade_at_border` and `limit_slope` take them, in full pixels.
    """

    iterations: tuple[int, int] = (60, 40)
    control: int = 6
    step: float = 0.1
    smoothness: float = 5.0
    border_px: int = 12
    steepest: float = 1.0


def register(
    source: Tensor, output: Tensor, on_iteration: OnIteration, options: RegistrationOptions | None = None
) -> Tensor:
    """Finds v such that the source, read at phi = exp(v), looks most like the output.

    Args:
        source: Slices of one volume, (N, 1, H, W) in [-1, 1].
        output: Their translation, the same shape.
        on_iteration: Called as `on_iteration(done, total)`.
        options: How the search goes, if not as usual.

    Returns:
        (N, 2, H, W) in pixels (rows, columns), mapping a point of the output to a point of the source.
    """
    options = options or RegistrationOptions()
    rows = torch.linspace(0, len(source) - 1, min(len(source), MOST_SLICES)).round().long()
    fine = max(1, round(max(source.shape[-2:]) / FINE_SIDE))
    velocity = torch.zeros(len(rows), 2, *source.shape[-2:], device=source.device)
    done, total = 0, sum(options.iterations)
    for scale, iterations in zip((2 * fine, fine), options.iterations, strict=True):
        search = _Search((source[rows], output[rows]), velocity, scale, options)
        for _ in range(iterations):
            search.step()
            done += 1
            on_iteration(done, total)
        velocity = _resized(search.velocity().detach() * scale, (source.shape[-2], source.shape[-1]))
    every = _between(velocity, rows, len(source))
    return limit_slope(fade_at_border(every, options.border_px), options.steepest)


def _between(velocity: Tensor, rows: Tensor, count: int) -> Tensor:
    """Velocities of `count` slices from those of the slices `rows`, linear between them."""
    places = torch.arange(count)
    above = torch.searchsorted(rows, places).clamp(max=len(rows) - 1)
    below = (above - 1).clamp(min=0)
    share = (places - rows[below]) / (rows[above] - rows[below]).clamp(min=1)
    return torch.lerp(velocity[below], velocity[above], share.to(velocity).view(-1, 1, 1, 1))


class _Search:
    """One scale: a correction on control points, added to the velocity found so far; in pixels of the scale."""

    def __init__(self, images: tuple[Tensor, Tensor], start: Tensor, scale: int, options: RegistrationOptions) -> None:
        self._options = options
        self._source, self._output = (functional.avg_pool2d(part.float(), scale, ceil_mode=True) for part in images)
        self._size = (self._source.shape[-2], self._source.shape[-1])
        self._start = _resized(start, self._size) / scale
        self._border = max(1, options.border_px // scale)
        points = [side // options.control + 2 for side in self._size]
        self._control = torch.zeros(len(start), 2, *points, device=start.device, requires_grad=True)
        self._optimiser = torch.optim.Adam([self._control], lr=options.step)

    def step(self) -> None:
        """One Adam step; the histogram is that of the whole volume, so empty slices weigh nothing."""
        with torch.enable_grad():
            velocity = fade_at_border(self.velocity(), self._border)
            likeness = _of_volume(warp(self._source, integrate(velocity, SQUARINGS)), self._output)
            likeness = likeness + _of_volume(self._source, warp(self._output, integrate(-velocity, SQUARINGS)))
            slope = velocity.diff(dim=-1).square().mean() + velocity.diff(dim=-2).square().mean()
            loss = self._options.smoothness * slope - likeness
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch
        self._optimiser.step()

    def velocity(self) -> Tensor:
        """Start plus correction at the pixels of the scale."""
        return self._start + _resized(self._control, self._size)


def _resized(velocity: Tensor, size: tuple[int, int]) -> Tensor:
    """The same velocities on a grid of other pixels that covers the same picture, as averaging over blocks makes it."""
    return functional.interpolate(velocity, size=size, mode="bicubic", align_corners=False)


def _of_volume(first: Tensor, second: Tensor) -> Tensor:
    """Normalised mutual information of all slices together."""
    stacked = [images.movedim(0, 1)[None] for images in (first, second)]
    return normalised_mutual_information(stacked[0], stacked[1], BINS)[0]
