"""Keys and what they do in, shortcuts that reach a reading wherever the focus is out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import qt
import slicer


class StudyKeys:
    """Owned by a reading; `close` gives the keys back.

    Args:
        once: What keys do that work once, however long they are held.
        held: What keys do that go on while they are held.
    """

    def __init__(self, once: Mapping[str, Callable[[], None]], held: Mapping[str, Callable[[], None]]) -> None:
        self._shortcuts = [shortcutFor(key, pressed, repeats=False) for key, pressed in once.items()]
        self._shortcuts += [shortcutFor(key, pressed, repeats=True) for key, pressed in held.items()]

    def close(self) -> None:
        """Takes the shortcuts away."""
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        self._shortcuts = []


def shortcutFor(key: str, pressed: Callable[[], None], *, repeats: bool) -> qt.QShortcut:
    """A shortcut of the main window."""
    shortcut = qt.QShortcut(qt.QKeySequence(key), slicer.util.mainWindow())
    shortcut.setAutoRepeat(repeats)
    shortcut.connect("activated()", pressed)
    return shortcut
