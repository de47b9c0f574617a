"""Nothing in, the linked cursor's handler times and mapping error out: lines for people, then one line of JSON.

Run as `python -m MedTranslateLib.mrml.cursor_bench`, a child process, because only it may load Slicer's core.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from MedTranslateLib.core.correspondence import Correspondence, DisplacementField, Origin
from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.core.trust import TrustMaps
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.imaging.fields import slice_points_ras
from MedTranslateLib.imaging.phantom import head_phantom
from MedTranslateLib.mrml.scene_export import EXIT_NO_SLICER

try:
    import slicer

    from MedTranslateLib.mrml.cursor import LinkedCursor, crosshair_of
    from MedTranslateLib.mrml.layout import add_compare_views, show_compare, slice_views
    from MedTranslateLib.mrml.mapping import PointTracer, Reading, ReadingState
    from MedTranslateLib.mrml.scene import ResultNodes, add_result, add_source
except ImportError as error:
    MISSING: ImportError | None = error
else:
    MISSING = None

Points = npt.NDArray[np.float64]
SIZE_IJK = (256, 256, 100)
SPACING_MM = (0.9, 0.9, 1.5)
MOVES, WARM_UP, MAPPED_POINTS = 900, 30, 2000
AMPLITUDE_MM, WAVE_MM = 6.0, 90.0
"""As smooth and as large as the difference between two acquisitions of a head."""


@dataclass(frozen=True)
class CursorFigures:
    """What was measured.

    Args:
        median_ms, p99_ms: Time from the mouse event until partner, readout and slice positions are set.
        mapping_error_mm: Largest distance between a traced and the true partner, both directions.
        moves: How many mouse moves were timed.
        traced: How many of them had a partner.
    """

    median_ms: float
    p99_ms: float
    mapping_error_mm: float
    moves: int
    traced: int


def main() -> int:
    """Entry of the child process.

    Returns:
        Exit code: 0, or 3 without slicer-core.
    """
    if MISSING is not None:
        sys.stderr.write(
            f"Timing the linked cursor needs the package slicer-core, which cannot be loaded ({MISSING}). "
            'Install it with: pip install "MedTranslateLib[scene]"\n'
        )
        return EXIT_NO_SLICER
    figures = measure(Geometry(SIZE_IJK, np.diag([*SPACING_MM, 1.0])))
    size = "x".join(map(str, SIZE_IJK))
    sys.stdout.write(
        f"linked cursor on a field of {size}, six slice views, {figures.moves} mouse moves, "
        f"{figures.traced} of them with a partner\n"
        f"from the event to partner, readout and slice positions: median {figures.median_ms:.2f} ms, "
        f"99th percentile {figures.p99_ms:.2f} ms\n"
        f"largest distance from the true partner: {figures.mapping_error_mm:.4f} mm\n"
    )
    names = ("median_ms", "p99_ms", "mapping_error_mm")
    sys.stdout.write(json.dumps({name: round(getattr(figures, name), 4) for name in names}) + "\n")
    return 0


def measure(geometry: Geometry) -> CursorFigures:
    """Times the cursor in a scene with the compare views, over a deformation whose inverse is known in closed form.

    Args:
        geometry: Grid of image and fields.

    Returns:
        The figures.
    """
    scene = slicer.vtkMRMLScene()
    colours = slicer.vtkMRMLColorLogic()
    colours.SetMRMLScene(scene)
    colours.AddDefaultColorNodes()
    add_compare_views(scene)
    nodes = _add_case(scene, geometry)
    logics = [_slice_logic(scene, view) for view in slice_views(scene)]
    show_compare(scene, nodes)
    readings: list[Reading | None] = []
    cursor = LinkedCursor(scene, nodes, readings.append)
    times = [_time_move(scene, *move) for move in _mouse_path(scene)][WARM_UP:]
    cursor.close()
    for logic in (*logics, colours):
        logic.SetMRMLScene(None)
    traced = sum(reading is not None and reading.state is ReadingState.TRACED for reading in readings)
    median, p99 = np.percentile(np.array(times) * 1e3, (50, 99)).tolist()
    return CursorFigures(median, p99, _mapping_error_mm(nodes, geometry), len(times), traced)


def to_source(points_ras: Points) -> Points:
    """The true partner in the source of points (..., 3) of the output: a wave along R, then one along A, then along S.

    The size of each wave depends on the two other coordinates alone, so the same wave with the other sign undoes it.
    """
    points = points_ras.copy()
    for axis in (0, 1, 2):
        points[..., axis] += _wave(points, axis)
    return points


def to_output(points_ras: Points) -> Points:
    """The inverse of `to_source`, in closed form."""
    points = points_ras.copy()
    for axis in (2, 1, 0):
        points[..., axis] -= _wave(points, axis)
    return points


def _wave(points_ras: Points, along: int) -> Points:
    first, second = (points_ras[..., axis] * (2 * np.pi / WAVE_MM) for axis in range(3) if axis != along)
    return np.asarray(AMPLITUDE_MM * np.sin(first) * np.cos(0.5 * second + along))


def _add_case(scene: slicer.vtkMRMLScene, geometry: Geometry) -> ResultNodes:
    source = head_phantom(geometry, "phantom")
    trust = source.with_array(source.array_kji / source.array_kji.max())  # so that the mark changes its colour
    result = TranslationResult(
        translated=source,
        correspondence=Correspondence(_field(geometry, to_source), _field(geometry, to_output), Origin.MODEL),
        validity_kji=np.ones(geometry.shape_kji, np.uint8),
        uncertainty=None,
        output_name="bench",
        trust=TrustMaps(trust, trust),
    )
    return add_result(scene, add_source(scene, source, result), source.name, result)


def _field(geometry: Geometry, mapped: Callable[[Points], Points]) -> DisplacementField:
    vectors = np.empty((*geometry.shape_kji, 3), np.float32)
    for k, points in enumerate(slice_points_ras(geometry)):
        vectors[k] = mapped(points) - points
    return DisplacementField(vectors, geometry)


def _slice_logic(scene: slicer.vtkMRMLScene, view: slicer.vtkMRMLSliceNode) -> slicer.vtkMRMLSliceLogic:
    logic = slicer.vtkMRMLSliceLogic()
    logic.SetMRMLScene(scene)
    logic.SetSliceNode(view)
    return logic


def _mouse_path(
    scene: slicer.vtkMRMLScene,
) -> Iterator[tuple[slicer.vtkMRMLSliceNode, tuple[float, float]]]:
    """Circles of growing size through all views in turn, so that all slices of the other side move each time."""
    views = slice_views(scene)
    for number in range(WARM_UP + MOVES):
        view = views[number // 15 % len(views)]
        width, height, _ = view.GetDimensions()
        angle, radius = 0.17 * number, 0.45 * (number % 97) / 97
        yield view, (width * (0.5 + radius * np.cos(angle)), height * (0.5 + radius * np.sin(angle)))


def _time_move(scene: slicer.vtkMRMLScene, view: slicer.vtkMRMLSliceNode, place: tuple[float, float]) -> float:
    """Seconds of a mouse move, told as a slice view tells it; the observers have all run when the call returns."""
    crosshair = crosshair_of(scene)
    started = time.perf_counter()
    crosshair.SetCursorPositionXYZ([*place, 0.0], view)
    return time.perf_counter() - started


def _mapping_error_mm(nodes: ResultNodes, geometry: Geometry) -> float:
    random = np.random.default_rng(7)
    size = np.array(geometry.size_ijk)
    points = geometry.ras_from_ijk(random.uniform(0.1 * size, 0.9 * size, (MAPPED_POINTS, 3)))
    tracer = PointTracer(nodes)
    from_output = np.array([tracer.trace(point, from_output=True).source_ras for point in points])
    from_source = np.array([tracer.trace(point, from_output=False).output_ras for point in points])
    wrong = np.concatenate([from_output - to_source(points), from_source - to_output(points)])
    return float(np.linalg.norm(wrong, axis=1).max())


if __name__ == "__main__":
    sys.exit(main())
