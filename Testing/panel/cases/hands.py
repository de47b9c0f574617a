"""The mouse and the keyboard of these tests: what they do to widgets is what a user would see happen."""

from __future__ import annotations

import unittest

import qt
import slicer

from slicer_mouse import SentMouse


class Window:
    """A window with one widget of each kind that a hand does something else to."""

    def __init__(self) -> None:
        self.window = qt.QWidget()
        self.clicks: list[str] = []
        layout = qt.QVBoxLayout(self.window)
        self.button, self.line, self.slider = qt.QPushButton("Press"), qt.QLineEdit(), qt.QSlider(qt.Qt.Horizontal)
        self.choice = qt.QComboBox()
        for text in ("first", "second", "third"):
            self.choice.addItem(text)
        self.slider.maximum = 100
        self.low, scroll, tall = qt.QPushButton("Low"), qt.QScrollArea(), qt.QWidget()
        inside = qt.QVBoxLayout(tall)
        tall.setMinimumHeight(2000)
        inside.addStretch(1)
        inside.addWidget(self.low)
        scroll.setWidget(tall)
        for widget in (self.button, self.line, self.slider, self.choice, scroll):
            layout.addWidget(widget)
        self.button.connect("clicked()", lambda: self.clicks.append("button"))
        self.low.connect("clicked()", lambda: self.clicks.append("low"))
        self.window.resize(400, 300)
        self.window.move(500, 300)
        self.window.show()
        self.window.raise_()


def handled(side, mouse) -> Window:
    """What a window is like after a hand has been at it."""
    it = Window()
    side.wait(100)
    mouse.click(it.button)
    mouse.click(it.low)
    mouse.key(it.line, "Ab 1,5")
    mouse.press(it.line, "BackSpace" if mouse.real else "Backspace")
    mouse.drag(it.slider, (10, it.slider.height // 2), (it.slider.width - 5, it.slider.height // 2))
    mouse.wheel(it.choice, -1)
    side.wait(100)
    return it


def expect_all_done(it: Window) -> None:
    assert it.clicks == ["button", "low"]
    assert it.line.text == "Ab 1,"
    assert it.slider.value > 90
    assert it.choice.currentText == "second"


def check_a_hand_clicks_scrolls_types_drags_and_turns_the_wheel(side) -> None:
    it = handled(side, side.mouse)
    side.picture("hands", it.window)
    expect_all_done(it)
    it.window.close()


def check_without_xdotool_qt_sends_the_same_events(side) -> None:
    it = handled(side, SentMouse(side.wait))
    expect_all_done(it)
    it.window.close()


def check_a_popup_is_opened_and_chosen_from_with_the_real_pointer(side) -> None:
    side.needs_real_mouse()
    it = Window()
    side.wait(100)
    side.mouse.click(it.choice)
    popup = qt.QApplication.activePopupWidget()
    view = it.choice.view()
    side.mouse.click(view.viewport(), 20, view.sizeHintForRow(0) * 2 + 8)
    assert popup is not None
    assert it.choice.currentText == "third"
    it.window.close()


def check_what_is_covered_or_hidden_cannot_be_clicked(side) -> None:
    it = Window()
    cover = qt.QWidget(it.window)
    cover.setGeometry(0, 0, 400, 300)
    cover.show()
    side.wait(50)
    with unittest.TestCase().assertRaisesRegex(AssertionError, "covered by"):
        side.mouse.click(it.button)
    with unittest.TestCase().assertRaisesRegex(AssertionError, "not visible"):
        side.mouse.click(qt.QPushButton(it.window))
    assert it.clicks == []
    it.window.close()


def check_a_dialog_that_a_click_opens_can_be_answered(side) -> None:
    it, answers = Window(), []
    box = qt.QMessageBox(qt.QMessageBox.Question, "A question", "Really?", qt.QMessageBox.Yes | qt.QMessageBox.No)
    it.button.connect("clicked()", lambda: answers.append(box.exec_()))
    side.wait(50)
    side.later(300, lambda: side.mouse.click(box.button(qt.QMessageBox.Yes)))
    side.mouse.click(it.button)
    assert answers == [qt.QMessageBox.Yes]
    it.window.close()


def check_the_pointer_follows_a_path_while_slicer_works(side) -> None:
    view = slicer.app.layoutManager().sliceWidget("Red").sliceView()
    crosshair = slicer.util.getNode("Crosshair")
    moves = []
    event = slicer.vtkMRMLCrosshairNode.CursorPositionModifiedEvent
    tag = crosshair.AddObserver(event, lambda _node, _event: moves.append(1))
    side.mouse.follow(view, [(40 + step, 40) for step in range(50)], interval_ms=10)
    crosshair.RemoveObserver(tag)
    assert len(moves) >= 25
