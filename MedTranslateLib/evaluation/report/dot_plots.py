"""A table of scores and the figures of its patients in, a plot out: a dot a patient, the mean and its interval."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from MedTranslateLib.evaluation.measurement import Measurement
from MedTranslateLib.evaluation.overview import shorten
from MedTranslateLib.evaluation.report.images import (
    BLUE,
    INK,
    LINE,
    MUTED,
    ORANGE,
    STYLE,
    WIDTH_IN,
    data_uri,
    new_figure,
)
from MedTranslateLib.evaluation.report.printable import printable
from MedTranslateLib.evaluation.report.score_table import MEANING, ScoreTable

COLUMNS = 3
ROW_IN, HEAD_IN, FOOT_IN = 0.27, 0.34, 0.42
NAME_LETTERS, LETTER_IN = 40, 0.066
GOLDEN = (math.sqrt(5) - 1) / 2
SPREAD = 0.5


def dot_plot(table: ScoreTable, figures: Iterable[Measurement], methods: Sequence[str], metrics: Sequence[str]) -> str:
    """Draws methods downwards and up to three metrics side by side, with a common list of names.

    Args:
        table: Means, intervals and ranks.
        figures: One a patient, method and metric, see `patient_figures`; others than of this table are left out.
        methods: Those to draw, from the top.
        metrics: Those to draw, at most `COLUMNS`.

    Returns:
        A `data:` address of an SVG.
    """
    values: dict[tuple[str, str], list[float]] = {}
    for one in figures:
        if (one.table, one.direction) == (table.table, table.direction) and one.case:
            values.setdefault((one.method, one.metric), []).append(one.value)
    height = HEAD_IN + ROW_IN * len(methods) + FOOT_IN
    names = [shorten(printable(method), NAME_LETTERS) for method in methods]
    with mpl.rc_context(STYLE):
        figure = new_figure(height)
        left = (0.15 + LETTER_IN * max(len(name) for name in names)) / WIDTH_IN
        grid = figure.add_gridspec(
            1, COLUMNS, left=left, right=0.985, top=1 - HEAD_IN / height, bottom=FOOT_IN / height, wspace=0.12
        )
        for column, metric in enumerate(metrics):
            axes = figure.add_subplot(grid[0, column])
            _prepare(axes, table, metric, names if column == 0 else [])
            for row, method in enumerate(methods):
                _draw_method(axes, row, table, (method, metric), values.get((method, metric), []))
            axes.set_ylim(len(methods) - 0.5, -0.5)
        return data_uri(figure, "svg")


def _prepare(axes: Axes, table: ScoreTable, metric: str, names: Sequence[str]) -> None:
    axes.set_title(printable(table.head(metric)), loc="left", fontsize=10, fontweight="bold")
    axes.set_xlabel(MEANING[table.metric_definitions[metric].better], fontsize=8, color=MUTED, loc="left")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(visible=True, axis="x", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.locator_params(axis="x", nbins=6)
    axes.tick_params(length=0, labelsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=9)


def _draw_method(axes: Axes, row: int, table: ScoreTable, key: tuple[str, str], values: Sequence[float]) -> None:
    axes.axhline(row, color=LINE, linewidth=0.6, zorder=0)
    shown = [value for value in values if math.isfinite(value)]
    # Steps of the golden ratio spread any number of dots evenly, and always in the same way.
    heights = row + SPREAD * (np.arange(1, len(shown) + 1) * GOLDEN % 1 - 0.5)
    axes.scatter(shown, heights, s=11, color=BLUE, alpha=0.35, linewidths=0)
    cell = table.cells.get(key)
    if cell is None or not math.isfinite(cell.mean):
        words = "not measured" if cell is None else table.figure(*key)
        axes.text(0.02, row, words, transform=axes.get_yaxis_transform(), fontsize=7.5, color=MUTED, va="center")
        return
    colour = ORANGE if cell.rank == 1 else INK
    axes.plot([cell.interval.low, cell.interval.high], [row, row], color=colour, linewidth=2.2, solid_capstyle="butt")
    axes.plot(cell.mean, row, marker="D", markersize=4.5, color=colour, markeredgecolor="white", markeredgewidth=0.7)
