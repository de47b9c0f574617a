"""What a blinded reader study consists of: cases, questions, readers and what a reader may see, each checked."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from MedTranslateLib.core.errors import StudyError
from MedTranslateLib.studies.design_grid import Intensity, StudyGrid

Point = tuple[float, float, float]
REAL = "real"
"""The treatment of an image that a scanner made."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


class QuestionKind(str, Enum):
    """What is asked, and what the value of an answer means."""

    TURING = "turing"
    """0 = judged real, 1 = judged synthetic."""
    GRADE = "grade"
    """A whole number from `low` to `high`."""
    FORCED_CHOICE = "forced_choice"
    """Of two images, the index (0 or 1) of the one judged synthetic."""
    PREFERENCE = "preference"
    """0 = the first is better, 1 = the second, 0.5 = no difference."""
    MARKS = "marks"
    """Points, in RAS mm of the item; no value."""
    CONFIDENCE = "confidence"
    """0 to 100: how sure the reader is that a lesion is there."""

    @property
    def of_pairs(self) -> bool:
        """Whether it is asked about two images side by side."""
        return self in (QuestionKind.FORCED_CHOICE, QuestionKind.PREFERENCE)


ENDS = {
    QuestionKind.TURING: (0, 1),
    QuestionKind.FORCED_CHOICE: (0, 1),
    QuestionKind.PREFERENCE: (0, 1),
    QuestionKind.CONFIDENCE: (0, 100),
    QuestionKind.MARKS: (0, 0),
}


class WindowMode(str, Enum):
    """Whether a reader may change window and level."""

    FIXED = "fixed"
    FREE = "free"


class Extent(str, Enum):
    """How much of an image a reader sees: one slice, or a volume to scroll through."""

    SLICE = "slice"
    VOLUME = "volume"


@dataclass(frozen=True)
class Question:
    """One question that is asked about every item of its kind (single images, or pairs).

    Args:
        id: Short name, for tables.
        kind: What is asked.
        text: As the reader reads it.
        low: Smallest grade; of other kinds given by the kind.
        high: Largest grade; of other kinds given by the kind.
        labels: What the grades `low` to `high` are called; for two-sided questions what 0 and 1 are called. May be
            empty.

    Raises:
        StudyError: If grades are not at least two, or labels do not fit them.
    """

    id: str
    kind: QuestionKind
    text: str
    low: int = 0
    high: int = 0
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Takes the ends from the kind where it has its own, and checks."""
        _check_name("question", self.id)
        if self.kind in ENDS:
            low, high = ENDS[self.kind]
            object.__setattr__(self, "low", low)
            object.__setattr__(self, "high", high)
        elif not self.low < self.high <= self.low + 9:
            msg = f"question {self.id!r}: grades run from low to high, 2 to 10 of them; got {self.low} to {self.high}."
            raise StudyError(msg)
        wanted = 2 if self.kind is QuestionKind.CONFIDENCE else self.high - self.low + 1
        if self.labels and len(self.labels) != wanted:
            msg = f"question {self.id!r}: expected {wanted} labels (or none), got {len(self.labels)}."
            raise StudyError(msg)

    def check(self, value: float | None, marks: Sequence[Point]) -> None:
        """Refuses an answer that this question cannot have.

        Args:
            value: The value; None for marks.
            marks: Points in RAS mm.

        Raises:
            StudyError: Naming what was expected.
        """
        if self.kind is QuestionKind.MARKS:
            fits = value is None and all(len(mark) == 3 and all(map(math.isfinite, mark)) for mark in marks)
        else:
            fits = not marks and value is not None and self._allows(value)
        if not fits:
            msg = f"question {self.id!r}: expected {self.expected}, got value {value!r} and {len(marks)} marks."
            raise StudyError(msg)

    @property
    def expected(self) -> str:
        """What an answer consists of, in words."""
        if self.kind is QuestionKind.MARKS:
            return "points of three finite numbers and no value"
        if self.kind is QuestionKind.PREFERENCE:
            return "0, 0.5 or 1"
        kind = "a number" if self.kind is QuestionKind.CONFIDENCE else "a whole number"
        return f"{kind} from {self.low} to {self.high}"

    def _allows(self, value: float) -> bool:
        if self.kind is QuestionKind.PREFERENCE:
            return value in (0, 0.5, 1)
        whole = self.kind is QuestionKind.CONFIDENCE or float(value).is_integer()
        return whole and self.low <= value <= self.high


@dataclass(frozen=True)
class ShowOptions:
    """What a reader may see and do.

    Args:
        source: Whether the source stands beside the image; then every case needs one.
        linked_cursor: Whether a cursor links image and source, or both images of a pair.
        window: Whether window and level may be changed.
        extent: One slice, or a volume.
        cursor_trace: Whether the cursor's way is stored with the answers.
        confirm: Whether the reader confirms a case (and can take answers back until then) before the next is shown.
    """

    source: bool = False
    linked_cursor: bool = False
    window: WindowMode = WindowMode.FIXED
    extent: Extent = Extent.VOLUME
    cursor_trace: bool = False
    confirm: bool = False


@dataclass(frozen=True)
class Region:
    """A place that marks are compared with: a ball.

    Args:
        centre_ras: Its centre in RAS mm.
        radius_mm: Its radius.
        name: What lies there.
    """

    centre_ras: Point
    radius_mm: float
    name: str = "region"


@dataclass(frozen=True)
class StudyCase:
    """One image of the study.

    Args:
        id: Its name in the design; readers never see it.
        image: File or DICOM folder, relative to the study file; None where bundles make it from `source`.
        translate: Bundles that make it from `source`, one after the other; `NAME:reverse` runs one the other way.
        source: File of the source, relative to the study file.
        treatment: `real`, or what made the image; by default `real` where nothing is translated, else the last bundle.
        truth: 1 where a lesion is there, 0 where none is; None where nobody asks.
        regions: Where it is, in RAS mm of `image` (or of `source`, for a translated case).
        subject: Patient; two items of one are placed apart. Default: the case's own id.
        centre_ras: What lies in the middle of the study's grid, in RAS mm; by default the middle of the foreground.
        practice: Whether it is shown first, to practise, and left out of the analysis.
        accept_doubtful: Whether it is translated although the input gate doubts that a bundle fits.

    Raises:
        StudyError: If there is no image, or parts contradict each other.
    """

    id: str
    image: str | None = None
    translate: tuple[str, ...] = ()
    source: str | None = None
    treatment: str | None = None
    truth: int | None = None
    regions: tuple[Region, ...] = ()
    subject: str | None = None
    centre_ras: Point | None = None
    practice: bool = False
    accept_doubtful: bool = False

    def __post_init__(self) -> None:
        """Checks."""
        _check_name("case", self.id)
        if (self.image is None) == (not self.translate) or (self.translate and self.source is None):
            msg = f"case {self.id!r}: expected either `image`, or `source` and `translate`; give one of both."
            raise StudyError(msg)
        if self.truth not in (None, 0, 1):
            msg = f"case {self.id!r}: truth must be 0 or 1, got {self.truth!r}."
            raise StudyError(msg)
        if self.translate and self.treatment == REAL:
            msg = f"case {self.id!r} is made by {self.translate[-1]!r}; its treatment cannot be {REAL!r}."
            raise StudyError(msg)

    @property
    def made_by(self) -> str:
        """The treatment: `real`, or what made the image."""
        return self.treatment or (self.translate[-1].partition(":")[0] if self.translate else REAL)

    @property
    def of_subject(self) -> str:
        """Whose image it is."""
        return self.subject or self.id


@dataclass(frozen=True)
class StudyPair:
    """Two cases that are shown side by side; which of them comes first is drawn.

    Args:
        id: Its name in the design.
        cases: Ids of both cases.
        practice: See `StudyCase`.
    """

    id: str
    cases: tuple[str, str]
    practice: bool = False


@dataclass(frozen=True)
class Study:
    """A whole design, as its author wrote it: it says which image is which, so readers never see it.

    Args:
        title: Title; readers see it.
        seed: Of everything random.
        readers: Names of the readers.
        questions: What is asked, in this order.
        cases: Images; those in a pair are shown in that pair alone.
        pairs: Pairs, for forced choice and preference.
        repeats: How many items each reader sees a second time, without knowing.
        washout_days: How long after the first time an item may be shown again.
        time_limit_s: How long an item may be looked at; 0 is without limit.
        show: What may be seen.
        grid: The grid that all images are resampled to.
        intensity: The rule that makes grey levels of all images.

    Raises:
        StudyError: If a name stands twice, or parts contradict each other.
    """

    title: str
    seed: int
    readers: tuple[str, ...]
    questions: tuple[Question, ...]
    cases: tuple[StudyCase, ...]
    pairs: tuple[StudyPair, ...] = ()
    repeats: int = 0
    washout_days: float = 0.0
    time_limit_s: float = 0.0
    show: ShowOptions = ShowOptions()
    grid: StudyGrid = field(default_factory=StudyGrid)
    intensity: Intensity = field(default_factory=Intensity)

    def __post_init__(self) -> None:
        """Checks what only the whole can tell."""
        for reader in self.readers:
            _check_name("reader", reader)
        _check_distinct("readers", [reader.casefold() for reader in self.readers])  # they name files
        _check_distinct("questions", [question.id for question in self.questions])
        _check_distinct("cases", [case.id for case in self.cases])
        _check_distinct("pairs", [pair.id for pair in self.pairs], at_least=0)
        self._check_pairs()
        self._check_questions()
        self._check_numbers()

    @property
    def singles(self) -> tuple[StudyCase, ...]:
        """Cases that are shown alone."""
        paired = {case for pair in self.pairs for case in pair.cases}
        return tuple(case for case in self.cases if case.id not in paired)

    def case(self, case_id: str) -> StudyCase:
        """The case of that id.

        Raises:
            StudyError: If there is none.
        """
        for case in self.cases:
            if case.id == case_id:
                return case
        msg = f"The study has no case {case_id!r}."
        raise StudyError(msg)

    def _check_pairs(self) -> None:
        for pair in self.pairs:
            _check_name("pair", pair.id)
            if pair.cases[0] == pair.cases[1]:
                msg = f"pair {pair.id!r}: shows the case {pair.cases[0]!r} twice; name two cases."
                raise StudyError(msg)
            for case in pair.cases:
                self.case(case)

    def _check_questions(self) -> None:
        for shown, kind, of_pairs in ((self.singles, "single images", False), (self.pairs, "pairs", True)):
            asked = [question for question in self.questions if question.kind.of_pairs is of_pairs]
            if bool(shown) != bool(asked):
                msg = (
                    f"The study has {len(shown)} {kind} and {len(asked)} questions about {kind}; it needs both or none."
                )
                raise StudyError(msg)
        forced = any(question.kind is QuestionKind.FORCED_CHOICE for question in self.questions)
        for pair in self.pairs if forced else ():
            if sum(self.case(case).made_by == REAL for case in pair.cases) != 1:
                msg = f"pair {pair.id!r}: a forced choice needs one real and one synthetic image."
                raise StudyError(msg)

    def _check_numbers(self) -> None:
        scored = sum(not case.practice for case in self.singles) + sum(not pair.practice for pair in self.pairs)
        if not scored:
            msg = "All cases are practice; the study needs one that counts."
            raise StudyError(msg)
        if not 0 <= self.repeats <= scored:
            msg = f"repeats must be 0 to {scored} (the items that count), got {self.repeats}."
            raise StudyError(msg)
        if self.seed < 0 or not self.washout_days >= 0 or not self.time_limit_s >= 0:
            msg = (
                f"seed, washout_days and time_limit_s must not be negative, got {self.seed}, {self.washout_days} and "
                f"{self.time_limit_s}."
            )
            raise StudyError(msg)
        if (self.show.extent is Extent.SLICE) != (self.grid.size_ijk[2] == 1):
            msg = (
                f"show.extent is {self.show.extent.value!r} and the grid has {self.grid.size_ijk[2]} slices; one slice "
            )
            msg += 'goes with extent = "slice" alone.'
            raise StudyError(msg)
        lacking = [case.id for case in self.cases if case.source is None]
        if self.show.source and lacking:
            msg = f"show.source is set, but case {lacking[0]!r} has no source; what some lack gives them away."
            raise StudyError(msg)


def _check_name(what: str, name: str) -> None:
    if not NAME.fullmatch(name):
        msg = f"{what} {name!r}: expected 1 to 40 letters, digits and . _ -, a letter or digit first."
        raise StudyError(msg)


def _check_distinct(what: str, names: Iterable[str], at_least: int = 1) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            msg = f"{what}: {name!r} stands there twice; give each a name of its own."
            raise StudyError(msg)
        seen.add(name)
    if len(seen) < at_least:
        msg = f"The study needs {what}; there are none."
        raise StudyError(msg)
