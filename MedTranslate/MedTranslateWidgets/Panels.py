"""The module's layout in, all panels in it out; what they share is the workbench, and each can be closed by itself."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

from MedTranslateLib.mrml.links import results_in
from MedTranslateLib.mrml.runs import Run
from MedTranslateWidgets.BundlePanel import BundlePanel
from MedTranslateWidgets.LedgerPanel import LedgerPanel
from MedTranslateWidgets.MessageBar import MessageBar
from MedTranslateWidgets.Parameters import MedTranslateParameters
from MedTranslateWidgets.Places import resourcePath
from MedTranslateWidgets.RecordPanel import RecordPanel
from MedTranslateWidgets.RegionPanel import RegionPanel
from MedTranslateWidgets.Slots import slot
from MedTranslateWidgets.StudyPanel import StudyPanel
from MedTranslateWidgets.TracePanel import TracePanel
from MedTranslateWidgets.TranslatePanel import TranslatePanel
from MedTranslateWidgets.Workbench import Workbench


class Panels:
    """Loads the .ui files and connects what belongs together.

    Args:
        layout: Layout of the module's widget.
    """

    def __init__(self, layout) -> None:
        self._widget = slicer.util.loadUI(resourcePath("UI/MedTranslate.ui"))
        layout.addWidget(self._widget)
        self.messages = MessageBar(slicer.util.childWidgetVariables(self._widget))
        self.bench = Workbench(self.messages)
        self._parts: list[tuple] = []
        self._tags: list[tuple] = []
        self._observation: int | None = None
        self.translate = TranslatePanel(self._load("TranslatePanel"), self.bench, self._finished)
        self.trace = TracePanel(self._load("TracePanel"), self.bench)
        self.ledger = LedgerPanel(self._load("LedgerPanel"), self.bench, self.trace)
        self.regions = RegionPanel(self._load("RegionPanel"), self.bench, self.trace)
        self.record = RecordPanel(self._load("RecordPanel"), self.bench, self.trace, self.translate.runs)
        self.bundles = BundlePanel(self._load("BundlePanel"), self.bench)
        self._followed: MedTranslateParameters | None = None
        self.study = StudyPanel(self._load("StudyPanel"), self.messages, self._whileReading)
        layout.addStretch(1)
        self.bench.probe.ask()

    @property
    def parameters(self) -> MedTranslateParameters | None:
        """The parameter node that the panels follow; None while the module is not shown."""
        return self.bench.parameters

    def setParameters(self, parameters: MedTranslateParameters | None) -> None:
        """Follows a parameter node, or none."""
        old = self.bench.parameters
        if old is not None:
            for tag in self._tags:
                old.disconnectGui(tag)
            old.parameterNode.RemoveObserver(self._observation)
        self._tags, self.bench.parameters = [], parameters
        if parameters is not None:
            self._chooseDefaults(parameters)
            self._tags = [parameters.connectGui(ui) for ui in self._parts]
            self._observation = parameters.parameterNode.AddObserver("ModifiedEvent", self._changed)
        self.bench.changed()

    def sceneCloses(self) -> None:
        """Lets go of everything in the scene."""
        self.study.sceneCloses()
        self.setParameters(None)
        self.translate.sceneCloses()
        self.record.sceneCloses()
        self.ledger.sceneCloses()
        self.regions.sceneCloses()
        self.trace.sceneCloses()

    def sceneLoaded(self) -> None:
        """Finds the results of a scene that was loaded."""
        self.trace.sceneLoaded()
        self.ledger.refresh()
        self.regions.sceneLoaded()

    def close(self) -> None:
        """Takes everything away: processes, folders, observers, marks in the views."""
        self.study.close()
        self.sceneCloses()
        self.translate.close()
        self.trace.close()
        self.ledger.close()
        self.record.close()
        self.regions.close()
        self.bench.close()

    def _load(self, name: str):
        widget = slicer.util.loadUI(resourcePath(f"UI/{name}.ui"))
        self._widget.layout().addWidget(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        ui = slicer.util.childWidgetVariables(widget)
        self._parts.append(ui)
        return ui

    def _chooseDefaults(self, parameters: MedTranslateParameters) -> None:
        """What most users would choose, so that one click on Apply is enough."""
        known = [direction.key for direction in self.bench.directions]
        if not parameters.direction and known:
            parameters.direction = known[0]
        results = results_in(slicer.mrmlScene)
        if parameters.result is None and results:  # one may have come while another module was shown
            parameters.result = results[-1].output
        if parameters.source is None:
            shown = slicer.app.layoutManager().sliceWidget("Red") if slicer.app.layoutManager() else None
            node = shown.mrmlSliceCompositeNode().GetBackgroundVolumeID() if shown else None
            volume = slicer.mrmlScene.GetNodeByID(node) if node else None
            volume = volume or slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
            if volume is not None and volume.GetClassName() == "vtkMRMLScalarVolumeNode":
                parameters.source = volume

    def _whileReading(self, *, reading: bool) -> None:
        """During a reading no other panel takes keys or shows anything."""
        if reading:
            self._followed = self.parameters
            self.setParameters(None)
        else:
            self.setParameters(self._followed)
            self._followed = None

    @slot
    def _changed(self) -> None:
        self.bench.changed()

    @slot
    def _finished(self, run: Run) -> None:
        """Shows a result at once where the user waits for it, else offers to show it."""
        text = " ".join([_("Done: {0}.").format(run.title), self.record.outcomeOf(run)]).strip()
        if self.parameters is not None:
            self.trace.show(run.nodes)
            self.messages.success(text)
        else:
            self.messages.success(text, [(_("Show"), lambda: self._show(run))])

    @slot
    def _show(self, run: Run) -> None:
        if run.nodes is None:
            self.messages.hint(_("This result is not in the scene any more."))
        else:
            self.trace.show(run.nodes)
