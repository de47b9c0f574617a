"""Velocities of the slices of a volume in, joined across slices; a forward and an inverse field of the volume out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from MedTranslateLib.core.correspondence import Correspondence, DisplacementField, Origin
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.imaging.fields import field_from_index_displacement
from MedTranslateLib.imaging.slices import SliceStack, slab_of
from MedTranslateLib.methods.fields import integrate
from MedTranslateLib.methods.registration import register

SMOOTHING_MM = 2.0
"""Standard deviation of the Gaussian that joins the velocities of neighbouring slices."""


def correspondence_from_velocity(
    velocity: Tensor, network: Geometry, origin: Origin, slab: int | None = None
) -> Correspondence:
    """Integrates a velocity and converts to mm.

    Args:
        velocity: (N, 2, H, W), in-plane, in pixels along rows and columns, output to source; smooth across slices
            (`smooth_across_slices`), so that the flow is one of the volume. In plane, each slice flows within itself:
            the field of the volume is, slice by slice, the one that the method carried the picture along.
        network: Grid of the slices.
        origin: Whether the method moved pixels along this velocity, or it was estimated afterwards.
        slab: Slices that are integrated at once; None for all.

    Returns:
        Both directions, each integrated on its own from +v and -v, so both are diffeomorphisms of the volume.
    """
    forward, inverse = (_field(velocity, network, sign, slab) for sign in (1, -1))
    return Correspondence(forward, inverse, origin)


def estimate_drift(
    stack: SliceStack, output: npt.NDArray[np.float32], on_iteration: Callable[[int, int], None]
) -> Tensor:
    """Where the output's pixels seem to come from, judged from both pictures; see `methods.registration`.

    Args:
        stack: The source's slices.
        output: Their translation, (N, H, W) in [-1, 1].
        on_iteration: Called as `on_iteration(done, total)`.

    Returns:
        Velocity (N, 2, H, W) in pixels, smooth across slices.
    """
    source, made = (torch.from_numpy(np.ascontiguousarray(slices))[:, None] for slices in (stack.slices, output))
    return smooth_across_slices(register(source, made, on_iteration), float(stack.geometry.spacing_mm[2]))


def displacements_of(velocity: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What a velocity does to each slice: (2, N, 2, H, W) in pixels, forward (output to source) and inverse.

    Args:
        velocity: (N, 2, H, W) in pixels.
    """
    flow = torch.from_numpy(velocity)
    return torch.stack([integrate(flow), integrate(-flow)]).numpy()


def smooth_across_slices(velocity: Tensor, spacing_mm: float, slab: int | None = None) -> Tensor:
    """Gaussian of `SMOOTHING_MM` along the first axis of a velocity (not a displacement): its flow stays invertible.

    The end slices are repeated outwards. Slices further apart than the Gaussian reaches are left as they are.

    Args:
        velocity: (N, 2, H, W) in pixels.
        spacing_mm: Distance of neighbouring slices.
        slab: Slices that are smoothed at once, with the neighbours that they need; None for all.
    """
    radius = int(3 * SMOOTHING_MM / spacing_mm)
    if radius == 0 or len(velocity) == 1:
        return velocity
    places = torch.arange(-radius, radius + 1) * spacing_mm
    kernel = torch.softmax(-0.5 * (places / SMOOTHING_MM).square(), 0)
    smooth, count = torch.zeros_like(velocity), len(velocity)
    for first in range(0, count, slab or count):
        some = torch.arange(first, min(first + (slab or count), count))
        # a convolution would do the same in layouts that take sixteen times the memory
        for offset, weight in zip(range(-radius, radius + 1), kernel.tolist(), strict=True):
            smooth[first : first + len(some)].add_(velocity[(some + offset).clamp(0, count - 1)], alpha=weight)
    return smooth


def _field(velocity: Tensor, network: Geometry, sign: int, slab: int | None) -> DisplacementField:
    count = len(velocity)
    vectors = np.empty((*network.shape_kji, 3), dtype=np.float32)
    for first in range(0, count, slab or count):
        some = slice(first, min(first + (slab or count), count))
        displacement = integrate(sign * velocity[some]).movedim(1, -1).numpy()
        vectors[some] = field_from_index_displacement(displacement, slab_of(network, some)).vectors_kji_ras
    return DisplacementField(vectors, network)
