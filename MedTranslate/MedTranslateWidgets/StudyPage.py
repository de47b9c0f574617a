"""Words and a grey pattern in, a page in the place of the images out: monitor, pause, leaving, waiting, the end."""

from __future__ import annotations

import qt
import slicer
from slicer.i18n import tr as _

from MedTranslateWidgets.Places import resourcePath

STEPS = 11
PATCH_PIXELS, SMALL_PIXELS = 84, 30
NEAR_BLACK, NEAR_WHITE = 13, 242
"""5 % and 95 % of the way from black to white."""


class StudyPage:
    """The widget of `StudyPage.ui`.

    Args:
        onGoOn: Called when the reader wants to go on.
        onLeave: Called when the reader wants to leave.
    """

    def __init__(self, onGoOn, onLeave) -> None:
        self.widget = slicer.util.loadUI(resourcePath("UI/StudyPage.ui"))
        self._ui = slicer.util.childWidgetVariables(self.widget)
        self._fillPattern()
        self._ui.pageGoOn.connect("clicked()", onGoOn)
        self._ui.pageLeave.connect("clicked()", onLeave)

    @property
    def canGoOn(self) -> bool:
        """Whether there is anything to go on to."""
        return bool(self._ui.pageGoOn.text)

    def calibrate(self, title: str) -> None:
        """The first page: steps from black to white."""
        text = _(
            "Dim the room and set brightness and contrast of the monitor so that all eleven steps differ, and so that "
            "you see the small square in the black step on the left and the one in the white step on the right."
        )
        self._show(title, text, _("I see both squares: begin (space)"), _("Leave (Esc)"), pattern=True)

    def pause(self) -> None:
        """The reader pauses."""
        text = _("The images are hidden and no time counts.")
        self._show(_("Paused"), text, _("Go on (space)"), _("Leave"))

    def askWhetherToLeave(self) -> None:
        """The reader wants to leave; the time stands still meanwhile."""
        text = _("Every answer that you have given is stored. You can go on later, exactly here.")
        self._show(_("Leave the study?"), text, _("Stay and go on (space)"), _("Leave now"))

    def wait(self, until: str) -> None:
        """The washout has not ended."""
        text = _("Some images come a second time, after a while. You can go on from {0}.").format(until)
        self._show(_("Thank you for this part"), text, "", _("Leave (Esc)"))

    def thank(self, stored: str) -> None:
        """The reader has answered everything."""
        self._show(_("Thank you, you have finished"), stored, "", _("Close (Esc)"))

    def stop(self, reason: str) -> None:
        """The study cannot go on."""
        text = _("{0}\n\nEvery answer that you have given is stored.").format(reason)
        self._show(_("The study cannot go on"), text, "", _("Close (Esc)"))

    def timeIsOver(self) -> None:
        """The time for looking at the case is over; the question stays."""
        self._show(_("The time for looking is over"), _("Please answer now."), "", "")

    def error(self, text: str) -> None:
        """Says what went wrong, below what the page says."""
        self._ui.pageText.text = f"{self._ui.pageText.text}\n\n{text}"

    def _show(self, title: str, text: str, goOn: str, leave: str, *, pattern: bool = False) -> None:
        ui = self._ui
        ui.pageTitle.text, ui.pageText.text = title, text
        for button, words in ((ui.pageGoOn, goOn), (ui.pageLeave, leave)):
            button.text = words
            button.visible = bool(words)
        ui.pagePattern.visible = pattern

    def _fillPattern(self) -> None:
        row = self._ui.pagePattern.layout()
        row.addStretch(1)
        for step in range(STEPS):
            level = round(255 * step / (STEPS - 1))
            patch = greyPatch(level, PATCH_PIXELS)
            inner = {0: NEAR_BLACK, STEPS - 1: NEAR_WHITE}.get(step)
            if inner is not None:
                inside = qt.QVBoxLayout(patch)
                inside.addWidget(greyPatch(inner, SMALL_PIXELS), 0, qt.Qt.AlignCenter)
            row.addWidget(patch)
        row.addStretch(1)


def greyPatch(level: int, pixels: int):
    """A square of one grey level."""
    patch = qt.QFrame()
    patch.setFixedSize(pixels, pixels)
    patch.setStyleSheet(f"background: rgb({level}, {level}, {level});")
    return patch
