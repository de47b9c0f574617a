"""Numbers in, the decimal texts of at most 16 characters out by which DICOM headers write them."""

from __future__ import annotations

from collections.abc import Iterable

LONGEST = 16


def decimal_strings(values: Iterable[float]) -> list[str]:
    """Each number with as many digits as a decimal string (DS) has room for."""
    return [decimal_string(float(value)) for value in values]


def decimal_string(value: float) -> str:
    """One number; off by less than 1e-10 for positions and directions in a patient."""
    for digits in range(17, 0, -1):
        text = f"{value + 0.0:.{digits}g}"  # + 0.0: no "-0"
        if len(text) <= LONGEST:
            return text
    return "0"
