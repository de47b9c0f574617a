"""Figures of a reader study in, images for its page out: equal figures give equal bytes."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK, MUTED, LINE = "#1d232b", "#5b6672", "#dfe3e8"
BLUE, ORANGE = "#0072b2", "#d55e00"
COLOURS = (BLUE, ORANGE, "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""Told apart by colour-blind people (Okabe and Ito 2008)."""
STYLES = ("-", "--", ":", "-.")
STEPS = ("#08306b", "#2171b5", "#6baed6", "#b5d3ea", "#dde9f5")
"""From strong to faint; readable in grey."""
LIGHT = 0.55
"""Luminance from which on dark letters are read better than white ones."""
WIDTH_IN, ROW_IN = 9.4, 0.27
LABEL_LETTERS = 34
# Names are text, never formulas, also where they hold a "$". Letters are drawn as outlines, as no font is sent along.
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": INK,
    "svg.fonttype": "path",
    "svg.hashsalt": "medtranslate",
}


@dataclass(frozen=True)
class Dot:
    """A value with an interval.

    Args:
        label: Of the row.
        value: NaN draws nothing.
        low, high: Of the interval; NaN draws none.
        wide_low, wide_high: Of a second interval, drawn thin; NaN draws none.
        pooled: Whether it is of all together, drawn in another colour.
    """

    label: str
    value: float
    low: float
    high: float
    wide_low: float = math.nan
    wide_high: float = math.nan
    pooled: bool = False


@dataclass(frozen=True)
class Scale:
    """A horizontal axis.

    Args:
        title: What it shows.
        low, high: Its ends; `high` infinite fits it to the values.
        marked: Where a line stands, such as at guessing; NaN for none.
        percent: Whether values from 0 to 1 are written as percent.
    """

    title: str
    low: float
    high: float
    marked: float = math.nan
    percent: bool = False


@dataclass(frozen=True)
class Bar:
    """Counts of answers, drawn as shares of one bar.

    Args:
        label: Of the row.
        counts: Of each answer.
    """

    label: str
    counts: tuple[int, ...]


@dataclass(frozen=True)
class RocLine:
    """An ROC curve of one reader.

    Args:
        label: Reader and area.
        false_positive: 1 - specificity, rising.
        true_positive: Sensitivity, rising.
    """

    label: str
    false_positive: tuple[float, ...]
    true_positive: tuple[float, ...]


def dot_plot(dots: Sequence[Dot], scale: Scale) -> str:
    """Values with their intervals, one a row.

    Args:
        dots: From top to bottom.
        scale: The axis.

    Returns:
        A `data:` address of an SVG.
    """
    with mpl.rc_context(STYLE):
        figure, axes = _rows(len(dots), 0.62)
        for row, dot in enumerate(dots):
            colour = ORANGE if dot.pooled else BLUE
            axes.hlines(row, dot.wide_low, dot.wide_high, color=colour, linewidth=1.0, alpha=0.7)
            axes.hlines(row, dot.low, dot.high, color=colour, linewidth=3.2, alpha=0.45)
            axes.plot(
                [dot.value], [row], "D" if dot.pooled else "o", color=colour, markersize=5.5, clip_on=False, zorder=3
            )
        if math.isfinite(scale.marked):
            axes.axvline(scale.marked, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
        axes.set_xlim(scale.low, scale.high if math.isfinite(scale.high) else _upper(dots))
        _finish(axes, [dot.label for dot in dots], scale.title)
        if scale.percent:
            axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        return _data_uri(figure)


def bar_plot(bars: Sequence[Bar], names: Sequence[str]) -> str:
    """Shares of each answer, one bar a row.

    Args:
        bars: From top to bottom.
        names: Of the answers.

    Returns:
        A `data:` address of an SVG.
    """
    with mpl.rc_context(STYLE):
        figure, axes = _rows(len(bars), 0.95)
        colours = _shades(len(names))
        for row, bar in enumerate(bars):
            _bar(axes, row, bar, colours)
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        _finish(axes, [bar.label for bar in bars], "share of the answers (numbers: how many)")
        handles = [mpl.patches.Patch(facecolor=colour, edgecolor=LINE) for colour in colours]
        place = (0.25, 1.0)
        labels = [_short(name, 28) for name in names]
        figure.legend(
            handles,
            labels,
            loc="upper left",
            ncols=min(len(names), 5),
            frameon=False,
            bbox_to_anchor=place,
            fontsize=8.5,
        )
        return _data_uri(figure)


def roc_plot(panels: Sequence[tuple[str, Sequence[RocLine]]]) -> str:
    """ROC curves, a panel for each treatment and a line for each reader.

    Args:
        panels: Title and lines, at most three panels.

    Returns:
        A `data:` address of an SVG.
    """
    with mpl.rc_context(STYLE):
        size = WIDTH_IN / 3
        figure = Figure(figsize=(size * len(panels) + 0.2, size + 0.35), facecolor="white")
        FigureCanvasAgg(figure)
        for number, (title, lines) in enumerate(panels):
            axes = figure.add_subplot(1, len(panels), number + 1)
            axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
            for index, line in enumerate(lines):
                colour, style = COLOURS[index % len(COLOURS)], STYLES[index // len(COLOURS) % len(STYLES)]
                label = _short(line.label, LABEL_LETTERS)
                axes.plot(line.false_positive, line.true_positive, style, color=colour, linewidth=1.6, label=label)
            _finish_roc(axes, title, first=number == 0)
        figure.tight_layout(pad=0.6, w_pad=1.4)
        return _data_uri(figure)


def _rows(count: int, extra_in: float) -> tuple[Figure, Axes]:
    height = ROW_IN * count + extra_in
    figure = Figure(figsize=(WIDTH_IN, height), facecolor="white")
    FigureCanvasAgg(figure)
    bottom, top = 0.5 / height, 1 - (extra_in - 0.5) / height
    axes = figure.add_axes((0.25, bottom, 0.73, top - bottom))
    axes.set_ylim(count - 0.5, -0.5)
    return figure, axes


def _finish(axes: Axes, labels: Sequence[str], title: str) -> None:
    axes.set_yticks(range(len(labels)), [_short(label, LABEL_LETTERS) for label in labels])
    axes.set_xlabel(title, fontsize=8.5)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(visible=True, axis="x", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)


def _finish_roc(axes: Axes, title: str, *, first: bool) -> None:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.set_title(_short(title, LABEL_LETTERS), loc="left", fontsize=10, fontweight="bold")
    axes.set_xlabel("1 - specificity", fontsize=8.5)
    if first:
        axes.set_ylabel("sensitivity", fontsize=8.5)
    axes.grid(visible=True, color=LINE, linewidth=0.6)
    axes.tick_params(length=0, labelsize=8)
    axes.legend(loc="lower right", frameon=True, framealpha=0.9, edgecolor="none", fontsize=8)


def _bar(axes: Axes, row: int, bar: Bar, colours: Sequence[str]) -> None:
    total, left = sum(bar.counts), 0.0
    for count, colour in zip(bar.counts, colours, strict=True):
        width = count / total if total else 0.0
        axes.barh(row, width, left=left, height=0.72, color=colour, edgecolor="white", linewidth=0.8)
        if width > 0.025:
            red, green, blue = mpl.colors.to_rgb(colour)
            ink = "white" if 0.299 * red + 0.587 * green + 0.114 * blue < LIGHT else INK
            axes.text(left + width / 2, row, str(count), ha="center", va="center", color=ink, fontsize=8)
        left += width


def _shades(count: int) -> list[str]:
    """As many steps as there are answers, from strong to faint."""
    ramp = mpl.colors.LinearSegmentedColormap.from_list("steps", STEPS)
    return [mpl.colors.to_hex(ramp(number / max(count - 1, 1))) for number in range(count)]


def _upper(dots: Sequence[Dot]) -> float:
    known = [value for dot in dots for value in (dot.value, dot.high, dot.wide_high) if math.isfinite(value)]
    return 1.06 * max(known, default=1.0) or 1.0


def _short(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def _data_uri(figure: Figure) -> str:
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
