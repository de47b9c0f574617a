"""Translated slices in, the same slices translated back out: what of the source a bundle could find again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from MedTranslateLib.inference.slicewise import SliceRun, Slices, translate_slices
from MedTranslateLib.inference.weights import LoadedBundle
from MedTranslateLib.methods.contract import Direction


def translate_back(
    made: Slices, bundle: LoadedBundle, run: SliceRun, on_slices: Callable[[int, int], None]
) -> Slices | None:
    """Translates an output the other way, once, whatever the number of samples it is the mean of.

    Args:
        made: The output, (N, H, W) in [-1, 1]; it is not changed.
        bundle: The network that made it.
        run: How it was made.
        on_slices: Called as `on_slices(done, total)` in units of slices times steps.

    Returns:
        A -> B -> A, (N, H, W) in [-1, 1], to be compared with the source slices; None for bundles that translate one
        way only.
    """
    if not bundle.manifest.reversible:
        return None
    return translate_slices(made, bundle, the_other_way(run), on_slices).mean


def the_other_way(run: SliceRun) -> SliceRun:
    """The run that leads back: one sample, the other direction, the same steps, seed and batches."""
    home = Direction.REVERSE if run.direction is Direction.FORWARD else Direction.FORWARD
    return replace(run, direction=home, samples=1)
