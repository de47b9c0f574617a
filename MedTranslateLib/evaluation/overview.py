"""A source and its translation in, `overview.png` out: one picture that shows what was made and where it came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from MedTranslateLib.core.correspondence import Origin
from MedTranslateLib.core.result import SYNTHETIC_NOTE, TranslationResult
from MedTranslateLib.core.trust import TrustMaps
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.evaluation import overview_panels as panels
from MedTranslateLib.evaluation.overview_panels import AMBER, DEVIATION_COLOURS, FIELD_COLOURS, INK, TRUST_COLOURS
from MedTranslateLib.evaluation.slice_views import SliceView, choose_views
from MedTranslateLib.imaging.display import (
    DisplayRange,
    output_range,
    source_contrast,
    source_range,
    uncertainty_range,
)
from MedTranslateLib.imaging.files import output_error

DOTS_PER_INCH = 100
WIDTH_IN = 16.0
HEIGHT_IN = {1: 6.2, 2: 8.4, 3: 10.8}
HEAD_IN, FOOT_IN = 1.36, 0.84
BACKGROUND, LINE, MUTED = "#12161c", "#2b323c", "#9aa4b2"
# Names are text, never formulas, also where they hold a "$".
STYLE: Any = {"font.family": "DejaVu Sans", "font.size": 10.0, "text.color": INK, "text.parse_math": False}
ORIGIN_TEXT = {
    Origin.MODEL: "displacement to the source, by the model",
    Origin.ESTIMATED: "displacement to the source, estimated afterwards",
    Origin.IDENTITY: "identity: every pixel stays in place",
}


@dataclass(frozen=True)
class Column:
    """What a column says at its top, and the scale at its bottom.

    Args:
        title: First line.
        subtitle: Second line.
        scale: Range of its colours.
        colours: Colour map of its bar; None where there is no bar because colours mean nothing.
    """

    title: str
    subtitle: str
    scale: DisplayRange
    colours: str | None = "gray"


def write_overview(path: Path, source: Volume, result: TranslationResult) -> None:
    """Draws source, output, field and uncertainty (or alignment) side by side; equal input gives equal bytes.

    Args:
        path: The PNG to write, 1600 pixels wide.
        source: The image that was translated.
        result: What was made of it, on the same grid.

    Raises:
        OutputError: If the picture cannot be written.
    """
    temporary = path.with_name(f".part-{path.name}")
    with mpl.rc_context(STYLE):
        figure = draw_overview(source, result)
        try:
            # Without a software entry the bytes do not tell which version wrote them.
            figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise output_error(path, error) from error


def draw_overview(source: Volume, result: TranslationResult) -> Figure:
    """The picture as a figure with a canvas of its own, without the global state of pyplot."""
    views = choose_views(source)
    columns = describe_columns(source, result, views)
    height = HEIGHT_IN[len(views)]
    figure = Figure(figsize=(WIDTH_IN, height), facecolor=BACKGROUND, dpi=DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        len(views),
        len(columns),
        left=0.012,
        right=0.988,
        top=1 - HEAD_IN / height,
        bottom=FOOT_IN / height,
        wspace=0.015,
        hspace=0.02,
    )
    for row, view in enumerate(views):
        axes = [figure.add_subplot(grid[row, column]) for column in range(len(columns))]
        _draw_row(axes, view, source, result, columns)
    for number, column in enumerate(columns):
        place = grid[0, number].get_position(figure)
        _write_head(figure, place.x0, 1 - 1.05 / height, column)
        _draw_colour_bar(figure, (place.x0, place.x1), column)
    _write_title(figure, source, result)
    _write_footer(figure, result)
    return figure


def describe_columns(source: Volume, result: TranslationResult, views: list[SliceView]) -> list[Column]:
    """What the columns show: the fourth the spread of samples or else the alignment, a fifth the trust where it is."""
    trust = [] if result.trust is None else [_trust_column(result.trust)]
    return [
        Column(f"Source {source_contrast(source, result)}".strip(), shorten(source.name, 44), source_range(source)),
        Column(f"Output {result.output_name}".strip(), "made by the model, SYNTHETIC", output_range(result)),
        _field_column(result, views),
        _last_column(result),
        *trust,
    ]


def _field_column(result: TranslationResult, views: list[SliceView]) -> Column:
    origin = result.correspondence.origin
    if origin is Origin.IDENTITY:
        return Column("Where each pixel came from", ORIGIN_TEXT[origin], DisplayRange(0.0, 1.0, ""), None)
    largest = _largest_displacement_mm(result, views)
    unit = f"displacement, mm (arrows drawn {panels.arrow_magnification(largest)} times as long)"
    return Column("Where each pixel came from", ORIGIN_TEXT[origin], DisplayRange(0.0, largest, unit), FIELD_COLOURS)


def _last_column(result: TranslationResult) -> Column:
    if result.uncertainty is None:
        return Column("Alignment", "edges of the source over the output", output_range(result), None)
    samples = result.provenance.get("run", {}).get("samples", "the")
    scale = uncertainty_range(result.uncertainty, result)
    return Column("Uncertainty", f"standard deviation of {samples} samples", scale, DEVIATION_COLOURS)


def _trust_column(maps: TrustMaps) -> Column:
    among = "rank among places of other patients" if maps.is_calibrated else "not calibrated: rank within this output"
    return Column("Trust", among, DisplayRange(0.0, 1.0, "1: most trusted"), TRUST_COLOURS)


def _largest_displacement_mm(result: TranslationResult, views: list[SliceView]) -> float:
    field = result.correspondence.forward
    lengths = [np.linalg.norm(panels.displacements(field, view.points_ras()), axis=-1) for view in views]
    return max(1.0, *(float(np.percentile(length, 99.8)) for length in lengths))


def _draw_row(
    axes: list[Axes], view: SliceView, source: Volume, result: TranslationResult, heads: list[Column]
) -> None:
    output, shown = result.translated.array_kji, heads[1].scale
    for each in axes:
        panels.prepare(each, view)
    panels.draw_image(axes[0], view, source.array_kji, heads[0].scale)
    panels.draw_image(axes[1], view, output, shown)
    panels.draw_image(axes[2], view, output, panels.dimmed(shown))
    if result.correspondence.origin is Origin.IDENTITY:
        panels.draw_grid(axes[2], view)
    else:
        panels.draw_field(axes[2], view, result.correspondence.forward, heads[2].scale)
    if result.uncertainty is not None:
        panels.draw_image(axes[3], view, result.uncertainty.array_kji, heads[3].scale, DEVIATION_COLOURS)
    else:
        panels.draw_image(axes[3], view, output, panels.dimmed(shown))
        panels.draw_edges(axes[3], view, source.array_kji, heads[0].scale)
    if result.trust is not None:
        panels.draw_image(axes[4], view, result.trust.trust.array_kji, heads[4].scale, TRUST_COLOURS)
    for each in axes[:2]:
        panels.draw_letters(each, view)
    for each in axes[1:]:
        panels.draw_validity(each, view, result.validity_kji)
    axes[0].text(0.02, 0.97, view.caption, transform=axes[0].transAxes, color=MUTED, fontsize=9, va="top")


def _write_head(figure: Figure, x: float, y: float, column: Column) -> None:
    figure.text(x, y, column.title, fontsize=13, fontweight="bold", va="bottom")
    figure.text(x, y - 0.06 / figure.get_figheight(), column.subtitle, fontsize=10, color=MUTED, va="top")


def _draw_colour_bar(figure: Figure, edges: tuple[float, float], column: Column) -> None:
    if column.colours is None:
        return
    left, right = edges[0], edges[1] - 0.012
    height = figure.get_figheight()
    bar = figure.add_axes((left, 0.52 / height, right - left, 0.09 / height))
    mappable = ScalarMappable(Normalize(column.scale.low, column.scale.high), column.colours)
    drawn = figure.colorbar(mappable, cax=bar, orientation="horizontal")
    drawn.outline.set_visible(False)
    bar.tick_params(colors=MUTED, labelsize=8, length=2, pad=2)
    figure.text(left, 0.72 / height, column.scale.unit, fontsize=9, color=MUTED, va="center")


def _write_title(figure: Figure, source: Volume, result: TranslationResult) -> None:
    height = figure.get_figheight()
    contrast = source_contrast(source, result)
    start = f"{shorten(source.name, 60)}   {contrast}" if contrast else shorten(source.name, 60)
    title = f"{start} \N{RIGHTWARDS ARROW} {result.output_name}"
    figure.text(0.012, 1 - 0.18 / height, title, fontsize=18, fontweight="bold", va="top")
    figure.text(0.012, 1 - 0.53 / height, made_by(result), fontsize=10, color=MUTED, va="top")
    box = {"boxstyle": "round,pad=0.45", "facecolor": "none", "edgecolor": AMBER, "linewidth": 1.2}
    figure.text(
        0.984,
        1 - 0.33 / height,
        SYNTHETIC_NOTE,
        fontsize=12,
        fontweight="bold",
        color=AMBER,
        ha="right",
        va="center",
        bbox=box,
    )


def made_by(result: TranslationResult) -> str:
    """Bundle, method and version in one line, as far as the provenance states them."""
    bundle, run = result.provenance.get("bundle", {}), result.provenance.get("run", {})
    version = result.provenance.get("software", {}).get("version", "")
    parts = [
        f"bundle {bundle.get('name', 'unknown')} {bundle.get('version', '')}".strip(),
        f"{bundle.get('method', '')}, {run['steps']} step(s)" if "steps" in run else str(bundle.get("method", "")),
        f"MedTranslate {version}".strip(),
    ]
    return "   \N{MIDDLE DOT}   ".join(part for part in parts if part)


def shorten(text: str, length: int) -> str:
    """Leaves out the middle of a long name: both ends of a file name tell more."""
    if len(text) <= length:
        return text
    head = (length - 1) // 2
    return f"{text[:head]}\N{HORIZONTAL ELLIPSIS}{text[head + 1 - length :]}"


def _write_footer(figure: Figure, result: TranslationResult) -> None:
    y = 0.17 / figure.get_figheight()
    text = "Radiological display: the patient's right is on the left."
    figure.text(0.012, y, text, fontsize=9, color=MUTED, va="center")
    if not result.validity_kji.all():
        figure.add_artist(Line2D([0.508, 0.538], [y, y], color=AMBER, linestyle="dashed", linewidth=1.0))
        text = "Border of what the model saw; beyond it the output is background."
        figure.text(0.545, y, text, fontsize=9, color=MUTED, va="center")
