"""Findings in, tables in the form of the papers out: Bi-DPM tables 3 and 4, Plasticine table VI."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

import numpy as np

from MedTranslateLib.studies.findings import Findings, QuestionFindings
from MedTranslateLib.studies.grades import ALL
from MedTranslateLib.studies.report_elements import element, note, number, percent, table
from MedTranslateLib.studies.study import REAL


def paper_forms(findings: Findings) -> Iterator[Element]:
    """Tables that can stand beside those of the papers.

    Args:
        findings: Of the whole study.
    """
    graded = [one for one in findings.questions if one.grades]
    judged = [one for one in findings.questions if one.turing]
    if not graded and not judged:
        return
    yield element("h2", "In the form of the papers", id="forms")
    for one in graded:
        yield element("h3", f"{one.question.id}: mean grade of each reader (Bi-DPM, table 3)")
        yield table(*_readers_by_treatment(one), last_is_all=True)
    for one in judged:
        yield element("h3", f"{one.question.id}: accuracy of the Turing test (Bi-DPM, table 4)")
        yield table(*_accuracy(one), last_is_all=True)
    if len(graded) > 1:
        yield element("h3", "Mean grades of all readers, question by question (Plasticine, table VI)")
        yield table(*_questions_by_treatment(graded))
        yield note("Which end of a scale is the good one, its labels say; Plasticine's 1 is the best, Bi-DPM's 2.")


def _made(one: QuestionFindings) -> list[str]:
    return [name for name in dict.fromkeys(mean.treatment for mean in one.grades) if name != ALL]


def _readers_by_treatment(one: QuestionFindings) -> tuple[list[str], list[list[str]]]:
    """Like the paper's, the last column is the mean of the synthetic columns, real images left out."""
    names = _made(one)
    synthetic = [name for name in names if name != REAL]
    mean = {(each.reader, each.treatment): each.mean for each in one.grades}
    readers = list(dict.fromkeys(each.reader for each in one.grades))
    rows = [
        [
            reader or "average",
            *(number(mean[reader, name]) for name in names),
            number(_average([mean[reader, name] for name in synthetic])),
        ]
        for reader in readers
    ]
    return ["reader", *names, "average of synthetic"], rows


def _accuracy(one: QuestionFindings) -> tuple[list[str], list[list[str]]]:
    names = list(one.turing[-1].by_treatment)
    rows = [
        [
            each.reader or "all readers",
            *(percent(each.by_treatment[name].share) for name in names),
            percent(each.share.share),
        ]
        for each in one.turing
    ]
    return ["reader", *names, "overall"], rows


def _questions_by_treatment(graded: Sequence[QuestionFindings]) -> tuple[list[str], list[list[str]]]:
    names = list(dict.fromkeys(name for one in graded for name in _made(one)))
    rows = []
    for one in graded:
        mean = {each.treatment: each.mean for each in one.grades if each.reader == ALL}
        cells = [number(mean[name]) if name in mean else number(np.nan) for name in names]
        rows.append([f"{one.question.id} ({one.question.low} to {one.question.high})", *cells])
    return ["question", *names], rows


def _average(values: Sequence[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else np.nan
