"""A result and what shall be laid over it in, overlays in the views out: field, comparison, source, maps."""

from __future__ import annotations

from enum import Enum

import slicer
from slicer.i18n import tr as _

from MedTranslateLib.mrml.comparison import (
    checkerboard_node,
    difference_node,
    remove_comparisons,
    set_blend,
    traced_source_node,
)
from MedTranslateLib.mrml.layout import Side, composite_of, side_of_view, slice_views
from MedTranslateLib.mrml.overlays import FieldOverlay, field_over, hide_fields, show_field
from MedTranslateLib.mrml.reveal import RevealCursor
from MedTranslateLib.mrml.scene import ResultNodes
from MedTranslateLib.mrml.traced_map import remove_traced_map, traced_map_node
from MedTranslateWidgets.Choices import chosen, fill
from MedTranslateWidgets.Legend import Legend
from MedTranslateWidgets.Slots import slot
from MedTranslateWidgets.SyntheticWatch import renderersOfViews
from MedTranslateWidgets.Workbench import Workbench


class Layer(str, Enum):
    """What can lie over the output."""

    NONE = "none"
    SOURCE = "source"
    DIFFERENCE = "difference"
    CHECKERBOARD = "checkerboard"
    UNCERTAINTY = "uncertainty"
    TRUST = "trust"
    EXPECTED_ERROR = "expected_error"
    ROUND_TRIP = "trust_round_trip"
    FOLDING = "trust_folding"
    INTENSITY = "trust_intensity"
    CYCLE = "trust_cycle"
    VALIDITY = "validity"


FIELDS = {
    FieldOverlay.NONE: "not drawn",
    FieldOverlay.GLYPH: "arrows",
    FieldOverlay.GRID: "grid",
    FieldOverlay.CONTOUR: "contours",
}
SIDES = {"output": "the output", "source": "the source", "both": "both"}
LAYERS = {
    Layer.NONE: "nothing",
    Layer.SOURCE: "the source, traced",
    Layer.DIFFERENCE: "difference",
    Layer.CHECKERBOARD: "checkerboard",
    Layer.TRUST: "trust",
    Layer.EXPECTED_ERROR: "expected error",
    Layer.UNCERTAINTY: "uncertainty",
    Layer.ROUND_TRIP: "trust: round trip",
    Layer.FOLDING: "trust: nearness to a fold",
    Layer.INTENSITY: "trust: unusual intensity",
    Layer.CYCLE: "trust: there and back",
    Layer.VALIDITY: "what the model saw",
}
COMPARED = (Layer.DIFFERENCE, Layer.CHECKERBOARD)
ERRORS = (Layer.EXPECTED_ERROR, Layer.ROUND_TRIP, Layer.FOLDING, Layer.INTENSITY, Layer.CYCLE)
MAPS = (Layer.TRUST, Layer.UNCERTAINTY, *ERRORS)
"""Layers that are parts of the result of that name; those that a result lacks are not offered."""
OPACITY_PERCENT = {
    Layer.SOURCE: 50,
    Layer.TRUST: 50,
    Layer.UNCERTAINTY: 60,
    Layer.VALIDITY: 40,
    **dict.fromkeys(ERRORS, 60),
}
"""Where the slider stands at first; a comparison covers what it compares."""


class OverlayPanel:
    """The overlay box of `TracePanel.ui`.

    Args:
        ui: Named widgets of that file.
        workbench: What the panels share.
    """

    def __init__(self, ui, workbench: Workbench) -> None:
        self._ui, self._bench = ui, workbench
        self.messages = workbench.messages
        self._nodes: ResultNodes | None = None
        self._reveal: RevealCursor | None = None
        self._overSource = False
        fill(ui.fieldBox, [(_(label), overlay.value) for overlay, label in FIELDS.items()], FieldOverlay.NONE.value)
        fill(ui.fieldSideBox, [(_(label), key) for key, label in SIDES.items()], "output")
        self._legend = Legend(ui)
        self._fillLayers()
        ui.fieldBox.connect("activated(int)", self.showField)
        ui.fieldSideBox.connect("activated(int)", self.showField)
        ui.layerBox.connect("activated(int)", self.chooseLayer)
        ui.comparedSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.compareAnew)
        ui.tileSlider.connect("valueChanged(double)", self.compareAnew)
        ui.opacitySlider.connect("valueChanged(double)", self.setOpacity)
        ui.layerSourceBox.connect("toggled(bool)", self.showOverSource)
        ui.revealBox.connect("toggled(bool)", self.setReveal)
        self._enable()

    def follow(self, nodes: ResultNodes | None) -> None:
        """Goes on with another result, or with none; what lay over the one before is taken away."""
        self.clear()
        self._nodes = nodes
        self._fillLayers()
        self._enable()

    def clear(self) -> None:
        """Takes every overlay away."""
        self._ui.revealBox.checked = False
        for box, nothing in ((self._ui.fieldBox, FieldOverlay.NONE.value), (self._ui.layerBox, Layer.NONE.value)):
            box.setCurrentIndex(box.findData(nothing))
        self._ui.fieldNote.text = ""
        self._legend.clear()
        if self._nodes is not None:
            hide_fields(slicer.mrmlScene)
            self._blend(None, 0.0)
            self._showValidity(shown=False)
            self._blendSource(None, 0.0)
            remove_comparisons(slicer.mrmlScene, self._nodes)
            remove_traced_map(slicer.mrmlScene, self._nodes)

    def close(self) -> None:
        """The module is closed."""
        self.clear()

    @slot
    def showField(self) -> None:
        """Draws the field over the chosen views."""
        hide_fields(slicer.mrmlScene)
        overlay, where = FieldOverlay(chosen(self._ui.fieldBox)), chosen(self._ui.fieldSideBox)
        sides = [side for side in Side if where in ("both", side.value) and overlay is not FieldOverlay.NONE]
        said = [show_field(field_over(self._nodes, side), overlay, self._views(side)) for side in sides]
        self._ui.fieldNote.text = " ".join(dict.fromkeys(said))

    @slot
    def chooseLayer(self) -> None:
        """Lays another image over the output views, as opaque as suits it."""
        self._ui.opacitySlider.value = OPACITY_PERCENT.get(Layer(chosen(self._ui.layerBox)), 100)
        self.showLayer()

    @slot
    def showLayer(self) -> None:
        """Lays the chosen image over the output views."""
        layer = Layer(chosen(self._ui.layerBox))
        self._blend(self._nodeOf(layer), self._ui.opacitySlider.value / 100)
        self._legend.show(self._nodes, layer.value)
        self.showOverSource()
        self._showValidity(shown=layer is Layer.VALIDITY)
        self._enable()

    @slot
    def showOverSource(self) -> None:
        """Lays the chosen map over the source views as well, each value at the place it came from."""
        if self._nodes is None:
            return
        layer = Layer(chosen(self._ui.layerBox))
        wanted = layer in MAPS and self._ui.layerSourceBox.checked
        node = traced_map_node(slicer.mrmlScene, self._nodes, getattr(self._nodes, layer.value)) if wanted else None
        self._blendSource(node, self._ui.opacitySlider.value / 100)

    @slot
    def compareAnew(self) -> None:
        """Another image to compare with, or other tiles."""
        if self._nodes is not None and Layer(chosen(self._ui.layerBox)) in COMPARED:
            self.showLayer()

    @slot
    def setOpacity(self, percent: float) -> None:
        """Changes how much is seen of the image on top."""
        for view in self._views(Side.OUTPUT):
            composite = composite_of(view)
            if Layer(chosen(self._ui.layerBox)) is Layer.VALIDITY:
                composite.SetLabelOpacity(percent / 100)
            else:
                composite.SetForegroundOpacity(percent / 100)
        if self._overSource:
            for view in self._views(Side.SOURCE):
                composite_of(view).SetForegroundOpacity(percent / 100)

    @slot
    def setReveal(self, on: bool) -> None:  # noqa: FBT001  # what the signal gives
        """Shows the source in a square around the mouse in the output views."""
        if self._reveal is not None:
            self._reveal.close()
            self._reveal = None
        if on and self._nodes is not None:
            traced = traced_source_node(slicer.mrmlScene, self._nodes)
            self._reveal = RevealCursor(slicer.mrmlScene, self._nodes, traced, renderersOfViews, drawSoon)

    def _nodeOf(self, layer: Layer):
        """The image that a layer shows; None where it shows none."""
        nodes, other = self._nodes, self._ui.comparedSelector.currentNode()
        if layer is Layer.SOURCE:
            return traced_source_node(slicer.mrmlScene, nodes)
        if layer is Layer.DIFFERENCE:
            return difference_node(slicer.mrmlScene, nodes, other)
        if layer is Layer.CHECKERBOARD:
            return checkerboard_node(slicer.mrmlScene, nodes, other, self._ui.tileSlider.value)
        return getattr(nodes, layer.value) if layer in MAPS else None

    def _showValidity(self, *, shown: bool) -> None:
        for view in self._views(Side.OUTPUT):
            composite = composite_of(view)
            ours = composite.GetLabelVolumeID() == self._nodes.validity.GetID()
            if shown or ours:  # a label map of the user's stays
                composite.SetLabelVolumeID(self._nodes.validity.GetID() if shown else None)
                composite.SetLabelOpacity(self._ui.opacitySlider.value / 100 if shown else 1.0)

    def _blend(self, node, opacity: float) -> None:
        set_blend([composite_of(view) for view in self._views(Side.OUTPUT)], node, opacity)

    def _blendSource(self, node, opacity: float) -> None:
        """What a user laid over the source stays while nothing of ours lies there."""
        if node is not None or self._overSource:
            self._overSource = node is not None
            set_blend([composite_of(view) for view in self._views(Side.SOURCE)], node, opacity)

    def _views(self, side: Side) -> list:
        if self._nodes is None:
            return []
        return [view for view in slice_views(slicer.mrmlScene) if side_of_view(view, self._nodes) is side]

    def _fillLayers(self) -> None:
        there = [layer for layer in LAYERS if layer not in MAPS or getattr(self._nodes, layer.value, None) is not None]
        fill(self._ui.layerBox, [(_(LAYERS[layer]), layer.value) for layer in there], Layer.NONE.value)

    def _enable(self) -> None:
        layer = Layer(chosen(self._ui.layerBox) or Layer.NONE.value)
        self._ui.overlayBox.enabled = self._nodes is not None
        self._ui.comparedSelector.enabled = layer in COMPARED
        self._ui.layerSourceBox.enabled = layer in MAPS
        self._ui.tileSlider.enabled = layer is Layer.CHECKERBOARD
        self._ui.opacitySlider.enabled = layer is not Layer.NONE


def drawSoon(view: str) -> None:
    """Asks a slice view to draw itself when Slicer is idle."""
    widget = slicer.app.layoutManager().sliceWidget(view)
    if widget is not None:
        widget.sliceView().scheduleRender()
