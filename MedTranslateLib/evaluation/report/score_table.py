"""Summaries in, one table for each table title and direction out, with what its cells say in words and digits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from MedTranslateLib.evaluation.aggregate import Arrangement, Summary
from MedTranslateLib.evaluation.metric_names import Better, Metric

NOT_DEFINED, NOT_MEASURED = "not defined", "\N{EN DASH}"
DAGGER = "\N{DAGGER}"
FEW_FOR_A_BOOTSTRAP = 10
ARROWS = {Better.HIGHER: "\N{UPWARDS ARROW}", Better.LOWER: "\N{DOWNWARDS ARROW}", Better.NEITHER: ""}
MEANING = {
    Better.HIGHER: "higher is better",
    Better.LOWER: "lower is better",
    Better.NEITHER: "describes, is not ranked",
}
UNKNOWN = "No definition is stored for this metric; see the program that measured it."


@dataclass(frozen=True)
class ScoreTable:
    """Methods down, metrics across.

    Args:
        table, direction: As in `Measurement`.
        methods, metrics: Rows and columns in their order.
        cells: Summary of a method and a metric; absent where it was not measured.
        metric_definitions: One for each column.
    """

    table: str
    direction: str
    methods: tuple[str, ...]
    metrics: tuple[str, ...]
    cells: Mapping[tuple[str, str], Summary]
    metric_definitions: Mapping[str, Metric]

    @property
    def title(self) -> str:
        """Title and direction."""
        return f"{self.table}, {self.direction}"

    def head(self, metric: str) -> str:
        """Title of a column without an arrow."""
        return self.metric_definitions[metric].title

    def arrow(self, metric: str) -> str:
        """Which way is better; empty where none is."""
        return ARROWS[self.metric_definitions[metric].better]

    def patients(self, method: str) -> int:
        """Most patients in a mean of this row."""
        return max((self.cells[key].n for key in self.cells if key[0] == method), default=0)

    def size(self, method: str) -> str:
        """The same in words: "set" where all figures of the row concern the whole set."""
        of_set = all(cell.of_set for key, cell in self.cells.items() if key[0] == method)
        return "set" if of_set else str(self.patients(method))

    def figure(self, method: str, metric: str) -> str:
        """Mean in digits, or the words for what is not there."""
        cell = self.cells.get((method, metric))
        return NOT_MEASURED if cell is None else self.digits(metric, cell.mean)

    def interval(self, method: str, metric: str) -> str:
        """The interval as "low to high"; empty where there is none."""
        cell = self.cells.get((method, metric))
        if cell is None or math.isnan(cell.interval.low):
            return ""
        return f"{self.digits(metric, cell.interval.low)} to {self.digits(metric, cell.interval.high)}"

    def rank(self, method: str, metric: str) -> int | None:
        """Rank of a cell, None without one."""
        cell = self.cells.get((method, metric))
        return cell.rank if cell else None

    def differs(self, method: str, metric: str) -> bool:
        """Whether a dagger belongs to the cell."""
        cell = self.cells.get((method, metric))
        return bool(cell and cell.comparison and cell.comparison.significant)

    def digits(self, metric: str, value: float) -> str:
        """A value as its metric is written."""
        if math.isnan(value):
            return NOT_DEFINED
        if math.isinf(value):
            return "\N{INFINITY}" if value > 0 else "-\N{INFINITY}"
        places = self.metric_definitions[metric].digits
        # Adding zero makes a negative zero positive.
        return f"{value:.4g}" if places < 0 else f"{round(value, places) + 0.0:.{places}f}"


def score_tables(summaries: Iterable[Summary], arrangement: Arrangement) -> list[ScoreTable]:
    """The tables of an evaluation.

    Args:
        summaries: In any order.
        arrangement: Order of tables, rows and columns.

    Returns:
        One for each table and direction.
    """
    groups: dict[tuple[str, str], list[Summary]] = {}
    for each in sorted(summaries, key=lambda one: arrangement.order(_key(one))):
        groups.setdefault((each.table, each.direction), []).append(each)
    return [_table(group, arrangement) for group in groups.values()]


def definition(metric: str, arrangement: Arrangement) -> Metric:
    """What is known of a metric; of an unknown one its key and that nothing is known.

    Args:
        metric: Its key.
        arrangement: Holds the definitions.

    Returns:
        Its definition; digits of -1 stand for four significant ones.
    """
    return arrangement.definitions.get(metric, Metric(metric, Better.NEITHER, -1, UNKNOWN))


def legend(table: ScoreTable) -> list[str]:
    """What a reader must know to read a table, one sentence each, without mark-up.

    Args:
        table: Any.

    Returns:
        Sentences on averages, marks, tests and what is missing.
    """
    cells = list(table.cells.values())
    sizes = [cell.n for cell in cells if cell.n]
    said = ["Means over patients; several files of one patient count once."] if sizes else []
    said += ["A metric of the whole set has one figure and no interval."] if any(cell.of_set for cell in cells) else []
    if any(not math.isnan(cell.interval.low) for cell in cells):
        said.append("Intervals: 95 % bootstrap over patients (BCa).")
        if min(size for size in sizes if size >= 3) < FEW_FOR_A_BOOTSTRAP:
            said.append(f"With fewer than {FEW_FOR_A_BOOTSTRAP} patients such intervals are too narrow.")
    if any(cell.rank for cell in cells):
        said.append("Best bold, second underlined.")
    said += _tests(cells)
    if any(cell.undefined for cell in cells):
        said.append(f'"{NOT_DEFINED}": the metric has no value there; such patients are not in the mean.')
    return said


def _tests(cells: list[Summary]) -> list[str]:
    compared = [cell.comparison for cell in cells if cell.comparison]
    if not compared:
        return []
    if not any(each.can_reach for each in compared):
        return ["No marks of significance: with so few patients for so many methods no test can reach p < 0.05."]
    said = f"{DAGGER} differs from the best: Wilcoxon signed-rank test over the patients of both, two-sided,"
    said += " Holm-corrected for the methods compared by this metric, p < 0.05."
    few = "Some methods have too few patients for their tests to reach it."
    return [said] if all(each.can_reach for each in compared) else [said, few]


def _key(one: Summary) -> tuple[str, str, str, str]:
    return one.table, one.direction, one.metric, one.method


def _table(group: list[Summary], arrangement: Arrangement) -> ScoreTable:
    table, direction = group[0].table, group[0].direction
    methods = sorted({one.method for one in group}, key=lambda name: arrangement.order((table, direction, "", name)))
    metrics = tuple(dict.fromkeys(one.metric for one in group))
    return ScoreTable(
        table,
        direction,
        tuple(methods),
        metrics,
        {(one.method, one.metric): one for one in group},
        {metric: definition(metric, arrangement) for metric in metrics},
    )
