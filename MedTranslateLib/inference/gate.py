"""A volume and a bundle in, a verdict out, before any network is loaded: does this image fit that model?"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from MedTranslateLib.bundles.manifest import Manifest
from MedTranslateLib.bundles.parts import ANY_MODALITY
from MedTranslateLib.core.errors import DoubtfulInputError, InputGateError
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.imaging.geometry import Plane, foreground_bounds_ijk, foreground_threshold, source_axes

SMALLEST_SHARE, LARGEST_SHARE = 0.25, 1.5
"""Foreground extent over the bundle's field of view: beyond these the image cannot be of that anatomy."""
LARGEST_AROUND = 3.0
"""The same upper limit for bundles whose field of view is the middle of a larger image."""
COARSEST_RATIO = 3.0
"""In-plane spacing over the bundle's: beyond it the slices hold less than the network was trained on."""


MANY_CONTRASTS = "MR"
"""The modality whose name does not tell what an image looks like."""


class Verdict(str, Enum):
    """What the gate answers."""

    FITS = "fits"
    DOUBTFUL = "doubtful"
    REFUSED = "refused"


@dataclass(frozen=True)
class GateReport:
    """The verdict with its reasons, each a sentence."""

    verdict: Verdict
    reasons: tuple[str, ...] = ()


def inspect(source: Volume, manifest: Manifest, *, reverse: bool) -> GateReport:
    """Compares a volume with what a bundle was trained on.

    Args:
        source: The image to translate.
        manifest: The bundle's card.
        reverse: Whether the bundle's target modality is the source.

    Raises:
        InvalidVolumeError: If the image is constant.
    """
    refused = _refusals(source, manifest)
    if refused:
        return GateReport(Verdict.REFUSED, tuple(refused))
    doubts = _doubts(source, manifest, reverse=reverse)
    return GateReport(Verdict.DOUBTFUL if doubts else Verdict.FITS, tuple(doubts))


def pass_gate(report: GateReport, *, accept_doubtful: bool) -> None:
    """Lets a run go on, or says why not.

    Raises:
        InputGateError: If the volume was refused.
        DoubtfulInputError: If it is doubtful and that was not accepted.
    """
    why = " ".join(report.reasons)
    if report.verdict is Verdict.REFUSED:
        msg = f"This image does not fit the bundle. {why}"
        raise InputGateError(msg)
    if report.verdict is Verdict.DOUBTFUL and not accept_doubtful:
        msg = f"It is doubtful whether this image fits the bundle. {why}"
        raise DoubtfulInputError(msg)


def _refusals(source: Volume, manifest: Manifest) -> list[str]:
    reasons = []
    extent = _foreground_extent_mm(source)
    axes, _ = source_axes(source.geometry, Plane(manifest.plane))
    for axis, pixels, name in ((axes[0], manifest.size_hw[1], "wide"), (axes[1], manifest.size_hw[0], "high")):
        field_of_view = pixels * manifest.spacing_mm
        # a bundle that looks at the middle of an image only expects more around it
        largest = (LARGEST_SHARE if manifest.centre == "foreground" else LARGEST_AROUND) * field_of_view
        if not SMALLEST_SHARE * field_of_view <= extent[axis] <= largest:
            reasons.append(
                f"In {manifest.plane} slices its content is {extent[axis]:.0f} mm {name}, the bundle was trained on a "
                f"field of view of {field_of_view:.0f} mm: expected {SMALLEST_SHARE * field_of_view:.0f} to "
                f"{largest:.0f} mm."
            )
    return reasons


def _doubts(source: Volume, manifest: Manifest, *, reverse: bool) -> list[str]:
    doubts = _modality_doubts(source, manifest, reverse=reverse)
    axes, _ = source_axes(source.geometry, Plane(manifest.plane))
    in_plane = float(source.geometry.spacing_mm[list(axes[:2])].max())
    if in_plane > COARSEST_RATIO * manifest.spacing_mm:
        doubts.append(
            f"Its pixels are {in_plane:.2f} mm in {manifest.plane} slices, the bundle's are {manifest.spacing_mm:g} mm."
        )
    across = float(source.geometry.spacing_mm[axes[2]])
    low, high = manifest.slice_spacing_mm
    if source.geometry.size_ijk[axes[2]] > 1 and not low <= across <= high:
        doubts.append(f"Its slices are {across:.2f} mm apart, the bundle expects {low:g} to {high:g} mm.")
    return doubts


def _modality_doubts(source: Volume, manifest: Manifest, *, reverse: bool) -> list[str]:
    """A stated modality the bundle does not start from; a bundle for any contrast doubts only what it would make."""
    start, end = (side.modality for side in (manifest.source, manifest.target)[:: -1 if reverse else 1])
    if source.modality is None:
        return []
    if start != ANY_MODALITY:
        stated = f"Its header says modality {source.modality}, the bundle translates from {start}."
        return [stated] if source.modality != start else []
    if source.modality == end != MANY_CONTRASTS:
        return [f"Its header says modality {source.modality}, which is what the bundle makes of other images."]
    return []


def _foreground_extent_mm(source: Volume) -> npt.NDArray[np.float64]:
    first, last = foreground_bounds_ijk(source, foreground_threshold(source))
    extent: npt.NDArray[np.float64] = (last - first + 1) * source.geometry.spacing_mm
    return extent
