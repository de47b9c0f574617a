"""Tables of scores in, LaTeX out, for documents that load the package booktabs."""

from __future__ import annotations

from collections.abc import Iterable

from MedTranslateLib.evaluation.metric_names import Better
from MedTranslateLib.evaluation.report.printable import printable
from MedTranslateLib.evaluation.report.score_table import DAGGER, NOT_MEASURED, ScoreTable, legend

ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "_": r"\_",
        "&": r"\&",
        "%": r"\%",
        "#": r"\#",
        "$": r"\$",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\textquotedbl{}",
        "[": "{[}",  # behind the end of a row it would open an option
        "\N{INFINITY}": r"$\infty$",
        NOT_MEASURED: "--",
        DAGGER: r"\dag{}",
    }
)
ARROWS = {Better.HIGHER: r" $\uparrow$", Better.LOWER: r" $\downarrow$", Better.NEITHER: ""}


def latex_tables(tables: Iterable[ScoreTable], *, intervals: bool = False) -> str:
    """A floating table with a caption for each.

    Args:
        tables: In their order.
        intervals: Whether the interval stands behind each mean.

    Returns:
        LaTeX for a document with `booktabs` and the font encoding T1.
    """
    head = "% Needs \\usepackage{booktabs} and \\usepackage[T1]{fontenc}.\n"
    return head + "\n".join(_latex(table, intervals=intervals) for table in tables)


def escape_latex(text: str) -> str:
    """Text that LaTeX prints as it is.

    Args:
        text: Any.

    Returns:
        One line; letters beyond ASCII stay, a LaTeX since 2018 reads UTF-8.
    """
    return printable(text).translate(ESCAPES)


def _latex(table: ScoreTable, *, intervals: bool) -> str:
    heads = [escape_latex(table.head(m)) + ARROWS[table.metric_definitions[m].better] for m in table.metrics]
    rows = [
        _row(
            [
                escape_latex(method),
                table.size(method),
                *(_cell(table, method, m, intervals=intervals) for m in table.metrics),
            ]
        )
        for method in table.methods
    ]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape_latex(f'{table.title}. ' + ' '.join(legend(table)))}}}",
        rf"\begin{{tabular}}{{lr{'r' * len(heads)}}}",
        r"\toprule",
        _row(["method", "patients", *heads]),
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _cell(table: ScoreTable, method: str, metric: str, *, intervals: bool) -> str:
    text, rank = escape_latex(table.figure(method, metric)), table.rank(method, metric)
    marked = {1: rf"\textbf{{{text}}}", 2: rf"\underline{{{text}}}"}.get(rank or 0, text)
    between = table.interval(method, metric) if intervals else ""
    dagger = r"$^{\dagger}$" if table.differs(method, metric) else ""
    return f"{marked}{dagger} ({between})" if between else f"{marked}{dagger}"


def _row(cells: Iterable[str]) -> str:
    return rf"{' & '.join(cells)} \\"
