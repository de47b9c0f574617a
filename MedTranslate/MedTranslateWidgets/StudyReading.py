"""An open session in, the reading of its cases on the whole screen out, until the reader leaves or has finished."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import qt
import slicer
from slicer.i18n import tr as _

from MedTranslateLib.core.errors import AnswerNotSavedError, MedTranslateError
from MedTranslateLib.mrml.study_layout import Place, view_at
from MedTranslateLib.mrml.study_marks import StudyMarks
from MedTranslateLib.mrml.study_views import StudyViews
from MedTranslateLib.studies.session import Session
from MedTranslateLib.studies.session_view import Presentation, SessionState
from MedTranslateLib.studies.study import QuestionKind, WindowMode
from MedTranslateWidgets.Slots import slot
from MedTranslateWidgets.StudyBar import StudyBar
from MedTranslateWidgets.StudyKeys import StudyKeys
from MedTranslateWidgets.StudyNotes import StudyNotes
from MedTranslateWidgets.StudyPage import StudyPage
from MedTranslateWidgets.StudyWindow import StudyWindow

READ_AHEAD_MS = 120
"""After a case was shown: the reader looks at it by then."""
LOOK_EVERY_MS = 200
DIGITS = "0123456789"


class StudyReading:
    """Begins with the page that checks the monitor.

    Args:
        session: A session that was just opened; it is closed with the reading.
        onEnd: Called when the reading has ended and the window is as it was.
    """

    def __init__(self, session: Session, onEnd: Callable[[str], None]) -> None:
        self.session, self._onEnd = session, onEnd
        self.views = StudyViews(slicer.mrmlScene, session.plan)
        self.bar = StudyBar(self._answer, self.confirm)
        self.messages = self
        self.page = StudyPage(self.goOn, self.leaveNow)
        self._window = StudyWindow(self.bar.widget, self.page.widget)
        self._notes = StudyNotes()
        self._shown: tuple[str, int] | None = None
        self._case: Presentation | None = None
        self._marks: StudyMarks | None = None
        self._onPage, self._stopped, self._timeOver, self._waiting = True, False, False, False
        self._noted: tuple[Place, ...] = ()
        self.shownInMs: list[float] = []
        self._interaction = slicer.app.applicationLogic().GetInteractionNode()
        self._modeBefore = self._interaction.GetCurrentInteractionMode()
        self._connect()
        self.page.calibrate(session.plan.title)

    @property
    def case(self) -> Presentation | None:
        """What is on the screen."""
        return self._case

    @property
    def onPage(self) -> bool:
        """Whether a page is shown in place of the images."""
        return self._onPage

    def error(self, text: str) -> None:
        """Says what went wrong where the reader looks; nothing has changed, the same can be done again."""
        if self._onPage:
            self.page.error(text)
        else:
            self.bar.error(text)

    @slot
    def goOn(self) -> None:
        """From a page to the images."""
        if self._onPage and not self._stopped and self.page.canGoOn:
            self.session.resume()
            self._proceed()

    @slot
    def confirm(self) -> None:
        """The space bar and the button that goes on: whatever that means at present."""
        if self._onPage:
            self.goOn()
            return
        question = self.bar.question
        if question is None:
            self._change(self.session.advance)
        elif question.kind is QuestionKind.MARKS and self._marks is not None:
            self._store(None, self._marks.points)
        elif question.kind is QuestionKind.CONFIDENCE and self.bar.confidence is not None:
            self._store(self.bar.confidence)

    @slot
    def pause(self) -> None:
        """Hides the images; the time stands still."""
        if self._onPage:
            self.goOn()
        else:
            self.page.pause()
            self._halt()

    @slot
    def askToLeave(self) -> None:
        """Asks whether to leave, or leaves where that was asked already or nothing is left to do."""
        if self._onPage:
            self.leaveNow()
        else:
            self.page.askWhetherToLeave()
            with suppress(AnswerNotSavedError):  # where the disk is full, the reader can leave even so
                self.session.pause()
            self._readAhead.stop()
            self._hideImages()

    @slot
    def leaveNow(self) -> None:
        """Ends the reading; the session can be opened again."""
        self.close()

    @slot
    def undo(self) -> None:
        """Opens the question answered last in this case again."""
        if not self._onPage and self.session.undo() is not None:
            self._proceed()

    @slot
    def removeMark(self) -> None:
        """Takes the last mark away."""
        if not self._onPage and self._marks is not None and self._marks.enabled:
            self._marks.remove_last()

    def step(self, slices: int) -> None:
        """Moves through the slices."""
        if not self._onPage:
            self.views.slices.step(slices)

    def close(self, why: str = "") -> None:
        """Ends session and reading, and gives everything back as it was; again is harmless."""
        if self._onEnd is None:
            return
        onEnd, self._onEnd = self._onEnd, None
        self._clock.stop()
        self._readAhead.stop()
        self._keys.close()
        try:
            self.session.close()
        except MedTranslateError as error:
            why = why or str(error)
        if self._marks is not None:
            self._marks.close()
        self._notes.close()
        self.views.close()
        self._interaction.SetCurrentInteractionMode(self._modeBefore)
        self._window.close()
        onEnd(why)

    def _connect(self) -> None:
        digits = {key: lambda key=key: self._digit(key) for key in DIGITS}
        others = {"Space": self.confirm, "Return": self.confirm, "Enter": self.confirm, "P": self.pause, "U": self.undo}
        ends = {"Escape": self.askToLeave, "Backspace": self.removeMark}
        slices = {"Up": 1, "Down": -1, "PgUp": 10, "PgDown": -10}
        held = {key: lambda count=count: self.step(count) for key, count in slices.items()}
        sideways = {"Left": lambda: self._sideways(-1), "Right": lambda: self._sideways(1)}
        self._keys = StudyKeys({**digits, **others, **ends}, {**held, **sideways})
        ui = self.bar.ui
        ui.pauseButton.connect("clicked()", self.pause)
        ui.leaveButton.connect("clicked()", self.askToLeave)
        ui.undoButton.connect("clicked()", self.undo)
        ui.removeMarkButton.connect("clicked()", self.removeMark)
        self._clock, self._readAhead = qt.QTimer(), qt.QTimer()
        self._clock.connect("timeout()", self._look)
        self._clock.start(LOOK_EVERY_MS)
        self._readAhead.setSingleShot(True)
        self._readAhead.connect("timeout()", self._readOne)

    def _digit(self, key: str) -> None:
        if not self._onPage:
            self.bar.press(key)

    @slot
    def _sideways(self, steps: int) -> None:
        if self._onPage:
            return
        if self.bar.question is not None and self.bar.question.kind is QuestionKind.CONFIDENCE:
            self.bar.move(steps)
        elif steps < 0:
            self.undo()

    @slot
    def _answer(self, value: float) -> None:
        self._store(value)

    def _store(self, value: float | None, marks: tuple = ()) -> None:
        question = self.bar.question
        if question is None or self._onPage:
            return
        self._change(lambda: self.session.answer(question.id, value, marks, self.views.viewing()))

    def _change(self, change: Callable[[], object]) -> None:
        """Stores something and shows what comes next; where the disk is full, the same can be done again."""
        began = time.perf_counter()
        try:
            change()
        except AnswerNotSavedError:
            raise
        except MedTranslateError as error:
            self._stop(str(error))
        else:
            self._proceed(began)

    def _halt(self) -> None:
        self.session.pause()
        self._readAhead.stop()
        self._hideImages()

    def _hideImages(self) -> None:
        self.views.hide()
        if self._marks is not None:
            self._marks.show(False)
        self._onPage = True
        self._window.showPage()

    def _proceed(self, began: float | None = None) -> None:
        """What the session waits for now, on the screen."""
        try:
            case = self.session.current()
            if case is not None:
                self._showCase(case, began)
            else:
                self._showEnd()
        except MedTranslateError as error:
            self._stop(str(error))

    def _showCase(self, case: Presentation, began: float | None) -> None:
        self._case, isNew = case, self._shown != (case.item, case.repeat)
        if isNew:
            self._begin(case)
        self.bar.ask(case)
        self._onPage = self._waiting = False
        if self._timeOver:
            self.page.timeIsOver()
            self._window.showPage(withBar=True)
        else:
            self._window.showImages()
            self._showImages()
        self._setMarks()
        if isNew:
            self._shown = (case.item, case.repeat)
            if began is not None:
                self.shownInMs.append(1000 * (time.perf_counter() - began))
            self.views.next_case(self.session.next_paths())
        self._readAhead.start(READ_AHEAD_MS)

    def _begin(self, case: Presentation) -> None:
        """Another case: its images, unless all the time for it was used up in an earlier session."""
        if self._marks is not None:
            self._marks.clear()
        self._timeOver = self.session.time_left_s() == 0
        self.views.show(case)
        if self._timeOver:
            self.views.hide()
        self._setMouse()

    def _showImages(self) -> None:
        if self.views.hidden:
            self.views.unhide()
        if self.views.places != self._noted:
            self._newViews()
        if self._marks is not None:
            self._marks.show(True)
        for place in self.views.places:
            slicer.app.layoutManager().sliceWidget(place.value).sliceView().forceRender()

    def _newViews(self) -> None:
        """The layout has changed."""
        self._noted = self.views.places
        StudyWindow.dropBarsOf([place.value for place in self.views.places])
        slicer.app.processEvents(qt.QEventLoop.ExcludeUserInputEvents)
        self._notes.show(self.views.places)
        self.views.fit()

    def _setMouse(self) -> None:
        free = self._case.show.window is WindowMode.FREE
        node = slicer.vtkMRMLInteractionNode
        self._interaction.SetCurrentInteractionMode(node.AdjustWindowLevel if free else node.ViewTransform)

    def _setMarks(self) -> None:
        """Marks stay in the view for as long as their case; clicks place them while they are asked for."""
        question = self.bar.question
        asked = question is not None and question.kind is QuestionKind.MARKS
        if asked and self._marks is None:
            view = view_at(slicer.mrmlScene, Place.FIRST)
            interactor = slicer.app.layoutManager().sliceWidget(Place.FIRST.value).sliceView().interactor()
            self._marks = StudyMarks(slicer.mrmlScene, view, interactor, self._marksChanged)
        if self._marks is not None:
            self._marks.enabled = asked and not self._timeOver
        if asked:
            self._marksChanged()

    def _marksChanged(self) -> None:
        points = self._marks.points if self._marks is not None else ()
        self.bar.showMarks([self.views.slices.slice_at(point) for point in points])

    def _showEnd(self) -> None:
        self._case, self._shown = None, None
        if self.session.state is SessionState.FINISHED:
            self.page.thank(storedText(self.session))
        elif self.session.state is SessionState.WAITING:
            self._waiting = True
            self.page.wait(f"{self.session.waiting_until.astimezone():%Y-%m-%d %H:%M}")
        else:
            self.page.pause()
        self._hideImages()

    def _stop(self, reason: str) -> None:
        """The study never goes on on doubtful ground."""
        self._stopped, self._timeOver, self._waiting = True, False, False
        self._readAhead.stop()
        self.page.stop(reason)
        self._hideImages()

    @slot
    def _look(self) -> None:
        if self._waiting and self.session.state is SessionState.READING:
            self._proceed()
        elif not self._onPage and not self._timeOver:
            self.bar.showSlice(self.views.slices.current, self.views.slices.count)
            if self.session.time_left_s() == 0:
                self._hideImages()
                self._timeOver = True
                self._showCase(self._case, None)

    @slot
    def _readOne(self) -> None:
        if self.views.read_ahead.read_one():
            self._readAhead.start(0)


def storedText(session: Session) -> str:
    """What is kept of a reading."""
    text = _(
        "All {0} cases are answered. Stored in the study folder: your answers, when and how long you looked at each "
        "case, the window and the slices you saw. Please tell the people who run the study."
    )
    return text.format(session.progress.total)
