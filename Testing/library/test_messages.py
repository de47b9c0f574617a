"""What a worker writes is read the same however it is cut into pieces, and whatever else is in it."""

from __future__ import annotations

import random

import pytest

from MedTranslateLib.core import errors
from MedTranslateLib.core.errors import DoubtfulInputError, InputGateError, MedTranslateError, UserError
from MedTranslateLib.core.messages import (
    MAX_LINE_BYTES,
    Done,
    Failure,
    LineSplitter,
    Log,
    Progress,
    error_of,
    from_line,
    to_line,
)

ALPHABET = [
    "a",
    "7",
    " ",
    "\t",
    "\r",
    "ü",
    "\N{GREEK SMALL LETTER MU}",
    "\N{GRINNING FACE}",
    "\u2028",
    "\x85",
    "{",
    '"',
]
"""One to four bytes a character, and characters that `str.splitlines` would take for line ends."""


def pieces(content: bytes, chance: random.Random) -> list[bytes]:
    """Cut at random places, some of the pieces empty."""
    cuts = sorted(chance.randrange(len(content) + 1) for _ in range(chance.randrange(12)))
    return [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]


def split(content: bytes, chunks: list[bytes]) -> tuple[list[str], str]:
    assert b"".join(chunks) == content
    splitter = LineSplitter()
    lines = [line for chunk in chunks for line in splitter.feed(chunk)]
    return lines, splitter.rest()


def test_lines_are_the_same_however_the_pieces_fall():
    chance = random.Random(1)
    for _ in range(2000):
        lines = [
            "".join(chance.choices(ALPHABET, k=chance.randrange(9))).rstrip("\r") for _ in range(chance.randrange(6))
        ]
        rest = "".join(chance.choices(ALPHABET, k=chance.randrange(5))).rstrip("\r")
        ends = [chance.choice(["\n", "\r\n"]) for _ in lines]
        content = ("".join(line + end for line, end in zip(lines, ends, strict=True)) + rest).encode()
        assert split(content, pieces(content, chance)) == (lines, rest)


def test_a_piece_may_be_a_single_byte():
    content = "zwei é\r\n\n\N{GRINNING FACE}\nrest".encode()
    assert split(content, [bytes([byte]) for byte in content]) == (["zwei é", "", "\N{GRINNING FACE}"], "rest")


def test_the_rest_is_given_once_and_a_later_line_begins_afresh():
    splitter = LineSplitter()
    assert splitter.feed(b"no end") == []
    assert (splitter.rest(), splitter.rest()) == ("no end", "")
    assert splitter.feed(b"a line\n") == ["a line"]


def test_bytes_that_are_no_utf_8_become_question_marks_and_spoil_no_other_line():
    assert LineSplitter().feed(b"\xff\xfe\nnext\n") == ["\ufffd\ufffd", "next"]


@pytest.mark.parametrize("size", [1000, 4099, MAX_LINE_BYTES * 3])
def test_a_line_without_an_end_is_dropped_and_keeps_no_memory(size):
    splitter = LineSplitter()
    sent = 0
    while sent <= 2 * MAX_LINE_BYTES:
        assert splitter.feed(b"x" * size) == []
        sent += size
    assert len(splitter._unfinished) <= MAX_LINE_BYTES
    assert splitter.feed(b"tail") == []
    assert splitter.rest() == ""
    assert splitter.feed(b"x" * (MAX_LINE_BYTES + 1)) == splitter.feed(b"tail") == []
    assert splitter.feed(b" and end\nnext\n") == ["next"]
    assert splitter.feed(b"y" * (MAX_LINE_BYTES + 1) + b"\nnext\n") == ["next"]


@pytest.mark.parametrize(("extra", "kept"), [(0, 1), (1, 0)])
def test_the_longest_line_that_is_kept_is_one_mebibyte_in_one_piece_or_two(extra, kept):
    line = b"z" * (2**20 + extra) + b"\n"
    assert len(LineSplitter().feed(line)) == kept
    splitter = LineSplitter()
    assert len([*splitter.feed(line[:777]), *splitter.feed(line[777:])]) == kept


def test_every_message_comes_back_from_its_line():
    messages = [Progress("j", "read", 0, 1, None), Progress("j", "write", 3, 4, 1.5), Log("j", "ü\n")]
    messages += [Failure("j", "device", "no"), Done("j", "r", 2), Done("j", "r", 1.5)]
    assert [from_line(to_line(message)) for message in messages] == messages
    assert all("\n" not in to_line(message) for message in messages)


@pytest.mark.parametrize(
    "line",
    [
        "Loading weights...",
        "{}",
        "null",
        "[1]",
        '{"event": "party", "job": "j"}',
        '{"event": ["log"], "job": "j", "message": "m"}',
        '{"event": "log", "job": "j"}',
        '{"event": "log", "job": "j", "message": "m", "more": 1}',
        '{"event": "log", "job": 3, "message": "m"}',
        '{"event": "log", "job": "j", "message": null}',
        '{"event": "error", "job": "j", "code": 2, "message": "m"}',
        '{"event": "done", "job": "j", "result": "r", "seconds": "1"}',
        '{"event": "done", "job": "j", "result": "r", "seconds": NaN}',
        '{"event": "progress", "job": "j", "stage": "read", "done": "1", "total": 2}',
        '{"event": "progress", "job": "j", "stage": "read", "done": 1, "total": 0}',
        '{"event": "progress", "job": "j", "stage": "read", "done": 1, "total": 2, "eta_s": 1e999}',
        '{"event": "progress", "job": "j", "stage": null, "done": 1, "total": 2}',
        "[" * 100_000,
        '{"event": ' + "9" * 10_000 + "}",
    ],
)
def test_a_line_that_is_no_whole_message_is_none(line):
    assert from_line(line) is None


def test_each_error_class_comes_back_from_its_code_with_its_message():
    classes = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MedTranslateError)]
    assert len({kind.code for kind in classes}) == len(classes) > 10
    for kind in classes:
        error = error_of(Failure("j", kind.code, "what to do"))
        assert type(error) is kind
        assert str(error) == "what to do"


def test_a_code_that_nobody_knows_is_an_error_all_the_same():
    error = error_of(Failure("j", "from the future", "what to do"))
    assert (type(error), str(error)) == (MedTranslateError, "what to do")


def test_a_doubtful_input_is_a_case_of_the_input_gate_that_can_be_told_apart():
    error = error_of(Failure("j", "input_doubtful", "15 mm apart"))
    assert isinstance(error, DoubtfulInputError)
    assert isinstance(error, (InputGateError, UserError))
    assert not isinstance(error_of(Failure("j", "input_gate", "no head")), DoubtfulInputError)
