"""A sentence and what can be done about it in, a bar at the top of the panel out; no pop-up ever covers the images."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import qt
import slicer
from slicer.i18n import tr as _

HINT_MS = 10_000
STATUS_LENGTH = 120
"""Longer texts would be cut in the status bar."""
Action = tuple[str, Callable[[], None]]
COLOURS = {
    "info": ("#dcebf9", "#1d4f7c"),
    "success": ("#ddf2e0", "#1e5c2b"),
    "warning": ("#fdf0d0", "#7a5200"),
    "error": ("#f9dcdc", "#8c1c1c"),
}


class MessageBar:
    """The message frame of `MedTranslate.ui`.

    Args:
        ui: Named widgets of that file.
    """

    def __init__(self, ui) -> None:
        self._ui = ui
        self._buttons = (ui.messageButton1, ui.messageButton2)
        self._callbacks: list[Callable[[], None]] = []
        self._expiry = qt.QTimer()
        self._expiry.setSingleShot(True)
        self._expiry.connect("timeout()", self.clear)
        self._buttons[0].connect("clicked()", lambda: self._press(0))
        self._buttons[1].connect("clicked()", lambda: self._press(1))
        ui.messageClose.connect("clicked()", self.clear)
        self.clear()

    @property
    def text(self) -> str:
        """What is shown; empty where nothing is."""
        return self._ui.messageLabel.text if self._ui.messageFrame.isVisibleTo(self._ui.messageFrame.parent()) else ""

    def info(self, text: str, actions: Sequence[Action] = ()) -> None:
        """Shows something worth knowing."""
        self._show("info", text, actions)

    def hint(self, text: str) -> None:
        """Shows something that is worth knowing for a moment only."""
        self._show("info", text, ())
        self._expiry.start(HINT_MS)

    def success(self, text: str, actions: Sequence[Action] = ()) -> None:
        """Shows that something has worked; only from a checked result."""
        self._show("success", text, actions)

    def warning(self, text: str, actions: Sequence[Action] = ()) -> None:
        """Shows something that needs a decision."""
        self._show("warning", text, actions)

    def error(self, text: str, actions: Sequence[Action] = ()) -> None:
        """Shows what went wrong and what to do."""
        self._show("error", text, actions)

    def clear(self) -> None:
        """Takes the message away."""
        self._expiry.stop()
        self._ui.messageFrame.visible = False
        self._callbacks = []

    def _show(self, level: str, text: str, actions: Sequence[Action]) -> None:
        self._expiry.stop()
        back, front = COLOURS[level]
        style = f"#messageFrame {{ background: {back}; border-radius: 4px; }} #messageLabel {{ color: {front}; }}"
        self._ui.messageFrame.setStyleSheet(style)
        self._ui.messageLabel.text = text
        self._callbacks = [callback for _label, callback in actions]
        for number, button in enumerate(self._buttons):
            button.visible = number < len(actions)
            if number < len(actions):
                button.text = actions[number][0]
        self._ui.messageFrame.visible = True
        if len(text) <= STATUS_LENGTH:
            slicer.util.showStatusMessage(_("MedTranslate: {text}").format(text=text), 5000)
        logging.getLogger("MedTranslate").info("message bar: %s", level)  # not the text: it may name a patient

    def _press(self, number: int) -> None:
        callback = self._callbacks[number]
        self.clear()
        callback()
