"""Images and statistics for the tests of the input gate: heads that only look roughly like some, and their numbers."""

from __future__ import annotations

import numpy as np

from MedTranslateLib.bundles.manifest import Scale, Side
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.phantom import head_phantom
from MedTranslateLib.training.generated import generated_pair

SCALE = Scale("relative", 0.5, 99.8)
SIDES = {"source": Side("MR", "first", SCALE), "target": Side("MR", "second", SCALE)}
"""Sides of the two contrasts of `generated_pair`."""
GRID = {"size_hw": (96, 96), "spacing_mm": 2.2, "slice_spacing_mm": (0.5, 9.0)}
TRAINING = """
name = "phantoms"

[card]
version = "1.0.0"
anatomy = "head"
summary = "Phantoms."
training_data = "Generated heads."
training_licence = "Apache-2.0"
spacing_origin = "stated"
spacing_rule = "Generated."
limits = ["Phantoms only."]
citation = "none"

[grid]
plane = "axial"
spacing_mm = 2.2
size_hw = [96, 96]

[source]
modality = "MR"
name = "first"
scale = { kind = "relative", low = 0.5, high = 99.8 }

[target]
modality = "MR"
name = "second"
scale = { kind = "relative", low = 0.5, high = 99.8 }

[method]
name = "identity"

[training]
iterations = 1

[[data]]
kind = "generated"
folder = "head"
source = "yes"
target = "yes"
count = COUNT
"""


def training_text(count: int) -> str:
    """A training file with so many generated heads."""
    return TRAINING.replace("COUNT", str(count))


def head(number: int, *, second: bool = False) -> Volume:
    """A generated head of either contrast, without a stated modality, a little noisy."""
    volume = generated_pair(number)[1 if second else 0]
    return Volume(volume.array_kji, volume.geometry, "image")


def turned(volume: Volume, quarter_turns: int) -> Volume:
    """The numbers turned within the axial slices, the header left as it was."""
    array = np.ascontiguousarray(np.rot90(volume.array_kji, quarter_turns, (1, 2)))
    return Volume(array, Geometry(array.shape[::-1], volume.geometry.ijk_to_ras), volume.name)


def thick_head(slices: int, spacing_mm: float) -> Volume:
    """A head phantom of few slices."""
    return head_phantom(Geometry((150, 150, slices), np.diag([1.2, 1.2, spacing_mm, 1.0])))
