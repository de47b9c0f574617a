"""Summaries and the words around them in, a page in Markdown for a repository out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from MedTranslateLib.evaluation.aggregate import Arrangement, Summary
from MedTranslateLib.evaluation.measurement import Problem
from MedTranslateLib.evaluation.report.content import PageWords
from MedTranslateLib.evaluation.report.markdown import escape_markdown, markdown_tables
from MedTranslateLib.evaluation.report.score_table import score_tables


def markdown_page(
    words: PageWords, summaries: Sequence[Summary], problems: Iterable[Problem], arrangement: Arrangement
) -> str:
    """A page with chosen metrics: words, tables, problems, definitions, words.

    Args:
        words: Title, metrics, and what stands before and after the tables.
        summaries: Everything that was measured.
        problems: What could not be.
        arrangement: Order of tables and methods.
    """
    kept = [one for one in summaries if not words.metrics or one.metric in words.metrics]
    told = [f"- {problem.severity.value}: {_where(problem)}{escape_markdown(problem.message)}" for problem in problems]
    used = dict.fromkeys(one.metric for one in kept)
    defined = [
        f"- **{escape_markdown(metric.title)}**: {escape_markdown(metric.definition)}"
        for name, metric in arrangement.definitions.items()
        if name in used
    ]
    parts = [f"# {words.title}", words.before, markdown_tables(score_tables(kept, arrangement))]
    parts += ["## What failed, or should be known", "\n".join(told)] if told else []
    parts += ["## Definitions", "\n".join(defined), words.after]
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def _where(problem: Problem) -> str:
    named = [escape_markdown(part) for part in (problem.table, problem.case, problem.method) if part]
    return f"{', '.join(named)}: " if named else ""
