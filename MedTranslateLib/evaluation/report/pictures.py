"""Translated slices in, a strip of panels for each out: source, output, target, error, spread and field."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from MedTranslateLib.evaluation.measurement import Picture, Pictured
from MedTranslateLib.evaluation.overview_panels import DEVIATION_COLOURS, DIMMED, FIELD_COLOURS, PANEL, draw_arrows
from MedTranslateLib.evaluation.report.images import EMPTY, MUTED, STYLE, WIDTH_IN, data_uri, new_figure

ERROR_COLOURS = "RdBu_r"
LARGEST_ERROR, LARGEST_SPREAD, SMALLEST_FIELD_PX = 0.3, 0.2, 1.0
ARROWS_ACROSS = 16
HEAD_IN, FOOT_IN, GAP_IN, WIDEST_IN = 0.28, 0.42, 0.09, 2.6
TALLEST = 1.6
"""Height over width of a panel, at most."""
NO_TARGET, STAYS = "no target", "every pixel stays\nin its place"


@dataclass(frozen=True)
class Panel:
    """One column of the strips of a table.

    Args:
        title: What it shows.
        take: The picture it needs from an example; None where the example has none.
        draw: Draws that picture.
        colours: Colour map of its bar; None for grey images, whose window is 0 to 1.
        low, high: Ends of the bar.
        unit: What the bar measures.
        absent: What is written where an example has no such picture.
    """

    title: str
    take: Callable[[Pictured], Picture | None]
    draw: Callable[[Axes, Pictured, Picture], None]
    colours: str | None = None
    low: float = 0.0
    high: float = 1.0
    unit: str = ""
    absent: str = ""


def columns(examples: Sequence[Pictured]) -> list[Panel]:
    """The panels that at least one of the examples can fill, with scales that hold for all of them.

    Args:
        examples: Those of one table.

    Returns:
        Panels from left to right.
    """
    return [panel for panel in _all_panels(examples) if any(panel.take(example) is not None for example in examples)]


def strip(example: Pictured, panels: Sequence[Panel]) -> str:
    """Draws one example.

    Args:
        example: The slice as a method translated it.
        panels: See `columns`.

    Returns:
        A `data:` address of a PNG.
    """
    width = min((WIDTH_IN + GAP_IN) / len(panels) - GAP_IN, WIDEST_IN)
    rows, across = example.output.shape
    tall = width * min(rows / across, TALLEST)
    height = HEAD_IN + tall + FOOT_IN
    with mpl.rc_context(STYLE):
        figure = new_figure(height)
        for number, panel in enumerate(panels):
            left = number * (width + GAP_IN)
            box = (left / WIDTH_IN, FOOT_IN / height, width / WIDTH_IN, tall / height)
            axes = figure.add_axes(box)
            figure.text(box[0], 1 - 0.09 / height, panel.title, fontsize=8.5, fontweight="bold", va="top")
            _fill(axes, example, panel)
            bar = (left / WIDTH_IN, (FOOT_IN - 0.14) / height, width / WIDTH_IN, 0.07 / height)
            if panel.colours and panel.take(example) is not None:
                _draw_bar(figure.add_axes(bar), panel)
        return data_uri(figure, "png")


def signed_error(example: Pictured) -> Picture | None:
    """Output minus target.

    Args:
        example: Any.

    Returns:
        Positive where the output is brighter; None without a target.
    """
    return None if example.target is None else example.output - example.target


def longest_displacement_px(examples: Sequence[Pictured]) -> float:
    """Length that the scale of fields ends at: 99.8 % of all pixels that have one stay below.

    Args:
        examples: Those of one table.

    Returns:
        Pixels, at least `SMALLEST_FIELD_PX`.
    """
    lengths = [np.hypot(*one.displacement) for one in examples if one.displacement is not None]
    return max([SMALLEST_FIELD_PX, *(float(np.percentile(length, 99.8)) for length in lengths)])


def _all_panels(examples: Sequence[Pictured]) -> list[Panel]:
    longest = longest_displacement_px(examples)
    return [
        Panel("Source", lambda one: one.source, _draw_grey),
        Panel("Output (synthetic)", lambda one: one.output, _draw_grey),
        Panel("Target", lambda one: one.target, _draw_grey, absent=NO_TARGET),
        _error_panel(),
        _spread_panel(),
        _field_panel(longest),
    ]


def _error_panel() -> Panel:
    def draw(axes: Axes, _: Pictured, picture: Picture) -> None:
        axes.imshow(picture, cmap=ERROR_COLOURS, vmin=-LARGEST_ERROR, vmax=LARGEST_ERROR, interpolation="nearest")

    title = "Error, output \N{MINUS SIGN} target"
    return Panel(title, signed_error, draw, ERROR_COLOURS, -LARGEST_ERROR, LARGEST_ERROR, absent=NO_TARGET)


def _spread_panel() -> Panel:
    def draw(axes: Axes, _: Pictured, picture: Picture) -> None:
        axes.imshow(picture, cmap=DEVIATION_COLOURS, vmin=0.0, vmax=LARGEST_SPREAD, interpolation="nearest")

    take, unit = (lambda one: one.uncertainty), "sd of samples"
    return Panel("Uncertainty", take, draw, DEVIATION_COLOURS, 0.0, LARGEST_SPREAD, unit, "no samples drawn")


def _field_panel(longest: float) -> Panel:
    def draw(axes: Axes, example: Pictured, field: Picture) -> None:
        _draw_grey(axes, example, example.output * DIMMED)
        length = np.hypot(*field)
        opacity = np.clip(length / (0.4 * longest), 0.0, 0.65)
        axes.imshow(length, cmap=FIELD_COLOURS, vmin=0.0, vmax=longest, alpha=opacity, interpolation="bilinear")
        _draw_field(axes, field, longest)

    return Panel(
        "Field, output \N{RIGHTWARDS ARROW} source", _field, draw, FIELD_COLOURS, 0.0, longest, "pixels", STAYS
    )


def _field(example: Pictured) -> Picture | None:
    return example.displacement


def _draw_grey(axes: Axes, _: Pictured, picture: Picture) -> None:
    axes.imshow(picture, cmap="gray", vmin=0.0, vmax=1.0, interpolation="bilinear")


def _draw_field(axes: Axes, field: Picture, longest: float) -> None:
    step = max(field.shape[1:]) / ARROWS_ACROSS
    rows, across = (np.arange(step / 2, size, step).astype(int) for size in field.shape[1:])
    picked = field[:, rows][:, :, across] * max(1, int(step / longest))
    draw_arrows(axes, np.meshgrid(across, rows), picked[1], picked[0])


def _fill(axes: Axes, example: Pictured, panel: Panel) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    picture = panel.take(example)
    if picture is None:
        axes.set_facecolor(EMPTY)
        axes.text(0.5, 0.5, panel.absent, transform=axes.transAxes, fontsize=8, color=MUTED, ha="center", va="center")
        return
    axes.set_facecolor(PANEL)
    panel.draw(axes, example, picture)


def _draw_bar(axes: Axes, panel: Panel) -> None:
    scale = ScalarMappable(Normalize(panel.low, panel.high), panel.colours)
    bar = axes.figure.colorbar(scale, cax=axes, orientation="horizontal")
    bar.outline.set_visible(False)
    middle = (panel.low + panel.high) / 2
    bar.set_ticks([panel.low, middle, panel.high], labels=_ends(panel, middle))
    axes.tick_params(labelsize=7, length=0, pad=2, colors=MUTED)
    first, _, last = axes.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")


def _ends(panel: Panel, middle: float) -> list[str]:
    return [f"{panel.low:.2g}", panel.unit or f"{middle:.2g}", f"{panel.high:.2g}"]
