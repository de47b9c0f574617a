"""The nodes of a result in, its two sides out: an image, its unit, and the field that leads to the other side."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import slicer
from vtk.util.numpy_support import vtk_to_numpy

from MedTranslateLib.core.errors import InvalidVolumeError
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.mrml.layout import Side
from MedTranslateLib.mrml.placement import has_moved
from MedTranslateLib.mrml.scene import ResultNodes
from MedTranslateLib.mrml.stored_field import Points, StoredField, within
from MedTranslateLib.mrml.units import unit_of_output, unit_of_source
from MedTranslateLib.mrml.volumes import geometry_of_node
from MedTranslateLib.mrml.world import matrix_to_world

Bools = npt.NDArray[np.bool_]
FOLDS_ASKED = 20_000
"""Points whose derivative is asked for, at 3 microseconds each."""


@dataclass(frozen=True)
class ResultSide:
    """One image of a result.

    Args:
        volume: Its node.
        geometry: Its grid in world coordinates.
        seen_kji: Where the model saw the source, on this grid; None on the source's side.
        field: Maps this side's points to the other side.
        unit: What its values are measured in.
        side: Which of the two it is.
    """

    volume: slicer.vtkMRMLScalarVolumeNode
    geometry: Geometry
    seen_kji: npt.NDArray[np.uint8] | None
    field: StoredField
    unit: str
    side: Side

    @property
    def values_kji(self) -> npt.NDArray[np.generic]:
        """The voxels, without a copy."""
        return _voxels(self.volume)

    def values_at(self, points_ras: Points) -> npt.NDArray[np.float64]:
        """Values at points (N, 3), linear between voxel centres; those outside of the image are left out."""
        index = self.geometry.ijk_from_ras(points_ras)
        index = index[within(self.geometry, index)]
        last = np.array(self.geometry.size_ijk) - 1
        low = np.clip(np.floor(index), 0, np.maximum(last - 1, 0)).astype(np.intp)
        share = np.clip(index - low, 0, 1)
        values = np.zeros(len(index))
        for corner in product((0, 1), repeat=3):
            i, j, k = np.minimum(low + corner, last).T
            values += np.where(corner, share, 1 - share).prod(axis=-1) * self.values_kji[k, j, i]
        return values

    def knows(self, points_ras: Points) -> Bools:
        """Tells for points (N, 3) whether they lie in the image and, in the output, where the model saw the source."""
        index = self.geometry.ijk_from_ras(points_ras)
        known = within(self.geometry, index)
        if self.seen_kji is not None:
            i, j, k = np.floor(index[known] + 0.5).astype(np.intp).T
            known[known] = self.seen_kji[k, j, i] != 0
        return known


@dataclass(frozen=True)
class TracedPoints:
    """Partners of many points.

    Args:
        partner_ras: (N, 3).
        outside: (N,), true where there is no partner, as a reading would say.
        folded_share: Share of the points where the map there or the one back turns tissue inside out.
    """

    partner_ras: Points
    outside: Bools
    folded_share: float


def sides_of(nodes: ResultNodes, *, from_output: bool) -> tuple[ResultSide, ResultSide]:
    """The side to start from and the other one.

    Args:
        nodes: The nodes of the result.
        from_output: Whether to start from the output.

    Returns:
        Both sides.

    Raises:
        InvalidVolumeError: If an image is missing, or was moved since the translation.
        RequestError: If an image is bent by a transform, or a field was replaced or is moved by one.
    """
    if has_moved(nodes.output, nodes.source):
        msg = (
            f"{nodes.source.GetName()} or {nodes.output.GetName()} was moved after the translation, so the fields do "
            "not lead from one to the other any more. Take it out of its transform, or translate it again."
        )
        raise InvalidVolumeError(msg)
    seen = np.asarray(_voxels(nodes.validity), dtype=np.uint8)
    source = ResultSide(
        nodes.source, _geometry(nodes.source), None, StoredField.of(nodes.inverse), unit_of_source(nodes), Side.SOURCE
    )
    output = ResultSide(
        nodes.output, _geometry(nodes.output), seen, StoredField.of(nodes.forward), unit_of_output(nodes), Side.OUTPUT
    )
    return (output, source) if from_output else (source, output)


def trace_points(points_ras: Points, own: ResultSide, other: ResultSide) -> TracedPoints:
    """Maps points of one side to the other.

    Args:
        points_ras: (N, 3) in RAS mm.
        own: The side they lie on.
        other: The other side.

    Returns:
        Their partners, by the rules of `mapping.PointTracer`.
    """
    partners = own.field.map_points(points_ras)
    paired = own.field.covers(points_ras) & own.knows(points_ras)
    paired &= other.field.covers(partners) & other.knows(partners)
    asked = np.flatnonzero(paired)
    asked = asked[:: len(asked) // FOLDS_ASKED + 1]
    folded = own.field.folds(points_ras[asked]) | other.field.folds(partners[asked])
    share = float(folded.mean() * paired.mean()) if len(asked) else 0.0
    return TracedPoints(partners, ~paired, share)


def _geometry(node: slicer.vtkMRMLScalarVolumeNode) -> Geometry:
    """The grid where it lies in the patient, below the node's transforms."""
    _voxels(node)
    own = geometry_of_node(node)
    return Geometry(own.size_ijk, matrix_to_world(node) @ own.ijk_to_ras)


def _voxels(node: slicer.vtkMRMLVolumeNode) -> npt.NDArray[np.generic]:
    image = node.GetImageData()
    if image is None or image.GetPointData().GetScalars() is None:
        msg = f"{node.GetName()}: the volume node has no image any more. Translate the volume again."
        raise InvalidVolumeError(msg)
    return np.asarray(vtk_to_numpy(image.GetPointData().GetScalars())).reshape(image.GetDimensions()[::-1])
