"""What a method did to the pixels of an oblique volume is what the cursor in Slicer says, both ways."""

# ruff: noqa: E402  # without Slicer's core the file is skipped before it imports what needs it
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

from MedTranslateLib.checks.gate import GateReport, Verdict
from MedTranslateLib.checks.gate_slices import scale_of, slice_grid_of
from MedTranslateLib.core.correspondence import Origin
from MedTranslateLib.core.request import TranslationRequest
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.job_folder import Job, read_result, write_job, write_result
from MedTranslateLib.imaging.slices import slice_volume
from MedTranslateLib.inference.correspond import smooth_across_slices
from MedTranslateLib.inference.pipeline import translate
from MedTranslateLib.inference.weights import LoadedBundle, load_bundle
from MedTranslateLib.methods.fields import integrate
from MedTranslateLib.mrml.mapping import PointTracer, ReadingState
from MedTranslateLib.mrml.scene import add_result, add_source

CPU = torch.device("cpu")
OPTIONS = {"steps": 1, "channels": [16, 16], "velocity_channels": 8, "velocity_patch": 8, "velocity_levels": 2}


@pytest.fixture
def plasticine(make_bundle: Callable[..., Path]) -> LoadedBundle:
    """An untrained bundle whose velocities are made large, so that pixels move by several."""
    size = {"size_hw": (96, 96), "spacing_mm": 2.1, "reversible": False}
    bundle = load_bundle(make_bundle("moving", "plasticine", OPTIONS, **size), CPU)
    torch.nn.init.normal_(bundle.method.deformation.forward_head.weight, std=12.0)
    return bundle


def displacements_inside(bundle: LoadedBundle, source: Volume) -> tuple[torch.Tensor, Geometry]:
    """What the method computes: both flows of all slices, (2, N, 2, H, W) in pixels, and the grid of the slices."""
    manifest = bundle.manifest
    stack = slice_volume(source, slice_grid_of(manifest), scale_of(manifest.source)).stack
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=_in_half_precision()):
        parts = [
            bundle.method.predicted_velocity(torch.from_numpy(stack.slices[first : first + 4])[:, None])
            for first in range(0, len(stack.slices), 4)
        ]
    velocity = smooth_across_slices(torch.cat(parts).float(), float(stack.geometry.spacing_mm[2]))
    return torch.stack([integrate(velocity), integrate(-velocity)]), stack.geometry


def _in_half_precision() -> bool:
    from MedTranslateLib.inference.devices import supports_bfloat16

    return supports_bfloat16(CPU)


def test_the_cursor_maps_as_the_tensors_do_to_a_hundredth_of_a_millimetre(
    scene: Any, plasticine: LoadedBundle, oblique_head: Volume, tmp_path: Path
) -> None:
    request = TranslationRequest("moving")
    moves, grid = displacements_inside(plasticine, oblique_head)
    result = translate(request, oblique_head, plasticine, GateReport(Verdict.FITS), lambda *_: None)
    write_job(tmp_path / "job", Job(request, oblique_head))
    write_result(tmp_path / "job", result)
    stored = read_result(tmp_path / "job")
    nodes = add_result(scene, add_source(scene, oblique_head, stored), oblique_head.name, stored)
    tracer = PointTracer(nodes)
    rng = np.random.default_rng(0)
    seen, far = 0, []
    for i, j, k in rng.integers((12, 12, 0), (84, 84, 30), (300, 3)):
        start = grid.ras_from_ijk([i, j, k])
        for way, from_output in ((0, True), (1, False)):
            down, right = moves[way, k, :, j, i].tolist()
            expected = grid.ras_from_ijk([i + right, j + down, k])
            reading = tracer.trace(start, from_output=from_output)
            if reading.state is ReadingState.TRACED:
                seen += 1
                far.append(reading.displacement_mm)
                np.testing.assert_allclose(reading.partner_ras, expected, atol=0.01)
    assert stored.correspondence.origin is Origin.MODEL
    assert seen > 300
    assert max(far) > 5.0


def test_a_drift_that_was_estimated_on_request_arrives_in_the_scene_under_that_name(
    scene: Any, make_bundle: Callable[..., Path], oblique_head: Volume, tmp_path: Path
) -> None:
    bundle = load_bundle(make_bundle("still", size_hw=(96, 96), spacing_mm=2.1), CPU)
    request = TranslationRequest("still", estimate_drift=True)
    stages = []
    result = translate(request, oblique_head, bundle, GateReport(Verdict.FITS), lambda *a: stages.append(a[0]))
    assert result.correspondence.origin is Origin.ESTIMATED
    assert "estimate" in stages
    write_job(tmp_path / "job", Job(request, oblique_head))
    write_result(tmp_path / "job", result)
    stored = read_result(tmp_path / "job")
    assert stored.provenance["run"]["estimate_drift"] is True
    nodes = add_result(scene, add_source(scene, oblique_head, stored), oblique_head.name, stored)
    middle = oblique_head.geometry.ras_from_ijk([75, 65, 15])
    reading = PointTracer(nodes).trace(middle, from_output=True)
    assert reading.state is ReadingState.ESTIMATED
    assert reading.displacement_mm < 1.0  # the identity leaves everything where it was
