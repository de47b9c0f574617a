"""A point and a correspondence in, its partner with the local trust figures out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from MedTranslateLib.core.correspondence import Correspondence
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
    """

    source_ras: tuple[float, float, float]
    output_ras: tuple[float, float, float]
    displacement_mm: float
    det_j: float
    round_trip_mm: float
    state: TraceState
    origin: str

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


def _triple(points: np.ndarray) -> tuple[float, float, float]:
    return float(points[0, 0]), float(points[0, 1]), float(points[0, 2])
