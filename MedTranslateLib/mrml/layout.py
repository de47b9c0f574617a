"""The compare layout: source on the left, output on the right, one row a plane; and what its views show."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt
import slicer
import vtk

from MedTranslateLib.mrml.scene import ATTRIBUTE_PREFIX, ResultNodes
from MedTranslateLib.mrml.volumes import array_from_matrix, matrix_from_array

COMPARE_LAYOUT_ID = 5417
"""Above Slicer's own identifiers (up to 100), and unlikely in another extension."""
STOCK_LAYOUT_ID = 21
"""Slicer's "three over three": the same six views, source above output. A scene file does not carry the descriptions
of layouts, so this is what a Slicer without this extension can show."""
SOURCE_GROUP, OUTPUT_GROUP = 0, 1
"""View groups: only 0 and 1 survive a scene file, because Slicer writes the group as true or false."""


class Side(Enum):
    """The image that a view belongs to."""

    SOURCE = "source"
    OUTPUT = "output"

    @property
    def other(self) -> Side:
        """Where the partners of this side's points are."""
        return Side.OUTPUT if self is Side.SOURCE else Side.SOURCE


@dataclass(frozen=True)
class CompareView:
    """A slice view of the layout.

    Args:
        tag: Slicer's own name of the view, so that scenes open in any Slicer.
        orientation: Axial, Coronal or Sagittal.
        label: Letters in the view's corner.
        colour: Colour of its bar.
        group: Views of one group move together.
    """

    tag: str
    orientation: str
    label: str
    colour: str
    group: int


SOURCE_VIEWS = (
    CompareView("Red", "Axial", "R", "#F34A33", SOURCE_GROUP),
    CompareView("Yellow", "Sagittal", "Y", "#EDD54C", SOURCE_GROUP),
    CompareView("Green", "Coronal", "G", "#6EB04B", SOURCE_GROUP),
)
OUTPUT_VIEWS = (
    CompareView("Red+", "Axial", "R+", "#f9a99f", OUTPUT_GROUP),
    CompareView("Yellow+", "Sagittal", "Y+", "#f6e9a2", OUTPUT_GROUP),
    CompareView("Green+", "Coronal", "G+", "#c6e0b8", OUTPUT_GROUP),
)


SIDE_OF_TAG = {
    **{view.tag: Side.SOURCE for view in SOURCE_VIEWS},
    **{view.tag: Side.OUTPUT for view in OUTPUT_VIEWS},
}


def compare_layout_xml() -> str:
    """Description for `vtkMRMLLayoutNode.AddLayoutDescription`: two columns, three rows."""
    columns = "".join(f"<item>{_column(views)}</item>" for views in (SOURCE_VIEWS, OUTPUT_VIEWS))
    return f'<layout type="horizontal">{columns}</layout>'


def register_compare_layout(layout: slicer.vtkMRMLLayoutNode) -> None:
    """Makes the compare layout known to a layout node; again is harmless."""
    if not layout.AddLayoutDescription(COMPARE_LAYOUT_ID, compare_layout_xml()):
        layout.SetLayoutDescription(COMPARE_LAYOUT_ID, compare_layout_xml())


def show_compare_layout(layout: slicer.vtkMRMLLayoutNode) -> None:
    """Registers the compare layout and switches to it."""
    register_compare_layout(layout)
    layout.SetViewArrangement(COMPARE_LAYOUT_ID)


def add_compare_views(scene: slicer.vtkMRMLScene) -> None:
    """Adds a layout node and the six slice views to a scene without an application, as Slicer would have them."""
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, 1)  # 1: patient's right is on the left
    logic = slicer.vtkMRMLLayoutLogic()
    logic.SetMRMLScene(scene)
    logic.GetLayoutNode().SetViewArrangement(STOCK_LAYOUT_ID)


def show_compare(scene: slicer.vtkMRMLScene, nodes: ResultNodes) -> None:
    """Switches to the compare layout and shows a result in it, each side linked within itself.

    Views that the application has not drawn yet get their size later: call `fit_views` again then.

    Args:
        scene: Scene of an application, or any other.
        nodes: The result.
    """
    show_compare_layout(layout_node(scene))
    show_in_views(scene, nodes.source, nodes.output)


def after_import(scene: slicer.vtkMRMLScene) -> None:
    """Makes the compare layout known again after a scene file was loaded, and draws it where the file asks for it."""
    layout = layout_node(scene)
    register_compare_layout(layout)
    if layout.GetViewArrangement() == COMPARE_LAYOUT_ID:
        layout.SetViewArrangement(COMPARE_LAYOUT_ID)  # its description was unknown when the file was read


def layout_node(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLLayoutNode:
    """The layout node of a scene; made, with the six views, where there is no application that has made it."""
    node = scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    if node is None:
        add_compare_views(scene)
        node = scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    return node


def show_in_views(
    scene: slicer.vtkMRMLScene, source: slicer.vtkMRMLVolumeNode, output: slicer.vtkMRMLVolumeNode
) -> None:
    """Shows the source in the left views and the output in the right ones, turned to its planes and fitted.

    Args:
        scene: Scene that has the six views.
        source: Shown in `SOURCE_VIEWS`.
        output: Shown in `OUTPUT_VIEWS`.
    """
    for views, volume in ((SOURCE_VIEWS, source), (OUTPUT_VIEWS, output)):
        for view in views:
            _show_in_view(scene, view, volume)


def fit_views(scene: slicer.vtkMRMLScene) -> None:
    """Fits the image in each view of the compare layout to the view's present size, through its middle slice."""
    for view in (*SOURCE_VIEWS, *OUTPUT_VIEWS):
        node = scene.GetSingletonNode(view.tag, "vtkMRMLSliceNode")
        volume = _background(node) if node is not None else None
        if volume is not None:
            fit_view(node, volume)


def slice_views(scene: slicer.vtkMRMLScene) -> list[slicer.vtkMRMLSliceNode]:
    """The slice views that an application shows at present; without an application, all that there are."""
    count = scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")
    nodes = [scene.GetNthNodeByClass(index, "vtkMRMLSliceNode") for index in range(count)]
    return [node for node in nodes if node.IsMappedInLayout()] or nodes


def side_of_view(slice_node: slicer.vtkMRMLSliceNode, nodes: ResultNodes) -> Side | None:
    """Which of the two images a view belongs to, in any layout.

    Args:
        slice_node: The view.
        nodes: A result.

    Returns:
        The side of the background, or else of the foreground; where neither belongs to the result, the side that the
        view has in the compare layout. None for other views, and for those that show a part of another result.
    """
    composite = composite_of(slice_node)
    sides = {node.GetID(): Side.OUTPUT for node in nodes.output_images()}
    sides[nodes.source.GetID()] = Side.SOURCE
    for shown in (composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID()):
        if shown in sides:
            return sides[shown]
    volume = _background(slice_node)
    if volume is not None and volume.GetAttribute(f"{ATTRIBUTE_PREFIX}role"):
        return None
    return SIDE_OF_TAG.get(slice_node.GetLayoutName())


def composite_of(slice_node: slicer.vtkMRMLSliceNode) -> slicer.vtkMRMLSliceCompositeNode:
    """The node that says which volumes a slice view shows; made where there is no application that has made it."""
    composite = slicer.vtkMRMLSliceLogic.GetSliceCompositeNode(slice_node)
    if composite is None:
        composite = slicer.vtkMRMLSliceCompositeNode()
        composite.SetLayoutName(slice_node.GetLayoutName())
        composite = slice_node.GetScene().AddNode(composite)
    return composite


def fit_view(node: slicer.vtkMRMLSliceNode, volume: slicer.vtkMRMLVolumeNode) -> None:
    """Shows all of a volume in a slice view, whose turn stays as it is, through the middle voxel.

    A slice logic has this too, but in an application each view owns one, and a second one would add its own slice
    model to the scene.

    Args:
        node: The view; its present size in pixels counts.
        volume: An image; without voxels nothing happens.
    """
    image = volume.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        return
    slice_to_ras = node.GetSliceToRAS()
    turned = array_from_matrix(slice_to_ras)
    turned[:3, 3] = 0
    bounds = [0.0] * 6
    volume.GetSliceBounds(bounds, matrix_from_array(np.asarray(np.linalg.inv(turned), dtype=np.float64)))
    low, high = np.array(bounds[0::2]), np.array(bounds[1::2])
    middle, *neighbours = _middle_voxel_ras(volume)
    width, height, depth = (max(size, 1) for size in node.GetDimensions())
    pixel_mm = max((high[0] - low[0]) / width, (high[1] - low[1]) / height)
    slice_mm = max(abs((neighbour - middle) @ turned[:3, 2]) for neighbour in neighbours)
    centre = turned[:3, :3] @ ((low + high) / 2)
    modified = node.StartModify()
    for row in range(3):
        slice_to_ras.SetElement(row, 3, centre[row])
    node.SetSliceOrigin(0, 0, 0)
    node.SetFieldOfView(pixel_mm * width, pixel_mm * height, slice_mm * depth)
    node.JumpSliceByOffsetting(*middle)
    node.EndModify(modified)


def _background(slice_node: slicer.vtkMRMLSliceNode) -> slicer.vtkMRMLVolumeNode | None:
    shown = composite_of(slice_node).GetBackgroundVolumeID()
    return slice_node.GetScene().GetNodeByID(shown) if shown else None


def _show_in_view(scene: slicer.vtkMRMLScene, view: CompareView, volume: slicer.vtkMRMLVolumeNode) -> None:
    node = scene.GetSingletonNode(view.tag, "vtkMRMLSliceNode")
    composite = composite_of(node)
    modified = composite.StartModify()
    composite.LinkedControlOn()
    composite.SetBackgroundVolumeID(volume.GetID())
    composite.SetForegroundVolumeID(None)
    composite.SetLabelVolumeID(None)
    composite.EndModify(modified)
    modified = node.StartModify()
    node.SetViewGroup(view.group)
    node.SetOrientation(view.orientation)
    node.RotateToVolumePlane(volume)
    fit_view(node, volume)
    node.EndModify(modified)


def _middle_voxel_ras(volume: slicer.vtkMRMLVolumeNode) -> list[npt.NDArray[np.float64]]:
    """World positions of the middle voxel's centre and of those of the next voxels along i, j and k."""
    to_world = vtk.vtkGeneralTransform()
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(volume.GetParentTransformNode(), None, to_world)
    index = np.array(volume.GetImageData().GetDimensions()) // 2
    indices = (index, *(index + np.eye(3)))
    return [np.array(to_world.TransformPoint(matrix.MultiplyPoint((*ijk, 1.0))[:3])) for ijk in indices]


def _column(views: tuple[CompareView, ...]) -> str:
    return f'<layout type="vertical">{"".join(f"<item>{_view(view)}</item>" for view in views)}</layout>'


def _view(view: CompareView) -> str:
    # Without an action, a property is also applied to a view that exists: the group must be ours in any case.
    return (
        f'<view class="vtkMRMLSliceNode" singletontag="{view.tag}">'
        f'<property name="orientation" action="default">{view.orientation}</property>'
        f'<property name="viewlabel" action="default">{view.label}</property>'
        f'<property name="viewcolor" action="default">{view.colour}</property>'
        f'<property name="viewgroup">{view.group}</property>'
        "</view>"
    )
