"""What slice views show in, a note in each view with a synthetic image out; it is drawn there, so captures have it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import slicer
import vtk

from MedTranslateLib.core.result import SYNTHETIC_NOTE
from MedTranslateLib.mrml.scene import ATTRIBUTE_PREFIX

COMPOSITE = "vtkMRMLSliceCompositeNode"
SYNTHETIC_ATTRIBUTE = f"{ATTRIBUTE_PREFIX}synthetic"
TEXT_COLOUR = (1.0, 0.85, 0.2)
BOX_OPACITY = 0.7
"""Of the black box behind the letters, without which they would not be read on a bright image."""
ABOVE_ALL_LAYER = 100
FONT_OF_POINTS = 72
"""Dots per inch at which a font's size is its size in pixels."""


class SyntheticLabel:
    """The note at the top of one view; its letters follow the view's size.

    Args:
        renderer: The view's renderer, which gets the text, hidden at first.
        note: The text.
    """

    def __init__(self, renderer: vtk.vtkRenderer, note: str = SYNTHETIC_NOTE) -> None:
        self.renderer = renderer
        self._actor = _note_actor(note)
        renderer.AddViewProp(self._actor)
        # Not from the window's size events: a capture may change the size just before it draws.
        self._tag = renderer.AddObserver(vtk.vtkCommand.StartEvent, self._on_drawing)

    @property
    def visible(self) -> bool:
        """Whether the note is shown."""
        return bool(self._actor.GetVisibility())

    @visible.setter
    def visible(self, visible: bool) -> None:
        self._actor.SetVisibility(visible)

    def remove(self) -> None:
        """Takes the note out of the view."""
        self.renderer.RemoveObserver(self._tag)
        self.renderer.RemoveViewProp(self._actor)

    def _on_drawing(self, *_: object) -> None:
        width, height = self.renderer.GetSize()
        pixels_a_point = self.renderer.GetRenderWindow().GetDPI() / FONT_OF_POINTS
        # SetFontSize does nothing where the size is the one it has.
        self._actor.GetTextProperty().SetFontSize(max(1, round(letter_pixels(width, height) / pixels_a_point)))


def letter_pixels(width: int, height: int) -> float:
    """Height of the letters in a view of this size: the note fills about half of a small view, less of a large one."""
    return max(10.0, min(width / 28, height / 10, 16 + width / 100))


class SyntheticLabels:
    """Keeps the note in each view that shows a synthetic image, in any layer and in any layout.

    Args:
        scene: The scene, whose views' contents are followed.
        renderers: Gives the renderer of each slice view that there is, by the view's layout name ("Red"). It is asked
            at each `refresh`, which is due when the layout has changed, and where a view without a note shows a
            synthetic image. Nothing here draws.
    """

    def __init__(self, scene: slicer.vtkMRMLScene, renderers: Callable[[], Mapping[str, vtk.vtkRenderer]]) -> None:
        self._scene, self._renderers = scene, renderers
        self._labels: dict[str, SyntheticLabel] = {}
        self._observed: dict[slicer.vtkMRMLSliceCompositeNode, int] = {}
        events = (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndBatchProcessEvent)
        self._scene_tags = [scene.AddObserver(event, self._on_scene_changed) for event in events]
        self.refresh()

    def refresh(self) -> None:
        """Asks for the renderers again and sets the note in each of them."""
        self._match_renderers(self._renderers())
        self._on_scene_changed()

    def close(self) -> None:
        """Takes all notes out of the views and stops following the scene; again is harmless."""
        for tag in self._scene_tags:
            self._scene.RemoveObserver(tag)
        self._scene_tags = []
        self._observe([])
        self._match_renderers({})

    def _match_renderers(self, renderers: Mapping[str, vtk.vtkRenderer]) -> None:
        for name, label in list(self._labels.items()):
            if renderers.get(name) is not label.renderer:
                label.remove()
                del self._labels[name]
        for name, renderer in renderers.items():
            if name not in self._labels:
                self._labels[name] = SyntheticLabel(renderer)

    def _observe(self, composites: list[slicer.vtkMRMLSliceCompositeNode]) -> None:
        for composite in [known for known in self._observed if known not in composites]:
            composite.RemoveObserver(self._observed.pop(composite))
        for composite in composites:
            if composite not in self._observed:
                tag = composite.AddObserver(vtk.vtkCommand.ModifiedEvent, self._on_view_changed)
                self._observed[composite] = tag

    def _on_scene_changed(self, *_: object) -> None:
        if not self._scene.IsBatchProcessing():
            count = self._scene.GetNumberOfNodesByClass(COMPOSITE)
            self._observe([self._scene.GetNthNodeByClass(index, COMPOSITE) for index in range(count)])
            self._on_view_changed()

    def _on_view_changed(self, *_: object) -> None:
        synthetic = {composite.GetLayoutName() for composite in self._observed if shows_synthetic(composite)}
        if not synthetic <= self._labels.keys():
            self._match_renderers(self._renderers())
        for name, label in self._labels.items():
            label.visible = name in synthetic


def shows_synthetic(composite: slicer.vtkMRMLSliceCompositeNode) -> bool:
    """Whether a layer of a view is a synthetic image: background, foreground, label, or one of those above."""
    roles = [composite.GetNthNodeReferenceRole(index) for index in range(composite.GetNumberOfNodeReferenceRoles())]
    layers = (
        composite.GetNthNodeReference(role, index)
        for role in roles
        for index in range(composite.GetNumberOfNodeReferences(role))
    )
    return any(layer is not None and layer.GetAttribute(SYNTHETIC_ATTRIBUTE) == "true" for layer in layers)


def _note_actor(note: str) -> vtk.vtkTextActor:
    actor = vtk.vtkTextActor()
    actor.SetInput(note)
    actor.VisibilityOff()
    actor.SetLayerNumber(ABOVE_ALL_LAYER)
    actor.GetPositionCoordinate().SetCoordinateSystemToNormalizedViewport()
    actor.SetPosition(0.5, 0.99)
    style = actor.GetTextProperty()
    style.SetJustificationToCentered()
    style.SetVerticalJustificationToTop()
    style.SetFontFamilyToArial()
    style.BoldOn()
    style.SetColor(*TEXT_COLOUR)
    style.SetBackgroundColor(0.0, 0.0, 0.0)
    style.SetBackgroundOpacity(BOX_OPACITY)
    return actor
