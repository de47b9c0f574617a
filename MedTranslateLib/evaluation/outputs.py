"""An evaluation in, its files out: CSV, JSON, Markdown, LaTeX and a page to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from MedTranslateLib.evaluation.aggregate import Summary, summarise
from MedTranslateLib.evaluation.evaluate import Evaluated
from MedTranslateLib.evaluation.report.content import Report
from MedTranslateLib.evaluation.report.csv_tables import metrics_csv, slices_csv
from MedTranslateLib.evaluation.report.html import report_page
from MedTranslateLib.evaluation.report.latex import latex_tables
from MedTranslateLib.evaluation.report.markdown import markdown_tables
from MedTranslateLib.evaluation.report.page import markdown_page
from MedTranslateLib.evaluation.report.printable import printable
from MedTranslateLib.evaluation.report.score_table import score_tables
from MedTranslateLib.evaluation.report.summary_json import summary_document
from MedTranslateLib.imaging.files import write_json, write_text


@dataclass(frozen=True)
class Written:
    """What a reader is shown of an evaluation.

    Args:
        summaries: One a table, direction, metric and method.
        tables: The same as Markdown.
    """

    summaries: list[Summary]
    tables: str


def write_page(evaluated: Evaluated, written: Written, path: Path) -> None:
    """Writes the page of the evaluation file's `[page]`, in Markdown.

    Raises:
        OutputError: If it cannot be written.
    """
    problems = evaluated.findings.problems
    write_text(path, markdown_page(evaluated.page, written.summaries, problems, evaluated.arrangement))


def write_outputs(evaluated: Evaluated, out: Path, command: Mapping[str, str]) -> Written:
    """Writes `metrics.csv`, `slices.csv`, `summary.json`, `tables.md`, `tables.tex` and `report.html`.

    Args:
        evaluated: What was found.
        out: Folder.
        command: Name and value of what the user asked for, for the page.

    Raises:
        OutputError: If a file cannot be written.
    """
    findings, arrangement = evaluated.findings, evaluated.arrangement
    summaries = summarise(findings.measurements, arrangement)
    tables = score_tables(summaries, arrangement)
    problems = [
        {**{name: printable(text) for name, text in asdict(problem).items()}, "severity": problem.severity.value}
        for problem in findings.problems
    ]
    made_of = {
        heading: {printable(name): text for name, text in values.items()}
        for heading, values in evaluated.made_of.items()
    }
    markdown = markdown_tables(tables)
    settings = {"Command": command, **made_of}
    report = Report(evaluated.title, findings, settings=settings, arrangement=arrangement)
    write_text(out / "metrics.csv", metrics_csv(findings.measurements))
    write_text(out / "slices.csv", slices_csv(findings.measurements))
    write_json(out / "summary.json", {**summary_document(summaries), "problems": problems, "made_of": made_of})
    write_text(out / "tables.md", markdown)
    write_text(out / "tables.tex", latex_tables(tables))
    write_text(out / "report.html", report_page(report))
    return Written(summaries, markdown)
