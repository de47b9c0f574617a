"""Slicer's slice views in, the words SYNTHETIC, research use only in each that shows a synthetic image out.

It starts with Slicer, not with the panel: a scene with a synthetic image may be opened by somebody who never opens the
module.
"""

from __future__ import annotations

import slicer

from MedTranslateLib.mrml.synthetic_label import SyntheticLabels


class SyntheticWatch:
    """Keeps the label in every view, through changes of layout and scene."""

    def __init__(self) -> None:
        self._labels = SyntheticLabels(slicer.mrmlScene, renderersOfViews)
        slicer.app.layoutManager().connect("layoutChanged(int)", self._layoutChanged)

    def _layoutChanged(self, _layout: int) -> None:
        self._labels.refresh()


def renderersOfViews() -> dict:
    """The first renderer of each slice view there is now, by the name of the view."""
    manager = slicer.app.layoutManager()
    renderers = {}
    for name in manager.sliceViewNames():
        widget = manager.sliceWidget(name)
        if widget is not None:
            renderers[name] = widget.sliceView().renderWindow().GetRenderers().GetFirstRenderer()
    return renderers


def startWatch() -> SyntheticWatch | None:
    """Starts it where there is a main window with views."""
    return SyntheticWatch() if slicer.app.layoutManager() is not None else None
