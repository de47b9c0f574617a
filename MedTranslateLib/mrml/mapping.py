"""A point and the nodes of a result in, its partner with values and trust figures out; all in RAS millimetres.

The fields lead between places of the patient (world coordinates). They map through the stored field of the direction
asked for, never through an inverse that Slicer would compute on the fly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import slicer
import vtk

from MedTranslateLib.core.correspondence import Origin
from MedTranslateLib.mrml.placement import has_moved
from MedTranslateLib.mrml.scene import ATTRIBUTE_PREFIX, ResultNodes
from MedTranslateLib.mrml.trust_scale import TrustStep
from MedTranslateLib.mrml.units import unit_of_output

Point = tuple[float, float, float]
LETTERS = ("RL", "AP", "SI")
"""Which way each axis points, and the other way."""


class ReadingState(str, Enum):
    """Whether a pair can be believed, in the words of the readout."""

    IDENTITY = "same grid, no deformation"
    TRACED = "traced"
    ESTIMATED = "estimated, not by the model"
    FOLDED = "folded"
    OUTSIDE = "outside"


STATE_OF_ORIGIN = {Origin.IDENTITY.value: ReadingState.IDENTITY, Origin.ESTIMATED.value: ReadingState.ESTIMATED}
"""What a pair inside the fields is called, where the model did not make them."""


@dataclass(frozen=True)
class Reading:
    """A pair of points and what is known about it.

    Args:
        source_ras, output_ras: The two positions in RAS mm. From outside its field, a point is its own partner.
        source_value, output_value: Value of the nearest voxel; None outside of the image.
        displacement_mm: Distance of the two positions.
        det_j: Determinant of the derivative of the map that was used, at the start: how many times larger a small
            volume is on the partner's side.
        round_trip_mm: How far from the start the way there and back ends.
        state: Whether the pair can be believed.
        from_output: Whether the start lies in the output.
        trust: How far the output can be believed at its point, 0 to 1; None where that is not known.
        expected_error: Expected absolute error there; None where the bundle is not calibrated.
        error_unit: What the expected error is measured in.
    """

    source_ras: Point
    output_ras: Point
    source_value: float | None
    output_value: float | None
    displacement_mm: float
    det_j: float
    round_trip_mm: float
    state: ReadingState
    from_output: bool
    trust: float | None = None
    expected_error: float | None = None
    error_unit: str = ""

    @property
    def trust_step(self) -> TrustStep | None:
        """The trust as people read it; None where it is not known."""
        return None if self.trust is None else TrustStep.of(self.trust)

    @property
    def partner_ras(self) -> Point:
        """The position on the other side."""
        return self.source_ras if self.from_output else self.output_ras

    def sentence(self) -> str:
        """One plain sentence, from the start to its partner."""
        source, output = f"source {position_text(self.source_ras)}", f"output {position_text(self.output_ras)}"
        start, partner = (output, source) if self.from_output else (source, output)
        if self.state is ReadingState.OUTSIDE:
            return f"outside: {start} has no partner; it lies beyond the images, or the model did not see this place"
        if self.state is ReadingState.IDENTITY:
            return f"{self.state.value}: {start} is {partner}{self._trust_clause()}"
        warning = "; tissue is turned inside out here, do not rely on this pair"
        folded = warning if self.state is ReadingState.FOLDED else ""
        return (
            f"{self.state.value}: {start} -> {partner}, moved {self.displacement_mm:.1f} mm, volume x{self.det_j:.2f}, "
            f"round trip {self.round_trip_mm:.2f} mm{folded}{self._trust_clause()}"
        )

    def _trust_clause(self) -> str:
        step = self.trust_step
        return "" if step is None else f"; trust {step.text}, {self.error_text()}"

    def error_text(self) -> str:
        """Such as `expected error 0.08 (relative, not HU)`, or that nobody knows."""
        if self.expected_error is None:
            return "not calibrated"
        return f"expected error {self.expected_error:.2g} ({self.error_unit})"


def position_text(point_ras: Sequence[float]) -> str:
    """A position as clinicians say it: `R 12.0 P 20.1 S 35.2 mm`, letters for directions instead of signs."""
    parts = [
        f"{letters[1] if value <= -0.05 else letters[0]} {abs(value):.1f}"
        for letters, value in zip(LETTERS, point_ras, strict=True)
    ]
    return f"{' '.join(parts)} mm"


class PointTracer:
    """Finds partners through the two stored fields of a result.

    Nothing is remembered between two calls, so changes of the nodes count at once. A field that was replaced by
    something other than a grid set from parent has no inside: every point is then `OUTSIDE`.

    Args:
        nodes: The nodes of the result.
    """

    def __init__(self, nodes: ResultNodes) -> None:
        self._nodes = nodes

    def trace(self, point_ras: Sequence[float], *, from_output: bool) -> Reading:
        """Maps a point through the stored field, and back through the other one.

        Args:
            point_ras: Start in world RAS mm.
            from_output: Whether the start lies in the output; otherwise it lies in the source.

        Returns:
            The pair.
        """
        nodes = self._nodes
        start: Point = (float(point_ras[0]), float(point_ras[1]), float(point_ras[2]))
        there, back = (nodes.forward, nodes.inverse) if from_output else (nodes.inverse, nodes.forward)
        step = _through(there, start)
        home = _through(back, step.point_ras)
        source, output = (step.point_ras, start) if from_output else (start, step.point_ras)
        source_value, output_value = voxel_value(nodes.source, source), voxel_value(nodes.output, output)
        seen = voxel_value(nodes.validity, output)
        trust, error = _value_of(nodes.trust, output), _value_of(nodes.expected_error, output)
        within = step.inside and home.inside and source_value is not None and output_value is not None and bool(seen)
        return Reading(
            source_ras=source,
            output_ras=output,
            source_value=source_value,
            output_value=output_value,
            displacement_mm=math.dist(source, output),
            det_j=step.det_j,
            round_trip_mm=math.dist(start, home.point_ras),
            state=self._state(step, within=within),
            from_output=from_output,
            trust=trust,
            expected_error=error,
            error_unit=unit_of_output(nodes),
        )

    def _state(self, step: _Step, *, within: bool) -> ReadingState:
        if not within or has_moved(self._nodes.output, self._nodes.source):
            return ReadingState.OUTSIDE
        if step.det_j <= 0:
            return ReadingState.FOLDED
        origin = self._nodes.output.GetAttribute(f"{ATTRIBUTE_PREFIX}correspondence")
        return STATE_OF_ORIGIN.get(origin, ReadingState.TRACED)


def voxel_value(node: slicer.vtkMRMLVolumeNode, point_ras: Sequence[float]) -> float | None:
    """Value of the voxel that a place lies in.

    Args:
        node: A scalar volume, or a label map; a parent transform is respected.
        point_ras: World position in RAS mm.

    Returns:
        The first component; None outside of the voxels, or without an image.
    """
    image = node.GetImageData()
    if image is None:
        return None
    matrix = vtk.vtkMatrix4x4()
    node.GetRASToIJKMatrix(matrix)
    index = [math.floor(value + 0.5) for value in matrix.MultiplyPoint((*_local(node, point_ras), 1.0))[:3]]
    if not all(0 <= value < size for value, size in zip(index, image.GetDimensions(), strict=True)):
        return None
    return float(image.GetScalarComponentAsDouble(*index, 0))


def _value_of(node: slicer.vtkMRMLVolumeNode | None, point_ras: Sequence[float]) -> float | None:
    return None if node is None else voxel_value(node, point_ras)


@dataclass(frozen=True)
class _Step:
    """A point after one field, the derivative's determinant before it, and whether the field's grid covers it."""

    point_ras: Point
    det_j: float
    inside: bool


def _through(field: slicer.vtkMRMLGridTransformNode, point: Point) -> _Step:
    transform = field.GetTransformFromParentAs("vtkOrientedGridTransform", 0)  # 0: no error if it is another one
    if transform is None or transform.GetInverseFlag() or not _covers(transform, point):
        return _Step(point, 1.0, inside=False)
    mapped = transform.TransformPoint(point)
    derivative = [[0.0] * 3 for _ in range(3)]
    # The exact derivative: VTK rounds positions within a voxel, which spoils differences over small steps.
    transform.InternalTransformDerivative(point, [0.0] * 3, derivative)
    return _Step(mapped, vtk.vtkMath.Determinant3x3(*derivative), inside=True)


def _covers(transform: slicer.vtkOrientedGridTransform, point: Point) -> bool:
    """Whether the point lies within half a voxel of the field's grid; beyond, Slicer repeats the border's vectors."""
    grid = transform.GetDisplacementGrid()
    if grid is None:
        return False
    direction = transform.GetGridDirectionMatrix()
    turned = [direction.GetElement(i // 3, i % 3) for i in range(9)] if direction else (1, 0, 0, 0, 1, 0, 0, 0, 1)
    to_index = [0.0] * 16
    vtk.vtkImageData.ComputePhysicalToIndexMatrix(grid.GetOrigin(), grid.GetSpacing(), turned, to_index)
    extent = grid.GetExtent()
    rows = (to_index[0:4], to_index[4:8], to_index[8:12])
    index = [r * point[0] + a * point[1] + s * point[2] + offset for r, a, s, offset in rows]
    return all(extent[2 * axis] - 0.5 <= value < extent[2 * axis + 1] + 0.5 for axis, value in enumerate(index))


def _local(node: slicer.vtkMRMLVolumeNode, point_ras: Sequence[float]) -> Sequence[float]:
    """A world position in the node's own coordinates, below its parent transforms."""
    parent = node.GetParentTransformNode()
    if parent is None:
        return point_ras
    from_world = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(None, parent, from_world)
    mapped: Point = from_world.TransformPoint(point_ras)
    return mapped
