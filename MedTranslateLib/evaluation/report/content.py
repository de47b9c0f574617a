"""What a report is made of, as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from MedTranslateLib.evaluation.aggregate import Arrangement
from MedTranslateLib.evaluation.measurement import Findings
from MedTranslateLib.evaluation.metric_names import Better

MOST_DRAWN = 6


@dataclass(frozen=True)
class PageWords:
    """What a page in a repository says around its tables.

    Args:
        title: Head of the page.
        before, after: Markdown.
        metrics: Columns of its tables; empty for all.
    """

    title: str
    before: str = ""
    after: str = ""
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """One evaluation, ready to be told.

    Args:
        title: Head of the page.
        findings: Figures, pictures and problems.
        made: When and with what, one line below the title, such as "27 November 2026, MedTranslate 1.2".
        settings: Heading, then name and value: command, data root, versions, hashes of inputs, bundles and code.
        arrangement: Order of tables and methods, and the definitions of metrics.
        key_metrics: Metrics that are drawn; empty for the first `MOST_DRAWN` that can be ranked.
        seed: Of the bootstrap.
    """

    title: str
    findings: Findings
    made: str = ""
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    arrangement: Arrangement = field(default_factory=Arrangement)
    key_metrics: tuple[str, ...] = ()
    seed: int = 0

    def drawn(self, metrics: tuple[str, ...]) -> list[str]:
        """Which of the metrics of a table are drawn, in the order of its columns."""
        if self.key_metrics:
            return [metric for metric in metrics if metric in self.key_metrics]
        ranked = [metric for metric in metrics if self.arrangement.better(metric) is not Better.NEITHER]
        return ranked[:MOST_DRAWN]
