"""Any text in, the same on one line with nothing that a file or a page cannot hold out."""

from __future__ import annotations


def printable(text: str) -> str:
    """Writes what cannot be printed as a code: names of files may hold line ends and halves of characters.

    Args:
        text: Any.

    Returns:
        Text that every encoding of Unicode can write.
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )
