"""A slice and an axes in, one drawn panel of the overview out: image, field, spread of samples, or edges."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from scipy.ndimage import zoom
from skimage.feature import canny

from MedTranslateLib.core.correspondence import DisplacementField
from MedTranslateLib.core.volume import FloatArray
from MedTranslateLib.evaluation.slice_views import SliceView
from MedTranslateLib.imaging.display import DisplayRange
from MedTranslateLib.imaging.fields import map_points

FloatPlane = npt.NDArray[np.floating]
PANEL, INK, AMBER, CYAN = "#000000", "#f2f4f7", "#ffb547", "#39d2ff"
FIELD_COLOURS, DEVIATION_COLOURS, TRUST_COLOURS = "viridis", "inferno", "cividis"
GRID_MM = 20.0
ARROW_STEP_MM = 14.0
LETTER_PIXELS = 15
EDGE_PIXEL_MM = 0.8
EDGE_BLUR_PIXELS = 1.6
EDGE_QUANTILES = (0.78, 0.9)
DIMMED = 0.75


def prepare(axes: Axes, view: SliceView) -> None:
    """Empties the axes and lays it out in mm, the slice in its middle, without distorting it."""
    width, height = view.size_mm
    box = axes.get_window_extent()
    axes.set_facecolor(PANEL)
    axes.set_xticks([])
    axes.set_yticks([])
    scale = max(width / (box.width - 2 * LETTER_PIXELS), height / (box.height - 2 * LETTER_PIXELS))
    half_width, half_height = scale * box.width / 2, scale * box.height / 2
    axes.set_xlim(width / 2 - half_width, width / 2 + half_width)
    axes.set_ylim(height / 2 + half_height, height / 2 - half_height)
    axes.set_aspect("equal")


def draw_image(axes: Axes, view: SliceView, array_kji: FloatArray, shown: DisplayRange, colours: str = "gray") -> None:
    """Draws the slice between black and white of `shown`."""
    axes.imshow(
        view.take(array_kji),
        cmap=colours,
        vmin=shown.low,
        vmax=shown.high,
        extent=_extent(view),
        interpolation="bilinear",
    )


def dimmed(shown: DisplayRange) -> DisplayRange:
    """A range in which the same image is darker, as a ground for lines and colours."""
    return DisplayRange(shown.low, shown.low + (shown.high - shown.low) / DIMMED, shown.unit)


def draw_grid(axes: Axes, view: SliceView) -> None:
    """Draws a straight grid: nothing has moved."""
    width, height = view.size_mm
    for x in _ticks(width, GRID_MM):
        axes.plot([x, x], [0, height], color=CYAN, linewidth=0.6, alpha=0.6)
    for y in _ticks(height, GRID_MM):
        axes.plot([0, width], [y, y], color=CYAN, linewidth=0.6, alpha=0.6)


def draw_field(axes: Axes, view: SliceView, field: DisplacementField, shown: DisplayRange) -> None:
    """Draws the length of the displacements (colour) and their in-plane part (arrows)."""
    moved = displacements(field, view.points_ras())
    length = np.linalg.norm(moved, axis=-1)
    opacity = np.clip(length / (0.4 * shown.high), 0.0, 0.65)
    axes.imshow(
        length,
        cmap=FIELD_COLOURS,
        vmin=0.0,
        vmax=shown.high,
        extent=_extent(view),
        alpha=opacity,
        interpolation="bilinear",
    )
    _draw_arrows(axes, view, moved * arrow_magnification(shown.high))


def draw_edges(axes: Axes, view: SliceView, array_kji: FloatArray, shown: DisplayRange) -> None:
    """Draws the edges of the slice (Canny 1986) as thin lines, also where its pixels are large."""
    image = np.clip((view.take(array_kji) - shown.low) / (shown.high - shown.low), 0.0, 1.0)
    width, height = view.size_mm
    factors = (height / EDGE_PIXEL_MM / image.shape[0], width / EDGE_PIXEL_MM / image.shape[1])
    fine = zoom(image, factors, order=1, mode="nearest", grid_mode=True)
    low, high = EDGE_QUANTILES
    overlay = np.zeros((*fine.shape, 4))
    overlay[canny(fine, EDGE_BLUR_PIXELS, low, high, use_quantiles=True)] = to_rgba(CYAN, 0.95)
    axes.imshow(overlay, extent=_extent(view), interpolation="nearest")


def draw_validity(axes: Axes, view: SliceView, validity_kji: npt.NDArray[np.uint8]) -> None:
    """Draws the border of what the model saw, where the slice reaches beyond it."""
    seen = view.take(validity_kji)
    if seen.all() or min(seen.shape) < 2:
        return
    width, height = view.size_mm
    rows, columns = seen.shape
    across = (np.arange(columns) + 0.5) * width / columns
    down = (np.arange(rows) + 0.5) * height / rows
    axes.contour(across, down, seen, levels=[0.5], colors=[AMBER], linewidths=1.0, linestyles="dashed")


def draw_letters(axes: Axes, view: SliceView) -> None:
    """Names the patient's directions beside the edges of the slice."""
    width, height = view.size_mm
    gap = 0.5 * LETTER_PIXELS * abs(axes.get_ylim()[1] - axes.get_ylim()[0]) / axes.get_window_extent().height
    places = [(-gap, height / 2), (width + gap, height / 2), (width / 2, -gap), (width / 2, height + gap)]
    for (x, y), letter in zip(places, view.letters, strict=True):
        axes.text(x, y, letter, color=INK, fontsize=9, ha="center", va="center")


def displacements(field: DisplacementField, points_ras: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Displacement in mm along R, A, S at points of shape (..., 3)."""
    flat = points_ras.reshape(-1, 3)
    return (map_points(field, flat) - flat).reshape(points_ras.shape)


def draw_arrows(axes: Axes, places: Sequence[FloatPlane], across: FloatPlane, down: FloatPlane) -> None:
    """Draws arrows in the units of the axes.

    Args:
        axes: Where the picture lies, rows downwards.
        places: Columns and rows of their starts.
        across: Their extent along columns.
        down: Their extent along rows.
    """
    axes.quiver(
        *places,
        across,
        down,
        color=INK,
        angles="xy",
        scale_units="xy",
        scale=1.0,
        width=0.0035,
        headwidth=4.0,
        headlength=4.0,
        headaxislength=3.5,
        minlength=0.5,
    )


def arrow_magnification(largest_mm: float) -> int:
    """How many times longer than the displacement arrows are drawn, so that neighbours just do not touch."""
    return max(1, int(ARROW_STEP_MM / largest_mm))


def _extent(view: SliceView) -> tuple[float, float, float, float]:
    width, height = view.size_mm
    return (0.0, width, height, 0.0)


def _draw_arrows(axes: Axes, view: SliceView, moved: npt.NDArray[np.float64]) -> None:
    width, height = view.size_mm
    rows, columns = moved.shape[:2]
    across, down, _ = view.directions_ras.T
    x, y = _ticks(width, ARROW_STEP_MM), _ticks(height, ARROW_STEP_MM)
    picked = moved[(y / height * rows).astype(int)][:, (x / width * columns).astype(int)]
    draw_arrows(axes, np.meshgrid(x, y), picked @ across, picked @ down)


def _ticks(length: float, step: float) -> npt.NDArray[np.float64]:
    count = int(length // step)
    return np.asarray(np.arange(count + 1) * step + (length - count * step) / 2, dtype=np.float64)
