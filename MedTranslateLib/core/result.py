"""What a translation gives: the output, where each point came from, how sure it is, and how it was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from MedTranslateLib.core.correspondence import Correspondence
from MedTranslateLib.core.errors import InvalidVolumeError
from MedTranslateLib.core.ledger import Ledger
from MedTranslateLib.core.trust import TrustMaps
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
        trust: How far each place can be believed; None where that was not asked for.
        ledger: Structures that exist on one side only; None where they were not looked for.

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
    trust: TrustMaps | None = None
    ledger: Ledger | None = None

    def __post_init__(self) -> None:
        """Checks that all parts share the output's grid."""
        shape = self.translated.geometry.shape_kji
        if self.validity_kji.shape != shape:
            msg = f"The validity mask has shape {self.validity_kji.shape}, the output {shape}."
            raise InvalidVolumeError(msg)
        self._check_trust(shape)
        if self.uncertainty is not None and not self.uncertainty.geometry.same_grid(self.translated.geometry):
            msg = "The uncertainty map does not lie on the output's grid."
            raise InvalidVolumeError(msg)

    def _check_trust(self, shape_kji: tuple[int, int, int]) -> None:
        if self.trust is not None and not self.trust.trust.geometry.same_grid(self.translated.geometry):
            msg = "The trust map does not lie on the output's grid."
            raise InvalidVolumeError(msg)
        if self.ledger is not None and self.ledger.regions_kji.shape != shape_kji:
            msg = f"The regions of the ledger have shape {self.ledger.regions_kji.shape}, the output {shape_kji}."
            raise InvalidVolumeError(msg)
