"""Findings about one question in, its part of the page out: what was found, pictures, tables, agreement, notes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TypeVar
from xml.etree.ElementTree import Element

from MedTranslateLib.studies.agreement import Agreement
from MedTranslateLib.studies.choices import ForcedChoice, Preference
from MedTranslateLib.studies.findings import QuestionFindings, WithinReader
from MedTranslateLib.studies.grades import ALL, MeanGrade
from MedTranslateLib.studies.report import Bar, Dot, Scale, bar_plot, dot_plot
from MedTranslateLib.studies.report_elements import (
    NOTHING,
    element,
    figure,
    note,
    number,
    number_range,
    p_value,
    percent,
    percent_range,
    share_of,
    table,
)
from MedTranslateLib.studies.report_roc import roc_part
from MedTranslateLib.studies.study import Question, QuestionKind
from MedTranslateLib.studies.turing import ReaderAccuracy

TOGETHER = "all readers"
Row = TypeVar("Row", ReaderAccuracy, MeanGrade, ForcedChoice, Preference)
KINDS = {
    QuestionKind.TURING: "Turing test: real or synthetic",
    QuestionKind.GRADE: "Grades",
    QuestionKind.FORCED_CHOICE: "Forced choice: which of two is synthetic",
    QuestionKind.PREFERENCE: "Preference between two",
    QuestionKind.MARKS: "Marks on suspicious places",
    QuestionKind.CONFIDENCE: "Confidence that a lesion is there",
}
GUESSING = 0.5
PAIR_LIMIT = 15
"""More pairs of readers than this are not listed one by one."""


def question_section(found: QuestionFindings, number_on_page: int) -> Iterator[Element]:
    """Everything about a question.

    Args:
        found: What was found.
        number_on_page: For the address of its heading.
    """
    question = found.question
    yield element("h2", f"{question.id}: {KINDS[question.kind]}", id=f"question-{number_on_page}")
    yield element("p", f"“{question.text}” {found.ratings} answers count.", class_="asked")
    failed = (f"This question cannot be analysed. {found.failed}",) if found.failed else ()
    for text in (*failed, *found.notes):
        yield element("p", text, class_="warning")
    yield from _turing(found)
    yield from _grades(found)
    yield from _forced(found.forced)
    yield from _preferences(found.preferences)
    if found.roc is not None:
        yield from roc_part(found.roc)
    yield from _marks(found)
    yield from _agreement(found)


def verdict(one: ReaderAccuracy) -> str:
    """What the test of a reader says, in words.

    Args:
        one: A reader, or all together.
    """
    test = one.test
    if not one.reader and math.isfinite(one.resampled_discrimination.low):
        # Their answers are not independent of each other, so the interval over readers and cases decides.
        inside = one.resampled_discrimination.low <= 0 <= one.resampled_discrimination.high
        return (
            "not told from guessing" if inside else f"{'better' if one.discrimination > 0 else 'worse'} than guessing"
        )
    if not test.significant:
        said = "not told from guessing"
    elif one.discrimination < 0:
        said = "tells them apart, but takes one for the other"
    else:
        said = "tells real from synthetic"
    return f"{said} (by lot)" if test.lot_decided else said


def grade_names(question: Question) -> tuple[str, ...]:
    """What the grades are called, with their numbers.

    Args:
        question: A grade.
    """
    grades = range(question.low, question.high + 1)
    if not question.labels:
        return tuple(str(grade) for grade in grades)
    return tuple(f"{grade} {label}" for grade, label in zip(grades, question.labels, strict=True))


def _shown(rows: Sequence[Row]) -> list[Row]:
    """Of a single reader not also the same for all readers together."""
    alone = len({row.reader for row in rows} - {ALL}) == 1
    return [row for row in rows if row.reader or not alone]


def _name(reader: str) -> str:
    return reader or TOGETHER


def _turing(found: QuestionFindings) -> Iterator[Element]:
    if not found.turing:
        return
    dots = [
        Dot(
            _name(one.reader),
            one.share.share,
            one.share.interval.low,
            one.share.interval.high,
            one.resampled.low,
            one.resampled.high,
            not one.reader,
        )
        for one in _shown(found.turing)
    ]
    balanced = all(one.against_chance for one in found.turing)
    guessing = GUESSING if balanced else math.nan
    told = (
        "Thick: exact 95 % interval. Thin, for all readers: interval over readers and cases. "
        f"{'Dashed: guessing. ' if balanced else ''}A wide "
        "interval around 50 % does not show that the images cannot be told apart; its upper end is what this study "
        "cannot exclude."
    )
    yield figure("Right answers", dot_plot(dots, Scale("right answers", 0, 1, guessing, percent=True)), told)
    heads = ("reader", "right", "95 % exact", "real right", "synthetic right")
    yield table(
        (*heads, "p exact", "p mid", "p lot", "p Fisher", "verdict at 5 %"),
        map(_turing_row, _shown(found.turing)),
        last_is_all=len(found.turing) > 2,
    )
    pooled, example = found.turing[-1], found.turing[0]
    yield note(_turing_note(pooled, example, len(found.turing) - 1))


def _turing_row(one: ReaderAccuracy) -> tuple[str, ...]:
    counts, test = one.counts, one.against_chance
    real = f"{counts.real_right} of {counts.real_asked}"
    synthetic = f"{counts.synthetic_right} of {counts.synthetic_asked}"
    tests = (p_value(test.exact), p_value(test.mid), p_value(test.lot)) if test else (NOTHING,) * 3
    shares = (share_of(one.share), percent_range(one.share.interval), real, synthetic)
    return (_name(one.reader), *shares, *tests, p_value(one.leaning_free.exact), verdict(one))


def _turing_note(pooled: ReaderAccuracy, example: ReaderAccuracy, readers: int) -> str:
    told = (
        ""
        if readers == 1
        else (
            "The exact interval of all readers takes their answers for independent; it is too narrow, as they saw the "
            f"same cases. Over readers and cases it is {percent_range(pooled.resampled)}. Their "
            "verdict is whether the share of images judged synthetic differs between synthetic and real ones, over "
            "readers and cases. "
        )
    )
    if example.against_chance is None:
        return told + (
            "Real and synthetic images are not equally many, so guessing is not right half of the time: Fisher's test "
            "decides, which holds whatever answer a reader leans to."
        )
    return told + (
        f"With {example.share.asked} images the exact test would accuse "
        f"{100 * example.against_chance.exact_rate:.1f} % of readers who guess, not 5 %. The test with the lot accuses "
        "exactly 5 % and gives the verdict; the lot comes from the secret of the sealed key and decides on the "
        "boundary only. Fisher's test is free of a reader's leaning to one answer."
    )


def _grades(found: QuestionFindings) -> Iterator[Element]:
    if not found.grades:
        return
    question = found.question
    treatments = list(dict.fromkeys(one.treatment for one in found.grades))
    ends = Scale("mean grade", question.low, question.high)
    given = _shown(found.grades)
    pooled = [one for one in found.grades if one.reader == ALL]
    dots = [
        Dot(one.treatment or "all images", one.mean, one.interval.low, one.interval.high, pooled=not one.treatment)
        for one in pooled
    ]
    yield figure("Mean grades", dot_plot(dots, ends), "Of all readers, with 95 % intervals over readers and cases.")
    bars = [
        Bar(f"{one.treatment}, {_name(one.reader)}", one.counts)
        for name in treatments
        for one in given
        if one.treatment == name and name
    ]
    yield figure(
        "How often each grade was given",
        bar_plot(bars, grade_names(question)),
        "A bar for each reader, and one for all.",
    )
    rows = [
        (
            one.treatment or "all images",
            _name(one.reader),
            str(one.answers),
            number(one.mean),
            number_range(one.interval),
            " / ".join(map(str, one.counts)),
        )
        for one in given
    ]
    counts = " / ".join(str(grade) for grade in range(question.low, question.high + 1))
    yield table(("images", "reader", "answers", "mean", "95 %", f"how often {counts}"), rows)


def _forced(found: tuple[ForcedChoice, ...]) -> Iterator[Element]:
    if not found:
        return
    dots = [
        Dot(
            _name(one.reader),
            one.share.share,
            one.share.interval.low,
            one.share.interval.high,
            one.resampled.low,
            one.resampled.high,
            not one.reader,
        )
        for one in _shown(found)
    ]
    scale = Scale("synthetic image found", 0, 1, 0.5, percent=True)
    told = "Thick: exact 95 % interval. Thin, for all readers: interval over readers and pairs. Dashed: guessing."
    yield figure("Right choices", dot_plot(dots, scale), told)
    rows = [
        (
            _name(one.reader),
            share_of(one.share),
            percent_range(one.share.interval),
            percent(one.first_chosen),
            p_value(one.against_chance.exact),
            p_value(one.against_chance.mid),
            p_value(one.against_chance.lot),
        )
        for one in _shown(found)
    ]
    heads = ("reader", "right", "95 % exact", "chose the first", "p exact", "p mid", "p lot")
    yield table(heads, rows, last_is_all=len(found) > 2)
    if len(found) > 2:
        yield note(f"Of all readers, over readers and pairs: {percent_range(found[-1].resampled)}.")


def _preferences(found: tuple[Preference, ...]) -> Iterator[Element]:
    if not found:
        return
    bars = [
        Bar(f"{_name(one.reader)}: {one.first} / {one.second}", (one.first_wins, one.ties, one.second_wins))
        for one in _shown(found)
    ]
    names = ("first named better", "no difference", "second named better")
    yield figure("Which image was preferred", bar_plot(bars, names), "A bar for each reader, and one for all.")
    rows = [
        (
            f"{one.first} / {one.second}",
            _name(one.reader),
            f"{one.first_wins} / {one.ties} / {one.second_wins}",
            percent(one.share),
            percent_range(one.resampled),
            p_value(one.p),
            percent(one.left_chosen),
        )
        for one in _shown(found)
    ]
    heads = (
        "treatments",
        "reader",
        "first / none / second",
        "for the first",
        "95 %",
        "p (sign test)",
        "chose the left",
    )
    yield table(heads, rows)
    yield note(
        "A tie counts half for each in the share and not at all in the exact sign test. The interval of all readers is "
        "over readers and pairs."
    )


def _marks(found: QuestionFindings) -> Iterator[Element]:
    if not found.marks:
        return
    rows = []
    for name, one in found.marks if len(found.marks) > 2 else found.marks[:1]:
        near = sorted(distance for distance in one.distances_mm if math.isfinite(distance))
        middle = number(near[len(near) // 2], 1) if near else NOTHING
        false = f"{one.false_marks} ({number(one.false_per_image)} an image)"
        interval = number_range(one.false_interval)
        rows.append((_name(name), share_of(one.found), percent_range(one.found.interval), false, interval, middle))
    heads = ("reader", "regions hit", "95 % exact", "marks that hit nothing", "95 % an image", "median distance, mm")
    yield table(heads, rows, last_is_all=len(rows) > 1)
    yield note(
        "A mark hits a region within its radius. Marks carry no confidence, so each row is one point of a "
        "free-response (FROC) curve. The distance is that from a region to the nearest mark of its image, where "
        "there is one."
    )


def _agreement(found: QuestionFindings) -> Iterator[Element]:
    between = found.between
    if between is None and not found.within:
        return
    yield element("h3", "Agreement")
    if between is not None:
        pairs = [(f"{one} and {other}: {each.name}", each) for (one, other), each in between.pairs.items()]
        shown = [(f"{TOGETHER}: {each.name}", each) for each in between.together] + pairs[:PAIR_LIMIT]
        yield table(
            ("between readers", "value", "95 %", "agreeing answers", "images"), [_coefficient(*one) for one in shown]
        )
        if len(pairs) > PAIR_LIMIT:
            yield note(f"{len(pairs) - PAIR_LIMIT} more pairs of readers are in summary.json.")
    if found.within:
        heads = ("within readers", "read twice", "same answer", "coefficient", "value", "95 %")
        yield table(heads, [_within(one) for one in found.within])


def _coefficient(name: str, one: Agreement) -> tuple[str, ...]:
    return (name, number(one.value), number_range(one.interval), percent(one.observed), str(one.subjects))


def _within(one: WithinReader) -> tuple[str, ...]:
    head = (one.reader, str(one.items), percent(one.same))
    if one.coefficient is None:
        return (*head, NOTHING, NOTHING, NOTHING)
    return (*head, one.coefficient.name, number(one.coefficient.value), number_range(one.coefficient.interval))
