"""Answers and events in, one SQLite file with all of them out: added to, one transaction each, and never edited.

Each row carries a SHA-256 of itself and the row before, so that an edit from outside is noticed as well.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from MedTranslateLib.core.errors import AnswerNotSavedError, StudyChangedError, StudyError
from MedTranslateLib.studies.answers import Answer

ANSWERS = "answers.sqlite"
VERSION = 1
WAIT_S = 10.0
"""How long a reader waits until another one's answer is on disk."""
TABLES = (
    "CREATE TABLE study (seal TEXT NOT NULL)",
    """CREATE TABLE answer (
        number INTEGER PRIMARY KEY, reader TEXT NOT NULL, item TEXT NOT NULL, question TEXT NOT NULL, value REAL,
        marks TEXT NOT NULL, started_utc TEXT NOT NULL, answered_utc TEXT NOT NULL, seconds REAL NOT NULL,
        window TEXT, slices_visited TEXT NOT NULL, repeat INTEGER NOT NULL, practice INTEGER NOT NULL,
        supersedes INTEGER UNIQUE REFERENCES answer (number), trace TEXT NOT NULL, chain TEXT NOT NULL
    )""",
    "CREATE UNIQUE INDEX answered_once ON answer (reader, item, question, repeat) WHERE supersedes IS NULL",
    """CREATE TABLE event (
        number INTEGER PRIMARY KEY, reader TEXT NOT NULL, kind TEXT NOT NULL, utc TEXT NOT NULL,
        detail TEXT NOT NULL, chain TEXT NOT NULL
    )""",
)
TRIGGERS = tuple(
    f"CREATE TRIGGER {table}_no_{verb} BEFORE {verb} ON {table} "
    "BEGIN SELECT RAISE(ABORT, 'answers and events of a study are never edited'); END"
    for table in ("study", "answer", "event")
    for verb in ("UPDATE", "DELETE")
)
ANSWER_COLUMNS = [
    "number",
    "reader",
    "item",
    "question",
    "value",
    "marks",
    "started_utc",
    "answered_utc",
    "seconds",
    "window",
    "slices_visited",
    "repeat",
    "practice",
    "supersedes",
    "trace",
]
EVENT_COLUMNS = ["number", "reader", "kind", "utc", "detail"]


@dataclass(frozen=True)
class Event:
    """Something that happened in a session beside answers.

    Args:
        reader: Name of the reader; empty where nobody read.
        kind: `opened`, `paused`, `resumed`, `confirmed`, `left`, `closed` or `key_opened`.
        utc: When (aware, UTC).
        detail: More about it.
        number: Number in the order of the study's events, from 1; 0 before it is stored.
    """

    reader: str
    kind: str
    utc: datetime
    detail: dict[str, Any]
    number: int = 0


class AnswerStore:
    """The answers of one study; every call returns only once the disk has what it was given.

    Args:
        folder: The study folder.
        seal_sha256: SHA-256 of `seal.json`: the file belongs to that study alone.
        make: Whether the file is made where there is none.

    Raises:
        StudyError: If the file is damaged, or missing and not to be made.
        StudyChangedError: If it belongs to another study, or rows were edited.
        AnswerNotSavedError: If it cannot be made.
    """

    def __init__(self, folder: Path, seal_sha256: str, *, make: bool = True) -> None:
        self._path = folder / ANSWERS
        if not make and not self._path.is_file():
            msg = f"{folder} holds no answers yet."
            raise StudyError(msg)
        try:
            self._connection = sqlite3.connect(
                self._path, timeout=WAIT_S, isolation_level=None, check_same_thread=False
            )
        except sqlite3.OperationalError as error:
            raise self._not_saved(error) from error
        try:
            with self._errors():
                self._set_up(seal_sha256)
                self._check_seal(seal_sha256)
                self._check_chains()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Closes the file; does nothing the second time."""
        self._connection.close()

    def answers(self, reader: str | None = None) -> tuple[Answer, ...]:
        """All answers in their order, superseded ones as well.

        Args:
            reader: Of this reader alone; None for all.

        Raises:
            StudyError: If the file is damaged.
        """
        with self._errors():
            return tuple(_answer(row) for row in self._rows("answer", ANSWER_COLUMNS, reader))

    def events(self, reader: str | None = None) -> tuple[Event, ...]:
        """All events in their order.

        Args:
            reader: Of this reader alone; None for all.

        Raises:
            StudyError: If the file is damaged.
        """
        with self._errors():
            return tuple(_event(row) for row in self._rows("event", EVENT_COLUMNS, reader))

    def latest_utc(self) -> datetime | None:
        """The latest time that is stored; None where nothing is."""
        with self._errors():
            found = self._connection.execute(
                "SELECT max(utc) FROM (SELECT answered_utc AS utc FROM answer UNION ALL SELECT utc FROM event)"
            ).fetchone()[0]
        return None if found is None else datetime.fromisoformat(found)

    def add(self, answer: Answer) -> Answer:
        """Stores an answer.

        Args:
            answer: Its number is not used.

        Returns:
            The answer with its number; it is on disk.

        Raises:
            AnswerNotSavedError: If it is not; nothing of it is kept.
            StudyError: If the question has been answered, and this answer supersedes none; or it has been superseded.
        """
        with self._errors():
            number = self._append("answer", ANSWER_COLUMNS, _answer_row(answer))
        return replace(answer, number=number)

    def add_event(self, event: Event) -> Event:
        """Stores an event.

        Args:
            event: Its number is not used.

        Returns:
            The event with its number; it is on disk.

        Raises:
            AnswerNotSavedError: If it is not.
        """
        with self._errors():
            number = self._append("event", EVENT_COLUMNS, _event_row(event))
        return replace(event, number=number)

    def _set_up(self, seal_sha256: str) -> None:
        """One file (no write-ahead log beside it, which a copy would forget), synchronised with the disk at commit."""
        for pragma in ("journal_mode=DELETE", "synchronous=EXTRA", "fullfsync=1", "foreign_keys=1"):
            self._connection.execute(f"PRAGMA {pragma}")
        if self._version() == 0:
            with self._transaction():
                if self._version() == 0:  # no other reader made it in between
                    self._make(seal_sha256)
        if self._version() != VERSION:
            msg = f"{self._path} was made by another version of MedTranslate; take that one for this study."
            raise StudyError(msg)

    def _make(self, seal_sha256: str) -> None:
        for statement in (*TABLES, *TRIGGERS):
            self._connection.execute(statement)
        self._connection.execute("INSERT INTO study VALUES (?)", (seal_sha256,))
        self._connection.execute(f"PRAGMA user_version = {VERSION}")

    def _version(self) -> int:
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    def _check_seal(self, seal_sha256: str) -> None:
        (found,) = self._connection.execute("SELECT seal FROM study").fetchone()
        if found != seal_sha256:
            msg = (
                f"{self._path} holds answers to a study with another seal: the study was sealed anew after it began. "
                "Put back its seal.json and study.json, or prepare the new study in a folder of its own."
            )
            raise StudyChangedError(msg)

    def _check_chains(self) -> None:
        for table, columns in (("answer", ANSWER_COLUMNS), ("event", EVENT_COLUMNS)):
            chain = ""
            for row in self._connection.execute(f"SELECT {', '.join(columns)}, chain FROM {table} ORDER BY number"):
                chain = _chained(chain, row[:-1])
                if chain != row[-1]:
                    msg = f"{self._path}: {table} {row[0]} or one before it was edited from outside; restore a backup."
                    raise StudyChangedError(msg)

    def _rows(self, table: str, columns: list[str], reader: str | None) -> Iterator[tuple[Any, ...]]:
        query = f"SELECT {', '.join(columns)} FROM {table} WHERE ? IS NULL OR reader = ? ORDER BY number"
        yield from self._connection.execute(query, (reader, reader)).fetchall()

    def _append(self, table: str, columns: list[str], values: list[Any]) -> int:
        with self._transaction():
            last = self._connection.execute(f"SELECT number, chain FROM {table} ORDER BY number DESC LIMIT 1")
            number, chain = last.fetchone() or (0, "")
            row = (number + 1, *values)
            places = ", ".join("?" * (len(columns) + 1))
            self._connection.execute(
                f"INSERT INTO {table} ({', '.join(columns)}, chain) VALUES ({places})",
                (*row, _chained(chain, row)),
            )
        return int(number) + 1

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError as error:
            if "never edited" in str(error):
                raise
            msg = f"This question was answered already; its answer can be superseded once only ({error})."
            raise StudyError(msg) from error
        except sqlite3.OperationalError as error:
            raise self._not_saved(error) from error
        except sqlite3.DatabaseError as error:
            msg = f"{self._path} is damaged ({error}). Nothing was written to it; restore a backup of this file."
            raise StudyError(msg) from error

    def _not_saved(self, error: sqlite3.OperationalError) -> AnswerNotSavedError:
        text = str(error)
        why = {
            "full": "the disk is full; free some space",
            "readonly": "there is no permission to write; ask for it",
            "unable to open": "the file cannot be opened; check the folder and its permissions",
            "locked": "another program holds the file; end it",
        }
        reason = next((said for word, said in why.items() if word in text), f"{text}; check the disk")
        return AnswerNotSavedError(
            f"Nothing was stored in {self._path}: {reason}, and answer again. All answers before this one are kept."
        )


def _chained(before: str, row: tuple[Any, ...]) -> str:
    return hashlib.sha256((before + json.dumps(row)).encode("utf-8")).hexdigest()


def _answer_row(answer: Answer) -> list[Any]:
    return [
        answer.reader,
        answer.item,
        answer.question,
        None if answer.value is None else float(answer.value),
        json.dumps(answer.marks),
        answer.started_utc.isoformat(timespec="microseconds"),
        answer.answered_utc.isoformat(timespec="microseconds"),
        float(answer.seconds),
        None if answer.window is None else json.dumps(answer.window),
        json.dumps(answer.slices_visited),
        int(answer.repeat),
        int(answer.practice),
        answer.supersedes,
        json.dumps(answer.trace),
    ]


def _answer(row: tuple[Any, ...]) -> Answer:
    table = dict(zip(ANSWER_COLUMNS, row, strict=True))
    return Answer(
        **{
            **table,
            "marks": tuple(tuple(mark) for mark in json.loads(table["marks"])),
            "started_utc": datetime.fromisoformat(table["started_utc"]),
            "answered_utc": datetime.fromisoformat(table["answered_utc"]),
            "window": None if table["window"] is None else tuple(json.loads(table["window"])),
            "slices_visited": tuple(json.loads(table["slices_visited"])),
            "practice": bool(table["practice"]),
            "trace": tuple(tuple(point) for point in json.loads(table["trace"])),
        }
    )


def _event_row(event: Event) -> list[Any]:
    return [event.reader, event.kind, event.utc.isoformat(timespec="microseconds"), json.dumps(event.detail)]


def _event(row: tuple[Any, ...]) -> Event:
    number, reader, kind, utc, detail = row
    return Event(reader, kind, datetime.fromisoformat(utc), json.loads(detail), number)
