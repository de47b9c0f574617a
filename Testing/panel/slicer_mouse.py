"""A widget and what a user does to it in, events out: from the X server where xdotool is there, else sent by Qt.

With xdotool the pointer really moves, so that hovering, popups and focus are as for a user. Without it (Windows, macOS,
or xdotool not installed) the events go straight to the widget; `real` says which of the two it is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from typing import NamedTuple

import qt
import slicer

Wait = Callable[[int], None]
BUTTONS = {1: "LeftButton", 2: "MiddleButton", 3: "RightButton"}
SETTLE_MS = 30


class Place(NamedTuple):
    """A point of the screen and the widget that lies there."""

    x: int
    y: int
    widget: object


def mouse_for(wait: Wait) -> XdotoolMouse | SentMouse:
    """The mouse of this machine."""
    program = shutil.which("xdotool")
    return XdotoolMouse(program, wait) if program and os.environ.get("DISPLAY") else SentMouse(wait)


def place_of(widget, x: int | None = None, y: int | None = None) -> Place:
    """Where a point of a widget lies on the screen; the widget is scrolled into view first, and must not be covered.

    The point is given in the widget's own pixels; its middle where nothing is said.
    """
    if not widget.visible:
        msg = f"{described(widget)} is not visible: a user could not reach it."
        raise AssertionError(msg)
    scroll_to(widget)
    point = qt.QPoint(widget.width // 2 if x is None else x, widget.height // 2 if y is None else y)
    on_screen = widget.mapToGlobal(point)
    there = qt.QApplication.widgetAt(on_screen)
    if there is None or not (there == widget or widget.isAncestorOf(there)):
        msg = f"{described(widget)} is covered by {described(there)} at {point.x()}, {point.y()}."
        raise AssertionError(msg)
    return Place(on_screen.x(), on_screen.y(), there)


def scroll_to(widget) -> None:
    """Brings a widget of a scroll area into view."""
    above = widget.parentWidget()
    while above is not None:
        if above.inherits("QScrollArea"):
            above.ensureWidgetVisible(widget)
        above = above.parentWidget()
    slicer.app.processEvents()


def described(widget) -> str:
    """A widget's class and name, for a message."""
    return "nothing" if widget is None else f"{widget.className()} {widget.objectName or '(without a name)'}"


class XdotoolMouse:
    """Moves the real pointer and presses real keys."""

    real = True

    def __init__(self, program: str, wait: Wait) -> None:
        self._program, self._wait = program, wait
        # Slicer's libraries are not those that a program of the system was built with.
        self._environment = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}

    def move(self, widget, x: int | None = None, y: int | None = None) -> None:
        """Moves the pointer over a point of a widget."""
        place = place_of(widget, x, y)
        self._do("mousemove", place.x, place.y)

    def click(self, widget, x: int | None = None, y: int | None = None, *, button: int = 1, times: int = 1) -> None:
        """Clicks on a widget; `times=2` is a double click.

        A click that opens a modal dialog comes back when the dialog is closed: say with `side.later` who closes it.
        """
        self.move(widget, x, y)
        for _time in range(times):
            self._do("mousedown", button)
            self._do("mouseup", button)

    def drag(self, widget, start: Sequence[int], end: Sequence[int], *, button: int = 1, steps: int = 10) -> None:
        """Drags from one point of a widget to another."""
        self.move(widget, *start)
        self._do("mousedown", button)
        for step in range(1, steps + 1):
            self.move(widget, *between(start, end, step / steps))
        self._do("mouseup", button)

    def wheel(self, widget, clicks: int, x: int | None = None, y: int | None = None) -> None:
        """Turns the wheel over a widget, away from the user for positive numbers."""
        self.move(widget, x, y)
        for _click in range(abs(clicks)):
            self._do("click", 4 if clicks > 0 else 5)

    def follow(self, widget, points: Sequence[Sequence[int]], interval_ms: int) -> None:
        """Moves over many points while Slicer goes on working, as fast as a hand would: one every `interval_ms`."""
        words: list[object] = []
        for x, y in points:
            place = place_of(widget, x, y)
            words += ["mousemove", place.x, place.y, "sleep", interval_ms / 1000]
        command = [self._program, *map(str, words)]
        with subprocess.Popen(command, env=self._environment) as process:
            while process.poll() is None:
                self._wait(5)
        self._wait(SETTLE_MS)

    def key(self, widget, text: str) -> None:
        """Types a text into a widget."""
        self._focus(widget)
        self._do("type", "--delay", 5, "--", text)

    def press(self, widget, name: str) -> None:
        """Presses a key by its X name, such as Return, Escape, Tab or ctrl+a."""
        self._focus(widget)
        self._do("key", "--delay", 5, name)

    def park(self) -> None:
        """Moves the pointer out of the way."""
        self._do("mousemove", 0, 0)

    def _focus(self, widget) -> None:
        window = widget.window()
        window.activateWindow()
        widget.setFocus()
        self._wait(SETTLE_MS)
        if not window.isActiveWindow:  # without a window manager nobody else gives the focus
            self._do("windowfocus", int(window.winId()))

    def _do(self, *words: object) -> None:
        command = [self._program, *map(str, words)]
        subprocess.run(command, env=self._environment, check=True, timeout=30, stdin=subprocess.DEVNULL)
        self._wait(SETTLE_MS)


class SentMouse:
    """Sends the events of a mouse and a keyboard to the widget; the pointer itself stays where it is."""

    real = False

    def __init__(self, wait: Wait) -> None:
        self._wait = wait

    def move(self, widget, x: int | None = None, y: int | None = None) -> None:
        """A pointer that moves over a point of a widget."""
        self._send(place_of(widget, x, y), "MouseMove")

    def click(self, widget, x: int | None = None, y: int | None = None, *, button: int = 1, times: int = 1) -> None:
        """A click; `times=2` is a double click."""
        place = place_of(widget, x, y)
        for time in range(times):
            self._send(place, "MouseButtonPress" if time == 0 else "MouseButtonDblClick", button, held=True)
            self._send(place, "MouseButtonRelease", button)

    def drag(self, widget, start: Sequence[int], end: Sequence[int], *, button: int = 1, steps: int = 10) -> None:
        """A drag from one point of a widget to another."""
        self._send(place_of(widget, *start), "MouseButtonPress", button, held=True)
        for step in range(1, steps + 1):
            place = place_of(widget, *between(start, end, step / steps))
            self._send(place, "MouseMove", held_button=button)
        self._send(place_of(widget, *end), "MouseButtonRelease", button)

    def wheel(self, widget, clicks: int, x: int | None = None, y: int | None = None) -> None:
        """A turn of the wheel, away from the user for positive numbers."""
        place = place_of(widget, x, y)
        at, local = qt.QPointF(place.x, place.y), local_point(place)
        nothing, angle = qt.QPoint(0, 0), qt.QPoint(0, 120 if clicks > 0 else -120)
        for _click in range(abs(clicks)):
            event = qt.QWheelEvent(
                local, at, nothing, angle, qt.Qt.NoButton, qt.Qt.NoModifier, qt.Qt.NoScrollPhase, False
            )
            qt.QCoreApplication.sendEvent(place.widget, event)
            self._wait(SETTLE_MS)

    def follow(self, widget, points: Sequence[Sequence[int]], interval_ms: int) -> None:
        """Moves over many points, one every `interval_ms` or as fast as Slicer follows."""
        for x, y in points:
            self._send(place_of(widget, x, y), "MouseMove", wait_ms=interval_ms)

    def key(self, widget, text: str) -> None:
        """A text that is typed into a widget."""
        widget.setFocus()
        for character in text:
            self._key(widget, 0, qt.Qt.NoModifier, character)

    def press(self, widget, name: str) -> None:
        """A key by its X name, such as Return, Escape, Tab or ctrl+a."""
        *modifiers, last = name.split("+")
        modifier = qt.Qt.ControlModifier if "ctrl" in modifiers else qt.Qt.NoModifier
        widget.setFocus()
        self._key(widget, getattr(qt.Qt, f"Key_{last if len(last) > 1 else last.upper()}"), modifier, "")

    def park(self) -> None:
        """Nothing to move out of the way."""

    def _key(self, widget, key, modifier, text: str) -> None:
        for kind in (qt.QEvent.KeyPress, qt.QEvent.KeyRelease):
            qt.QCoreApplication.sendEvent(widget, qt.QKeyEvent(kind, key, modifier, text))
        self._wait(SETTLE_MS)

    def _send(
        self,
        place: Place,
        kind: str,
        button: int = 0,
        *,
        held: bool = False,
        held_button: int = 0,
        wait_ms: int = SETTLE_MS,
    ) -> None:
        pressed = getattr(qt.Qt, BUTTONS.get(button, "NoButton"))
        down = getattr(qt.Qt, BUTTONS.get(button if held else held_button, "NoButton"))
        at = qt.QPointF(place.x, place.y)
        event = qt.QMouseEvent(getattr(qt.QEvent, kind), local_point(place), at, at, pressed, down, qt.Qt.NoModifier)
        qt.QCoreApplication.sendEvent(place.widget, event)
        self._wait(wait_ms)


def local_point(place: Place):
    """The place in the pixels of the widget that lies there."""
    return qt.QPointF(place.widget.mapFromGlobal(qt.QPoint(place.x, place.y)))


def between(start: Sequence[int], end: Sequence[int], part: float) -> tuple[int, ...]:
    """A point on the way from one to another."""
    return tuple(round(a + (b - a) * part) for a, b in zip(start, end, strict=True))
