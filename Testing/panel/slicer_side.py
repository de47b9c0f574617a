"""What a panel case is given of the running Slicer: the module, a mouse, a way to wait, and a camera."""

from __future__ import annotations

import time
import unittest
from collections.abc import Callable
from pathlib import Path

import qt
import slicer

from slicer_mouse import mouse_for

MODULE = "MedTranslate"
NEUTRAL_MODULES = ("Data", "Welcome", "SampleData")


class SlicerSide:
    """Slicer as a case sees it; every case starts with an empty scene, four views and our module closed."""

    def __init__(self, pictures: Path) -> None:
        self.pictures = pictures
        self.mouse = mouse_for(self.wait)
        self._expected: list[str] = []
        self._fill_screen()

    def reset(self) -> None:
        """Before a case."""
        self._expected.clear()
        self.tidy_up()
        slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
        self.wait(50)

    def tidy_up(self) -> None:
        """After a case: dialogs closed, another module shown, nothing left in the scene."""
        self._close_dialogs()
        there = [name for name in NEUTRAL_MODULES if hasattr(slicer.modules, name.lower())]
        slicer.util.selectModule(there[0])
        slicer.mrmlScene.Clear(0)
        self.mouse.park()
        self.wait(50)

    def open_module(self):
        """Shows our module, as a user does who chooses it; gives its widget object."""
        slicer.util.selectModule(MODULE)
        self.wait(50)
        return slicer.util.getModuleWidget(MODULE)

    def child(self, name: str, parent=None):
        """The widget of that name, of our module where no other parent is said."""
        return slicer.util.findChild(parent or slicer.modules.medtranslate.widgetRepresentation(), name)

    def wait(self, milliseconds: int) -> None:
        """Lets Slicer work for a while, without taking the processor from it."""
        loop, timer = qt.QEventLoop(), qt.QTimer()
        timer.setSingleShot(True)
        timer.connect("timeout()", loop.quit)
        timer.start(milliseconds)
        loop.exec_()

    def wait_until(self, condition: Callable[[], object], seconds: float = 10, what: str = "it") -> None:
        """Lets Slicer work until a condition holds; fails where it does not in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                msg = f"Waited {seconds:g} s for {what}, in vain."
                raise AssertionError(msg)
            self.wait(20)

    def later(self, milliseconds: int, action: Callable[[], object]) -> None:
        """Does something a little later, for example in a dialog that the next click opens."""
        qt.QTimer.singleShot(milliseconds, action)

    def needs_real_mouse(self) -> None:
        """Skips a case that only the real pointer can do, such as choosing from a popup."""
        if not self.mouse.real:
            msg = "xdotool is not installed"
            raise unittest.SkipTest(msg)

    def picture(self, name: str, widget=None) -> Path:
        """Saves what is on the screen where a widget lies, as a PNG; the main window where none is said."""
        widget = widget or slicer.util.mainWindow()
        slicer.util.forceRenderAllViews()
        self.wait(100)
        corner = widget.mapToGlobal(qt.QPoint(0, 0))
        screen = slicer.app.screens()[0]
        file = self.pictures / f"{name}.png"
        if not screen.grabWindow(0, corner.x(), corner.y(), widget.width, widget.height).save(str(file)):
            msg = f"{file} could not be written."
            raise OSError(msg)
        return file

    def expect_error(self, text: str) -> None:
        """Says that this case makes Slicer report an error with this text; any other one fails the case."""
        self._expected.append(text)

    def expects(self, text: str) -> bool:
        """Whether the case has said that such an error will come."""
        return any(expected in text for expected in self._expected)

    def _fill_screen(self) -> None:
        window, room = slicer.util.mainWindow(), slicer.app.screens()[0].availableGeometry
        window.showMaximized()
        self.wait(200)
        if window.width < room.width() * 0.9:  # without a window manager nobody does it
            window.showNormal()
            window.setGeometry(room)
            self.wait(200)

    def _close_dialogs(self) -> None:
        for _dialog in range(20):
            dialog = qt.QApplication.activePopupWidget() or qt.QApplication.activeModalWidget()
            if dialog is None:
                return
            dialog.close()
            slicer.app.processEvents()
