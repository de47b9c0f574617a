"""A finished translation with its trust maps in, the same with the ledger of what one side alone shows out."""

from __future__ import annotations

from dataclasses import replace

from MedTranslateLib.bundles.manifest import Manifest
from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.imaging.slices import SliceStack, validity_mask
from MedTranslateLib.inference.slicewise import Slices
from MedTranslateLib.methods.contract import Direction
from MedTranslateLib.trust.ledger import find_ledger
from MedTranslateLib.trust.ledger_grid import LedgerImages
from MedTranslateLib.trust.ledger_rule import ledger_thresholds


def with_ledger(
    result: TranslationResult, run: tuple[Manifest, Direction], stack: SliceStack, made: Slices, back: Slices | None
) -> TranslationResult:
    """Compares source, output and trust map.

    Args:
        result: The translation, with its trust maps where it has some; it is not changed.
        run: The bundle's card and the direction.
        stack: The source on the network's grid.
        made: The output there, (N, H, W) in [-1, 1].
        back: A -> B -> A there; None for bundles that translate one way only.
    """
    grid = result.translated.geometry
    seen = validity_mask(grid, stack.geometry).view(bool)
    images = LedgerImages(stack.slices, made, stack.geometry, result.correspondence, back, seen)
    manifest, direction = run
    thresholds = ledger_thresholds(manifest, direction.value, reconstruction=back is not None)
    trust = None if result.trust is None else result.trust.trust
    return replace(result, ledger=find_ledger(images, thresholds, grid, trust))
