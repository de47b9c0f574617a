"""Slicer's window in, nothing but a reading in it out: panels, bars and menus hidden, afterwards as they were."""

from __future__ import annotations

import qt
import slicer

REMEMBERED = ("MainWindow/geometry", "MainWindow/windowState", "MainWindow/layout")
"""What Slicer writes down when it is closed, also in the middle of a reading, and begins with the next time."""


class StudyWindow:
    """Fills the window with a reading.

    Args:
        bar: Widget below the images.
        page: Widget that takes the place of the images where they are not to be seen.
    """

    def __init__(self, bar, page) -> None:
        self._window, self._bar, self._page = slicer.util.mainWindow(), bar, page
        self._images = slicer.app.layoutManager().viewport()
        self._central = self._images.parentWidget().layout()
        self._kept = self._window.saveState()
        self._state, self._geometry = self._window.windowState(), qt.QRect(self._window.geometry)
        self._others = [part for part in (self._window.menuBar(), self._window.statusBar()) if part.visible]
        for part in [*self._window.findChildren("QToolBar"), *self._window.findChildren("QDockWidget"), *self._others]:
            part.hide()
        settings = slicer.app.userSettings()
        self._remembered = {name: settings.value(name) for name in REMEMBERED}
        self._annotated = showAnnotations(wanted=False)
        self._direction, self._spacing = self._central.direction(), self._central.spacing
        self._central.setSpacing(0)
        self._central.setDirection(qt.QBoxLayout.TopToBottom)
        self._central.addWidget(page, 1)
        self._central.addWidget(bar)
        self._window.showFullScreen()
        self.showPage()

    def showPage(self, *, withBar: bool = False) -> None:
        """Hides the images behind the page."""
        self._images.hide()
        self._page.show()
        self._bar.setVisible(withBar)

    def showImages(self) -> None:
        """Shows the images, with the bar below."""
        self._page.hide()
        self._bar.show()
        self._images.show()

    @staticmethod
    def dropBarsOf(names) -> None:
        """Hides the bars of slice views: their fields would let a reader choose another image."""
        for name in names:
            widget = slicer.app.layoutManager().sliceWidget(name)
            if widget is not None:
                widget.sliceController().setVisible(False)

    def close(self) -> None:
        """Gives the window back as it was."""
        for part in (self._page, self._bar):
            self._central.removeWidget(part)
            part.hide()
            part.deleteLater()
        self._central.setDirection(self._direction)
        self._central.setSpacing(self._spacing)
        self._images.show()
        for part in self._others:
            part.show()
        self._window.setWindowState(self._state)
        self._window.setGeometry(self._geometry)
        self._window.restoreState(self._kept)
        showAnnotations(wanted=self._annotated)
        for name, value in self._remembered.items():
            if value is not None:
                slicer.app.userSettings().setValue(name, value)


def showAnnotations(*, wanted: bool) -> bool:
    """Shows or hides the names that Slicer writes into the corners of slice views.

    Returns:
        Whether they were shown before.
    """
    probe = getattr(slicer.modules, "DataProbeInstance", None)
    annotations = getattr(getattr(probe, "infoWidget", None), "sliceAnnotations", None)
    if annotations is None:
        return False
    before = bool(annotations.sliceViewAnnotationsEnabled)
    annotations.sliceViewAnnotationsEnabled = wanted
    annotations.updateSliceViewFromGUI()
    return before
