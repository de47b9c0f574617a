"""A closed curve on one side of a result in, the curve that the field makes of it out, with areas and means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from MedTranslateLib.core.errors import RequestError
from MedTranslateLib.mrml.sides import Bools, ResultSide, trace_points
from MedTranslateLib.mrml.stored_field import Points
from MedTranslateLib.mrml.traced_region import RegionFigures

MAX_POINTS = 300
"""A partner has at most twice as many: enough for any shape that a slice shows, and measured in a fifth of a second."""
MAX_SAMPLES = 200_000


@dataclass(frozen=True)
class TracedCurve:
    """A closed curve on both sides.

    Args:
        own, partner: Its figures on its own side, and those of its partner.
        partner_ras: Points of the partner, (N, 3).
        outside_share, folded_share: Shares of the points on the curve and inside.
        remarks: What has to be said with the figures.
    """

    own: RegionFigures
    partner: RegionFigures
    partner_ras: Points
    outside_share: float
    folded_share: float
    remarks: tuple[str, ...]


def trace_curve(curve: slicer.vtkMRMLMarkupsClosedCurveNode, own: ResultSide, other: ResultSide) -> TracedCurve:
    """Maps a closed curve to the other side.

    Args:
        curve: A curve on the side `own`; its parent transforms are respected.
        own: Its side.
        other: The other side.

    Returns:
        The figures on both sides and the partner's points. Points without a partner are left out of it.

    Raises:
        RequestError: If the curve encloses nothing, or has no partner.
    """
    points = curve_points_ras(curve, float(own.geometry.spacing_mm.min()))
    traced = trace_points(points, own, other)
    partner = traced.partner_ras[~traced.outside]
    if len(partner) < 3:
        msg = (
            f"{curve.GetName()}: has no partner in {other.volume.GetName()}; it lies outside of the fields or of what "
            "the model saw. Draw it where the cursor finds a partner."
        )
        raise RequestError(msg)
    inner = points_inside(points, own)
    everything = trace_points(np.concatenate([points, inner]), own, other)
    own_figures, partner_figures = _figures(points, own, inner), _figures(partner, other, points_inside(partner, other))
    return TracedCurve(
        own=own_figures,
        partner=partner_figures,
        partner_ras=partner,
        outside_share=float(everything.outside.mean()),
        folded_share=everything.folded_share,
        remarks=tuple(_remarks(own_figures, partner_figures)),
    )


def curve_points_ras(curve: slicer.vtkMRMLMarkupsClosedCurveNode, step_mm: float) -> Points:
    """Points along a closed curve, each once.

    Args:
        curve: The node.
        step_mm: Stretches without a point are no longer, or no longer than a part in `MAX_POINTS` of the curve.

    Returns:
        World positions (N, 3): points that Slicer draws the curve through, and more on long straight stretches.

    Raises:
        RequestError: If it has fewer than three points, or all on a line.
    """
    drawn = curve.GetCurvePointsWorld()
    count = curve.GetNumberOfDefinedControlPoints()
    points = np.zeros((0, 3)) if drawn is None or count < 3 else vtk_to_numpy(drawn.GetData()).astype(np.float64)
    points = _without_repeats(points)
    if len(points) < 3 or _flat_axes(points)[1][1] < 1e-3 * step_mm:
        msg = f"{curve.GetName()}: encloses nothing ({count} points); expected three or more, not on a line. Draw on."
        raise RequestError(msg)
    points = _thinned(points)
    gaps = np.linalg.norm(np.roll(points, -1, axis=0) - points, axis=1)
    step = max(step_mm, float(gaps.sum()) / MAX_POINTS)
    return _subdivided(points, np.floor(gaps / step).astype(int) + 1)


def points_inside(points_ras: Points, side: ResultSide) -> Points:
    """A square grid of places inside a closed curve, half the smallest voxel spacing apart, in its best plane.

    Args:
        points_ras: The curve, (N, 3); it is seen along the direction in which it is flattest.
        side: Its side.

    Returns:
        (M, 3).
    """
    axes, _ = _flat_axes(points_ras)
    centre = points_ras.mean(axis=0)
    polygon = (points_ras - centre) @ axes[:2].T
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    step = max(float(side.geometry.spacing_mm.min()) / 2, float(np.sqrt(np.prod(high - low) / MAX_SAMPLES)))
    across, up = (np.arange(a + step / 2, b, step) for a, b in zip(low, high, strict=True))
    inside = _inside_polygon(polygon, across, up)
    v, u = np.nonzero(inside)
    return np.asarray(centre + np.stack([across[u], up[v]], axis=-1) @ axes[:2])


def closed_curve(points_ras: Points, name: str) -> slicer.vtkMRMLMarkupsClosedCurveNode:
    """A locked closed curve with straight stretches between its points, not in a scene yet."""
    curve = slicer.vtkMRMLMarkupsClosedCurveNode()
    curve.SetName(name)
    curve.SetCurveTypeToLinear()
    curve.SetNumberOfPointsPerInterpolatingSegment(1)
    curve.SetControlPointPositionsWorld(_vtk_points(points_ras))
    curve.LockedOn()
    return curve


def area_mm2(points_ras: Points) -> float | None:
    """Area inside a closed curve, as Slicer measures it; None where it cannot, because the curve crosses itself."""
    area = slicer.vtkSlicerMarkupsLogic.GetClosedCurveSurfaceArea(closed_curve(points_ras, ""))
    return float(area) if area > 0 else None


def _figures(points_ras: Points, side: ResultSide, inner_ras: Points) -> RegionFigures:
    values = side.values_at(inner_ras)
    return RegionFigures(area_mm2(points_ras), None, float(values.mean()) if len(values) else None, side.unit)


def _remarks(own: RegionFigures, partner: RegionFigures) -> list[str]:
    remarks = []
    for figures, which in ((own, "curve"), (partner, "partner")):
        if figures.area_mm2 is None:
            remarks.append(f"The {which} crosses itself, so its area is not measured.")
        if figures.mean_value is None:
            remarks.append(f"No voxel lies inside the {which}, so it has no mean.")
    return remarks


def _without_repeats(points: Points) -> Points:
    """Without points that equal the next one; the first one is next to the last."""
    return points[np.linalg.norm(points - np.roll(points, -1, axis=0), axis=1) > 1e-6] if len(points) else points


def _thinned(points: Points) -> Points:
    """At most `MAX_POINTS` of a closed polygon: those go first that lie on a line with their neighbours."""
    if len(points) <= MAX_POINTS:
        return points
    polygon = vtk.vtkPolyData()
    polygon.SetPoints(_vtk_points(points))
    lines = vtk.vtkCellArray()
    lines.InsertNextCell(len(points) + 1, [*range(len(points)), 0])
    polygon.SetLines(lines)
    thin = vtk.vtkDecimatePolylineFilter()
    thin.SetInputData(polygon)
    thin.SetTargetReduction(1 - MAX_POINTS / len(points))
    thin.Update()
    kept = vtk.vtkIdList()
    thin.GetOutput().GetLines().GetCellAtId(0, kept)
    order = [kept.GetId(n) for n in range(kept.GetNumberOfIds() - 1)]  # the last one is the first again
    return np.asarray(vtk_to_numpy(thin.GetOutput().GetPoints().GetData())[order], dtype=np.float64)


def _vtk_points(points: Points) -> vtk.vtkPoints:
    result = vtk.vtkPoints()
    result.SetData(numpy_to_vtk(np.ascontiguousarray(points), deep=True))
    return result


def _flat_axes(points: Points) -> tuple[Points, Points]:
    """Principal directions of points as rows, the flattest last, and how far the points spread along each in mm."""
    _, spread, axes = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    return axes, spread / np.sqrt(len(points))


def _subdivided(points: Points, parts: np.ndarray) -> Points:
    """A closed polygon with each stretch cut into equal parts; its corners stay."""
    start = np.repeat(np.arange(len(points)), parts)
    along = np.concatenate([np.arange(count) / count for count in parts])[:, None]
    return points[start] + along * (np.roll(points, -1, axis=0) - points)[start]


def _inside_polygon(polygon: Points, across: Points, up: Points) -> Bools:
    """Even-odd rule on a grid, line by line: a place is inside when an odd number of edges lies to its left."""
    x, y = polygon.T
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    inside = np.zeros((len(up), len(across)), dtype=np.bool_)
    for row, level in enumerate(up):
        crossed = (y <= level) != (next_y <= level)
        share = (level - y[crossed]) / (next_y[crossed] - y[crossed])
        edges = np.sort(x[crossed] + share * (next_x[crossed] - x[crossed]))
        inside[row] = np.searchsorted(edges, across) % 2 == 1
    return inside
