"""A request, a source and a loaded bundle in; a translated volume with its correspondence out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from MedTranslateLib.bundles.manifest import Manifest, Side
from MedTranslateLib.checks.gate import GateReport
from MedTranslateLib.checks.gate_slices import scale_of, slice_grid_of
from MedTranslateLib.core.correspondence import Correspondence, Origin
from MedTranslateLib.core.errors import RequestError
from MedTranslateLib.core.request import TranslationRequest
from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.core.volume import FloatArray, Geometry, Volume
from MedTranslateLib.imaging.scale import IntensityScale, background_value, to_target_units
from MedTranslateLib.imaging.slices import SliceStack, back_onto_source, slice_volume, validity_mask
from MedTranslateLib.inference.correspond import correspondence_from_velocity, estimate_drift
from MedTranslateLib.inference.provenance import describe_run
from MedTranslateLib.inference.slicewise import SliceRun, SliceRunResult, translate_slices
from MedTranslateLib.inference.trust_run import FinishedRun, calibration_for, check_result
from MedTranslateLib.inference.weights import LoadedBundle
from MedTranslateLib.methods.contract import Direction

OnProgress = Callable[[str, int, int], None]
"""Called as `on_progress(stage, done, total)`."""


@dataclass(frozen=True)
class Sides:
    """Which modality a run starts from and which it makes."""

    source: Side
    target: Side


def translate(
    request: TranslationRequest, source: Volume, bundle: LoadedBundle, gate: GateReport, on_progress: OnProgress
) -> TranslationResult:
    """Translates one volume.

    Args:
        request: What was asked for.
        source: The image; it is not changed.
        bundle: A verified bundle with its network.
        gate: What the input gate said; recorded in the provenance.
        on_progress: Told how far each stage is.

    Returns:
        Output, uncertainty and validity on the source's grid; the correspondence on the network's grid, or on a
        coarse one where the method moves nothing.

    Raises:
        RequestError: If the bundle cannot do what was asked for.
        InvalidVolumeError: If the image has no contrast.
    """
    manifest, sides = bundle.manifest, sides_of(bundle.manifest, request)
    run = plan_slices(request, bundle)
    # read before the work, so that a card that cannot be read does not cost a translation first
    calibration = calibration_for(manifest, run, as_trained=not request.method_options) if request.trust else None
    on_progress("prepare", 0, 1)
    sliced = slice_volume(source, slice_grid_of(manifest), scale_of(sides.source), run.slab)
    run = replace(run, slice_spacing_mm=float(sliced.stack.geometry.spacing_mm[2]))
    made = translate_slices(sliced.stack.slices, bundle, run, lambda done, total: on_progress("translate", done, total))
    correspondence = _correspondence(request, made, sliced.stack, source.geometry, on_progress)
    on_progress("assemble", 0, 1)
    scale = scale_of(sides.target)
    network = sliced.stack.geometry
    result = TranslationResult(
        translated=back_onto_source(
            to_target_units(made.mean, scale), network, source.geometry, background_value(scale), run.slab
        ),
        correspondence=correspondence,
        validity_kji=validity_mask(network, source.geometry),
        uncertainty=_uncertainty(made, scale, network, source.geometry, run.slab),
        provenance=describe_run(request, source, bundle, gate, run, sliced, made.network_seconds),
        output_name=sides.target.name,
        output_modality=sides.target.modality,
        output_scale=sides.target.scale.kind,
    )
    if not request.trust:
        return result
    done = FinishedRun(source, bundle, run, sliced, made, scale, calibration)
    return check_result(done, result, lambda part, total: on_progress("check", part, total))


def sides_of(manifest: Manifest, request: TranslationRequest) -> Sides:
    """Source and target of a run, exchanged where the request is reversed."""
    return Sides(manifest.target, manifest.source) if request.reverse else Sides(manifest.source, manifest.target)


def plan_slices(request: TranslationRequest, bundle: LoadedBundle) -> SliceRun:
    """How the slices will be run, after checking the request against what the method can do.

    Raises:
        RequestError: If the number of steps or samples is not possible with this bundle.
    """
    if request.reverse and not bundle.manifest.reversible:
        msg = f"Bundle {bundle.manifest.name} translates one way only ({bundle.manifest.arrow}); leave out --reverse."
        raise RequestError(msg)
    supported = bundle.method.supported_steps
    steps = bundle.method.default_steps if request.steps is None else request.steps
    if steps not in supported:
        allowed = f"{supported[0]}" if len(supported) == 1 else f"{supported[0]} to {supported[-1]}"
        msg = f"Bundle {bundle.manifest.name} was trained for {allowed} step(s), got steps = {steps}."
        raise RequestError(msg)
    if request.samples > 1 and not bundle.method.stochastic:
        msg = (
            f"Bundle {bundle.manifest.name} always gives the same output, so samples = {request.samples} would show an "
            "uncertainty of zero that means nothing. Use samples = 1."
        )
        raise RequestError(msg)
    direction = Direction.REVERSE if request.reverse else Direction.FORWARD
    return SliceRun(direction, steps, request.samples, request.seed, batch=request.batch_size, slab=request.slab)


def _uncertainty(
    made: SliceRunResult, scale: IntensityScale, network: Geometry, source: Geometry, slab: int | None
) -> Volume | None:
    if made.deviation is None:
        return None
    unit = to_target_units(np.array([-1.0, 1.0]), scale)
    in_target_units: FloatArray = made.deviation * np.float32((unit[1] - unit[0]) / 2)
    return back_onto_source(in_target_units.astype(np.float32, copy=False), network, source, 0.0, slab)


def _correspondence(
    request: TranslationRequest, made: SliceRunResult, stack: SliceStack, source: Geometry, on_progress: OnProgress
) -> Correspondence:
    """The model's own fields; where they were asked for, fields estimated from source and output instead."""
    if request.estimate_drift:
        drift = estimate_drift(stack, made.mean, lambda done, total: on_progress("estimate", done, total))
        return correspondence_from_velocity(drift, stack.geometry, Origin.ESTIMATED, request.slab)
    if made.velocity is None:
        return Correspondence.identity(source)
    return correspondence_from_velocity(torch.from_numpy(made.velocity), stack.geometry, Origin.MODEL, request.slab)
