"""What a translation gives: the output, where each point came from, how sure it is, and how it was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from MedTranslateLib.core.correspondence import Correspondence
from MedTranslateLib.core.errors import InvalidVolumeError
from MedTranslateLib.core.volume import Volume

SYNTHETIC_NOTE = "SYNTHETIC, research use only"


@dataclass(frozen=True)
class TranslationResult:
    """A finished translation, all on the source's grid unless a field says otherwise.

    Args:
        translated: The output in the target's units.
        correspondence: Forward and inverse field.
        validity_kji: uint8, 1 where the model saw the source, 0 where the output is background.
        uncertainty: Standard deviation of the samples in the target's units; None for a single sample.
        provenance: What `provenance.json` holds.
        output_name, output_modality, output_scale: Name, modality and intensity scale of the target.

    Raises:
        InvalidVolumeError: If the parts do not lie on one grid.
    """

    translated: Volume
    correspondence: Correspondence
    validity_kji: npt.NDArray[np.uint8]
    uncertainty: Volume | None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    output_name: str = ""
    output_modality: str = ""
    output_scale: str = "relative"

    def __post_init__(self) -> None:
        """Checks that all parts share the output's grid."""
        shape = self.translated.geometry.shape_kji
        if self.validity_kji.shape != shape:
            msg = f"The validity mask has shape {self.validity_kji.shape}, the output {shape}."
            raise InvalidVolumeError(msg)
        if self.uncertainty is not None and not self.uncertainty.geometry.same_grid(self.translated.geometry):
            msg = "The uncertainty map does not lie on the output's grid."
            raise InvalidVolumeError(msg)
