"""A map that lies over the output in, its bar of colours with what both ends mean out."""

from __future__ import annotations

from slicer.i18n import tr as _

from MedTranslateLib.mrml.scene import ATTRIBUTE_PREFIX, ResultNodes

STOPS = 21
NOTES = {
    "uncertainty": "Standard deviation of the samples.",
    "trust": "Red can be believed least, amber more, and where the image is not covered, most.",
    "expected_error": "Error to be expected, from patients that the model never saw.",
    "trust_round_trip": "How far the way there and back through the fields ends from its start.",
    "trust_folding": "How near the field is to turning tissue inside out.",
    "trust_intensity": "How far the source is brighter or darker than all training images.",
    "trust_cycle": "How much the source changes when it is translated there and back.",
}
NOT_CALIBRATED = "Not calibrated: it ranks the places of this one output, and says nothing about the size of errors."


class Legend:
    """The legend below the layers.

    Args:
        ui: Named widgets of `TracePanel.ui`.
    """

    def __init__(self, ui) -> None:
        self._ui = ui
        self.clear()

    def clear(self) -> None:
        """Takes it away."""
        for part in (self._ui.legendLow, self._ui.legendBar, self._ui.legendHigh, self._ui.legendNote):
            part.visible = False

    def show(self, nodes: ResultNodes, role: str) -> None:
        """Explains a map.

        Args:
            nodes: The result.
            role: What the map is; nothing is shown for what has no scale.
        """
        node = getattr(nodes, role, None) if role in NOTES else None
        if node is None or node.GetDisplayNode() is None:
            self.clear()
            return
        ui, display = self._ui, node.GetDisplayNode()
        ui.legendBar.setStyleSheet(f"border: 1px solid #808080; background: {gradient(display.GetColorNode())}")
        ui.legendLow.text = f"{display.GetWindowLevelMin():.3g}"
        ui.legendHigh.text = f"{display.GetWindowLevelMax():.3g}"
        unit = node.GetAttribute(f"{ATTRIBUTE_PREFIX}unit") or ""
        note = f"{_(NOTES[role])} {_('Unit: {0}.').format(unit)}"
        if role == "trust" and nodes.expected_error is None:
            note += f" {_(NOT_CALIBRATED)}"
        ui.legendNote.text = note
        for part in (ui.legendLow, ui.legendBar, ui.legendHigh, ui.legendNote):
            part.visible = True


def gradient(colours) -> str:
    """The colours of a colour node from left to right, as a style sheet writes it."""
    last = colours.GetNumberOfColors() - 1
    stops = []
    for step in range(STOPS):
        share, colour = step / (STOPS - 1), [0.0] * 4
        colours.GetColor(round(share * last), colour)
        red, green, blue, opaque = (round(255 * part) for part in colour)
        stops.append(f"stop:{share:.3f} rgba({red}, {green}, {blue}, {opaque})")
    return f"qlineargradient(x1:0, y1:0, x2:1, y2:0, {', '.join(stops)})"
