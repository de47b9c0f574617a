"""A prepared study and a reader in, one case after the other out, and each answer on disk before the next is shown.

What a reading panel does, with no Qt in it:

    with Session.open(folder, "reader-1") as session:
        while (case := session.current()) is not None:
            show(case.images, case.sources, case.window)      # hide them while `session.time_left_s()` is 0
            load_in_background(session.next_paths())
            question = case.asked                             # None: wait for the reader's confirmation
            if question is None:
                session.advance()
            else:
                session.answer(question.id, value, viewing=Viewing(window, slices))

`current` is None where the session is paused, waits for the washout or is finished: see `state`. Every call that takes
something (`answer`, `advance`, `pause`, `resume`) returns once it is on disk, and raises where it is not: then nothing
has changed, the same case is still there, and the call may be made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType

from MedTranslateLib.core.errors import MedTranslateError, StudyError
from MedTranslateLib.studies.answers import Answer, Viewing
from MedTranslateLib.studies.design_order import Turn
from MedTranslateLib.studies.prepare_plan import ReadingPlan
from MedTranslateLib.studies.session_clock import Clock, SystemClock, WatchedClock
from MedTranslateLib.studies.session_files import CheckedFiles
from MedTranslateLib.studies.session_lock import ReaderLock
from MedTranslateLib.studies.session_place import CONFIRMED, Readings
from MedTranslateLib.studies.session_store import AnswerStore, Event
from MedTranslateLib.studies.session_timer import Timer
from MedTranslateLib.studies.session_view import Presentation, Progress, SessionState
from MedTranslateLib.studies.study import Point, Question

OPENED, PAUSED, RESUMED, LEFT, CLOSED = "opened", "paused", "resumed", "left", "closed"
LOOKED_S = "looked_s"


class Session:
    """One reader at work; made by `Session.open`, ended by `close` or as a context manager.

    Not for several threads at once: call it from the thread of the user interface.
    """

    def __init__(self, files: CheckedFiles, store: AnswerStore, lock: ReaderLock, reader: str, clock: Clock) -> None:
        self._files, self._store, self._lock, self._reader = files, store, lock, reader
        self._plan: ReadingPlan = files.plan
        self._clock = WatchedClock(clock, store.latest_utc())
        events = store.events(reader)
        self._readings = Readings(self._plan, reader, store.answers(reader), events)
        self._looked_before = _looked_before(events)
        self._reopened: set[str] = set()
        self._answered_now: list[str] = []
        self._shown: Turn | None = None
        self._paused = False
        self._timer = Timer(self._clock)
        self._event(OPENED)

    @classmethod
    def open(cls, folder: Path, reader: str, clock: Clock | None = None) -> Session:
        """Begins, or goes on exactly where the reader stopped.

        Args:
            folder: The study folder.
            reader: Name of the reader, as the design has it.
            clock: Tells the time; default this computer's clocks.

        Returns:
            The session.

        Raises:
            StudyError: If there is no such study or reader, the key is open already, or the answers are damaged.
            StudyChangedError: If anything was changed since the study was sealed.
            ReaderBusyError: If another session of this reader is open.
            ClockSetBackError: If it is earlier now than the last answer was.
            AnswerNotSavedError: If answers cannot be stored.
        """
        clock = clock or SystemClock()
        files = CheckedFiles(folder)
        if reader not in files.plan.orders:
            msg = f"The study has no reader {reader!r}; it has {', '.join(files.plan.orders)}."
            raise StudyError(msg)
        lock = ReaderLock(folder, reader, clock.utc())
        try:
            store = AnswerStore(folder, files.seal_sha256)
        except MedTranslateError:
            lock.release()
            raise
        try:
            files.check_key_is_sealed(store)
            return cls(files, store, lock, reader, clock)
        except MedTranslateError:
            store.close()
            lock.release()
            raise

    def __enter__(self) -> Session:
        """The session itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Closes it; an error that is on its way is not hidden by one of closing."""
        try:
            self.close()
        except MedTranslateError:
            if error is None:
                raise

    @property
    def plan(self) -> ReadingPlan:
        """The study, as readers may know it."""
        return self._plan

    @property
    def reader(self) -> str:
        """Name of the reader."""
        return self._reader

    @property
    def state(self) -> SessionState:
        """What the session waits for."""
        turn = self._turn()
        if turn is None:
            return SessionState.FINISHED
        if self._paused:
            return SessionState.PAUSED
        return SessionState.READING if self._may_start(turn) else SessionState.WAITING

    @property
    def waiting_until(self) -> datetime | None:
        """When the washout ends (aware, UTC); None where nothing is waited for."""
        turn = self._turn()
        return None if turn is None or self._may_start(turn) else self._readings.may_start_utc(turn)

    @property
    def progress(self) -> Progress:
        """How far the reader is."""
        return Progress(self._readings.done, len(self._readings.turns))

    def current(self) -> Presentation | None:
        """The case to show; asking again gives it again, with what has been answered since.

        Its clock runs from the first time it is asked for: ask for it when it is going to be shown.

        Returns:
            The case; None unless the state is `READING`.

        Raises:
            StudyChangedError: If one of its files is missing or was changed.
            ClockSetBackError: If the computer's clock was set back.
        """
        turn = self._turn()
        if turn is None or self.state is not SessionState.READING:
            return None
        if turn != self._shown:
            self._files.check(self._plan.item(turn.item))
            self._timer.start(self._looked_before.get((turn.item, turn.repeat), 0.0))
            self._shown, self._reopened, self._answered_now = turn, set(), []
        return self._presentation(turn)

    def answer(
        self,
        question: str,
        value: float | None = None,
        marks: Sequence[Point] = (),
        viewing: Viewing | None = None,
    ) -> Answer:
        """Stores an answer about the current case; one to a question that has an answer supersedes that answer.

        With the last one the session goes on to the next case, unless the study wants cases confirmed.

        Args:
            question: Id of one of the case's questions, in any order.
            value: See `QuestionKind`; None for marks.
            marks: Points in RAS mm of the image; for questions about marks alone.
            viewing: How the case was looked at.

        Returns:
            The answer, as it is on disk.

        Raises:
            StudyError: If there is no case to answer about, or the question cannot have this answer.
            AnswerNotSavedError: If it is not on disk; the case is still there, answer again.
            ClockSetBackError: If the computer's clock was set back.
        """
        turn = self._shown_turn()
        asked = self._question(turn, question)
        asked.check(value, marks)
        before = self._readings.given(turn).get(question)
        viewing = viewing or Viewing()
        answer = Answer(
            reader=self._reader,
            item=turn.item,
            question=question,
            value=None if value is None else float(value),
            marks=tuple((float(r), float(a), float(s)) for r, a, s in marks),
            started_utc=self._timer.question_utc,
            answered_utc=self._clock.utc(),
            seconds=self._timer.question_s(),
            window=viewing.window,
            slices_visited=tuple(map(int, viewing.slices_visited)),
            repeat=turn.repeat,
            practice=turn.practice,
            supersedes=None if before is None else before.number,
            number=0,
            trace=viewing.trace if self._plan.show.cursor_trace else (),
        )
        stored = self._store.add(answer)
        self._readings.note(stored)
        self._reopened.discard(question)
        self._answered_now.append(question)
        self._timer.next_question(stored.answered_utc)
        if not self._reopened and self._readings.is_done(turn):
            self._leave()
        return stored

    def undo(self) -> Question | None:
        """Opens the question answered last in this case again; its answer stands until another supersedes it.

        Returns:
            The question; None where nothing in this case can be taken back.

        Raises:
            StudyError: If there is no case on the screen.
        """
        turn = self._shown_turn()
        answered = [question for question in self._answered_now if question not in self._reopened]
        if not answered:
            answered = [name for name in self._readings.given(turn) if name not in self._reopened]
        if not answered:
            return None
        self._reopened.add(answered[-1])
        return self._question(turn, answered[-1])

    def advance(self) -> None:
        """Confirms the case and goes on to the next, in a study that wants cases confirmed.

        Raises:
            StudyError: If there is no case on the screen, or one of its questions is open.
            AnswerNotSavedError: If that is not on disk; confirm again.
        """
        turn = self._shown_turn()
        if self._reopened or not self._readings.is_answered(turn):
            msg = "A question of this case is open; answer it first."
            raise StudyError(msg)
        self._event(CONFIRMED, item=turn.item, repeat=turn.repeat)
        self._readings.confirm(turn)
        self._leave()

    def pause(self) -> None:
        """Stops the time; no answers are taken until `resume`. The images have to be hidden.

        Raises:
            AnswerNotSavedError: If that is not on disk; the session is not paused then.
        """
        if not self._paused:
            self._event(PAUSED)
            self._timer.pause()
            self._paused = True

    def resume(self) -> None:
        """Goes on after a pause.

        Raises:
            AnswerNotSavedError: If that is not on disk; the session is still paused then.
        """
        if self._paused:
            self._event(RESUMED)
            self._timer.resume()
            self._paused = False

    def time_left_s(self) -> float | None:
        """How long the current case may still be looked at; at 0 its images have to be hidden, answers are still taken.

        Returns:
            Seconds; None without limit, or where no case is on the screen.
        """
        if not self._plan.time_limit_s or self._shown is None:
            return None
        return max(0.0, self._plan.time_limit_s - self._timer.looked_s())

    def next_paths(self) -> tuple[Path, ...]:
        """Images of the case after the current one, to load while the reader looks; empty after the last."""
        place = self._readings.place
        if place is None or place + 1 >= len(self._readings.turns):
            return ()
        return self._files.paths(self._plan.item(self._readings.turns[place + 1].item))

    def close(self) -> None:
        """Ends the session; does nothing the second time.

        Raises:
            AnswerNotSavedError: If the end could not be noted. The session is closed even so, and no answer is lost.
        """
        if self._lock.is_held:
            try:
                if self._shown is not None:
                    turn, looked = self._shown, self._timer.looked_s()
                    self._event(LEFT, item=turn.item, repeat=turn.repeat, **{LOOKED_S: round(looked, 3)})
                self._event(CLOSED)
            finally:
                self._store.close()
                self._lock.release()

    def _turn(self) -> Turn | None:
        if self._shown is not None:
            return self._shown
        place = self._readings.place
        return None if place is None else self._readings.turns[place]

    def _may_start(self, turn: Turn) -> bool:
        start = None if turn == self._shown else self._readings.may_start_utc(turn)
        return start is None or self._clock.utc() >= start

    def _shown_turn(self) -> Turn:
        if self._shown is None or self._paused:
            msg = "The session is paused; resume first." if self._paused else "No case is on the screen."
            raise StudyError(msg)
        return self._shown

    def _question(self, turn: Turn, name: str) -> Question:
        questions = self._plan.questions_of(self._plan.item(turn.item))
        for question in questions:
            if question.id == name:
                return question
        msg = f"Nobody asks {name!r} about this case; asked are {', '.join(question.id for question in questions)}."
        raise StudyError(msg)

    def _presentation(self, turn: Turn) -> Presentation:
        item = self._plan.item(turn.item)
        questions, given = self._plan.questions_of(item), self._readings.given(turn)
        return Presentation(
            item=turn.item,
            repeat=turn.repeat,
            practice=turn.practice,
            position=self._readings.turns.index(turn) + 1,
            total=len(self._readings.turns),
            images=self._files.of(item.images),
            sources=self._files.of(item.sources),
            questions=questions,
            given=tuple(None if one.id in self._reopened else given.get(one.id) for one in questions),
            window=self._plan.window,
            show=self._plan.show,
        )

    def _leave(self) -> None:
        self._shown, self._reopened, self._answered_now = None, set(), []

    def _event(self, kind: str, **detail: object) -> None:
        self._store.add_event(Event(self._reader, kind, self._clock.utc(), detail))


def _looked_before(events: Sequence[Event]) -> dict[tuple[str, int], float]:
    """How long cases were looked at in earlier sessions, which they were left in."""
    looked: dict[tuple[str, int], float] = {}
    for event in events:
        if event.kind == LEFT:
            key = (str(event.detail["item"]), int(event.detail["repeat"]))
            looked[key] = float(event.detail[LOOKED_S])
    return looked
