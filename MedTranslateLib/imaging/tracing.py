"""A point and a correspondence in, its partner with the local trust figures out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from scipy.ndimage import map_coordinates

from MedTranslateLib.core.correspondence import Correspondence
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.imaging.fields import inside, jacobian_at, map_points


class TraceState(str, Enum):
    """Whether a partner can be believed: `ok`, outside of the fields, or in a place that was folded."""

    OK = "ok"
    OUTSIDE = "outside"
    FOLDED = "folded"


@dataclass(frozen=True)
class TracedPoint:
    """A pair of points.

    Args:
        source_ras, output_ras: The two positions in RAS mm.
        displacement_mm: Their distance.
        det_j: Jacobian determinant of the map that was used, at the start; above 1 where it spreads out.
        round_trip_mm: How far from the start the way there and back ends.
        state: Whether the pair can be believed.
        origin: How the correspondence came about: model, identity or estimated.
        trust: Of the output's point, 0 to 1; None where the result has no trust map or the point lies outside.
        expected_error: The same of the expected absolute error, in the output's units.
    """

    source_ras: tuple[float, float, float]
    output_ras: tuple[float, float, float]
    displacement_mm: float
    det_j: float
    round_trip_mm: float
    state: TraceState
    origin: str
    trust: float | None = None
    expected_error: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The table that `medtranslate trace` prints."""
        return {
            "source_ras": [round(value, 6) for value in self.source_ras],
            "output_ras": [round(value, 6) for value in self.output_ras],
            "displacement_mm": round(self.displacement_mm, 6),
            "det_j": round(self.det_j, 6),
            "round_trip_mm": round(self.round_trip_mm, 6),
            "state": self.state.value,
            "origin": self.origin,
            "trust": None if self.trust is None else round(self.trust, 4),
            "expected_error": None if self.expected_error is None else round(self.expected_error, 6),
        }


def trace_point(correspondence: Correspondence, point_ras: Sequence[float], *, from_output: bool) -> TracedPoint:
    """Maps one point through the stored field and back through the other.

    Args:
        correspondence: Forward (output to source) and inverse (source to output) field.
        point_ras: Start in RAS mm.
        from_output: Whether the start lies in the output; otherwise it lies in the source.
    """
    there, back = correspondence.forward, correspondence.inverse
    if not from_output:
        there, back = back, there
    start = np.asarray(point_ras, dtype=np.float64)[None]
    partner = map_points(there, start)
    determinant = float(jacobian_at(there, start)[0])
    within = bool(inside(there, start)[0] and inside(back, partner)[0])
    state = TraceState.OUTSIDE if not within else TraceState.FOLDED if determinant <= 0 else TraceState.OK
    source, output = (partner, start) if from_output else (start, partner)
    return TracedPoint(
        source_ras=_triple(source),
        output_ras=_triple(output),
        displacement_mm=float(np.linalg.norm(partner - start)),
        det_j=determinant,
        round_trip_mm=float(np.linalg.norm(map_points(back, partner) - start)),
        state=state,
        origin=correspondence.origin.value,
    )


def value_at(volume: Volume, point_ras: Sequence[float]) -> float | None:
    """The value of an image at a point, linear between voxel centres.

    Args:
        volume: Any image, such as a trust map.
        point_ras: In RAS mm.

    Returns:
        None more than half a voxel beyond the outermost centres.
    """
    point_ijk = volume.geometry.ijk_from_ras(np.asarray(point_ras, dtype=np.float64))
    last = np.array(volume.geometry.size_ijk) - 1
    if (point_ijk < -0.5).any() or (point_ijk > last + 0.5).any():
        return None
    at = np.clip(point_ijk, 0, last)[::-1, None]
    return float(map_coordinates(volume.array_kji, at, order=1, mode="nearest")[0])


def _triple(points: np.ndarray) -> tuple[float, float, float]:
    return float(points[0, 0]), float(points[0, 1]), float(points[0, 2])
