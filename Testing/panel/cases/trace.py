"""Look, trace, pin, save and reopen: a result with a known deformation, followed with the real pointer."""

from __future__ import annotations

import csv
import tempfile
import time
from pathlib import Path

import numpy as np
import slicer
import vtk

LIMIT_S = 300
SHIFT_MM = np.array([6.0, -4.0, 0.0])


def nothing_more(_geometry) -> dict:
    """No trust maps and no ledger, as older results have them."""
    return {}


def shifted_result(size_ijk=(100, 90, 24), spacing_mm=(2.0, 2.0, 6.0), changes=nothing_more):
    """A result in which each output point came from a source point 6 mm to the right and 4 mm to the back of it.

    `changes` gives further parts of the result from its grid.
    """
    from MedTranslateLib.core.correspondence import Correspondence, DisplacementField, Origin
    from MedTranslateLib.core.result import TranslationResult
    from MedTranslateLib.core.volume import Geometry
    from MedTranslateLib.imaging.phantom import head_phantom
    from MedTranslateLib.mrml.scene import add_result, add_source

    matrix = np.diag([-spacing_mm[0], -spacing_mm[1], spacing_mm[2], 1.0])
    matrix[:3, 3] = [size_ijk[0] * spacing_mm[0] / 2, size_ijk[1] * spacing_mm[1] / 2, -size_ijk[2] * spacing_mm[2] / 2]
    geometry = Geometry(size_ijk, matrix)
    source = head_phantom(geometry, "Head")
    vectors = np.broadcast_to(SHIFT_MM.astype(np.float32), (*geometry.shape_kji, 3))
    moved = np.roll(source.array_kji, (2, 3), axis=(1, 2))  # i runs to the left, j to the back
    result = TranslationResult(
        translated=source.with_array(1 - moved / moved.max()),
        correspondence=Correspondence(
            DisplacementField(vectors.copy(), geometry), DisplacementField(-vectors, geometry), Origin.MODEL
        ),
        validity_kji=np.ones(geometry.shape_kji, np.uint8),
        uncertainty=source.with_array(0.02 + 0.05 * (moved > moved.mean())),
        provenance={"bundle": {"name": "test-bundle"}, "run": {"from": "T1"}},
        output_name="FLAIR",
        output_modality="MR",
        output_scale="relative",
        **changes(geometry),
    )
    node = add_source(slicer.mrmlScene, source, result)
    return add_result(slicer.mrmlScene, node, "Head", result)


def shown(side):
    """The module with that result side by side and the cursor linked."""
    nodes = shifted_result()
    panels = side.open_module().panels
    panels.trace.show(nodes)
    side.child("regionSection").collapsed = False
    side.wait(300)
    return nodes, panels


def view(name: str):
    return slicer.app.layoutManager().sliceWidget(name).sliceView()


def ras_at(name: str, x: int, y: int) -> np.ndarray:
    """RAS position of a pixel of a view, from Slicer's own matrix."""
    widget = view(name)
    matrix = slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode().GetXYToRAS()
    return np.array(matrix.MultiplyPoint((x, widget.height - 1 - y, 0, 1))[:3])


def hover(side, name: str, dx: int = 0, dy: int = 0) -> np.ndarray:
    widget = view(name)
    x, y = widget.width // 2 + dx, widget.height // 2 + dy
    side.mouse.move(widget, x - 9, y - 5)
    side.mouse.move(widget, x, y)
    return ras_at(name, x, y)


def distance_mm(name: str, point_ras) -> float:
    """How far a point lies from the slice that a view shows."""
    to_slice = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode().GetSliceToRAS(), to_slice)
    return abs(to_slice.MultiplyPoint((*point_ras, 1))[2])


def check_hovering_shows_the_partner_on_the_other_side_both_ways(side) -> None:
    _nodes, panels = shown(side)
    point = hover(side, "Red+", 17, -11)
    reading = panels.trace.reading
    assert np.allclose(reading.output_ras, point, atol=1.5)
    assert np.allclose(np.subtract(reading.source_ras, reading.output_ras), SHIFT_MM, atol=1e-3)
    assert max(distance_mm(name, reading.source_ras) for name in ("Red", "Yellow", "Green")) < 0.01
    assert side.child("stateValue").text == "traced"
    side.picture("hover-output")
    point = hover(side, "Red", -20, 15)
    reading = panels.trace.reading
    assert np.allclose(reading.source_ras, point, atol=1.5)
    assert np.allclose(np.subtract(reading.output_ras, reading.source_ras), -SHIFT_MM, atol=1e-3)
    assert max(distance_mm(name, reading.output_ras) for name in ("Red+", "Yellow+", "Green+")) < 0.01
    side.picture("hover-source")


def check_one_click_turns_the_cursor_off(side) -> None:
    _nodes, panels = shown(side)
    hover(side, "Red", 10, 10)
    before = panels.trace.reading
    side.child("traceSection").collapsed = False  # whatever the user has closed before
    side.mouse.click(side.child("cursorButton"))
    hover(side, "Red", -30, 20)
    assert panels.trace.reading == before
    side.mouse.click(side.child("cursorButton"))
    hover(side, "Red", -31, 21)
    assert panels.trace.reading != before


def check_the_synthetic_label_is_in_every_output_view_and_in_no_source_view(side) -> None:
    shown(side)
    from MedTranslateWidgets.SyntheticWatch import renderersOfViews

    texts = {}
    for name, renderer in renderersOfViews().items():
        actors = renderer.GetActors2D()
        found = [actors.GetItemAsObject(n) for n in range(actors.GetNumberOfItems())]
        texts[name] = any(
            actor.IsA("vtkTextActor") and "SYNTHETIC" in (actor.GetInput() or "") and actor.GetVisibility()
            for actor in found
        )
    assert {name for name, labelled in texts.items() if labelled} == {"Red+", "Yellow+", "Green+"}


def positions_a_second(crosshair, view_node, count: int = 100) -> float:
    """Moves the cursor through a view, each time drawing whatever is to be drawn."""
    x, y = view_node.GetDimensions()[0] / 2, view_node.GetDimensions()[1] / 2
    started = time.perf_counter()
    for n in range(count):
        angle = 2 * np.pi * n / count
        crosshair.SetCursorPositionXYZ([x + 40 * np.cos(angle), y + 50 * np.sin(angle), 0.0], view_node)
        slicer.app.processEvents()
    return count / (time.perf_counter() - started)


def check_the_cursor_follows_as_fast_as_slicer_can_move_three_slices(side) -> None:
    """On 256x256x150, under software rendering, in a window of 1024x768, against a handler that only moves slices."""
    nodes = shifted_result((256, 256, 150), (1.0, 1.0, 1.2))
    window = slicer.util.mainWindow()
    size = window.size
    window.showNormal()
    window.resize(1024, 768)
    panels = side.open_module().panels
    panels.trace.show(nodes)
    side.wait(500)
    crosshair = slicer.util.getNode("Crosshair")
    manager = slicer.app.layoutManager()
    views = {name: manager.sliceWidget(name).mrmlSliceNode() for name in ("Red", "Red+", "Yellow+", "Green+")}
    rate = positions_a_second(crosshair, views["Red"])
    reading = panels.trace.reading
    assert np.allclose(np.subtract(reading.output_ras, reading.source_ras), -SHIFT_MM, atol=1e-3)
    panels.trace.setCursor(False)

    def move_slices(node, _event) -> None:
        ras = [0.0, 0.0, 0.0]
        node.GetCursorPositionRAS(ras)
        for name in ("Red+", "Yellow+", "Green+"):
            views[name].JumpSliceByOffsetting(*ras)

    tag = crosshair.AddObserver(crosshair.CursorPositionModifiedEvent, move_slices)
    plain = positions_a_second(crosshair, views["Red"])
    crosshair.RemoveObserver(tag)
    window.resize(size)
    text = f"{rate:.1f} positions a second; {plain:.1f} by a handler that only moves three slices\n"
    (side.pictures / "cursor-rate.txt").write_text(text)
    assert rate >= 0.75 * plain, text


def check_the_real_pointer_is_followed_without_losing_it(side) -> None:
    _nodes, panels = shown(side)
    widget = view("Red+")
    x, y = widget.width // 2, widget.height // 2
    points = [(x + int(40 * np.cos(t)), y + int(30 * np.sin(t))) for t in np.arange(0, 6, 0.1)]
    side.mouse.follow(widget, points, 30)
    last = ras_at("Red+", *points[-1])
    assert np.allclose(panels.trace.reading.output_ras, last, atol=1.5)


def check_pins_survive_saving_and_reopening_and_are_written_as_csv(side) -> None:
    _nodes, panels = shown(side)
    hover(side, "Red", -20, 15)
    side.mouse.press(view("Red"), "p")
    hover(side, "Red+", 25, -10)
    side.mouse.press(view("Red+"), "p")
    table = side.child("pinTable")
    assert table.rowCount == 2, panels.messages.text
    pinned = table.item(0, 1).text()
    side.picture("pins")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "pins.csv"
        panels.regions._board.write_csv(target)
        rows = list(csv.DictReader(target.open(encoding="utf-8")))
        assert [row["pin"] for row in rows] == ["1", "2"]
        scene = Path(folder) / "case.mrb"
        assert slicer.util.saveScene(str(scene))
        slicer.mrmlScene.Clear(0)
        side.wait(100)
        assert table.rowCount == 0
        assert slicer.util.loadScene(str(scene))
    side.wait(500)
    assert table.rowCount == 2
    assert table.item(0, 1).text() == pinned
    assert panels.trace.nodes is not None
    composite = slicer.app.layoutManager().sliceWidget("Red+").mrmlSliceCompositeNode()
    assert composite.GetBackgroundVolumeID() == panels.trace.nodes.output.GetID()
    hover(side, "Red+", 20, 10)
    reading = panels.trace.reading
    assert np.allclose(np.subtract(reading.source_ras, reading.output_ras), SHIFT_MM, atol=1e-3)
    side.picture("reopened")


def check_a_box_is_traced_with_its_volume(side) -> None:
    nodes, panels = shown(side)
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Box")
    roi.SetXYZ(5.0, 10.0, 4.0)
    roi.SetRadiusXYZ(20.0, 25.0, 15.0)
    side.child("regionSelector").setCurrentNode(roi)
    side.mouse.click(side.child("traceButton"))
    table = side.child("regionTable")
    assert table.rowCount == 1, panels.messages.text
    assert table.item(0, 3).text() == "+0.0 %"
    assert nodes.output is not None
    side.picture("region")


def check_a_curve_drawn_with_the_mouse_is_traced(side) -> None:
    _nodes, panels = shown(side)
    side.mouse.click(side.child("drawCurveButton"))
    widget = view("Red")
    x, y = widget.width // 2, widget.height // 2
    for dx, dy in ((-25, -15), (25, -15), (25, 15), (-25, 15)):
        side.mouse.click(widget, x + dx, y + dy)
    side.mouse.click(widget, x - 25, y, button=3)
    side.wait(200)
    curve = side.child("regionSelector").currentNode()
    assert curve.GetNumberOfControlPoints() >= 4
    side.mouse.click(side.child("traceButton"))
    table = side.child("regionTable")
    assert table.rowCount == 1, panels.messages.text
    change = float(table.item(0, 3).text().split()[0])
    assert abs(change) < 0.5
    side.picture("curve")


def check_a_result_that_loses_a_part_is_let_go(side) -> None:
    nodes, panels = shown(side)
    hover(side, "Red", -20, 15)
    side.mouse.press(view("Red"), "p")
    slicer.mrmlScene.RemoveNode(nodes.forward)
    assert panels.trace.nodes is None
    assert not side.child("cursorButton").enabled
    assert side.child("pinTable").rowCount == 0
    hover(side, "Red", 20, 5)  # nobody follows, and nothing complains


def check_a_source_that_was_moved_cannot_be_traced(side) -> None:
    nodes, _panels = shown(side)
    nodes.source.SetOrigin(nodes.source.GetOrigin()[0] + 6, *nodes.source.GetOrigin()[1:])
    hover(side, "Red+", 5, 5)
    assert side.child("stateValue").text == "outside"


def check_every_overlay_can_be_chosen_and_taken_away(side) -> None:
    nodes, _panels = shown(side)
    side.child("overlayBox").collapsed = False
    for name in ("fieldBox", "layerBox"):
        box = side.child(name)
        for row in [*range(1, box.count), 0]:
            box.setCurrentIndex(row)
            box.activated(row)
            side.wait(200)
            side.picture(f"{name}-{row}")
    composite = slicer.app.layoutManager().sliceWidget("Red+").mrmlSliceCompositeNode()
    assert composite.GetForegroundVolumeID() in (None, "")
    assert composite.GetBackgroundVolumeID() == nodes.output.GetID()
    side.child("revealBox").checked = True
    hover(side, "Red+", 5, 5)
    side.wait(200)
    side.picture("reveal")
    side.child("revealBox").checked = False


def check_a_segment_is_traced(side) -> None:
    nodes, panels = shown(side)
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Lesions")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(nodes.source)
    ball = vtk.vtkSphereSource()
    ball.SetCenter(5, 5, 5)
    ball.SetRadius(18)
    ball.Update()
    segmentation.AddSegmentFromClosedSurfaceRepresentation(ball.GetOutput(), "lesion", [1.0, 0.3, 0.2])
    segmentation.CreateBinaryLabelmapRepresentation()
    side.child("regionSelector").setCurrentNode(segmentation)
    side.mouse.click(side.child("traceButton"))
    assert side.child("regionTable").rowCount == 1, panels.messages.text
    assert abs(float(side.child("regionTable").item(0, 3).text().split()[0])) < 1.0
