"""What single cases add to a set in, figures of the whole set out: Frechet distances and the like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from MedTranslateLib.evaluation.findings_store import SetSample
from MedTranslateLib.evaluation.measurement import Measurement
from MedTranslateLib.metrics.distribution import frechet_distance, histogram_distance, simplified_frechet_distance

INCEPTION_FEATURES = 2048
"""Width by which features of Inception are told from SqueezeNet's."""


def set_figures(samples: Iterable[SetSample]) -> list[Measurement]:
    """Distances between all translations and all targets of a table, direction and method.

    Args:
        samples: In any order; each case adds its slices.

    Returns:
        Measurements without a case.
    """
    sets: dict[tuple[str, str, str], list[SetSample]] = {}
    for sample in samples:
        sets.setdefault((sample.table, sample.direction, sample.method), []).append(sample)
    return [one for labels, members in sorted(sets.items()) for one in _figures(labels, members)]


def _figures(labels: tuple[str, str, str], members: Sequence[SetSample]) -> Iterator[Measurement]:
    table, direction, method = labels
    histograms = [_total(members, name) for name in ("output_histogram", "target_histogram")]
    values = {"bhattacharyya": histogram_distance(histograms[0], histograms[1])}
    if all("output_features" in member.arrays for member in members):
        output, target = (_rows(members, name) for name in ("output_features", "target_features"))
        names = ("fid", "sfd_inception") if output.shape[1] == INCEPTION_FEATURES else ("frechet", "sfd")
        values[names[0]] = frechet_distance(output, target)
        values[names[1]] = simplified_frechet_distance(output, target)
    for name, value in values.items():
        yield Measurement(table, "", direction, method, name, value)


def _total(members: Sequence[SetSample], name: str) -> npt.NDArray[np.float64]:
    return np.sum([member.arrays[name] for member in members], axis=0)


def _rows(members: Sequence[SetSample], name: str) -> npt.NDArray[np.float64]:
    """All rows, in an order that does not depend on that of the cases: sums of floats would show it."""
    rows = np.concatenate([np.asarray(member.arrays[name], np.float64) for member in members])
    return rows[np.lexsort(rows.T[::-1])]
