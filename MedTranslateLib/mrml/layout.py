"""The compare layout: source on the left, output on the right, one row a plane; and what its views show."""

from __future__ import annotations

from dataclasses import dataclass

import slicer

COMPARE_LAYOUT_ID = 5417
"""Above Slicer's own identifiers (up to 100), and unlikely in another extension."""
STOCK_LAYOUT_ID = 21
"""Slicer's "three over three": the same six views, source above output. A scene file does not carry the descriptions
of layouts, so this is what a Slicer without this extension can show."""
SOURCE_GROUP, OUTPUT_GROUP = 0, 1
"""View groups: only 0 and 1 survive a scene file, because Slicer writes the group as true or false."""
FITTED_VIEW_PIXELS = 512


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


def _show_in_view(scene: slicer.vtkMRMLScene, view: CompareView, volume: slicer.vtkMRMLVolumeNode) -> None:
    node = scene.GetSingletonNode(view.tag, "vtkMRMLSliceNode")
    logic = slicer.vtkMRMLSliceLogic()
    logic.SetMRMLScene(scene)
    logic.SetSliceNode(node)
    composite = logic.GetSliceCompositeNode()
    composite.LinkedControlOn()
    composite.SetBackgroundVolumeID(volume.GetID())
    node.SetViewGroup(view.group)
    node.SetOrientation(view.orientation)
    node.RotateToVolumePlane(volume)
    logic.FitSliceToVolume(volume, FITTED_VIEW_PIXELS, FITTED_VIEW_PIXELS)


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
