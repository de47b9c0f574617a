# ruff: noqa: E402  # without Slicer's core the file is skipped before it imports what needs it
from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
vtk = pytest.importorskip("vtk")

from MedTranslateLib.core.correspondence import Correspondence
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.mrml.layout import fit_views, show_compare
from MedTranslateLib.mrml.reveal import LayerReveal, RevealCursor
from MedTranslateLib.mrml.scene import ResultNodes
from MedTranslateLib.mrml.synthetic_label import SyntheticLabels

SIZE = (300, 240)
HALF = 80
OUTPUT_GREY, SOURCE_GREY = 51, 204
MIDDLE = (150, 120)


@dataclass
class Bench:
    """A result in drawn views: dark grey output, light grey source, so that each pixel tells whose it is."""

    scene: Any
    nodes: ResultNodes
    views: dict[str, Any]
    asked: list[str] = field(default_factory=list)

    def renderers(self) -> dict[str, Any]:
        return {tag: view.renderer for tag, view in self.views.items()}

    def cursor(self) -> RevealCursor:
        return RevealCursor(self.scene, self.nodes, self.nodes.source, self.renderers, self.asked.append)

    def mouse(self, tag: str | None, x: float = MIDDLE[0], y: float = MIDDLE[1]) -> None:
        crosshair = self.scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
        if tag is None:
            crosshair.SetCursorPositionInvalid()
        else:
            crosshair.SetCursorPositionXYZ([x, y, 0.0], self.views[tag].node)


@pytest.fixture
def bench(
    known: SimpleNamespace, scene: Any, add_to_scene: Callable[..., Any], drawn_views: Callable[..., Any]
) -> Bench:
    geometry = known.oblique_grid((75, 60, 24))
    # Light grey in the lower slices of the source, black in the upper ones.
    source = np.full(geometry.shape_kji, 0.8)
    source[18:] = 0.0
    nodes = add_to_scene(
        geometry,
        Correspondence.identity(geometry),
        source=Volume(source, geometry, "source"),
        translated=Volume(np.full(geometry.shape_kji, 0.2), geometry, "output"),
    )
    nodes.source.GetDisplayNode().SetWindowLevelMinMax(0.0, 1.0)
    show_compare(scene, nodes)
    views = drawn_views(SIZE)
    fit_views(scene)
    return Bench(scene, nodes, views)


def test_inside_the_square_is_the_source_and_outside_of_it_the_output(bench: Bench) -> None:
    view = bench.views["Red+"]
    before = view.draw()
    assert before[MIDDLE[1], MIDDLE[0]].tolist() == [OUTPUT_GREY] * 3
    reveal = LayerReveal(view.renderer, view.node, bench.nodes.source, 2 * HALF)
    reveal.show_at(*MIDDLE)
    after = view.draw()
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    far = np.maximum(np.abs(x - MIDDLE[0]), np.abs(y - MIDDLE[1]))
    image = (before == OUTPUT_GREY).all(axis=-1)
    assert (after[far > HALF + 3] == before[far > HALF + 3]).all()
    assert (after[(far < HALF - 2) & image] == SOURCE_GREY).all()
    yellow = (after[..., 0] > 200) & (after[..., 2] < 100)
    assert yellow.sum() == (2 * HALF + 4) ** 2 - (2 * HALF) ** 2  # two pixels wide
    reveal.close()
    assert (view.draw() == before).all()


def test_beyond_the_source_the_square_is_black(bench: Bench) -> None:
    view = bench.views["Red+"]
    smaller = bench.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "half of the source")
    smaller.CopyOrientation(bench.nodes.source)
    image = vtk.vtkImageData()
    image.SetDimensions(37, 60, 24)
    image.AllocateScalars(vtk.VTK_FLOAT, 1)
    image.GetPointData().GetScalars().Fill(0.8)
    smaller.SetAndObserveImageData(image)
    smaller.CreateDefaultDisplayNodes()
    smaller.GetDisplayNode().AutoWindowLevelOff()
    smaller.GetDisplayNode().SetWindowLevelMinMax(0.0, 1.0)
    reveal = LayerReveal(view.renderer, view.node, smaller, 2 * HALF)
    reveal.show_at(*MIDDLE)
    after = view.draw()
    row = after[MIDDLE[1], MIDDLE[0] - HALF + 3 : MIDDLE[0] + HALF - 3]
    assert {tuple(pixel) for pixel in np.concatenate([row[:60], row[-60:]])} == {(SOURCE_GREY,) * 3, (0, 0, 0)}
    reveal.close()


def test_the_square_follows_the_mouse_and_leaves_no_trail(bench: Bench) -> None:
    view = bench.views["Green+"]
    before = view.draw()
    cursor = bench.cursor()
    bench.mouse("Green+", 90, 100)
    view.draw()
    bench.mouse("Green+", 210, 140)
    after = view.draw()
    assert (after[:, : 210 - HALF - 3] == before[:, : 210 - HALF - 3]).all()
    assert after[140, 210].tolist() == [SOURCE_GREY] * 3
    bench.mouse(None)
    assert (view.draw() == before).all()
    cursor.close()


@pytest.mark.parametrize("corner", [(0, 0), (SIZE[0] - 1, 0), (0, SIZE[1] - 1), (SIZE[0] - 1, SIZE[1] - 1), (-200, 50)])
def test_at_the_edge_of_the_view_a_part_of_the_square_is_shown(bench: Bench, corner: tuple[int, int]) -> None:
    view = bench.views["Red+"]
    before = view.draw()
    reveal = LayerReveal(view.renderer, view.node, bench.nodes.source, 2 * HALF)
    reveal.show_at(*corner)
    after = view.draw()
    y, x = np.nonzero((after != before).any(axis=-1))
    if corner[0] < 0:
        assert not len(x)
    else:
        assert np.abs(x - corner[0]).max() <= HALF + 2
        assert np.abs(y - corner[1]).max() <= HALF + 2
        assert len(x) > 2 * HALF - 4
    reveal.close()


def test_when_the_slice_is_changed_the_square_shows_the_new_slice(bench: Bench) -> None:
    view = bench.views["Red+"]
    cursor = bench.cursor()
    bench.mouse("Red+")
    assert view.draw()[MIDDLE[1] + 9, MIDDLE[0] + 9].tolist() == [SOURCE_GREY] * 3
    view.node.SetSliceOffset(view.node.GetSliceOffset() + 9 * 5.0)  # from slice 12 to slice 21
    picture = view.draw()
    assert picture[MIDDLE[1] + 9, MIDDLE[0] + 9].tolist() == [0, 0, 0]
    assert (picture == OUTPUT_GREY).all(axis=-1).any()
    cursor.close()


def test_only_views_of_the_output_are_looked_through_and_asked_to_draw(bench: Bench) -> None:
    before = {tag: view.draw() for tag, view in bench.views.items()}
    cursor = bench.cursor()
    assert bench.asked == []
    bench.mouse("Red")
    assert bench.asked == []
    bench.mouse("Red+")
    bench.mouse("Yellow+")
    assert bench.asked == ["Red+", "Red+", "Yellow+"]  # the last time to take it out of Red+
    changed = {tag for tag, view in bench.views.items() if (view.draw() != before[tag]).any()}
    assert changed == {"Yellow+"}
    bench.mouse("Red")
    assert bench.asked == ["Red+", "Red+", "Yellow+", "Yellow+"]
    assert not any((view.draw() != before[tag]).any() for tag, view in bench.views.items())
    cursor.close()


def test_the_synthetic_note_and_other_marks_stay_on_top(bench: Bench) -> None:
    labels = SyntheticLabels(bench.scene, bench.renderers)
    view = bench.views["Red+"]
    cursor = bench.cursor()
    bench.mouse("Red+", 150, 235)
    with_note = view.draw()
    labels.close()
    without_note = view.draw()
    y, x = np.nonzero((with_note != without_note).any(axis=-1))
    letters = with_note[y, x]
    assert (letters[:, 0] > 200).sum() > 200
    assert y.min() > 200
    assert without_note[215, 150].tolist() == [SOURCE_GREY] * 3
    cursor.close()


def test_what_the_views_show_is_not_touched(bench: Bench) -> None:
    composite = bench.scene.GetSingletonNode("Red+", "vtkMRMLSliceCompositeNode")
    nodes = [node.GetID() for node in bench.scene.GetNodes()]
    changes = []
    composite.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: changes.append(1))
    cursor = bench.cursor()
    bench.mouse("Red+")
    cursor.close()
    assert not changes
    assert [node.GetID() for node in bench.scene.GetNodes()] == nodes


@pytest.mark.parametrize("end", ["close", "source deleted", "output deleted", "scene closed"])
def test_it_ends_cleanly(bench: Bench, end: str) -> None:
    view = bench.views["Red+"]
    props = view.renderer.GetViewProps().GetNumberOfItems()
    cursor = bench.cursor()
    bench.mouse("Red+")
    assert view.renderer.GetViewProps().GetNumberOfItems() == props + 3
    if end == "close":
        cursor.close()
        cursor.close()
    elif end == "scene closed":
        bench.scene.Clear(0)
    else:
        bench.scene.RemoveNode(bench.nodes.source if end == "source deleted" else bench.nodes.output)
    assert cursor.closed
    assert view.renderer.GetViewProps().GetNumberOfItems() == props
    asked = len(bench.asked)
    if end != "scene closed":
        bench.mouse("Red+", 20, 20)
    assert len(bench.asked) == asked
    gone = weakref.ref(cursor)
    del cursor
    gc.collect()
    assert gone() is None


def test_a_view_that_was_built_anew_gets_its_own_square(bench: Bench) -> None:
    cursor = bench.cursor()
    bench.mouse("Red+")
    old, new = bench.views["Red+"].renderer, vtk.vtkRenderer()
    count = old.GetViewProps().GetNumberOfItems()
    bench.views["Red+"].renderer = new
    bench.mouse("Red+", 100, 100)
    assert old.GetViewProps().GetNumberOfItems() == count - 3
    assert new.GetViewProps().GetNumberOfItems() == 3
    bench.views["Red+"].renderer = old
    bench.mouse("Red+", 90, 90)
    assert new.GetViewProps().GetNumberOfItems() == 0
    cursor.close()


def test_a_view_that_is_not_drawn_is_left_alone(bench: Bench) -> None:
    view = bench.views.pop("Red+")
    cursor = bench.cursor()
    crosshair = bench.scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    crosshair.SetCursorPositionXYZ([50, 50, 0.0], view.node)
    assert bench.asked == []
    cursor.close()
    bench.views["Red+"] = view
