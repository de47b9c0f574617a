"""A result of the scene in, its two sides beside each other and the linked cursor between them out."""

from __future__ import annotations

import qt
import slicer
from slicer.i18n import tr as _

from MedTranslateLib.mrml.cursor import LinkedCursor
from MedTranslateLib.mrml.layout import after_import, fit_views, show_compare
from MedTranslateLib.mrml.links import result_nodes, results_in
from MedTranslateLib.mrml.mapping import Reading, ReadingState, position_text
from MedTranslateLib.mrml.scene import ATTRIBUTE_PREFIX, ResultNodes
from MedTranslateLib.mrml.scene_watch import SceneWatch
from MedTranslateLib.mrml.trust_scale import TrustStep, hex_of
from MedTranslateWidgets.OverlayPanel import OverlayPanel
from MedTranslateWidgets.Slots import slot
from MedTranslateWidgets.Workbench import Workbench

STATE_COLOURS = {
    ReadingState.IDENTITY: "#2f6fb0",
    ReadingState.TRACED: "#1e7a34",
    ReadingState.ESTIMATED: "#7a3e9d",
    ReadingState.FOLDED: "#b3261e",
    ReadingState.OUTSIDE: "#8a6d00",
}
NOTHING = "-"
TRANSPARENT = "background: transparent"
FIT_AFTER_MS = (0, 150)
"""The views get their size when the new layout is drawn first, which may take a moment."""


class TracePanel:
    """The panel of `TracePanel.ui`.

    Args:
        ui: Its named widgets.
        workbench: What the panels share.
    """

    def __init__(self, ui, workbench: Workbench) -> None:
        self._ui, self._bench = ui, workbench
        self.messages = workbench.messages
        self.nodes: ResultNodes | None = None
        self.reading: Reading | None = None
        self._cursor: LinkedCursor | None = None
        self._stateColour = ""
        self._trustStep: TrustStep | None = None
        self.overlays = OverlayPanel(ui, workbench)
        ui.resultSelector.addAttribute("vtkMRMLScalarVolumeNode", f"{ATTRIBUTE_PREFIX}role", "output")
        ui.compareButton.connect("clicked()", self.compare)
        ui.cursorButton.connect("toggled(bool)", self.setCursor)
        self._watch = SceneWatch(slicer.mrmlScene, lambda: None, self._nodeRemoved)
        workbench.listeners.append(self.refresh)
        self._describeResult()

    @slot
    def show(self, nodes: ResultNodes) -> None:
        """Chooses a result, shows it side by side and links the cursor."""
        if self._bench.parameters is not None:
            self._bench.parameters.result = nodes.output
        self._follow(nodes)
        self.compare()
        self._ui.cursorButton.checked = True

    @slot
    def refresh(self) -> None:
        """Follows the result that is chosen in the parameter node."""
        if self._bench.parameters is not None:
            chosen = self._bench.parameters.result
            self._follow(result_nodes(chosen) if chosen is not None else None)

    @slot
    def compare(self) -> None:
        """Source views left, output views right."""
        if self.nodes is not None:
            show_compare(slicer.mrmlScene, self.nodes)
            for milliseconds in FIT_AFTER_MS:
                qt.QTimer.singleShot(milliseconds, self._fit)

    @slot
    def _fit(self) -> None:
        if self.nodes is not None:
            fit_views(slicer.mrmlScene)

    @slot
    def setCursor(self, on: bool) -> None:  # noqa: FBT001  # what the signal gives
        """Links the cursor, or lets it go."""
        if self._cursor is not None:
            self._cursor.close()
            self._cursor = None
        self._ui.cursorButton.text = _("Linked cursor: on") if on else _("Linked cursor: off")
        if on and self.nodes is not None:
            self._cursor = LinkedCursor(slicer.mrmlScene, self.nodes, self.read)
        self.read(None)

    @slot
    def read(self, reading: Reading | None) -> None:
        """Fills the readout."""
        self.reading = reading or self.reading
        ui = self._ui
        if reading is None:
            self._showState(self._withoutReading(), "")
            return
        unit = self._unit()
        ui.sourcePosition.text, ui.outputPosition.text = (
            position_text(reading.source_ras),
            position_text(reading.output_ras),
        )
        ui.sourceValue.text, ui.outputValue.text = number(reading.source_value), number(reading.output_value, unit)
        ui.movedValue.text = f"{reading.displacement_mm:.2f} mm"
        ui.volumeValue.text = f"x {reading.det_j:.3f}"
        ui.roundTripValue.text = f"{reading.round_trip_mm:.3f} mm"
        self._showTrust(reading)
        self._showState(_(reading.state.value), STATE_COLOURS[reading.state])

    def _showState(self, text: str, colour: str) -> None:
        self._ui.stateValue.text = text
        if colour != self._stateColour:  # a style costs more than all else that a move of the mouse does
            self._stateColour = colour
            self._ui.stateValue.setStyleSheet(f"{TRANSPARENT}; color: {colour}" if colour else TRANSPARENT)

    def _showTrust(self, reading: Reading | None) -> None:
        """The trust in its own colour and in words; the expected error beside it."""
        known = reading is not None and reading.state is not ReadingState.OUTSIDE
        step = reading.trust_step if known else None
        self._ui.trustValue.text = step.text if step is not None else self._withoutTrust()
        self._ui.errorValue.text = self._expectedError(reading) if step is not None else NOTHING
        if step != self._trustStep:
            self._trustStep = step
            self._ui.trustValue.setStyleSheet(TRANSPARENT if step is None else trustStyle(step))

    def _expectedError(self, reading: Reading) -> str:
        if reading.expected_error is None:
            return _("not calibrated")
        return number(float(f"{reading.expected_error:.2g}"), reading.error_unit)

    def _withoutTrust(self) -> str:
        return NOTHING if self.nodes is None or self.nodes.trust is not None else _("no trust map")

    def _withoutReading(self) -> str:
        """What stands for a state while the mouse is elsewhere; the last pair stays, so that it can be pinned."""
        if self.reading is not None:
            return _("{0} (the last pair)").format(_(self.reading.state.value))
        return _("move the mouse over a view") if self._cursor is not None else NOTHING

    def sceneCloses(self) -> None:
        """Lets go of the nodes."""
        self.overlays.clear()
        self._follow(None)

    def sceneLoaded(self) -> None:
        """Chooses the last result of a scene that was loaded, and shows it where the module is open."""
        after_import(slicer.mrmlScene)
        results = results_in(slicer.mrmlScene)
        if results and self._bench.parameters is not None:
            self.show(results[-1])

    def close(self) -> None:
        """Takes marks and overlays away."""
        self._watch.close()
        self.overlays.close()
        self._follow(None)

    def _follow(self, nodes: ResultNodes | None) -> None:
        if nodes == self.nodes:
            return
        self.nodes, self.reading = nodes, None
        self._emptyReadout()
        self.overlays.follow(nodes)
        self.setCursor(bool(self._ui.cursorButton.checked))
        self._describeResult()

    @slot
    def _nodeRemoved(self) -> None:
        """A result that has lost a part cannot be traced; keeping it would keep all its voxels in memory, too."""
        nodes = self.nodes
        if nodes is not None and not all(slicer.mrmlScene.IsNodePresent(node) for _role, node in nodes.roles()):
            self._follow(None)
            self._bench.changed()

    def _emptyReadout(self) -> None:
        ui = self._ui
        for label in (ui.sourcePosition, ui.outputPosition, ui.movedValue, ui.volumeValue, ui.roundTripValue):
            label.text = NOTHING
        ui.sourceValue.text = ui.outputValue.text = ""
        self._showTrust(None)

    def _describeResult(self) -> None:
        self._ui.compareButton.enabled = self._ui.cursorButton.enabled = self.nodes is not None
        self._ui.readoutFrame.enabled = self.nodes is not None
        self._ui.resultLabel.text = self._description()

    def _description(self) -> str:
        """What the chosen result is, in two lines."""
        if self.nodes is None:
            return _("Translate a volume, or load a scene that holds a translation.")
        kind = self.nodes.output.GetAttribute(f"{ATTRIBUTE_PREFIX}correspondence")
        text = {
            "identity": _("Every pixel stayed in place: same grid, no deformation."),
            "model": _("The model gave the deformation fields; both directions are stored."),
            "estimated": _("The deformation was estimated afterwards, the model did not give it."),
        }.get(kind, "")
        return _("SYNTHETIC; intensities: {0}. {1}").format(self._unit(), text)

    def _unit(self) -> str:
        scale = self.nodes.output.GetAttribute(f"{ATTRIBUTE_PREFIX}scale") if self.nodes is not None else ""
        return "HU" if scale == "hounsfield" else _("relative, not HU")


def trustStyle(step: TrustStep) -> str:
    """Black letters on the step's colour, which can be read in a light and in a dark window."""
    return f"background: {hex_of(step.colour)}; color: black; border-radius: 3px; padding: 0 4px"


def number(value: float | None, unit: str = "") -> str:
    """An intensity, or a dash where there is none."""
    return NOTHING if value is None else f"{value:.4g} {unit}".strip()
