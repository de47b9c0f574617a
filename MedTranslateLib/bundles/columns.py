"""Rows of text in, a table with aligned columns out."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def aligned(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """One line a row, columns two spaces apart.

    Args:
        rows: Equally many cells each.
        right: Numbers of the columns that are aligned to the right, such as figures.

    Returns:
        The lines, without line ends.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(_cell(c, widths[n], n in right) for n, c in enumerate(row)).rstrip() for row in rows]


def _cell(text: str, width: int, to_the_right: bool) -> str:  # noqa: FBT001  # private, one meaning
    return text.rjust(width) if to_the_right else text.ljust(width)
