"""The name of an image in, the contrasts that it mentions out: weak hints, for where pictures do not tell."""

from __future__ import annotations

import re

from MedTranslateLib.bundles.manifest import Side

WORDS = {
    "T1": ("t1", "t1w", "t1c", "t1ce", "t1gd", "mprage", "spgr"),
    "T2": ("t2", "t2w"),
    "FLAIR": ("flair",),
    "PD": ("pd", "pdw"),
    "CT": ("ct", "cbct"),
    "PET": ("pet", "suv"),
    "DWI": ("dwi", "adc"),
    "label": ("seg", "mask", "label", "labels", "labelmap", "gt"),
}
"""Parts of file names, between anything that is no letter or digit."""


def mentioned(name: str) -> frozenset[str]:
    """The contrasts that a name mentions.

    Args:
        name: Of an image, a file or a side of a bundle.
    """
    parts = {part.lower() for part in re.split(r"[^A-Za-z0-9]+", name) if part}
    return frozenset(contrast for contrast, words in WORDS.items() if parts & set(words))


def name_doubt(name: str, side: Side) -> str | None:
    """A sentence where a name mentions other contrasts than the side that the image is given as.

    Args:
        name: Of the image.
        side: The side of the bundle that it is given as.
    """
    said, wanted = mentioned(name), mentioned(side.name) | mentioned(side.modality)
    if not said or not wanted or said & wanted:
        return None
    return f"Its name mentions {' and '.join(sorted(said))}, the bundle translates from {side.name}."
