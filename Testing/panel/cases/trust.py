"""Trust, as a clinician meets it: before a run, under the cursor, over the image, and when a run is repeated."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import slicer
import vtk

from panel_case_files import beside

LIMIT_S = 900
RUN_S = 700
T1_TO_FLAIR = "bidpm-brain-t1-flair"
translate, trace = beside(__file__, "translate"), beside(__file__, "trace")


def trust_parts(geometry) -> dict:
    """Low trust on the patient's right, high trust on the left; a calibrated error; two of the parts."""
    from MedTranslateLib.core.trust import TrustMaps, TrustPart
    from MedTranslateLib.core.volume import Volume

    columns = np.linspace(0.0, 1.0, geometry.size_ijk[0], dtype=np.float32)
    trust = Volume(np.broadcast_to(columns, geometry.shape_kji), geometry)
    parts = {
        TrustPart.ROUND_TRIP: trust.with_array(2.0 * (1 - trust.array_kji)),
        TrustPart.CYCLE: trust.with_array(0.3 * (1 - trust.array_kji)),
    }
    return {"trust": TrustMaps(trust, trust.with_array(0.4 - 0.3 * trust.array_kji), parts)}


def shown(side):
    """The module with a shifted result that has trust maps."""
    nodes = trace.shifted_result(changes=trust_parts)
    panels = side.open_module().panels
    panels.trace.show(nodes)
    side.child("traceSection").collapsed = side.child("translateSection").collapsed = False
    side.wait(300)
    return nodes, panels


def marker_colour() -> tuple[float, ...]:
    marker = next(node for node in slicer.mrmlScene.GetNodes() if node.GetName() == "Linked cursor in the source")
    return tuple(round(part, 2) for part in marker.GetDisplayNode().GetSelectedColor())


def nodes_column(nodes, point_ras) -> float:
    """Along i, the direction in which the trust of `trust_parts` rises."""
    matrix = vtk.vtkMatrix4x4()
    nodes.trust.GetRASToIJKMatrix(matrix)
    return matrix.MultiplyPoint((*point_ras, 1.0))[0]


def choose_layer(side, panels, name: str) -> None:
    box = side.child("layerBox")
    row = box.findData(name)
    assert row >= 0, [box.itemText(n) for n in range(box.count)]
    box.setCurrentIndex(row)
    panels.trace.overlays.chooseLayer()
    side.wait(300)


def check_hovering_reads_the_trust_in_words_in_colour_and_on_the_mark(side) -> None:
    nodes, panels = shown(side)
    seen = []
    reach = round(0.38 * trace.view("Red+").height)
    for dx in (-reach, 5, reach):
        point = trace.hover(side, "Red+", dx, 4)
        words = side.child("trustValue").text
        reading = panels.trace.reading
        assert reading.trust is not None
        assert np.allclose(reading.output_ras, point, atol=1.5)
        column = round(nodes_column(nodes, point))
        assert abs(reading.trust - column / 99) < 0.03
        seen.append((words, marker_colour(), side.child("trustValue").styleSheet))
        assert words == reading.trust_step.text
        assert marker_colour() == tuple(round(part, 2) for part in reading.trust_step.colour)
        error, unit = side.child("errorValue").text.split(" ", 1)
        assert abs(float(error) - (0.4 - 0.3 * reading.trust)) < 0.006
        assert unit == "relative, not HU"
        side.picture(f"trust-hover-{len(seen)}")
    words = [word.rpartition("(")[2] for word, _, _ in seen]
    assert words == ["low)", "medium)", "high)"], seen
    assert len({style for _, _, style in seen}) == 3


def check_every_layer_of_trust_can_be_laid_over_and_says_what_it_means(side) -> None:
    nodes, panels = shown(side)
    side.child("overlayBox").collapsed, side.child("translateSection").collapsed = False, True
    box = side.child("layerBox")
    offered = [str(box.itemData(row)) for row in range(box.count)]
    assert {"trust", "expected_error", "trust_round_trip", "trust_cycle", "uncertainty"} <= set(offered)
    assert "trust_folding" not in offered
    composite = slicer.app.layoutManager().sliceWidget("Red+").mrmlSliceCompositeNode()
    for name, unit in (("trust", "most trusted"), ("expected_error", "relative"), ("trust_round_trip", "mm")):
        choose_layer(side, panels, name)
        assert composite.GetForegroundVolumeID() == getattr(nodes, name).GetID()
        assert unit in side.child("legendNote").text
        assert side.child("legendBar").isVisible()
        side.picture(f"layer-{name}")
    source = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()
    assert source.GetForegroundVolumeID() in (None, "")
    choose_layer(side, panels, "trust")
    over = side.child("layerSourceBox")
    side.mouse.click(over, 8, over.height // 2)
    side.wait(200)
    shown_there = slicer.mrmlScene.GetNodeByID(source.GetForegroundVolumeID())
    assert shown_there.GetName().endswith("over the source")
    side.picture("layer-trust-over-both")
    choose_layer(side, panels, "none")
    assert source.GetForegroundVolumeID() in (None, "")
    assert composite.GetForegroundVolumeID() in (None, "")
    assert not side.child("legendNote").isVisible()


def check_an_older_result_says_that_it_has_no_trust_map(side) -> None:
    _nodes, _panels = trace.shown(side)
    trace.hover(side, "Red+", 5, 5)
    assert side.child("trustValue").text == "no trust map"
    box = side.child("layerBox")
    assert box.findData("trust") == -1


def check_a_translation_gives_a_trust_map_that_the_cursor_reads(side) -> None:
    _node, panels = translate.open_with_source(side)
    translate.apply(side, panels)
    run = panels.translate.runs.runs[-1]
    side.wait_until(lambda: run.state.is_final, RUN_S, "the run")
    assert run.state.value == "done", run.message
    nodes = run.nodes
    assert nodes.trust is not None
    values = slicer.util.arrayFromVolume(nodes.trust)
    assert values.min() >= 0.0
    assert values.max() <= 1.0
    assert len(np.unique(values)) > 10
    side.wait(300)
    trace.hover(side, "Red+", 20, -20)
    assert " of 10 (" in side.child("trustValue").text
    side.child("overlayBox").collapsed = False
    choose_layer(side, panels, "trust")
    side.picture("trust-of-a-translation")


def check_without_the_box_there_is_no_trust_map(side) -> None:
    _node, panels = translate.open_with_source(side)
    side.child("advancedBox").collapsed = False
    side.wait(100)
    box = side.child("trustBox")
    assert box.checked
    side.mouse.click(box, 8, box.height // 2)
    assert not panels.parameters.trust
    translate.apply(side, panels)
    run = panels.translate.runs.runs[-1]
    side.wait_until(lambda: run.state.is_final, RUN_S, "the run")
    assert run.state.value == "done", run.message
    assert run.nodes.trust is None
    panels.parameters.trust = True


def check_a_run_is_repeated_and_said_to_be_identical(side) -> None:
    _node, panels = translate.open_with_source(side)
    translate.apply(side, panels)
    run = panels.translate.runs.runs[-1]
    side.wait_until(lambda: run.state.is_final, RUN_S, "the run")
    assert run.state.value == "done", run.message
    side.child("recordSection").collapsed = side.child("sheetBox").collapsed = False
    side.wait(500)
    text = side.child("sheetLabel").text
    assert panels.bench.direction.manifest.name in text
    assert "seed 0" in text
    assert "SHA-256" in text
    side.picture("run-sheet")
    side.mouse.click(side.child("runAgainButton"))
    again = panels.translate.runs.runs[-1]
    assert again is not run, panels.messages.text
    side.wait_until(lambda: again.state.is_final, RUN_S, "the second run")
    assert again.state.value == "done", again.message
    assert "identical, voxel for voxel" in panels.messages.text, panels.messages.text
    side.picture("run-again")


def check_a_changed_source_is_not_run_again(side) -> None:
    node, panels = translate.open_with_source(side)
    translate.apply(side, panels)
    run = panels.translate.runs.runs[-1]
    side.wait_until(lambda: run.state.is_final, RUN_S, "the run")
    slicer.util.arrayFromVolume(node)[5, 60, 55] += 40.0
    slicer.util.arrayFromVolumeModified(node)
    side.child("translateSection").collapsed = side.child("traceSection").collapsed = True
    side.child("recordSection").collapsed = side.child("sheetBox").collapsed = False
    side.wait(1000)
    side.mouse.click(side.child("runAgainButton"))
    assert panels.translate.runs.runs[-1] is run
    assert "was changed or moved" in panels.messages.text, panels.messages.text


# Before a run


def check_a_label_map_cannot_be_chosen(side) -> None:
    translate.source_volume()
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Labels")
    side.open_module()
    selector = side.child("sourceSelector")
    names = {selector.nodeFromIndex(row).GetName() for row in range(selector.nodeCount())}
    assert "Head" in names
    assert labels.GetName() not in names


def check_a_heart_is_not_taken_for_a_head(side) -> None:
    """A cardiac short-axis stack: 10 slices of 10 mm, 340 mm across, with a bright blood pool."""
    from MedTranslateLib.core.volume import Geometry, Volume
    from MedTranslateLib.mrml.volumes import node_from_volume

    k, j, i = np.indices((10, 96, 96))
    pool = np.hypot(i - 52, j - 46) < 9 - 0.4 * abs(k - 5)
    wall = (np.hypot(i - 52, j - 46) < 15) & ~pool
    body = np.hypot((i - 48) / 44, (j - 48) / 33) < 1
    noise = np.random.default_rng(3).normal(0, 8, body.shape)
    values = 40 * body + 60 * wall + 190 * pool + noise.clip(-20, 20) + 20
    volume = Volume(values.astype(np.float32), Geometry((96, 96, 10), np.diag([-3.5, -3.5, 10.0, 1.0])), "Cine")
    node = node_from_volume(slicer.mrmlScene, volume, "Cine SA")
    panels = side.open_module().panels
    panels.parameters.source = node
    panels.parameters.direction = T1_TO_FLAIR
    side.wait_until(lambda: panels.translate.fit.verdict, 20, "the answer of the input gate")
    assert panels.translate.fit.verdict in ("doubtful", "refused")
    words = side.child("fitLabel").text
    assert "Doubtful:" in words or "Refused:" in words
    side.picture("a-heart-for-a-head")
    if panels.translate.fit.verdict == "refused":
        assert not side.child("applyButton").enabled
        assert panels.translate.fit.reasons in side.child("reasonLabel").text


def check_a_doubt_is_asked_about_and_the_override_is_recorded(side) -> None:
    node, panels = translate.open_with_source(side)
    node.SetSpacing(2.0, 2.0, 11.0)
    side.wait(300)
    side.wait_until(lambda: panels.translate.fit.verdict == "doubtful", 20, "a doubt")
    side.wait(300)
    count = len(panels.translate.runs.runs)
    side.mouse.click(side.child("applyButton"))
    assert "may not fit" in panels.messages.text
    assert len(panels.translate.runs.runs) == count
    side.picture("doubt")
    side.wait(300)
    side.mouse.click(side.child("messageButton1"))
    run = panels.translate.runs.runs[-1]
    side.wait_until(lambda: run.state.is_final, RUN_S, "the run")
    assert run.state.value == "done", run.message
    gate = json.loads(run.nodes.provenance.GetText())["gate"]
    assert gate["accepted"] is True
    side.child("recordSection").collapsed = False
    assert "the user asked for it" in side.child("sheetLabel").text


def check_an_empty_volume_is_refused_before_a_run(side) -> None:
    from MedTranslateLib.core.volume import Geometry, Volume
    from MedTranslateLib.mrml.volumes import node_from_volume

    flat = Volume(np.full((12, 60, 60), 7.0), Geometry((60, 60, 12), np.diag([-3.0, -3.0, 8.0, 1.0])))
    node = node_from_volume(slicer.mrmlScene, flat, "Nothing")
    panels = side.open_module().panels
    panels.parameters.source = node
    side.wait_until(lambda: panels.translate.fit.verdict, 20, "the answer of the input gate")
    assert panels.translate.fit.verdict == "refused"
    assert "Refused:" in side.child("fitLabel").text
    assert not side.child("applyButton").enabled
    side.picture("refused")


def check_a_large_volume_is_told_what_it_needs_of_the_memory(side) -> None:
    image = vtk.vtkImageData()
    image.SetDimensions(512, 512, 300)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    image.GetPointData().GetScalars().Fill(0)
    array = np.ndarray((300, 512, 512), np.uint8, vtk_buffer(image))
    array[40:260, 100:400, 120:390] = 90
    array[60:240, 140:360, 160:350] = 150
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Large")
    node.SetAndObserveImageData(image)
    node.SetSpacing(0.5, 0.5, 0.7)
    panels = side.open_module().panels
    side.wait_until(lambda: panels.bench.probed, 60, "the answer of the probe")
    panels.parameters.source = node
    side.wait_until(lambda: panels.translate.fit.verdict, 60, "the answer of the input gate")
    text = side.child("memoryLabel").text
    assert "GB" in text, text
    assert "needs about" in text, text
    side.picture("large-volume")


def vtk_buffer(image):
    from vtk.util.numpy_support import vtk_to_numpy

    return vtk_to_numpy(image.GetPointData().GetScalars()).data


def check_a_bundle_that_was_tampered_with_is_refused(side) -> None:
    _node, panels = translate.open_with_source(side)
    installed = panels.bench.store.find(T1_TO_FLAIR).folder
    with tempfile.TemporaryDirectory() as folder:
        foreign = Path(folder) / "foreign"
        shutil.copytree(installed, foreign)
        weights = bytearray((foreign / "weights.safetensors").read_bytes())
        weights[-5] ^= 1
        (foreign / "weights.safetensors").write_bytes(weights)
        before = len(panels.bench.store.list())
        with mock.patch("qt.QFileDialog.getExistingDirectory", return_value=str(foreign)):
            side.child("bundleSection").collapsed = False
            side.wait(200)
            side.mouse.click(side.child("addFolderButton"))
        assert "SHA-256" in panels.messages.text or "hash" in panels.messages.text, panels.messages.text
        assert len(panels.bench.store.list()) == before
        side.picture("tampered-bundle")
