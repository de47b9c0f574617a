"""The MedTranslate module of 3D Slicer: the four classes that Slicer looks for; everything else lies in the panels."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

HERE = Path(__file__).resolve().parent
if importlib.util.find_spec("MedTranslateLib") is None:  # a source tree: the library lies beside the module's folder
    sys.path.append(str(HERE.parent))
OUR_PACKAGES = ("MedTranslateLib", "MedTranslateWidgets")


class MedTranslate(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        from MedTranslateWidgets.Places import resourcePath  # noqa: PLC0415  # see OUR_PACKAGES

        self.syntheticWatch = None
        self.parent.icon = qt.QIcon(resourcePath("Icons/MedTranslate.png"))
        self.parent.title = _("MedTranslate")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Image Synthesis")]
        self.parent.dependencies = ["Markups", "Segmentations", "Transforms", "Volumes"]
        self.parent.contributors = ["The MedTranslate developers"]
        self.parent.helpText = _(
            "Translates a medical image from one modality to another and lets you trace every pixel of the result back "
            "to the image it came from. SYNTHETIC, research use only. See the "
            '<a href="https://github.com/MedTranslate/SlicerMedTranslate#tutorial-in-slicer">tutorial</a>.'
        )
        self.parent.acknowledgementText = _(
            "Implements the methods of the papers on MIDiffusion, LMIDiffusion, Bi-DPM and Plasticine. The data the "
            "shipped models were trained on, and their licences, are on the card of each bundle."
        )
        slicer.app.connect("startupCompleted()", self.startup)

    def startup(self) -> None:
        """Slicer is complete: the sample data are offered, and synthetic images are labelled in every view."""
        from MedTranslateLib.mrml.job_folders import JobFolders  # noqa: PLC0415  # see OUR_PACKAGES
        from MedTranslateWidgets.SampleDataSources import registerSampleData  # noqa: PLC0415  # see OUR_PACKAGES
        from MedTranslateWidgets.SyntheticWatch import startWatch  # noqa: PLC0415  # see OUR_PACKAGES

        JobFolders(Path(slicer.app.temporaryPath)).sweep()  # copies of images that a crashed Slicer left
        registerSampleData()
        self.syntheticWatch = startWatch()


class MedTranslateWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Puts the panels below each other and gives them the parameter node of the scene."""

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic: MedTranslateLogic | None = None
        self.panels = None

    def setup(self) -> None:
        """Builds the panels, once, when the module is opened first."""
        ScriptedLoadableModuleWidget.setup(self)
        from MedTranslateWidgets.Panels import Panels  # noqa: PLC0415  # see OUR_PACKAGES

        self.logic = MedTranslateLogic()
        self.panels = Panels(self.layout)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndImport)
        slicer.app.connect("aboutToQuit()", self.cleanup)
        self.enter()

    def enter(self) -> None:
        """The module is shown: its panels follow the parameter node again."""
        if self.panels is not None and self.panels.parameters is None:
            self.panels.setParameters(self.logic.getParameterNode())

    def exit(self) -> None:
        """Another module is shown; runs go on and the linked cursor stays on."""
        if self.panels is not None:
            self.panels.setParameters(None)

    def cleanup(self) -> None:
        """Slicer or the module is closed: nothing of ours may stay, no process and no folder."""
        if self.panels is not None:
            slicer.app.disconnect("aboutToQuit()", self.cleanup)
            self.removeObservers()
            self.panels.close()
            self.panels = None

    def onSceneStartClose(self, _caller=None, _event=None) -> None:
        """The parameter node goes away with the scene."""
        self.panels.sceneCloses()

    def onSceneEndClose(self, _caller=None, _event=None) -> None:
        """An empty scene has a new parameter node."""
        if self.parent.isEntered:
            self.enter()

    def onSceneEndImport(self, _caller=None, _event=None) -> None:
        """A scene was loaded: its results can be traced."""
        self.panels.setParameters(self.logic.getParameterNode() if self.parent.isEntered else None)
        self.panels.sceneLoaded()

    def onReload(self) -> None:
        """Reloads the panels and the library with the module, as a developer expects."""
        for name in [name for name in sys.modules if name.partition(".")[0] in OUR_PACKAGES]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)


class MedTranslateLogic(ScriptedLoadableModuleLogic):
    """The module's parameter node; what is done with nodes lies in `MedTranslateLib.mrml`."""

    def getParameterNode(self):
        """The choices that are kept in the scene."""
        from MedTranslateWidgets.Parameters import MedTranslateParameters  # noqa: PLC0415  # see OUR_PACKAGES

        return MedTranslateParameters(super().getParameterNode())


class MedTranslateTest(ScriptedLoadableModuleTest):
    """Slicer's self-test button: the scene and panel tests of the source tree, in this Slicer."""

    def setUp(self) -> None:
        """An empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Runs every panel case; without the source tree, the one that needs nothing but the module."""
        self.setUp()
        self.test_moduleOpens()
        cases = HERE.parent / "Testing" / "panel" / "in_slicer.py"
        if cases.is_file():
            spec = importlib.util.spec_from_file_location("in_slicer", cases)
            in_slicer = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(in_slicer)
            failed = in_slicer.run_cases()
            self.assertEqual(failed, [])

    def test_moduleOpens(self) -> None:
        """The module opens, without PyTorch in Slicer's Python."""
        slicer.util.selectModule("MedTranslate")
        self.assertTrue(
            slicer.modules.medtranslate.widgetRepresentation().isVisible() or qt.QApplication.platformName()
        )
        self.assertNotIn("torch", sys.modules)
