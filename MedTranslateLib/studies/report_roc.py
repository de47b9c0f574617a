"""Findings about confidences in, their part of the page out: curves, areas, averages and differences."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from MedTranslateLib.studies.report import Dot, RocLine, Scale, dot_plot, roc_plot
from MedTranslateLib.studies.report_elements import (
    element,
    figure,
    note,
    number,
    number_range,
    p_value,
    percent_range,
    share_of,
    table,
)
from MedTranslateLib.studies.roc_study import THRESHOLD, ReaderRoc, RocFindings

PANELS = 3
MEAN = "mean of readers"


def roc_part(found: RocFindings) -> Iterator[Element]:
    """Everything about areas under ROC curves.

    Args:
        found: What was found.
    """
    for text in found.left_out:
        yield element("p", text, class_="warning")
    names = [one.treatment for one in found.averages]
    for start in range(0, len(names), PANELS):
        panels = [(name, _lines(found, name)) for name in names[start : start + PANELS]]
        yield figure("ROC curves", roc_plot(panels), "Empirical, a line for each reader. Dashed: guessing.")
    told = "With 95 % intervals: DeLong on the logit scale for a reader, over readers and cases for the mean."
    yield figure("Areas under the curves", dot_plot(_dots(found), Scale("area", 0, 1, 0.5)), told)
    heads = ("images", "reader", "AUC", "95 %", "95 % plain", "lesion / none")
    yield table(
        (*heads, "sensitivity", "95 % exact", "specificity", "95 % exact"), [_row(one) for one in found.readings]
    )
    yield note(
        f"Sensitivity and specificity are those of calling a case positive from {THRESHOLD:g} on, the middle of the "
        "scale. “Plain” is the area plus and minus 1.96 standard errors, for comparison with other papers; no "
        "interval stands where all cases were ordered right, as DeLong's variance is then 0."
    )
    rows = [
        (one.treatment, str(one.readers), number(one.auc, 3), number_range(one.resampled, 3)) for one in found.averages
    ]
    if rows:
        yield table(("images", "readers", "mean AUC", "95 % over readers and cases"), rows)
    yield from _differences(found)


def _lines(found: RocFindings, name: str) -> list[RocLine]:
    return [
        RocLine(
            f"{one.reader} {one.area.auc:.2f}",
            tuple((1 - one.curve.specificity).tolist()),
            tuple(one.curve.sensitivity.tolist()),
        )
        for one in found.readings
        if one.treatment == name
    ]


def _dots(found: RocFindings) -> list[Dot]:
    dots = []
    for average in found.averages:
        name = average.treatment
        for one in found.readings:
            if one.treatment == name:
                bounds = one.area.interval
                dots.append(Dot(f"{name}, {one.reader}", one.area.auc, bounds.low, bounds.high))
        if average.readers > 1:
            bounds = average.resampled
            dots.append(Dot(f"{name}, {MEAN}", average.auc, bounds.low, bounds.high, pooled=True))
    return dots


def _row(one: ReaderRoc) -> tuple[str, ...]:
    area, point = one.area, one.point
    return (
        one.treatment,
        one.reader,
        number(area.auc, 3),
        number_range(area.interval, 3),
        number_range(area.plain_interval, 3),
        f"{area.with_finding} / {area.without_finding}",
        share_of(point.sensitivity),
        percent_range(point.sensitivity.interval),
        share_of(point.specificity),
        percent_range(point.specificity.interval),
    )


def _differences(found: RocFindings) -> Iterator[Element]:
    if not found.differences:
        return
    rows = []
    for one in found.differences:
        names = f"{one.first} minus {one.second}"
        for reader, each in one.by_reader.items():
            rows.append((names, reader, number(each.difference, 3), number_range(each.interval, 3), p_value(each.p)))
        rows.append((names, MEAN, number(one.average, 3), number_range(one.resampled, 3), ""))
    yield element("h3", "Differences between treatments")
    yield table(("images", "reader", "difference of AUC", "95 %", "p (DeLong)"), rows)
    cases = ", ".join(f"{one.cases} for {one.first} and {one.second}" for one in found.differences)
    yield note(f"On the patients that all readers read with both treatments: {cases}. p-values are not corrected.")
