"""A table of scores with its figures and pictures in, its section of the page out: scores, plots, curves, examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from MedTranslateLib.evaluation.measurement import Measurement, Pictured
from MedTranslateLib.evaluation.report import curves, dot_plots, pictures
from MedTranslateLib.evaluation.report.elements import element
from MedTranslateLib.evaluation.report.score_table import DAGGER, MEANING, ScoreTable, legend

PICTURE_NOTE = (
    "Source, output and target have one grey window, 0 to 1. Colours mean the same in all rows of this table; beyond "
    f"the ends of a bar they stay as at its end, which is \N{PLUS-MINUS SIGN}{pictures.LARGEST_ERROR:g} for errors. "
    "Arrows point from a place of the output to where it came from, and are drawn longer where displacements are small."
)


@dataclass(frozen=True)
class TableContent:
    """What belongs to one table and direction.

    Args:
        scores: Its cells; None where there are pictures only.
        figures: Of its patients.
        examples: Its pictures, in the order they are shown.
        drawn: Metrics that are plotted.
    """

    scores: ScoreTable | None
    figures: Sequence[Measurement]
    examples: Sequence[Pictured]
    drawn: Sequence[str]


def table_section(content: TableContent) -> list[Element]:
    """The parts of a section, without its heading.

    Args:
        content: What to tell.

    Returns:
        Elements in their order.
    """
    parts: list[Element] = []
    if content.scores is not None:
        parts += [_scores(content.scores), element("p", " ".join(legend(content.scores)), class_="note")]
        parts += [*_plots(content, content.scores), *_curves(content, content.scores)]
    return [*parts, *_examples(content.examples)]


def _scores(table: ScoreTable) -> Element:
    heads = [
        element("th", f"{table.head(metric)} {table.arrow(metric)}".strip(), scope="col", title=_meaning(table, metric))
        for metric in table.metrics
    ]
    names = (element("th", "method", scope="col"), element("th", "patients", scope="col"))
    head = element("thead", element("tr", *names, *heads))
    body = element("tbody", *(_row(table, method) for method in table.methods))
    return element("div", element("table", head, body, class_="scores"), class_="box")


def _meaning(table: ScoreTable, metric: str) -> str:
    known = table.metric_definitions[metric]
    return f"{MEANING[known.better]}. {known.definition}"


def _row(table: ScoreTable, method: str) -> Element:
    patients = element("td", table.size(method))
    cells = (_cell(table, method, metric) for metric in table.metrics)
    return element("tr", element("th", method, scope="row"), patients, *cells)


def _cell(table: ScoreTable, method: str, metric: str) -> Element:
    cell = table.cells.get((method, metric))
    rank = table.rank(method, metric)
    kind = {1: "best", 2: "second"}.get(rank or 0, "" if rank else "plain")
    figure = element("span", table.figure(method, metric), class_=kind)
    if cell is None:
        return element("td", figure, class_="void")
    lines = [table.interval(method, metric)]
    if cell.undefined and cell.n:
        lines.append(f"{cell.undefined} not defined")
    elif cell.n and cell.n < table.patients(method):
        lines.append(f"{cell.n} patients")
    small = [element("small", line) for line in lines if line]
    dagger = DAGGER if table.differs(method, metric) else None
    return element("td", figure, dagger, *small, title=_details(table, method, metric))


def _details(table: ScoreTable, method: str, metric: str) -> str:
    cell = table.cells[method, metric]
    if cell.of_set:
        return "one figure of the whole set"
    said = f"n = {cell.n}, sd = {table.digits(metric, cell.sd)}"
    if cell.comparison is None:
        return said
    other = cell.comparison
    return f"{said}; against {other.best}: {other.pairs} pairs, p = {other.p:.3g}, after Holm {other.p_holm:.3g}"


def _plots(content: TableContent, table: ScoreTable) -> Iterator[Element]:
    swept = {name for bases in curves.sweeps(table.methods).values() for names in bases.values() for name in names}
    methods = [method for method in table.methods if method not in swept]
    if len(methods) < 2:
        return
    caption = "A dot is a patient, a diamond the mean, its bar the 95 % interval; the best mean is orange."
    for number, metrics in enumerate(_threes(content.drawn)):
        image = dot_plots.dot_plot(table, content.figures, methods, metrics)
        words = f"Plot of {_listed(table, metrics)} by method; the figures are in the table above."
        yield _figure(image, words, element("figcaption", caption) if number == 0 else None)


def _curves(content: TableContent, table: ScoreTable) -> Iterator[Element]:
    for unit, bases in curves.sweeps(table.methods).items():
        caption = f"Means against {unit}, with the 95 % interval over patients."
        for number, metrics in enumerate(_threes(content.drawn)):
            image = curves.curve_plot(table, unit, bases, metrics)
            words = f"Curves of {_listed(table, metrics)} against {unit}; the figures are in the table above."
            yield _figure(image, words, element("figcaption", caption) if number == 0 else None)


def _examples(examples: Sequence[Pictured]) -> Iterator[Element]:
    if not examples:
        return
    panels = pictures.columns(examples)
    yield element("h4", "Examples")
    yield element("p", PICTURE_NOTE, class_="note")
    for example in examples:
        words = f"{', '.join(panel.title for panel in panels)} of {example.case} by {example.method}"
        caption = element("figcaption", element("b", example.method), f" \N{MIDDLE DOT} {example.case}")
        yield _figure(pictures.strip(example, panels), words, caption)


def _figure(address: str, words: str, caption: Element | None) -> Element:
    return element("figure", caption, element("img", src=address, alt=words))


def _listed(table: ScoreTable, metrics: Sequence[str]) -> str:
    return ", ".join(table.head(metric) for metric in metrics)


def _threes(metrics: Sequence[str]) -> Iterator[Sequence[str]]:
    return (metrics[first : first + 3] for first in range(0, len(metrics), 3))
