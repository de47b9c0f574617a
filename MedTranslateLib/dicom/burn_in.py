"""Slices in, the same slices with "SYNTHETIC, research use only" drawn into a corner of each out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from MedTranslateLib.core.errors import InvalidVolumeError

MARK = "SYNTHETIC, research use only"
GLYPH_HEIGHT, GLYPH_WIDTH = 7, 5
MARGIN = 1
PIXELS_OF_SINGLE_SIZE = 384
"""Up to this many columns a dot of a letter is one pixel, up to twice as many it is two, and so on."""

# Rows from top to bottom, five dots each.
GLYPHS = {
    " ": "00000 00000 00000 00000 00000 00000 00000",
    ",": "00000 00000 00000 00000 00110 00100 01000",
    "S": "01111 10000 10000 01110 00001 00001 11110",
    "Y": "10001 10001 01010 00100 00100 00100 00100",
    "N": "10001 11001 10101 10101 10011 10001 10001",
    "T": "11111 00100 00100 00100 00100 00100 00100",
    "H": "10001 10001 10001 11111 10001 10001 10001",
    "E": "11111 10000 10000 11110 10000 10000 11111",
    "I": "01110 00100 00100 00100 00100 00100 01110",
    "C": "01110 10001 10000 10000 10000 10001 01110",
    "r": "00000 00000 10110 11001 10000 10000 10000",
    "e": "00000 00000 01110 10001 11111 10000 01110",
    "s": "00000 00000 01111 10000 01110 00001 11110",
    "a": "00000 00000 01110 00001 01111 10001 01111",
    "c": "00000 00000 01110 10000 10000 10001 01110",
    "h": "10000 10000 10110 11001 10001 10001 10001",
    "u": "00000 00000 10001 10001 10001 10011 01101",
    "o": "00000 00000 01110 10001 10001 10001 01110",
    "n": "00000 00000 10110 11001 10001 10001 10001",
    "l": "01100 00100 00100 00100 00100 00100 01110",
    "y": "00000 00000 10001 10001 01111 00001 01110",
}


def burnt_in(array_kji: npt.NDArray[np.float32], black: float, white: float) -> npt.NDArray[np.float32]:
    """Draws the mark into the lower left corner of each slice, as it is displayed; nothing else changes.

    Args:
        array_kji: Intensities (slices, rows, columns).
        black: Intensity of the box behind the letters.
        white: Intensity of the letters.

    Returns:
        A copy with the mark.

    Raises:
        InvalidVolumeError: If the slices are too small to hold it.
    """
    rows, columns = array_kji.shape[1:]
    dots = mark_for(rows, columns)
    marked = array_kji.copy()
    corner = marked[:, rows - dots.shape[0] :, : dots.shape[1]]
    corner[:] = np.where(dots, np.float32(white), np.float32(black))
    return marked


def mark_for(rows: int, columns: int) -> npt.NDArray[np.bool_]:
    """The box with the letters, True where a letter is, broken into lines that fit the columns.

    Raises:
        InvalidVolumeError: If it does not fit.
    """
    lines = _broken(MARK.split(" "), (columns - MARGIN) // (GLYPH_WIDTH + 1))
    box = _drawn(lines)
    size = -(-columns // PIXELS_OF_SINGLE_SIZE)
    while size > 1 and (box.shape[0] * size > rows or box.shape[1] * size > columns):
        size -= 1
    if box.shape[0] > rows or box.shape[1] > columns:
        msg = (
            f'The slices have {columns} x {rows} pixels, too few to burn "{MARK}" in legibly (it needs '
            f"{box.shape[1]} x {box.shape[0]}). Write them without burn-in: the header says SYNTHETIC as well."
        )
        raise InvalidVolumeError(msg)
    return np.kron(box, np.ones((size, size), dtype=bool))


def _broken(words: Sequence[str], letters: int) -> list[str]:
    """Lines of at most so many letters; a word that is longer has a line of its own."""
    lines = [""]
    for word in words:
        longer = f"{lines[-1]} {word}".strip()
        if len(longer) <= letters or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _drawn(lines: Sequence[str]) -> npt.NDArray[np.bool_]:
    width = max(map(len, lines)) * (GLYPH_WIDTH + 1) + MARGIN
    box = np.zeros((len(lines) * (GLYPH_HEIGHT + 1) + MARGIN, width), dtype=bool)
    for number, line in enumerate(lines):
        top = number * (GLYPH_HEIGHT + 1) + MARGIN
        for place, letter in enumerate(line):
            left = place * (GLYPH_WIDTH + 1) + MARGIN
            box[top : top + GLYPH_HEIGHT, left : left + GLYPH_WIDTH] = _glyph(letter)
    return box


def _glyph(letter: str) -> npt.NDArray[np.bool_]:
    return np.array([[dot == "1" for dot in row] for row in GLYPHS[letter].split()])
