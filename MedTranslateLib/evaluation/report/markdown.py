"""Tables of scores in, Markdown out."""

from __future__ import annotations

import re
from collections.abc import Iterable

from MedTranslateLib.evaluation.report.printable import printable
from MedTranslateLib.evaluation.report.score_table import DAGGER, ScoreTable, legend

SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~#$&])")


def markdown_tables(tables: Iterable[ScoreTable], *, intervals: bool = False) -> str:
    """A heading, a table and its legend for each.

    Args:
        tables: In their order.
        intervals: Whether the interval stands behind each mean.

    Returns:
        Text in GitHub's Markdown.
    """
    return "\n".join(_markdown(table, intervals=intervals) for table in tables)


def escape_markdown(text: str) -> str:
    """Text that Markdown shows as it is, also in the cell of a table.

    Args:
        text: Any.

    Returns:
        One line.
    """
    return SPECIAL.sub(r"\\\1", printable(text))


def _markdown(table: ScoreTable, *, intervals: bool) -> str:
    heads = [f"{escape_markdown(table.head(metric))} {table.arrow(metric)}".strip() for metric in table.metrics]
    lines = [f"### {escape_markdown(table.title)}", ""]
    lines += [_line(["method", "patients", *heads]), _line(["---", "---:", *("---:" for _ in heads)])]
    for method in table.methods:
        cells = [_cell(table, method, metric, intervals=intervals) for metric in table.metrics]
        lines.append(_line([escape_markdown(method), table.size(method), *cells]))
    return "\n".join([*lines, "", " ".join(legend(table)), ""])


def _cell(table: ScoreTable, method: str, metric: str, *, intervals: bool) -> str:
    text, rank = table.figure(method, metric), table.rank(method, metric)
    marked = {1: f"**{text}**", 2: f"<u>{text}</u>"}.get(rank or 0, text)
    between = table.interval(method, metric) if intervals else ""
    dagger = DAGGER if table.differs(method, metric) else ""
    return f"{marked}{dagger} ({between})" if between else f"{marked}{dagger}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
