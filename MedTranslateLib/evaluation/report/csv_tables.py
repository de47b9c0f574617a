"""Measurements in, `metrics.csv` and `slices.csv` out: every figure, to be read by programs."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence

from MedTranslateLib.evaluation.aggregate import patient_figures
from MedTranslateLib.evaluation.measurement import Measurement
from MedTranslateLib.evaluation.report.printable import printable

COLUMNS = ("table", "case", "direction", "method", "metric", "value")


def metrics_csv(measurements: Iterable[Measurement]) -> str:
    """One row for each table, case, direction, method and metric.

    Args:
        measurements: In any order; a case without a name stands for the whole set.

    Returns:
        Sorted rows under a head; six significant digits, empty where the metric is not defined.
    """
    return _csv(COLUMNS, [_row(one) for one in patient_figures(measurements)])


def slices_csv(measurements: Iterable[Measurement]) -> str:
    """One row for each figure of a slice, as `metrics_csv` with the index of the slice as the last column.

    Args:
        measurements: In any order; those of whole cases are left out.

    Returns:
        Sorted rows under a head.
    """
    rows = [(_row(one), one.slice_index) for one in measurements if one.slice_index is not None]
    ordered = sorted(rows, key=lambda row: (row[0][:5], row[1], row[0][5]))
    return _csv((*COLUMNS, "slice_index"), [[*row, str(index)] for row, index in ordered])


def _row(one: Measurement) -> list[str]:
    names = [printable(name) for name in (one.table, one.case, one.direction, one.method, one.metric)]
    return [*names, "" if math.isnan(one.value) else f"{one.value:.6g}"]


def _csv(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue()
