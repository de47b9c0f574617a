# ruff: noqa: E402  # without Slicer's core the file is skipped before it imports what needs it
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import vtk
from vtk.util.numpy_support import vtk_to_numpy

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

from MedTranslateLib.core.result import SYNTHETIC_NOTE
from MedTranslateLib.mrml.synthetic_label import SyntheticLabel, SyntheticLabels, letter_pixels

TAGS = ("Red", "Green", "Red+")


class Desk:
    """Views without windows: their renderers, what they show, and the labels."""

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        self.scene = scene
        self.renderers = {tag: vtk.vtkRenderer() for tag in TAGS}
        self.asked = 0
        for tag in TAGS:
            self.add_view(tag)
        self.labels = SyntheticLabels(scene, self.ask)

    def ask(self) -> dict[str, vtk.vtkRenderer]:
        self.asked += 1
        return dict(self.renderers)

    def add_view(self, tag: str) -> None:
        composite = slicer.vtkMRMLSliceCompositeNode()
        composite.SetLayoutName(tag)
        self.scene.AddNode(composite)

    def composite(self, tag: str) -> slicer.vtkMRMLSliceCompositeNode:
        return self.scene.GetSingletonNode(tag, "vtkMRMLSliceCompositeNode")

    def volume(self, *, synthetic: bool) -> slicer.vtkMRMLScalarVolumeNode:
        node = self.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
        if synthetic:
            node.SetAttribute("MedTranslate.synthetic", "true")
        return node

    def labelled(self) -> set[str]:
        return {tag for tag, renderer in self.renderers.items() if notes_in(renderer) == [SYNTHETIC_NOTE]}


def notes_in(renderer: vtk.vtkRenderer) -> list[str]:
    """Visible texts of a renderer."""
    props = renderer.GetViewProps()
    all_props = [props.GetItemAsObject(index) for index in range(props.GetNumberOfItems())]
    return [prop.GetInput() for prop in all_props if prop.IsA("vtkTextActor") and prop.GetVisibility()]


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk(slicer.vtkMRMLScene())
    yield made
    made.labels.close()


def test_the_note_stands_in_each_view_whose_background_foreground_or_label_is_synthetic(desk: Desk) -> None:
    synthetic = desk.volume(synthetic=True).GetID()
    assert desk.labelled() == set()
    desk.composite("Red").SetBackgroundVolumeID(synthetic)
    assert desk.labelled() == {"Red"}
    desk.composite("Green").SetForegroundVolumeID(synthetic)
    desk.composite("Red+").SetLabelVolumeID(synthetic)
    assert desk.labelled() == {"Red", "Green", "Red+"}
    desk.composite("Red").SetBackgroundVolumeID(None)
    desk.composite("Green").SetForegroundVolumeID(desk.volume(synthetic=False).GetID())
    assert desk.labelled() == {"Red+"}


def test_a_layer_above_the_three_counts_too(desk: Desk) -> None:
    composite = desk.composite("Red")
    if not hasattr(composite, "SetNthLayerVolumeID"):
        pytest.skip("this version of Slicer has three layers")
    composite.SetNthLayerVolumeID(composite.Layer_Last, desk.volume(synthetic=True).GetID())
    assert desk.labelled() == {"Red"}


def test_a_deleted_image_takes_its_note_along(desk: Desk) -> None:
    synthetic = desk.volume(synthetic=True)
    desk.composite("Red").SetBackgroundVolumeID(synthetic.GetID())
    desk.scene.RemoveNode(synthetic)
    assert desk.labelled() == set()


def test_a_view_whose_contents_are_not_in_the_scene_any_more_has_no_note(desk: Desk) -> None:
    desk.composite("Red").SetBackgroundVolumeID(desk.volume(synthetic=True).GetID())
    desk.scene.RemoveNode(desk.composite("Red"))
    assert desk.labelled() == set()


def test_a_view_that_was_added_later_gets_its_note_when_it_shows_something_synthetic(desk: Desk) -> None:
    desk.add_view("Slice4")
    desk.renderers["Slice4"] = vtk.vtkRenderer()
    desk.composite("Slice4").SetBackgroundVolumeID(desk.volume(synthetic=True).GetID())
    assert desk.labelled() == {"Slice4"}


def test_a_view_with_a_new_renderer_gets_its_note_at_the_next_refresh(desk: Desk) -> None:
    desk.composite("Red").SetBackgroundVolumeID(desk.volume(synthetic=True).GetID())
    old, desk.renderers["Red"] = desk.renderers["Red"], vtk.vtkRenderer()
    del desk.renderers["Green"]
    desk.labels.refresh()
    assert desk.labelled() == {"Red"}
    assert old.GetViewProps().GetNumberOfItems() == 0


def test_an_imported_scene_is_labelled_when_the_import_has_ended(desk: Desk) -> None:
    desk.scene.StartState(slicer.vtkMRMLScene.ImportState)
    desk.add_view("Slice4")
    desk.renderers["Slice4"] = vtk.vtkRenderer()
    desk.composite("Slice4").SetBackgroundVolumeID(desk.volume(synthetic=True).GetID())
    assert desk.labelled() == set()
    desk.scene.EndState(slicer.vtkMRMLScene.ImportState)
    assert desk.labelled() == {"Slice4"}


def test_a_cleared_scene_has_no_notes_and_a_later_result_has_one(desk: Desk) -> None:
    desk.composite("Red").SetBackgroundVolumeID(desk.volume(synthetic=True).GetID())
    desk.scene.Clear(False)
    assert desk.labelled() == set()
    desk.composite("Green").SetBackgroundVolumeID(desk.volume(synthetic=True).GetID())
    assert desk.labelled() == {"Green"}


def test_closed_it_leaves_nothing_in_the_views(desk: Desk) -> None:
    composite = desk.composite("Red")
    composite.SetBackgroundVolumeID(desk.volume(synthetic=True).GetID())
    for _ in range(2):
        desk.labels.close()
    asked = desk.asked
    composite.SetForegroundVolumeID(desk.volume(synthetic=True).GetID())
    assert desk.asked == asked
    for renderer in desk.renderers.values():
        assert renderer.GetViewProps().GetNumberOfItems() == 0
        assert not renderer.HasObserver(vtk.vtkCommand.StartEvent)


def test_many_new_nodes_do_not_ask_for_the_views_again(desk: Desk) -> None:
    asked = desk.asked
    for _ in range(20):
        desk.volume(synthetic=True)
    assert desk.asked == asked


@pytest.mark.parametrize(
    ("size", "pixels"), [((160, 90), 10), ((320, 260), 320 / 28), ((1400, 900), 30), ((1400, 100), 10)]
)
def test_letters_are_large_in_large_views_and_never_too_small_to_read(size: tuple, pixels: float) -> None:
    assert letter_pixels(*size) == pytest.approx(pixels)


def test_a_note_is_hidden_until_it_is_asked_for() -> None:
    renderer = vtk.vtkRenderer()
    label = SyntheticLabel(renderer)
    assert notes_in(renderer) == []
    label.visible = True
    assert notes_in(renderer) == [SYNTHETIC_NOTE]


def drawn(size: tuple[int, int], grey: float, png: Path) -> np.ndarray:
    """A view of one grey with the note, (rows, columns, 3) from the lower left corner."""
    window, renderer = vtk.vtkRenderWindow(), vtk.vtkRenderer()
    if not window.SupportsOpenGL():
        pytest.skip("no OpenGL for off-screen drawing")
    window.SetOffScreenRendering(1)
    window.SetSize(*size)
    window.AddRenderer(renderer)
    renderer.SetBackground(grey, grey, grey)
    SyntheticLabel(renderer).visible = True
    window.Render()
    capture, writer = vtk.vtkWindowToImageFilter(), vtk.vtkPNGWriter()
    capture.SetInput(window)
    capture.ReadFrontBufferOff()
    writer.SetInputConnection(capture.GetOutputPort())
    writer.SetFileName(str(png))
    writer.Write()
    return vtk_to_numpy(capture.GetOutput().GetPointData().GetScalars()).reshape(size[1], size[0], 3).astype(int)


@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("size", [(200, 160), (420, 380), (1300, 900)])
def test_the_note_is_read_on_dark_and_on_bright_images_in_views_of_any_size(
    size: tuple[int, int], grey: float, tmp_path: Path
) -> None:
    picture = drawn(size, grey, tmp_path / "view.png")
    letters = (picture[..., 0] > 200) & (picture[..., 2] < 120)
    rows, columns = np.nonzero(letters)
    assert rows.min() > 0.88 * size[1]
    assert 0.3 * size[0] < np.ptp(columns) < 0.95 * size[0]
    assert np.ptp(rows) >= 7  # pixels from the top of S to the foot of the comma
    assert abs((columns.min() + columns.max()) / 2 - size[0] / 2) < 0.02 * size[0]
    box = picture[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    behind = box[~letters[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]]
    assert np.median(behind.max(axis=-1)) < 90  # letters are above 200
