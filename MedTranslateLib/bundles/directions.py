"""Installed bundles in, the translations a user can choose from out: one a direction, with what its card says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from MedTranslateLib.bundles.entries import Bundle, Entry
from MedTranslateLib.bundles.manifest import Manifest
from MedTranslateLib.bundles.parts import ANY_MODALITY, NOT_MEASURED, MetricRow, Side

METHOD_NAMES = {
    "bidpm": "Bi-DPM",
    "combination": "Deformation, then CycleGAN",
    "cyclegan": "CycleGAN",
    "ddib": "DDIB",
    "flow-matching": "Flow matching",
    "identity": "Identity",
    "midiffusion": "MIDiffusion",
    "plasticine": "Plasticine",
    "sdedit": "SDEdit",
}
"""How the papers write what the catalogue of methods calls by a key."""
REVERSE_MARK = "|reverse"


@dataclass(frozen=True)
class Direction:
    """One way to use a bundle.

    Args:
        manifest: The bundle's card.
        reverse: From the bundle's target modality to its source modality.
    """

    manifest: Manifest
    reverse: bool

    @property
    def key(self) -> str:
        """Text that names this direction in settings and scenes."""
        return self.manifest.name + (REVERSE_MARK if self.reverse else "")

    @property
    def source(self) -> Side:
        """The modality that goes in."""
        return self.manifest.target if self.reverse else self.manifest.source

    @property
    def target(self) -> Side:
        """The modality that comes out."""
        return self.manifest.source if self.reverse else self.manifest.target

    @property
    def method(self) -> str:
        """Name of the method as its paper writes it."""
        return METHOD_NAMES.get(self.manifest.method, self.manifest.method)

    @property
    def label(self) -> str:
        """One line for a list of choices."""
        return f"{self.source.name} \N{RIGHTWARDS ARROW} {self.target.name}, {self.manifest.anatomy} ({self.method})"

    @property
    def needs(self) -> str:
        """What an image must be like, in one sentence."""
        low, high = self.manifest.slice_spacing_mm
        modality = self.source.modality
        kind = f"{_article(modality)} {modality} volume ({self.source.name})"
        what = "a volume in any contrast" if modality == ANY_MODALITY else kind
        return f"{what} of the {self.manifest.anatomy}, {self.manifest.plane} slices {low:g} to {high:g} mm apart"

    @property
    def gives(self) -> str:
        """What the numbers of the output mean."""
        unit = "HU" if self.target.scale.kind == "hounsfield" else "relative intensities, not HU"
        return f"{self.target.name} in {unit}"

    @property
    def quality(self) -> str:
        """How good it was on patients it never saw, in one sentence; with the best baseline beside it."""
        rows = [row for row in self.manifest.metrics.rows if (row.direction == "reverse") == self.reverse]
        own = [row for row in rows if not row.baseline]
        if not own:
            told = self.manifest.metrics.definition
            return "not measured on held-out patients" if told == NOT_MEASURED else told
        text = f"SSIM {own[0].ssim:.3f}, PSNR {own[0].psnr_db:.1f} dB on {own[0].cases} held-out patients"
        best = max((row for row in rows if row.baseline), key=_ssim, default=None)
        return text if best is None else f"{text} (best baseline, {best.label}: {best.ssim:.3f})"


def directions(entries: Iterable[Entry]) -> tuple[Direction, ...]:
    """Every direction of every usable bundle, in the order of the bundles."""
    cards = [entry.manifest for entry in entries if isinstance(entry, Bundle)]
    return tuple(
        Direction(card, reverse) for card in cards for reverse in ((False, True) if card.reversible else (False,))
    )


def _ssim(row: MetricRow) -> float:
    return row.ssim


def _article(modality: str) -> str:
    """An MR, a CT: initials are read letter by letter."""
    return "an" if modality[:1] in "AEFHILMNORSX" else "a"
