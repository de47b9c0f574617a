"""The `[card]` table of a training file: what a bundle says about itself in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from MedTranslateLib.bundles.parts import NOT_MEASURED
from MedTranslateLib.core.errors import ConfigError


@dataclass(frozen=True)
class CardOptions:
    """What only a person can state.

    Args:
        version, anatomy, summary, limits, citation: As in the manifest.
        training_data, training_licence: The training images in words, and their licence.
        spacing_origin: `stated` or `estimated`.
        spacing_rule: Where the pixel spacing comes from.
        slice_spacing_mm: Smallest and largest slice distance that is accepted.
        reversible: Whether the bundle translates both ways.
        quality: What was measured, and how, where there are no held-out pairs to compare with.
    """

    version: str
    anatomy: str
    summary: str
    training_data: str
    training_licence: str
    spacing_origin: Literal["stated", "estimated"]
    spacing_rule: str
    limits: tuple[str, ...]
    citation: str
    slice_spacing_mm: tuple[float, ...] = (0.5, 8.0)
    reversible: bool = True
    quality: str = NOT_MEASURED

    def __post_init__(self) -> None:
        """Refuses an unknown origin and a range that is none."""
        if self.spacing_origin not in ("stated", "estimated"):
            msg = f"card.spacing_origin is stated or estimated, got {self.spacing_origin!r}."
            raise ConfigError(msg)
        empty = [name for name, value in vars(self).items() if isinstance(value, str) and not value.strip()]
        if empty:
            msg = f"card.{empty[0]} is empty; a bundle's card needs it."
            raise ConfigError(msg)
        if len(self.slice_spacing_mm) != 2:
            msg = f"card.slice_spacing_mm needs two lengths, got {list(self.slice_spacing_mm)}."
            raise ConfigError(msg)
