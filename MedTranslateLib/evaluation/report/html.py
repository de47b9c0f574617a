"""A report in, one self-contained page out: nothing is loaded from elsewhere, and equal reports give equal pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element, tostring

from MedTranslateLib.evaluation.aggregate import patient_figures, summarise
from MedTranslateLib.evaluation.measurement import Problem, Severity
from MedTranslateLib.evaluation.report.content import Report
from MedTranslateLib.evaluation.report.elements import element
from MedTranslateLib.evaluation.report.page_style import STYLE_SHEET
from MedTranslateLib.evaluation.report.score_table import MEANING, ScoreTable, definition, score_tables
from MedTranslateLib.evaluation.report.table_section import TableContent, table_section

SYNTHETIC = "SYNTHETIC, for research use only"
WARNING = "Every output measured or pictured here was made by a model. Not for diagnosis or treatment."
# What the page may load: only what it carries itself.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
CHECKED = "Every figure that was asked for was measured."


def report_page(report: Report) -> str:
    """The page.

    Args:
        report: What to tell; names in it may hold any character.

    Returns:
        HTML in one string, to be written as UTF-8.

    Raises:
        ConfigError: If a metric has figures both of patients and of the whole set.
    """
    contents = _contents(report)
    tables = list(dict.fromkeys(table for table, _ in contents))
    main = element("main", *_headline(report), _problems(report.findings.problems), _navigation(tables))
    for number, table in enumerate(tables):
        main.append(element("h2", table, id=f"table-{number}"))
        for (name, direction), content in contents.items():
            if name == table:
                main.extend([element("h3", f"Direction: {direction}"), *table_section(content)])
    if not tables:
        main.append(element("p", "No figures and no pictures were made."))
    main.extend([*_definitions(report), *_settings(report)])
    page = element("html", _head(report.title), element("body", main), lang="en")
    return "<!DOCTYPE html>\n" + tostring(page, encoding="unicode", method="html") + "\n"


def _contents(report: Report) -> dict[tuple[str, str], TableContent]:
    findings, order = report.findings, report.arrangement
    figures = patient_figures(findings.measurements)
    summaries = summarise(findings.measurements, order, report.seed)
    scores = {(one.table, one.direction): one for one in score_tables(summaries, order)}
    shown = {*scores, *((one.table, one.direction) for one in findings.pictures)}
    examples = sorted(findings.pictures, key=lambda one: (one.case, order.order(("", "", "", one.method))))
    return {
        key: TableContent(
            scores.get(key),
            [one for one in figures if (one.table, one.direction) == key],
            [one for one in examples if (one.table, one.direction) == key],
            _drawn(report, scores.get(key)),
        )
        for key in sorted(shown, key=lambda key: order.order((*key, "", "")))
    }


def _drawn(report: Report, table: ScoreTable | None) -> Sequence[str]:
    return report.drawn(table.metrics) if table else []


def _head(title: str) -> Element:
    style = element("style")
    style.text = STYLE_SHEET
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", **{"http-equiv": "Content-Security-Policy", "content": POLICY}),
        element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        style,
    )


def _headline(report: Report) -> Iterator[Element]:
    yield element("h1", report.title)
    if report.made:
        yield element("p", report.made, class_="made")
    yield element("div", element("strong", SYNTHETIC), f". {WARNING}", class_="synthetic")


def _problems(problems: Sequence[Problem]) -> Element:
    # The same problem of several figures is told once.
    told = sorted(set(problems), key=lambda one: (one.severity.value, one.table, one.case, one.method, one.message))
    failed = sum(one.severity is Severity.FAILED for one in told)
    noted = len(told) - failed
    section = element("section", element("h2", "Problems" if told else "No problems", id="problems"))
    counts = [f"{failed} failed: asked for, but not measured.", f"{noted} noted: measured, but look at it."]
    said = [CHECKED if not failed else counts[0], *([counts[1]] if noted else [])]
    section.append(element("p", " ".join(said)))
    if told:
        heads = [element("th", name, scope="col") for name in ("", "table", "case", "method", "message")]
        rows = [_problem(one) for one in told]
        table = element("table", element("thead", element("tr", *heads)), element("tbody", *rows), class_="problems")
        section.append(element("div", table, class_="box"))
    return section


def _problem(one: Problem) -> Element:
    cells = (one.severity.value, one.table, one.case or "all", one.method or "all", one.message)
    return element("tr", *(element("td", text) for text in cells), class_=one.severity.value)


def _navigation(tables: Sequence[str]) -> Element:
    links = [element("a", table, href=f"#table-{number}") for number, table in enumerate(tables)]
    ends = [element("a", "Definitions", href="#definitions"), element("a", "Settings", href="#settings")]
    return element("nav", *links, *ends)


def _definitions(report: Report) -> Iterator[Element]:
    used = {one.metric for one in report.findings.measurements}
    yield element("h2", "Definitions", id="definitions")
    known = element("dl")
    for metric in sorted(used, key=lambda name: report.arrangement.order(("", "", name, ""))):
        told = definition(metric, report.arrangement)
        known.append(element("dt", told.title, element("small", f" ({metric}; {MEANING[told.better]})")))
        known.append(element("dd", told.definition))
    yield known


def _settings(report: Report) -> Iterator[Element]:
    fold = element("details", element("summary", "Settings, versions and hashes"), id="settings")
    for heading, values in report.settings.items():
        rows = [element("tr", element("th", name, scope="row"), element("td", text)) for name, text in values.items()]
        table = element("table", element("tbody", *rows), class_="settings")
        fold.extend([element("h3", heading), element("div", table, class_="box")])
    yield fold
