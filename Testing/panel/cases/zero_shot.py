"""A translation from a modality the bundle never saw, with samples: what the panel says of it, and what the cursor."""

from __future__ import annotations

import numpy as np

from panel_case_files import beside

LIMIT_S = 600
RUN_S = 400
ANY_TO_CT = "midiffusion-brain-ct"
translate, trace = beside(__file__, "translate"), beside(__file__, "trace")


def check_any_contrast_becomes_ct_with_its_uncertainty(side) -> None:
    _node, panels = translate.open_with_source(side)
    box = side.child("directionBox")
    box.setCurrentIndex(box.findData(ANY_TO_CT))
    panels.parameters.direction = ANY_TO_CT
    assert "any contrast" in box.currentText
    assert "a volume in any contrast of the brain" in panels.bench.direction.needs
    panels.bench.acceptLicence(panels.bench.direction)
    side.child("advancedBox").collapsed = False
    side.wait(100)
    side.child("stepsBox").value = 4
    side.child("samplesBox").value = 2
    side.picture("zero-shot-chosen")
    translate.apply(side, panels)
    run = panels.translate.runs.runs[-1]
    side.wait_until(lambda: run.state.is_final, RUN_S, "the run")
    assert run.state.value == "done", run.message
    side.wait(300)
    assert "CT" in run.nodes.output.GetName()
    assert run.nodes.uncertainty is not None
    assert run.nodes.output.GetAttribute("MedTranslate.correspondence") == "identity"
    point = trace.hover(side, "Red+", 25, -40)
    assert side.child("stateValue").text == "same grid, no deformation"
    assert np.allclose(panels.trace.reading.source_ras, point, atol=2.5)
    side.picture("zero-shot-hover")
