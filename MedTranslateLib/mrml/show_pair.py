"""A pair of points in, the slices of both sides moved through them out."""

from __future__ import annotations

from collections.abc import Sequence

import slicer
import vtk

from MedTranslateLib.mrml.layout import Side, side_of_view, slice_views
from MedTranslateLib.mrml.scene import ResultNodes


def show_pair(
    scene: slicer.vtkMRMLScene, nodes: ResultNodes, source_ras: Sequence[float], output_ras: Sequence[float]
) -> None:
    """Moves the views of the source to one point and those of the output to the other.

    A view is centred only where the point would lie beyond its edge.

    Args:
        scene: Scene that has the views.
        nodes: The result that is looked at.
        source_ras: Point of the source in RAS mm.
        output_ras: Point of the output in RAS mm.
    """
    points = {Side.SOURCE: source_ras, Side.OUTPUT: output_ras}
    for view in slice_views(scene):
        side = side_of_view(view, nodes)
        if side is None:
            continue
        view.JumpSliceByOffsetting(*points[side])
        if not _is_in_sight(view, points[side]):
            view.JumpSliceByCentering(*points[side])


def _is_in_sight(view: slicer.vtkMRMLSliceNode, point_ras: Sequence[float]) -> bool:
    to_xy = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(view.GetXYToRAS(), to_xy)
    place = to_xy.MultiplyPoint((*point_ras, 1.0))
    return all(0 <= value < size for value, size in zip(place[:2], view.GetDimensions()[:2], strict=True))
