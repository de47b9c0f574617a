"""The mouse in a view of the output in, a square around it that shows another image, such as the source, out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import slicer
import vtk

from MedTranslateLib.mrml.cursor import crosshair_of
from MedTranslateLib.mrml.layout import Side, side_of_view
from MedTranslateLib.mrml.scene import ResultNodes

SQUARE_PIXELS = 160
FRAME_PIXELS = 2
FRAME_COLOUR = (1.0, 0.85, 0.2)
BLACK = (0.0, 0.0, 0.0)


class LayerReveal:
    """A framed square of one slice view in which another image replaces what the view shows.

    It is drawn with the view's image, below everything that lies on the image: annotations, markups, field overlays
    and the note that the image is synthetic stay readable. The image is cut by a slice layer of its own; what the view
    shows in its own layers is not touched. Beyond the image the square is black.

    Nothing here draws: ask the view for a drawing after each call.

    Args:
        renderer: The view's renderer.
        slice_node: The view.
        volume: The image to show in the square, with its own window and colours.
        size_pixels: Edge of the square.
    """

    def __init__(
        self,
        renderer: vtk.vtkRenderer,
        slice_node: slicer.vtkMRMLSliceNode,
        volume: slicer.vtkMRMLVolumeNode,
        size_pixels: int = SQUARE_PIXELS,
    ) -> None:
        self.renderer = renderer
        self._slice_node, self._size_pixels = slice_node, size_pixels
        self._layer = slicer.vtkMRMLSliceLayerLogic()
        self._layer.SetMRMLScene(slice_node.GetScene())
        self._layer.SetSliceNode(slice_node)
        self._layer.SetVolumeNode(volume)
        self._cut = vtk.vtkImageClip()
        self._frame, self._paper = _Rectangle(FRAME_COLOUR), _Rectangle(BLACK)
        self._actors = (self._frame.actor, self._paper.actor, _image_actor(self._cut))
        self._shown = False

    def show_at(self, x: float, y: float) -> None:
        """Puts the square's middle somewhere.

        Args:
            x: Pixels from the view's left edge, as the crosshair node has it.
            y: Pixels from the view's lower edge.
        """
        image = self._layer.GetImageDataConnection()
        square = _square(x, y, self._size_pixels, self._slice_node.GetDimensions())
        if image is None or square is None:
            self.hide()
            return
        self._cut.SetInputConnection(image)
        self._cut.SetOutputWholeExtent(*square, 0, 0)
        self._frame.cover(square, FRAME_PIXELS)
        self._paper.cover(square, 0)
        if not self._shown:
            # After the view's image, which may have been added anew meanwhile.
            for actor in self._actors:
                self.renderer.AddViewProp(actor)
            self._shown = True

    def hide(self) -> None:
        """Takes the square out of the view; again is harmless."""
        if self._shown:
            for actor in self._actors:
                self.renderer.RemoveViewProp(actor)
            self._shown = False

    def close(self) -> None:
        """Hides the square and lets the view and the image go."""
        self.hide()
        self._cut.RemoveAllInputConnections(0)
        self._layer.SetVolumeNode(None)
        self._layer.SetSliceNode(None)
        self._layer.SetMRMLScene(None)


class RevealCursor:
    """Follows the mouse through the views of a result's output with a `LayerReveal`, in any layout.

    It ends by itself when the scene is closed or an image that it needs is deleted.

    Args:
        scene: Scene that holds the nodes; one without a crosshair node gets one.
        nodes: The result, whose output is looked through.
        volume: What is revealed: the source as it lies under the output, see `comparison.traced_source_node`.
        renderers: Gives the renderer of each slice view that there is, by the view's layout name ("Red+").
        request_drawing: Asks the view of that name to draw itself, soon and once.
    """

    def __init__(
        self,
        scene: slicer.vtkMRMLScene,
        nodes: ResultNodes,
        volume: slicer.vtkMRMLVolumeNode,
        renderers: Callable[[], Mapping[str, vtk.vtkRenderer]],
        request_drawing: Callable[[str], None],
    ) -> None:
        self._scene, self._nodes, self._volume = scene, nodes, volume
        self._renderers, self._request_drawing = renderers, request_drawing
        self._reveals: dict[str, LayerReveal] = {}
        self._shown_in: str | None = None
        crosshair = crosshair_of(scene)
        self._observed = [
            (crosshair, crosshair.AddObserver(crosshair.CursorPositionModifiedEvent, self._on_mouse)),
            (scene, scene.AddObserver(scene.NodeRemovedEvent, self._on_node_removed)),
        ]
        self._crosshair = crosshair
        self._on_mouse()

    @property
    def closed(self) -> bool:
        """Whether it has ended for good."""
        return not self._observed

    def close(self) -> None:
        """Takes the square out of the views and stops following the mouse; again is harmless."""
        for observed, tag in self._observed:
            observed.RemoveObserver(tag)
        self._observed = []
        self._hide()
        for reveal in self._reveals.values():
            reveal.close()
        self._reveals = {}

    def _on_mouse(self, *_: object) -> None:
        position = [0.0] * 3
        view = self._crosshair.GetCursorPositionXYZ(position)
        name = view.GetLayoutName() if view is not None else None
        if name != self._shown_in:
            self._hide()
        if view is None or side_of_view(view, self._nodes) is not Side.OUTPUT:
            self._hide()
            return
        reveal = self._reveal_in(view)
        if reveal is not None:
            reveal.show_at(position[0], position[1])
            self._shown_in = name
            self._request_drawing(view.GetLayoutName())

    def _hide(self) -> None:
        if self._shown_in is not None:
            self._reveals[self._shown_in].hide()
            self._request_drawing(self._shown_in)
            self._shown_in = None

    def _reveal_in(self, view: slicer.vtkMRMLSliceNode) -> LayerReveal | None:
        """The square of a view; made anew where the view has another renderer than before, or none."""
        name = view.GetLayoutName()
        renderer = self._renderers().get(name)
        known = self._reveals.get(name)
        if known is not None and known.renderer is not renderer:
            self._reveals.pop(name).close()
        if renderer is None:
            return None
        if name not in self._reveals:
            self._reveals[name] = LayerReveal(renderer, view, self._volume)
        return self._reveals[name]

    def _on_node_removed(self, *_: object) -> None:
        if not all(self._scene.IsNodePresent(node) for node in (self._volume, self._nodes.output, self._crosshair)):
            self.close()


class _Rectangle:
    """A filled rectangle, in pixels; lines would be smoothed away where they run between pixels."""

    def __init__(self, colour: Sequence[float]) -> None:
        self._points = vtk.vtkPoints()
        self._points.SetNumberOfPoints(4)
        cells = vtk.vtkCellArray()
        cells.InsertNextCell(4, (0, 1, 2, 3))
        shape = vtk.vtkPolyData()
        shape.SetPoints(self._points)
        shape.SetPolys(cells)
        mapper = vtk.vtkPolyDataMapper2D()
        mapper.SetInputData(shape)
        self.actor = _with_the_image(mapper)
        self.actor.GetProperty().SetColor(*colour)

    def cover(self, square: Sequence[int], margin: int) -> None:
        """Covers the pixels of the square and as many around it."""
        left, right, low, high = square[0] - margin, square[1] + 1 + margin, square[2] - margin, square[3] + 1 + margin
        for index, corner in enumerate(((left, low), (right, low), (right, high), (left, high))):
            self._points.SetPoint(index, *corner, 0)
        self._points.Modified()


def _image_actor(cut: vtk.vtkImageClip) -> vtk.vtkActor2D:
    mapper = vtk.vtkImageMapper()
    mapper.SetColorWindow(255.0)
    mapper.SetColorLevel(127.5)
    mapper.SetInputConnection(cut.GetOutputPort())
    return _with_the_image(mapper)


def _with_the_image(mapper: vtk.vtkMapper2D) -> vtk.vtkActor2D:
    actor = vtk.vtkActor2D()
    actor.SetMapper(mapper)
    # Where Slicer draws the view's image; everything else is drawn on top of it.
    actor.GetProperty().SetDisplayLocationToBackground()
    actor.PickableOff()
    return actor


def _square(x: float, y: float, size: int, view: Sequence[int]) -> tuple[int, int, int, int] | None:
    """First and last pixel of the square along x and y, as far as it lies in a view of that many pixels."""
    left, low = round(x) - size // 2, round(y) - size // 2
    right, high = min(left + size, view[0]) - 1, min(low + size, view[1]) - 1
    left, low = max(left, 0), max(low, 0)
    return (left, right, low, high) if left <= right and low <= high else None
