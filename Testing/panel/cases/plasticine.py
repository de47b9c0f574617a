"""A translation that moves pixels, with samples: fields by the model, followed by the cursor both ways."""

from __future__ import annotations

import numpy as np

from panel_case_files import beside

LIMIT_S = 900
RUN_S = 700
MR_TO_CT = "plasticine-brain-mr-ct"
translate, trace = beside(__file__, "translate"), beside(__file__, "trace")


def translated(side, *, drift: bool = False):
    """The head translated by Plasticine with the choices of the Advanced box; gives panels and the finished run."""
    _node, panels = translate.open_with_source(side)
    box = side.child("directionBox")
    box.setCurrentIndex(box.findData(MR_TO_CT))
    panels.parameters.direction = MR_TO_CT
    panels.bench.acceptLicence(panels.bench.direction)
    side.child("advancedBox").collapsed = False
    side.wait(100)
    side.child("stepsBox").value = 3
    side.child("samplesBox").value = 2
    if drift:
        box = side.child("driftBox")
        side.mouse.click(box, 8, box.height // 2)  # the box itself: its row is wider
        assert panels.parameters.estimateDrift
    translate.apply(side, panels)
    side.wait_until(lambda: side.child("progressBar").value > 0, RUN_S, "progress")
    side.picture("plasticine-running")
    run = panels.translate.runs.runs[-1]
    side.wait_until(lambda: run.state.is_final, RUN_S, "the run")
    assert run.state.value == "done", run.message
    side.wait(300)
    return panels, run


def moved_mm(panels) -> float:
    reading = panels.trace.reading
    return float(np.linalg.norm(np.subtract(reading.source_ras, reading.output_ras)))


def check_fields_by_the_model_are_followed_by_the_cursor_both_ways(side) -> None:
    panels, run = translated(side)
    nodes = run.nodes
    assert nodes.output.GetAttribute("MedTranslate.correspondence") == "model"
    assert nodes.uncertainty is not None
    point = trace.hover(side, "Red+", 25, -40)
    reading = panels.trace.reading
    assert side.child("stateValue").text == "traced"
    assert np.allclose(reading.output_ras, point, atol=2.5)
    transform = nodes.forward.GetTransformFromParentAs("vtkOrientedGridTransform", 0)
    assert np.allclose(transform.TransformPoint(reading.output_ras), reading.source_ras, atol=1e-6)
    assert reading.round_trip_mm < 0.5
    side.picture("plasticine-hover-output")
    point = trace.hover(side, "Red", -20, 30)
    reading = panels.trace.reading
    assert np.allclose(reading.source_ras, point, atol=2.5)
    transform = nodes.inverse.GetTransformFromParentAs("vtkOrientedGridTransform", 0)
    assert np.allclose(transform.TransformPoint(reading.source_ras), reading.output_ras, atol=1e-6)
    side.picture("plasticine-hover-source")
    from MedTranslateLib.mrml.overlays import FieldOverlay

    box = side.child("fieldBox")
    box.setCurrentIndex(box.findData(FieldOverlay.GRID.value))
    panels.trace.overlays.showField()
    side.wait(300)
    side.picture("plasticine-grid")


def check_a_drift_that_was_asked_for_is_marked_as_estimated(side) -> None:
    panels, run = translated(side, drift=True)
    assert run.nodes.output.GetAttribute("MedTranslate.correspondence") == "estimated"
    assert "estimated" in run.nodes.forward.GetName()
    trace.hover(side, "Red+", 25, -40)
    assert side.child("stateValue").text == "estimated, not by the model"
    assert moved_mm(panels) < 15
    from MedTranslateLib.mrml.overlays import FieldOverlay

    box = side.child("fieldBox")
    box.setCurrentIndex(box.findData(FieldOverlay.GLYPH.value))
    panels.trace.overlays.showField()
    side.wait(300)
    note = side.child("fieldNote").text
    assert "not by the model" in note or "nothing to draw" in note or "too small" in note, note
    side.picture("plasticine-drift")
