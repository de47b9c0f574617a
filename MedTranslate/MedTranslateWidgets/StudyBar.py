"""A question of a case in, large buttons, a slider or a list of marks below the images out, and what was answered."""

from __future__ import annotations

from collections.abc import Callable

import qt
import slicer
from slicer.i18n import tr as _

from MedTranslateLib.studies.session_view import Presentation
from MedTranslateLib.studies.study import Question, QuestionKind
from MedTranslateWidgets.Places import resourcePath
from MedTranslateWidgets.StudyAnswers import Choice, choicesOf

KEY_STEP = 5
"""Of a confidence, with an arrow key."""


class StudyBar:
    """The widget of `StudyBar.ui`.

    Args:
        onAnswer: Gets the value of an answer.
        onConfirm: Called for the button that ends a list of marks, sets a confidence or goes on.
    """

    def __init__(self, onAnswer: Callable[[float], None], onConfirm: Callable[[], None]) -> None:
        self.widget = slicer.util.loadUI(resourcePath("UI/StudyBar.ui"))
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self._onAnswer = onAnswer
        self._buttons: list[qt.QPushButton] = []
        self._choices: tuple[Choice, ...] = ()
        self._question: Question | None = None
        self._moved = False
        self.ui.confirmButton.connect("clicked()", onConfirm)
        self.ui.confidenceSlider.connect("valueChanged(int)", self._sliderMoved)
        self.ui.confidenceSlider.connect("sliderPressed()", self._sliderMoved)
        self.clear()

    @property
    def question(self) -> Question | None:
        """What is asked; None where the reader has to go on to the next case."""
        return self._question

    @property
    def confidence(self) -> float | None:
        """Where the slider is; None until the reader has moved it."""
        return float(self.ui.confidenceSlider.value) if self._moved else None

    @property
    def text(self) -> str:
        """The message that is shown; empty where none is."""
        return self.ui.barMessage.text

    def ask(self, case: Presentation) -> None:
        """Shows the open question of a case, or that it can be confirmed."""
        ui, asked = self.ui, case.asked
        self.clear()
        self._question = asked
        ui.practiceLabel.visible = case.practice
        ui.studyProgressLabel.text = _("{0} of {1}").format(case.position, case.total)
        ui.undoButton.enabled = any(answer is not None for answer in case.given)
        ui.questionLabel.text = asked.text if asked is not None else _("All questions of this case are answered.")
        self._choices = choicesOf(asked) if asked is not None else ()
        self._addButtons()
        kind = asked.kind if asked is not None else None
        self._showFrames(kind)
        ui.confirmButton.visible = not self._choices
        ui.confirmButton.enabled = True
        ui.hintLabel.text = hintFor(asked, self._choices)
        if kind is QuestionKind.CONFIDENCE:
            self._askForConfidence(asked)
        elif kind is QuestionKind.MARKS:
            ui.confirmButton.text = _("Done (space)")
        else:
            ui.confirmButton.text = _("Next case (space)")

    def press(self, key: str) -> None:
        """A digit was pressed: as if its button was."""
        for choice in self._choices:
            if choice.key == key:
                self._onAnswer(choice.value)
                return

    def move(self, steps: int) -> None:
        """Moves the slider by keys."""
        slider = self.ui.confidenceSlider
        self._moved = True
        slider.value = slider.value + steps * KEY_STEP
        self._sliderMoved()

    def showSlice(self, current: int | None, count: int) -> None:
        """Says which slice is shown; nothing where there is one only."""
        known = current is not None and count > 1
        self.ui.sliceLabel.text = _("Slice {0} of {1}").format(current + 1, count) if known else ""

    def showMarks(self, slices: list[int]) -> None:
        """Lists the marks by their slices."""
        listed = ", ".join(_("{0}: slice {1}").format(n, k + 1) for n, k in enumerate(slices, start=1))
        text = _("Click on each suspicious place of the image; none is an answer too.")
        self.ui.markList.text = _("{0} marked.  {1}").format(len(slices), listed) if slices else text
        self.ui.removeMarkButton.enabled = bool(slices)

    def error(self, text: str) -> None:
        """Says what went wrong, until the next question."""
        self.ui.barMessage.text = text
        self.ui.barMessage.visible = True

    def clear(self) -> None:
        """Takes question, buttons and message away."""
        for button in self._buttons:
            button.hide()
            button.objectName = ""
            button.deleteLater()
        self._buttons, self._choices, self._question = [], (), None
        self.ui.barMessage.text = ""
        self.ui.barMessage.visible = False

    def _showFrames(self, kind: QuestionKind | None) -> None:
        """Hides before it shows: with both in sight for a moment the bar would grow and the images be drawn anew."""
        ui = self.ui
        wanted = (
            (ui.answersFrame, bool(self._choices)),
            (ui.confidenceFrame, kind is QuestionKind.CONFIDENCE),
            (ui.marksFrame, kind is QuestionKind.MARKS),
        )
        for frame, visible in sorted(wanted, key=lambda pair: pair[1]):
            frame.visible = visible

    def _addButtons(self) -> None:
        for choice in self._choices:
            button = qt.QPushButton(choice.label)
            button.setObjectName(f"answer_{choice.key}")
            button.setFocusPolicy(qt.Qt.NoFocus)
            button.setSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Preferred)
            button.connect("clicked()", lambda key=choice.key: self.press(key))
            self.ui.answersFrame.layout().addWidget(button)
            self._buttons.append(button)

    def _askForConfidence(self, question: Question) -> None:
        ui = self.ui
        low, high = question.labels or (_("certainly not"), _("certainly"))
        ui.confidenceLow.text, ui.confidenceHigh.text = f"0  {low}", f"100  {high}"
        wasBlocked = ui.confidenceSlider.blockSignals(True)
        ui.confidenceSlider.value = 50
        ui.confidenceSlider.blockSignals(wasBlocked)
        self._moved = False
        ui.confidenceValue.text = "?"
        ui.confirmButton.enabled = False
        ui.confirmButton.text = _("Confirm (Enter)")

    def _sliderMoved(self, _value: int = 0) -> None:
        self._moved = True
        self.ui.confidenceValue.text = str(self.ui.confidenceSlider.value)
        self.ui.confirmButton.enabled = True


def hintFor(question: Question | None, choices: tuple[Choice, ...]) -> str:
    """What the keys do."""
    slices = _("Up, Down: slices")
    if question is None:
        return _("{0}    U: previous question    Space: next case").format(slices)
    if choices:
        return _("{0}    {1} to {2}: answer").format(slices, choices[0].key, choices[-1].key)
    if question.kind is QuestionKind.CONFIDENCE:
        return _("{0}    Left, Right: less, more    Enter: confirm").format(slices)
    return _("{0}    Click: mark    Space: done").format(slices)
