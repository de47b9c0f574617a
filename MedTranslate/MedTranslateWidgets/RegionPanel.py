"""Pairs under the cursor and regions in, kept pairs and traced partners with their figures out."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from MedTranslateLib.mrml.attachments import view_ids
from MedTranslateLib.mrml.layout import Side
from MedTranslateLib.mrml.mapping import position_text
from MedTranslateLib.mrml.pins import PinBoard
from MedTranslateLib.mrml.regions import Region, regions_of, trace_region
from MedTranslateLib.mrml.scene import ResultNodes
from MedTranslateLib.mrml.show_pair import show_pair
from MedTranslateLib.mrml.traced_region import RegionFigures, TracedRegion, write_regions_csv
from MedTranslateWidgets.Choices import chosen, fill
from MedTranslateWidgets.Slots import slot
from MedTranslateWidgets.Tables import Column, fillTable, selectedRow
from MedTranslateWidgets.TracePanel import NOTHING, number
from MedTranslateWidgets.Workbench import Workbench

PIN_COLUMNS = (
    Column("No.", lambda pin: str(pin.number)),
    Column("Source", lambda pin: position_text(pin.source_ras)),
    Column("Output", lambda pin: position_text(pin.output_ras)),
    Column("Moved (mm)", lambda pin: f"{pin.displacement_mm:.2f}"),
    Column("Volume", lambda pin: f"x {pin.det_j:.3f}"),
    Column("Source value", lambda pin: number(pin.source_value)),
    Column("Output value", lambda pin: number(pin.output_value)),
    Column("State", lambda pin: _(pin.state.value)),
)
REGION_COLUMNS = (
    Column("Region", lambda region: region.name),
    Column("Source", lambda region: size(region.source)),
    Column("Output", lambda region: size(region.output)),
    Column("Change", lambda region: percent(region.size_change_percent)),
    Column("Mean, source", lambda region: number(region.source.mean_value)),
    Column("Mean, output", lambda region: number(region.output.mean_value)),
    Column("Change", lambda region: percent(region.mean_change_percent)),
)
PIN_KEY = "P"


class RegionPanel:
    """The panel of `RegionPanel.ui`.

    Args:
        ui: Its named widgets.
        workbench: What the panels share.
        trace: The panel that knows the result and the pair under the cursor.
    """

    def __init__(self, ui, workbench: Workbench, trace) -> None:
        self._ui, self._bench, self._trace = ui, workbench, trace
        self.messages = workbench.messages
        self._board: PinBoard | None = None
        self._followed: ResultNodes | None = None
        self._regions: tuple[TracedRegion, ...] = ()
        fill(ui.sideBox, [(_("the source"), Side.SOURCE.name), (_("the output"), Side.OUTPUT.name)], Side.SOURCE.name)
        self._shortcut = qt.QShortcut(qt.QKeySequence(PIN_KEY), slicer.util.mainWindow())
        self._shortcut.connect("activated()", self.pin)
        self._connect()
        workbench.listeners.append(self.refresh)
        self.refresh()

    @slot
    def refresh(self) -> None:
        """Follows the result that the trace panel shows."""
        nodes = self._trace.nodes
        self._shortcut.setEnabled(nodes is not None and self._bench.parameters is not None)
        if nodes is None:
            self._board, self._regions = None, ()
        elif self._board is None or self._followed != nodes:
            self._board = PinBoard(slicer.mrmlScene, nodes)
            self._regions = regions_of(slicer.mrmlScene, nodes)
        self._followed = nodes
        self._show()

    @slot
    def pin(self) -> None:
        """Keeps the pair that was under the cursor last."""
        reading = self._trace.reading
        if self._board is None or reading is None:
            self.messages.hint(
                _("Turn the linked cursor on and hover over a view first; then press {0}.").format(PIN_KEY)
            )
            return
        self._board.pin(reading)
        self._ui.regionSection.collapsed = False  # where the pin is seen
        self._show()

    @slot
    def removePin(self) -> None:
        """Removes the selected pair, or the last one."""
        pins = self._board.pins() if self._board is not None else ()
        row = selectedRow(self._ui.pinTable)
        if pins:
            self._board.remove(pins[row if row is not None else -1].number)
            self._show()

    @slot
    def goToPin(self, row: int) -> None:
        """Moves the slices of both sides to a pair."""
        pin = self._board.pins()[row]
        show_pair(slicer.mrmlScene, self._trace.nodes, pin.source_ras, pin.output_ras)

    @slot
    def exportPins(self) -> None:
        """Writes the pairs as CSV."""
        path = self._askForCsv("pins")
        if path:
            self._board.write_csv(path)
            self.messages.success(_("Saved {0}.").format(path))

    @slot
    def regionChosen(self) -> None:
        """Offers the segments of a segmentation."""
        node = self._ui.regionSelector.currentNode()
        segments = []
        if node is not None and node.IsA("vtkMRMLSegmentationNode"):
            segmentation = node.GetSegmentation()
            ids = [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]
            segments = [(segmentation.GetSegment(name).GetName(), name) for name in ids]
        fill(self._ui.segmentBox, segments, segments[0][1] if segments else "")
        self._ui.segmentBox.enabled = bool(segments)
        self._show()

    @slot
    def drawCurve(self) -> None:
        """Starts drawing a closed curve."""
        self._draw("vtkMRMLMarkupsClosedCurveNode", _("Click points around a structure; a right click ends the curve."))

    @slot
    def drawRoi(self) -> None:
        """Starts drawing a box."""
        self._draw("vtkMRMLMarkupsROINode", _("Click the middle and then a corner of the box."))

    @slot
    def traceRegion(self) -> None:
        """Finds the partner of the chosen region and measures both."""
        region = Region(self._ui.regionSelector.currentNode(), chosen(self._ui.segmentBox))
        fromOutput = chosen(self._ui.sideBox) == Side.OUTPUT.name
        traced = trace_region(slicer.mrmlScene, self._trace.nodes, region, from_output=fromOutput)
        self._regions = regions_of(slicer.mrmlScene, self._trace.nodes)
        self._show()
        self._ui.regionNote.text = " ".join(traced.notes())

    @slot
    def removeRegion(self) -> None:
        """Removes the partner of the selected region, or of the last one; the region itself stays."""
        row = selectedRow(self._ui.regionTable)
        if self._regions:
            traced = self._regions[row if row is not None else -1]
            slicer.mrmlScene.RemoveNode(slicer.mrmlScene.GetNodeByID(traced.partner_id))
            self._regions = regions_of(slicer.mrmlScene, self._trace.nodes)
            self._ui.regionNote.text = ""
            self._show()

    @slot
    def exportRegions(self) -> None:
        """Writes the figures of all regions as CSV."""
        path = self._askForCsv("regions")
        if path:
            write_regions_csv(path, self._regions)
            self.messages.success(_("Saved {0}.").format(path))

    def sceneCloses(self) -> None:
        """Lets go of the nodes."""
        self._board, self._regions = None, ()
        self._show()

    def sceneLoaded(self) -> None:
        """Finds the pins and regions that were saved with the scene."""
        self._board = None
        self.refresh()

    def close(self) -> None:
        """Takes the shortcut away."""
        self._shortcut.setEnabled(False)
        self._shortcut.deleteLater()

    def _connect(self) -> None:
        ui = self._ui
        for button, pressed in (
            (ui.pinButton, self.pin),
            (ui.removePinButton, self.removePin),
            (ui.exportPinsButton, self.exportPins),
            (ui.drawCurveButton, self.drawCurve),
            (ui.drawRoiButton, self.drawRoi),
            (ui.traceButton, self.traceRegion),
            (ui.clearRegionsButton, self.removeRegion),
            (ui.exportRegionsButton, self.exportRegions),
        ):
            button.connect("clicked()", pressed)
        ui.pinTable.connect("cellClicked(int,int)", self.goToPin)
        ui.regionSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.regionChosen)

    def _show(self) -> None:
        ui, pins = self._ui, self._board.pins() if self._board is not None else ()
        fillTable(ui.pinTable, PIN_COLUMNS, pins)
        fillTable(ui.regionTable, REGION_COLUMNS, self._regions)
        there = self._trace.nodes is not None
        ui.pinButton.enabled = ui.drawCurveButton.enabled = ui.drawRoiButton.enabled = there
        ui.removePinButton.enabled = ui.exportPinsButton.enabled = bool(pins)
        ui.traceButton.enabled = there and ui.regionSelector.currentNode() is not None
        ui.clearRegionsButton.enabled = ui.exportRegionsButton.enabled = bool(self._regions)

    def _draw(self, kind: str, hint: str) -> None:
        node = slicer.mrmlScene.AddNewNodeByClass(kind, slicer.mrmlScene.GenerateUniqueName(_("Region")))
        node.CreateDefaultDisplayNodes()
        # Drawn on its own side alone: what lies on the other side is its partner.
        node.GetDisplayNode().SetViewNodeIDs(view_ids(Side[chosen(self._ui.sideBox)]))
        self._ui.regionSelector.setCurrentNode(node)
        slicer.modules.markups.logic().StartPlaceMode(False)
        slicer.modules.markups.logic().SetActiveList(node)
        self.messages.hint(hint)

    def _askForCsv(self, name: str) -> Path | None:
        title, kinds = _("Save as CSV"), _("Tables (*.csv)")
        path = qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), title, f"{name}.csv", kinds)
        return Path(path) if path else None


def size(figures: RegionFigures) -> str:
    """Area or volume with its unit."""
    if figures.area_mm2 is not None:
        return f"{figures.area_mm2:.1f} mm\N{SUPERSCRIPT TWO}"
    return NOTHING if figures.volume_mm3 is None else f"{figures.volume_mm3:.0f} mm\N{SUPERSCRIPT THREE}"


def percent(change: float | None) -> str:
    """A change with its sign."""
    return NOTHING if change is None else f"{change:+.1f} %"
