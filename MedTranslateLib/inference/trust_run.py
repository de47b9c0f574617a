"""A finished translation in, the same with its trust maps and ledger out; what was made is not touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from MedTranslateLib.bundles.manifest import Manifest
from MedTranslateLib.bundles.trust_statistics import TrustCalibration, trust_statistics_of
from MedTranslateLib.core.correspondence import Correspondence, Origin
from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.core.trust import TrustMaps, TrustPart
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.resample import put_back
from MedTranslateLib.imaging.scale import IntensityScale, to_target_units
from MedTranslateLib.imaging.slices import SlicedVolume
from MedTranslateLib.inference.cycle import translate_back
from MedTranslateLib.inference.ledger_run import with_ledger
from MedTranslateLib.inference.slicewise import SliceRun, SliceRunResult, Slices
from MedTranslateLib.inference.weights import LoadedBundle
from MedTranslateLib.trust.combine import expected_error, rank_of_own, trust_of
from MedTranslateLib.trust.inputs import OutputSlices
from MedTranslateLib.trust.parts import carried_to_output, cycle_map, folding_map, intensity_map, round_trip_map

USUAL_RANGE = (0.0, 1.0)
"""Intensities of the training sources where the card does not tell: those that the network does not clip."""


@dataclass(frozen=True)
class FinishedRun:
    """What a check after a run can look at, beside the result.

    Args:
        source: The image that was translated.
        bundle: The network.
        run: How the slices were run.
        sliced: The source on the network's grid.
        made: The translated slices.
        target_scale: Intensity scale of the output.
        calibration: What errors of training patients say about outputs that were made like this; None: nothing.
    """

    source: Volume
    bundle: LoadedBundle
    run: SliceRun
    sliced: SlicedVolume
    made: SliceRunResult
    target_scale: IntensityScale
    calibration: TrustCalibration | None = None

    @property
    def grid(self) -> Geometry:
        """The network's grid."""
        return self.sliced.stack.geometry


def calibration_for(manifest: Manifest, run: SliceRun, *, as_trained: bool) -> TrustCalibration | None:
    """The calibration that holds for a run.

    Args:
        manifest: The bundle's card.
        run: Direction, samples and steps.
        as_trained: Whether the method is used with the bundle's own options; with others, its errors are others.

    Raises:
        BundleInvalidError: If the card's calibration cannot be read.
    """
    statistics = trust_statistics_of(manifest)
    if statistics is None or not as_trained:
        return None
    return statistics.best_for(run.direction.value, run.samples, run.steps)


def check_result(
    done: FinishedRun, result: TranslationResult, on_check: Callable[[int, int], None]
) -> TranslationResult:
    """Adds to a result what can be known about its errors without the truth.

    Args:
        done: How the result came about.
        result: The translation.
        on_check: Called as `on_check(done, total)`.

    Returns:
        The same output and fields, with trust maps and ledger.
    """
    on_check(0, 1)
    # the way back is the long part; maps and ledger come after it
    back = translate_back(done.made.mean, done.bundle, done.run, lambda part, total: on_check(3 * part, 4 * total))
    checked = replace(result, trust=trust_maps(done, result, back))
    run = (done.bundle.manifest, done.run.direction)
    checked = with_ledger(checked, run, done.sliced.stack, done.made.mean, back)
    on_check(1, 1)
    return checked


def trust_maps(done: FinishedRun, result: TranslationResult, back: Slices | None) -> TrustMaps:
    """The maps of a result.

    Args:
        done: How it came about.
        result: The translation; only its fields and its mask are looked at.
        back: A -> B -> A on the network's grid; None for bundles that translate one way only.

    Returns:
        Trust and expected error on the source's grid, 0 and the largest beyond what the model saw; the parts on the
        network's grid.
    """
    parts = _parts(done, result.correspondence, back)
    places = _places(done, result.correspondence, parts)
    volumes = {part: Volume(array, done.grid, part.value) for part, array in parts.items()}
    seen = result.validity_kji.astype(np.float32)
    source = result.translated.geometry
    if done.calibration is None:
        trust = _onto(source, done, rank_of_own(places), 0.0)
        np.clip(trust, 0, 1, out=trust)
        trust *= seen
        return TrustMaps(Volume(trust, source, "trust"), None, volumes)
    expected = _onto(source, done, expected_error(places, done.calibration), done.calibration.quantiles[-1])
    for k in range(len(seen)):
        seen[k] *= trust_of(expected[k], done.calibration)
    expected *= _units_of_range(done.target_scale)
    return TrustMaps(Volume(seen, source, "trust"), Volume(expected, source, "expected error"), volumes)


def _parts(done: FinishedRun, fields: Correspondence, back: Slices | None) -> dict[TrustPart, Slices]:
    """Every map that there is, on the network's grid, seen from the output."""
    seen = USUAL_RANGE if done.calibration is None else done.calibration.source_range
    intensity = intensity_map(done.source, done.grid, done.sliced.intensities, seen, done.run.slab)
    found = {
        TrustPart.ROUND_TRIP: round_trip_map(fields, done.grid),
        TrustPart.FOLDING: folding_map(fields, done.grid),
        TrustPart.INTENSITY: carried_to_output(intensity, fields, done.grid),
    }
    if back is not None:
        found[TrustPart.CYCLE] = carried_to_output(cycle_map(done.sliced.stack.slices, back), fields, done.grid)
    return {part: array for part, array in found.items() if array is not None}


def _places(done: FinishedRun, fields: Correspondence, parts: dict[TrustPart, Slices]) -> OutputSlices:
    """Fields that were estimated afterwards say where anatomy went, not how the output was made: they do not count."""
    unseen = {TrustPart.INTENSITY: parts[TrustPart.INTENSITY]}
    if fields.origin is Origin.MODEL:
        unseen[TrustPart.FOLDING] = parts[TrustPart.FOLDING]
        unseen[TrustPart.ROUND_TRIP] = parts[TrustPart.ROUND_TRIP] / np.float32(done.grid.spacing_mm[0])
    return OutputSlices(
        source=carried_to_output(done.sliced.stack.slices, fields, done.grid),
        output=done.made.mean,
        spread=done.made.deviation,
        cycle=parts.get(TrustPart.CYCLE),
        parts=unseen,
    )


def _onto(source: Geometry, done: FinishedRun, array: Slices, outside: float) -> Slices:
    return put_back(Volume(array, done.grid), source, outside, done.run.slab)


def _units_of_range(scale: IntensityScale) -> np.float32:
    """How many target units the range of the scale has."""
    low, high = to_target_units(np.array([-1.0, 1.0]), scale)
    return np.float32(high - low)
