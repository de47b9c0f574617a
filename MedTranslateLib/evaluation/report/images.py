"""A figure in, the image of a self-contained page out: equal figures give equal bytes."""

from __future__ import annotations

import base64
import io
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK, MUTED, LINE, EMPTY = "#1d232b", "#5b6672", "#dfe3e8", "#f6f7f9"
BLUE, ORANGE = "#0072b2", "#d55e00"
COLOURS = (BLUE, ORANGE, "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""Told apart by colour-blind people (Okabe and Ito 2008)."""
WIDTH_IN = 11.2
DOTS_PER_INCH = 160
MEDIA = {"svg": "image/svg+xml", "png": "image/png"}
# Names are text, never formulas, also where they hold a "$". Letters are drawn as outlines, as no font is sent along.
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": LINE,
    "axes.labelcolor": INK,
    "xtick.color": MUTED,
    "ytick.color": INK,
    "svg.fonttype": "path",
    "svg.hashsalt": "medtranslate",
}


def new_figure(height_in: float) -> Figure:
    """An empty figure as wide as the page, without the global state of pyplot."""
    figure = Figure(figsize=(WIDTH_IN, height_in), dpi=DOTS_PER_INCH, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def data_uri(figure: Figure, kind: Literal["svg", "png"]) -> str:
    """The figure as an address that holds the image itself.

    Args:
        figure: Finished; drawn under `STYLE`.
        kind: Lines as `svg`, pictures as `png`.

    Returns:
        A `data:` address.
    """
    nothing: dict[str, Any] = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}
    stream = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(stream, format=kind, metadata=nothing[kind])
    return f"data:{MEDIA[kind]};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
