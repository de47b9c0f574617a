"""The README's tutorial in Slicer, as a new user follows it with mouse and keys; its pictures are taken here."""

from __future__ import annotations

import numpy as np
import SampleData
import slicer

LIMIT_S = 900
RUN_S = 700
T1_TO_FLAIR = "bidpm-brain-t1-flair"


def check_the_tutorial_on_the_sample_head(side) -> None:
    source = SampleData.downloadSample("Colin27 T1")
    panels = side.open_module().panels
    side.wait_until(lambda: panels.bench.probed, 60, "the answer of the probe")
    assert panels.parameters.source is source, "the only volume of the scene should be chosen already"
    box = side.child("directionBox")
    side.mouse.click(box)
    side.mouse.press(box.view(), "Home")
    while panels_direction(box) != T1_TO_FLAIR:
        side.mouse.press(box.view(), "Down")
    side.mouse.press(box.view(), "Return")
    assert panels.bench.direction.key == T1_TO_FLAIR
    before = len(panels.translate.runs.runs)
    side.wait_until(lambda: panels.translate.fit.verdict, 20, "the answer of the input gate")
    side.mouse.click(side.child("applyButton"))
    if "licence" in panels.messages.text:  # asked once on a computer
        side.picture("tutorial-licence")
        side.mouse.click(side.child("messageButton1"))
    assert len(panels.translate.runs.runs) == before + 1, panels.messages.text
    side.wait_until(lambda: side.child("progressBar").value > 30, RUN_S, "progress")
    side.picture("tutorial-running")
    run = panels.translate.runs.runs[-1]
    side.wait_until(lambda: run.state.is_final, RUN_S, "the run")
    assert run.state.value == "done", run.message
    side.wait(500)
    view = slicer.app.layoutManager().sliceWidget("Red+").sliceView()
    side.mouse.move(view, view.width // 2 - 30, view.height // 2 - 20)
    side.mouse.move(view, view.width // 2 - 25, view.height // 2 - 25)
    assert side.child("stateValue").text == "same grid, no deformation"
    side.mouse.press(view, "p")
    assert side.child("pinTable").rowCount == 1
    side.wait(500)
    side.picture("tutorial-compare")
    shown = slicer.util.arrayFromVolume(run.nodes.output)
    assert np.isfinite(shown).all()
    assert 0.0 <= shown.min() < shown.max() <= 1.2


def panels_direction(box) -> str:
    """Key of the row that is marked in the open list."""
    return str(box.itemData(box.view().currentIndex().row()))
