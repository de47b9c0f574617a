"""Where and how large an image is and what its header says in, what speaks against a bundle out, in sentences."""

from __future__ import annotations

from MedTranslateLib.bundles.manifest import Manifest
from MedTranslateLib.bundles.parts import ANY_MODALITY
from MedTranslateLib.checks.gate_slices import Foreground
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.imaging.geometry import Plane, source_axes

SMALLEST_SHARE, LARGEST_SHARE = 0.25, 1.5
"""Foreground extent over the bundle's field of view: beyond these the image cannot be of that anatomy."""
LARGEST_AROUND = 3.0
"""The same upper limit for bundles whose field of view is the middle of a larger image."""
COARSEST_RATIO = 3.0
"""In-plane spacing over the bundle's: beyond it the slices hold less than the network was trained on."""
FEW_SLICES, SHORT_SHARE = 5, 0.25
"""A stack of so few slices that covers less than this share of the field of view is a localiser or a part."""
MANY_CONTRASTS = "MR"
"""The modality whose name does not tell what an image looks like."""


def extent_refusals(source: Volume, manifest: Manifest, foreground: Foreground) -> list[str]:
    """Content far from the field of view that the bundle was trained on.

    Args:
        source: The image to translate.
        manifest: The bundle's card.
        foreground: Where the content of the image lies.
    """
    reasons = []
    extent = (foreground.last_ijk - foreground.first_ijk) * source.geometry.spacing_mm
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


def spacing_doubts(source: Volume, manifest: Manifest) -> list[str]:
    """Pixels and slices that are coarser than the bundle knows, and stacks that are hardly any.

    Args:
        source: The image to translate.
        manifest: The bundle's card.
    """
    doubts = []
    axes, _ = source_axes(source.geometry, Plane(manifest.plane))
    in_plane = float(source.geometry.spacing_mm[list(axes[:2])].max())
    if in_plane > COARSEST_RATIO * manifest.spacing_mm:
        doubts.append(
            f"Its pixels are {in_plane:.2f} mm in {manifest.plane} slices, the bundle's are {manifest.spacing_mm:g} mm."
        )
    across, count = float(source.geometry.spacing_mm[axes[2]]), source.geometry.size_ijk[axes[2]]
    low, high = manifest.slice_spacing_mm
    if count > 1 and not low <= across <= high:
        doubts.append(f"Its slices are {across:.2f} mm apart, the bundle expects {low:g} to {high:g} mm.")
    stack = count * across
    if 1 < count <= FEW_SLICES and stack < SHORT_SHARE * max(manifest.size_hw) * manifest.spacing_mm:
        doubts.append(f"It is {count} slices that cover {stack:.0f} mm: a localiser, or a part of an image.")
    return doubts


def modality_doubts(source: Volume, manifest: Manifest, *, reverse: bool) -> list[str]:
    """A stated modality the bundle does not start from; a bundle for any contrast doubts only what it would make.

    Args:
        source: The image to translate.
        manifest: The bundle's card.
        reverse: Whether the bundle's target modality is the source.
    """
    start, end = (side.modality for side in (manifest.source, manifest.target)[:: -1 if reverse else 1])
    if source.modality is None:
        return []
    if start != ANY_MODALITY:
        stated = f"Its header says modality {source.modality}, the bundle translates from {start}."
        return [stated] if source.modality != start else []
    if source.modality == end != MANY_CONTRASTS:
        return [f"Its header says modality {source.modality}, which is what the bundle makes of other images."]
    return []
