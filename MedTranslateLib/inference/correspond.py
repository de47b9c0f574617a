"""The velocity that a method predicted for each slice in, a forward and an inverse field of the volume out."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from MedTranslateLib.core.correspondence import Correspondence, DisplacementField, Origin
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.imaging.fields import field_from_index_displacement
from MedTranslateLib.methods.fields import integrate

SMOOTHING_MM = 2.0
"""Standard deviation of the Gaussian that joins the velocities of neighbouring slices."""


def correspondence_from_velocity(velocity: Tensor, network: Geometry) -> Correspondence:
    """Smooths the velocity (not the displacement) across slices, integrates it in 3-D, and converts to mm.

    Args:
        velocity: (N, 2, H, W), in-plane, in pixels along rows and columns; output to source.
        network: Grid of the slices.

    Returns:
        Both directions, each integrated on its own from +v and -v, so both are diffeomorphisms of the volume.
    """
    smooth = smooth_across_slices(velocity, float(network.spacing_mm[2]))
    volume = torch.zeros(1, 3, *smooth.shape[:1], *smooth.shape[2:])
    volume[0, 1:] = smooth.movedim(1, 0)
    return Correspondence(_field(volume, network), _field(-volume, network), Origin.MODEL)


def smooth_across_slices(velocity: Tensor, spacing_mm: float) -> Tensor:
    """Gaussian of `SMOOTHING_MM` along the first axis; the end slices are repeated outwards."""
    radius = int(3 * SMOOTHING_MM / spacing_mm)
    if radius == 0 or len(velocity) == 1:
        return velocity
    places = torch.arange(-radius, radius + 1) * spacing_mm
    kernel = torch.softmax(-0.5 * (places / SMOOTHING_MM).square(), 0)
    lines = velocity.flatten(1).T[:, None]
    padded = functional.pad(lines, (radius, radius), mode="replicate")
    return functional.conv1d(padded, kernel[None, None])[:, 0].T.reshape(velocity.shape)


def _field(velocity: Tensor, network: Geometry) -> DisplacementField:
    displacement = integrate(velocity)[0]
    return field_from_index_displacement(displacement.movedim(0, -1).numpy(), network)
