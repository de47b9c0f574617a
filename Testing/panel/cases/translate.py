"""Choose, apply, watch: the translate panel with the real worker, driven by clicks."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import slicer
import vtk

LIMIT_S = 600
RUN_S = 240


def source_volume(name: str = "Head"):
    """A small head with a head's field of view, so that a run takes seconds."""
    from MedTranslateLib.core.volume import Geometry
    from MedTranslateLib.imaging.phantom import head_phantom
    from MedTranslateLib.mrml.volumes import node_from_volume

    matrix = np.diag([-2.0, -2.0, 8.0, 1.0])
    matrix[:3, 3] = [110.0, 120.0, -40.0]
    volume = head_phantom(Geometry((110, 120, 10), matrix))
    node = node_from_volume(slicer.mrmlScene, volume, name)
    slicer.util.setSliceViewerLayers(background=node, fit=True)
    return node


def open_with_source(side):
    """The module with a source chosen, the answer of the probe there and the licence accepted."""
    node = source_volume()
    panels = side.open_module().panels
    side.child("traceSection").collapsed = side.child("translateSection").collapsed = False
    panels.parameters.source = node
    side.wait_until(lambda: panels.bench.probed, 60, "the answer of the probe")
    panels.bench.acceptLicence(panels.bench.direction)
    return node, panels


def apply(side, panels, button: str = "applyButton") -> None:
    """Presses Apply or Queue, and "Translate anyway" where the input gate doubts: a phantom is no patient."""
    side.wait_until(lambda: panels.translate.fit.verdict, 20, "the answer of the input gate")
    side.mouse.click(side.child(button))
    if "may not fit" in panels.messages.text:
        side.wait(300)  # the bar moves what lies below it
        side.mouse.click(side.child("messageButton1"))


def runs_of(panels):
    return panels.translate.runs.runs


def finished(panels):
    return all(run.state.is_final for run in runs_of(panels))


def nodes_of_results():
    return [node for node in slicer.util.getNodesByClass("vtkMRMLNode") if node.GetAttribute("MedTranslate.role")]


def job_folders() -> list[Path]:
    return list(Path(slicer.app.temporaryPath).glob(f"mt{os.getpid()}-*"))


def worker_processes() -> list[str]:
    """Command lines of the workers that this Slicer has started and that are not gone."""
    return [command for command in map(command_of_child, Path("/proc").glob("[0-9]*")) if "inference.worker" in command]


def command_of_child(process: Path) -> str:
    """Command line of a process that is a child of this Slicer and no zombie; empty for others."""
    try:
        state, parent = (process / "stat").read_text().rpartition(")")[2].split()[:2]
        command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
    return command if int(parent) == os.getpid() and state != "Z" else ""


def check_apply_is_disabled_without_a_volume_and_says_why(side) -> None:
    panels = side.open_module().panels
    button = side.child("applyButton")
    assert not button.enabled
    assert "Choose a source volume" in side.child("reasonLabel").text
    node = source_volume()
    panels.parameters.source = node
    side.wait(50)
    assert button.enabled
    assert not side.child("reasonLabel").isVisible()


def check_one_click_translates_and_shows_both_sides(side) -> None:
    node, panels = open_with_source(side)
    before = node.GetMTime(), node.GetImageData().GetMTime()
    side.picture("before-apply")
    apply(side, panels)
    side.wait_until(lambda: side.child("applyButton").text == "Cancel", 10, "the button to say Cancel")
    side.wait_until(lambda: side.child("progressBar").value > 0, RUN_S, "progress")
    side.picture("while-running")
    side.wait_until(lambda: finished(panels), RUN_S, "the run")
    run = runs_of(panels)[-1]
    assert run.state.value == "done", run.message
    output = run.nodes.output
    assert output.GetAttribute("MedTranslate.synthetic") == "true"
    assert (node.GetMTime(), node.GetImageData().GetMTime()) == before
    views = {name: slicer.app.layoutManager().sliceWidget(name) for name in ("Red", "Red+")}
    shown = {name: widget.mrmlSliceCompositeNode().GetBackgroundVolumeID() for name, widget in views.items()}
    assert shown == {"Red": node.GetID(), "Red+": output.GetID()}
    assert side.child("applyButton").text == "Apply"
    assert not job_folders()
    side.picture("result")


def check_cancel_ends_the_worker_within_two_seconds_and_leaves_nothing(side) -> None:
    _node, panels = open_with_source(side)
    nodes_before = slicer.mrmlScene.GetNumberOfNodes()
    apply(side, panels)
    side.wait_until(worker_processes, 30, "a worker")
    started = time.monotonic()
    side.mouse.click(side.child("applyButton"))
    side.wait_until(lambda: not worker_processes(), 2, "the end of the worker")
    assert time.monotonic() - started < 2
    assert [run.state.value for run in runs_of(panels)][-1] == "cancelled"
    assert nodes_of_results() == []
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes_before
    assert not job_folders()


def check_queued_runs_follow_each_other_with_a_warm_worker(side) -> None:
    _node, panels = open_with_source(side)
    count = len(runs_of(panels))
    apply(side, panels)
    side.wait_until(lambda: side.child("queueButton").isVisible(), 10, "the queue button")
    apply(side, panels, "queueButton")
    assert [run.state.value for run in runs_of(panels)][count:] == ["running", "waiting"]
    side.wait_until(lambda: runs_of(panels)[count].state.is_final, RUN_S, "the first run")
    first = panels.bench.runner.processId
    side.wait_until(lambda: finished(panels), RUN_S, "the second run")
    assert [run.state.value for run in runs_of(panels)][count:] == ["done", "done"]
    assert panels.bench.runner.processId == first
    names = [run.nodes.output.GetName() for run in runs_of(panels)[count:]]
    assert len(set(names)) == 2, names


def check_a_result_that_comes_while_another_module_is_shown_is_there_on_return(side) -> None:
    _node, panels = open_with_source(side)
    apply(side, panels)
    slicer.util.selectModule("Data")
    side.wait_until(lambda: finished(panels), RUN_S, "the run")
    run = runs_of(panels)[-1]
    assert run.state.value == "done", run.message
    assert slicer.app.layoutManager().layout == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView  # nobody is disturbed
    side.open_module()
    assert panels.trace.nodes is not None
    assert panels.trace.nodes.output is run.nodes.output


def check_a_scene_closed_during_a_run_cancels_it(side) -> None:
    _node, panels = open_with_source(side)
    apply(side, panels)
    side.wait_until(worker_processes, 30, "a worker")
    slicer.mrmlScene.Clear(0)
    side.wait_until(lambda: not worker_processes(), 2, "the end of the worker")
    assert runs_of(panels)[-1].state.value == "cancelled"
    assert nodes_of_results() == []
    assert not job_folders()


def check_a_source_deleted_during_a_run_is_told_and_leaves_the_scene_as_it_was(side) -> None:
    node, panels = open_with_source(side)
    apply(side, panels)
    side.wait_until(worker_processes, 30, "a worker")
    slicer.mrmlScene.RemoveNode(node)
    side.wait_until(lambda: finished(panels), 5, "the end of the run")
    assert "delet" in panels.messages.text or "remov" in panels.messages.text, panels.messages.text
    assert nodes_of_results() == []


def check_the_log_names_no_patient(side) -> None:
    node, panels = open_with_source(side)
    node.SetName("DOE^JANE")
    apply(side, panels)
    side.wait_until(lambda: finished(panels), RUN_S, "the run")
    log = side.child("logEdit").toPlainText()
    assert "done" in log
    assert "DOE" not in log
    file = slicer.app.errorLogModel().filePath
    assert not file or "DOE" not in Path(file).read_text(errors="replace")


def check_a_volume_under_a_linear_transform_is_translated_where_it_is_seen_and_said_so(side) -> None:
    node, panels = open_with_source(side)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    matrix = vtk.vtkMatrix4x4()
    for row, shift_mm in enumerate((30, -7, 4)):
        matrix.SetElement(row, 3, shift_mm)
    transform.SetMatrixTransformToParent(matrix)
    node.SetAndObserveTransformNodeID(transform.GetID())
    apply(side, panels)
    assert "transform" in panels.messages.text
    side.wait_until(lambda: finished(panels), RUN_S, "the run")
    bounds, moved = [0.0] * 6, [0.0] * 6
    node.GetRASBounds(bounds)
    runs_of(panels)[-1].nodes.output.GetRASBounds(moved)
    assert max(abs(a - b) for a, b in zip(bounds, moved, strict=True)) < 1e-3


def check_a_volume_under_a_non_linear_transform_is_refused_with_the_way_out(side) -> None:
    node, _panels = open_with_source(side)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLBSplineTransformNode", "bent")
    node.SetAndObserveTransformNodeID(transform.GetID())
    side.wait(50)
    assert not side.child("applyButton").enabled
    assert "arden" in side.child("reasonLabel").text, side.child("reasonLabel").text
