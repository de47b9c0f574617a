"""A table whose methods ran with several settings in, curves of its metrics against the setting out."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from MedTranslateLib.evaluation.overview import shorten
from MedTranslateLib.evaluation.report.images import COLOURS, LINE, MUTED, STYLE, data_uri, new_figure
from MedTranslateLib.evaluation.report.printable import printable
from MedTranslateLib.evaluation.report.score_table import MEANING, ScoreTable

NAME = re.compile(r"(?P<base>.+) @ (?P<amount>\d+(?:\.\d+)?) (?P<unit>steps?|% paired)")
UNITS = {"step": "steps", "steps": "steps", "% paired": "% paired"}
MARKERS = "osD^vPX"
COLUMNS, HEIGHT_IN = 3, 2.9
LOGARITHMIC_FROM = 8


@dataclass(frozen=True)
class Setting:
    """What a name such as "BiDPM @ 10 steps" says.

    Args:
        base: What stands before the sign.
        amount: The number.
        unit: `steps` or `% paired`.
    """

    base: str
    amount: float
    unit: str


def setting_of(method: str) -> Setting | None:
    """The setting in the name of a method.

    Args:
        method: Such as "BiDPM @ 10 steps" or "SynDiff @ 25 % paired".

    Returns:
        None for a name without one.
    """
    found = NAME.fullmatch(method)
    return Setting(found["base"], float(found["amount"]), UNITS[found["unit"]]) if found else None


def sweeps(methods: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """Methods that ran with at least two amounts of a unit.

    Args:
        methods: Names, in any order.

    Returns:
        Unit, then base, then the names of the methods with rising amounts.
    """
    found: dict[str, dict[str, list[tuple[float, str]]]] = {}
    for method in methods:
        if setting := setting_of(method):
            found.setdefault(setting.unit, {}).setdefault(setting.base, []).append((setting.amount, method))
    rising = {
        unit: {base: [name for _, name in sorted(points)] for base, points in bases.items() if len(points) > 1}
        for unit, bases in found.items()
    }
    return {unit: bases for unit, bases in rising.items() if bases}


@dataclass(frozen=True)
class Point:
    """One point of a curve; NaN where there is nothing to draw.

    Args:
        amount: Of the setting.
        mean, low, high: Mean and bounds of its interval.
    """

    amount: float
    mean: float
    low: float
    high: float


def points(table: ScoreTable, metric: str, methods: Sequence[str]) -> list[Point]:
    """The points of a curve.

    Args:
        table: Means and intervals.
        metric: That of the vertical axis.
        methods: Names with a setting, with rising amounts.

    Returns:
        One for each method that has a setting.
    """
    found = []
    for method in methods:
        cell, setting = table.cells.get((method, metric)), setting_of(method)
        if setting is not None:
            seen = (cell.mean, cell.interval.low, cell.interval.high) if cell else (math.nan,) * 3
            found.append(Point(setting.amount, *seen))
    return found


def curve_plot(table: ScoreTable, unit: str, bases: dict[str, list[str]], metrics: Sequence[str]) -> str:
    """Draws up to three metrics side by side, a line for each base with the interval of each point.

    Args:
        table: Means and intervals.
        unit: Of the amounts.
        bases: The methods of each line, see `sweeps`.
        metrics: Those to draw, at most `COLUMNS`.

    Returns:
        A `data:` address of an SVG.
    """
    with mpl.rc_context(STYLE):
        figure = new_figure(HEIGHT_IN)
        grid = figure.add_gridspec(1, COLUMNS, left=0.045, right=0.985, top=0.78, bottom=0.17, wspace=0.16)
        for column, metric in enumerate(metrics):
            axes = figure.add_subplot(grid[0, column])
            for number, methods in enumerate(bases.values()):
                _draw_line(axes, number, points(table, metric, methods))
            _finish(axes, table, metric, unit)
        lines = figure.axes[0].get_lines()
        names = [shorten(printable(base), 32) for base in bases]
        figure.legend(lines, names, loc="upper left", ncols=4, frameon=False, bbox_to_anchor=(0.035, 1.0), fontsize=9)
        return data_uri(figure, "svg")


def _draw_line(axes: Axes, number: int, curve: Sequence[Point]) -> None:
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
    amounts = [point.amount for point in curve]
    means = [point.mean if math.isfinite(point.mean) else math.nan for point in curve]
    axes.plot(amounts, means, color=colour, marker=marker, markersize=4.5, linewidth=1.5)
    axes.vlines(
        amounts, [point.low for point in curve], [point.high for point in curve], color=colour, linewidth=1.2, alpha=0.5
    )


def _finish(axes: Axes, table: ScoreTable, metric: str, unit: str) -> None:
    amounts = np.unique(np.concatenate([np.asarray(line.get_xdata(), np.float64) for line in axes.get_lines()]))
    if amounts[0] > 0 and amounts[-1] / amounts[0] >= LOGARITHMIC_FROM:
        axes.set_xscale("log")
        axes.minorticks_off()
    axes.set_xticks(amounts, [f"{amount:g}" for amount in amounts])
    axes.set_title(printable(table.head(metric)), loc="left", fontsize=10, fontweight="bold")
    meaning = MEANING[table.metric_definitions[metric].better]
    axes.set_xlabel(f"{unit}  ({meaning})", fontsize=8, color=MUTED, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color=LINE, linewidth=0.6)
    axes.tick_params(length=0, labelsize=8)
