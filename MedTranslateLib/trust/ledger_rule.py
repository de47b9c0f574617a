"""A bundle's card in, the thresholds from which a structure is an entry out, and the sentence that says so."""

from __future__ import annotations

from dataclasses import dataclass, replace

from MedTranslateLib.bundles.ledger_statistics import LedgerCalibration, ledger_statistics_of
from MedTranslateLib.bundles.manifest import Manifest

SCALES_MM = (4.0, 8.0)
"""Structures of about 10 and 20 mm across answer most."""
DEFAULT_THRESHOLDS = (2.0, 1.5)
"""One a scale, where nothing was measured: about those of the brain bundle between T1 and FLAIR."""
WHAT = "A structure is listed where what one image shows cannot be told from what the other shows at the same place"
AND_BACK = ", nor from what comes back when the output is translated to the source again"


@dataclass(frozen=True)
class LedgerThresholds:
    """What counts as strength 1.

    Args:
        scales_mm: Standard deviations of the Gaussians that structures are looked for with.
        source, output: Threshold of each scale for structures of that side.
        rule: One sentence for the reader of the ledger.
    """

    scales_mm: tuple[float, ...]
    source: tuple[float, ...]
    output: tuple[float, ...]
    rule: str

    def times(self, factor: float) -> LedgerThresholds:
        """The thresholds of another strength: `factor` 2 lists what has strength 2 or more here."""
        source, output = (tuple(factor * value for value in values) for values in (self.source, self.output))
        return replace(self, source=source, output=output)


def ledger_thresholds(manifest: Manifest, direction: str, *, reconstruction: bool) -> LedgerThresholds:
    """The thresholds of a run: those of the bundle, or else the default.

    Args:
        manifest: The bundle's card.
        direction: `forward` or `reverse`.
        reconstruction: Whether the run has A -> B -> A.

    Raises:
        BundleInvalidError: If the card's thresholds cannot be read.
    """
    statistics = ledger_statistics_of(manifest)
    found = None if statistics is None else statistics.best_for(direction, reconstruction=reconstruction)
    return default_thresholds(reconstruction=reconstruction) if found is None else _of_calibration(found)


def default_thresholds(*, reconstruction: bool) -> LedgerThresholds:
    """The same threshold everywhere, for bundles whose training patients were not looked at."""
    rule = (
        f"{WHAT}{AND_BACK if reconstruction else ''}. The thresholds are the usual ones: they were not set on "
        "patients of this bundle, so it is not known how many false entries are usual."
    )
    return LedgerThresholds(SCALES_MM, DEFAULT_THRESHOLDS, DEFAULT_THRESHOLDS, rule)


def _of_calibration(found: LedgerCalibration) -> LedgerThresholds:
    usual = (
        f"one in {1 / found.entries_a_slice:.0f} slices" if found.entries_a_slice > 0 else "none in all their slices"
    )
    rule = (
        f"{WHAT}{AND_BACK if found.reconstruction else ''}. The thresholds were set on {found.patients} training "
        f"patients ({found.slices} slices; {found.data}), who have {usual} of strength 1 or more: so many false ones "
        "are usual."
    )
    return LedgerThresholds(found.scales_mm, found.source, found.output, rule)
