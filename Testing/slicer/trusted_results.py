"""What the tests of trust and ledger share: maps and entries with a value of their own at each place."""

from __future__ import annotations

from typing import Any

import numpy as np

from MedTranslateLib.core.ledger import Ledger, LedgerEntry, LedgerSide
from MedTranslateLib.core.trust import TrustMaps, TrustPart
from MedTranslateLib.core.volume import Geometry, Volume

AWKWARD_REASON = 'Bright "spot", 3 \N{MULTIPLICATION SIGN} too strong; see slice 2, the source has none'
RULE = "An entry is a structure of at least 30 mm\N{SUPERSCRIPT THREE}; two in 10 images are false."


def trust_of(geometry: Geometry, *, calibrated: bool = True) -> TrustMaps:
    """Trust rises with the voxel's number from 0 to 1; the expected error falls; parts lie on a coarser grid."""
    count = int(np.prod(geometry.shape_kji))
    rising = (np.arange(count) / (count - 1)).reshape(geometry.shape_kji).astype(np.float32)
    coarse = Geometry((3, 2, 2), geometry.ijk_to_ras @ np.diag([2.0, 2.0, 2.0, 1.0]))
    parts = {part: numbered(coarse, 10.0 * place) for place, part in enumerate(TrustPart)}
    error = Volume(0.5 - rising / 4, geometry) if calibrated else None
    return TrustMaps(Volume(rising, geometry), error, parts)


def numbered(geometry: Geometry, first: float) -> Volume:
    return Volume(first + np.arange(np.prod(geometry.shape_kji)).reshape(geometry.shape_kji), geometry)


def ledger_of(geometry: Geometry, *, entries: int = 3) -> Ledger:
    """Entry n is a box of n voxels along i in slice n; sides by turns, the output's first."""
    regions = np.zeros(geometry.shape_kji, np.uint8)
    made = []
    for number in range(1, entries + 1):
        regions[number, 2, 1 : 1 + number] = number
        middle = geometry.ras_from_ijk([1 + (number - 1) / 2, 2.0, float(number)])
        made.append(entry(number, tuple(middle.tolist()), trust=None if number == 2 else number / 4))
    return Ledger(tuple(made), regions, RULE)


def entry(number: int, middle_ras: tuple[float, float, float], **changes: Any) -> LedgerEntry:
    values: dict[str, Any] = {
        "number": number,
        "side": LedgerSide.OUTPUT if number % 2 else LedgerSide.SOURCE,
        "source_ras": (middle_ras[0] + 4.0, middle_ras[1], middle_ras[2]),
        "output_ras": middle_ras,
        "volume_mm3": 24.0 * number,
        "strength": 5.5 / number,
        "trust": 0.25,
        "reason": AWKWARD_REASON if number == 1 else f"Reason {number}",
    }
    return LedgerEntry(**{**values, **changes})
