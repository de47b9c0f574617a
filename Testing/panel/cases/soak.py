"""200 times apply, cancel and close at random moments: no exception, no process, no file and no node left."""

from __future__ import annotations

import random

import slicer

from panel_case_files import beside

LIMIT_S = 3000
SLOW = True
CYCLES = 200
translate = beside(__file__, "translate")


def check_200_cycles_of_apply_cancel_and_close_leave_nothing(side) -> None:
    panels = side.open_module().panels
    side.wait_until(lambda: panels.bench.probed, 60, "the answer of the probe")
    chance = random.Random(7)
    seen = dict.fromkeys(("cancel", "close", "queue and cancel", "finish"), 0)
    for _cycle in range(CYCLES):
        node = translate.source_volume()
        panels.parameters.source = node
        panels.bench.acceptLicence(panels.bench.direction)
        before = slicer.mrmlScene.GetNumberOfNodes()
        button, what = side.child("applyButton"), chance.choices(list(seen), (10, 6, 3, 1))[0]
        seen[what] += 1
        panels.translate.fit.look()
        button.click()
        if "may not fit" in panels.messages.text:
            side.child("messageButton1").click()
        side.wait(chance.choice((0, 1, 5, 20, 100, 400, 1500, 4000)))
        if what == "finish":
            side.wait_until(lambda: translate.finished(panels), translate.RUN_S, "the run")
        elif what == "close":
            slicer.mrmlScene.Clear(0)
        else:
            if what == "queue and cancel" and side.child("queueButton").isVisible():
                side.child("queueButton").click()
            while translate.runs_of(panels) and not translate.finished(panels):
                button.click()
                side.wait(5)
            done = translate.runs_of(panels)[-1].state.value == "done"
            assert done or slicer.mrmlScene.GetNumberOfNodes() == before
        slicer.mrmlScene.Clear(0)
        side.wait_until(lambda: translate.finished(panels), 5, "the end of every run")
        assert not translate.job_folders()
        assert len(translate.worker_processes()) <= 1  # a warm one may wait for the next job
    states = {run.state.value for run in translate.runs_of(panels)}
    assert states <= {"done", "cancelled"}, states
    panels.bench.runner.stop()
    side.wait_until(lambda: not translate.worker_processes(), 2, "the end of the last worker")
    (side.pictures / "soak.txt").write_text(f"{seen}, {len(translate.runs_of(panels))} runs\n")
