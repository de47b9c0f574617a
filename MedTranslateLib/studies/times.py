"""Ratings in; how long readers looked, by reader and by treatment, out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from MedTranslateLib.studies.ratings import Rating

ALL = ""


@dataclass(frozen=True)
class ReadingTime:
    """Seconds that items took, all their questions together, first readings only.

    Args:
        reader: Name; empty for all.
        treatment: Name, of pairs both with a stroke between; empty for all.
        items: How many.
        median, lower, upper: Median and quartiles.
        total: Of all items.
    """

    reader: str
    treatment: str
    items: int
    median: float
    lower: float
    upper: float
    total: float


def reading_times(ratings: Iterable[Rating]) -> tuple[ReadingTime, ...]:
    """Times of each reader, of each treatment, and of all.

    Args:
        ratings: Of all questions.

    Returns:
        Readers, then treatments, then all; empty without ratings.
    """
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    made: dict[str, str] = {}
    for one in ratings:
        if one.repeat == 0:
            seconds[one.reader, one.item] += one.seconds
            made[one.item] = " / ".join(sorted(name for name in (one.treatment, one.second_treatment) if name))
    groups: dict[tuple[str, str], list[float]] = defaultdict(list)
    for (reader, item), spent in seconds.items():
        for group in ((reader, ALL), (ALL, made[item]), (ALL, ALL)):
            groups[group].append(spent)
    order = sorted(groups, key=lambda group: (group == (ALL, ALL), group[0] == ALL, group))
    return tuple(_time(*group, groups[group]) for group in order)


def _time(reader: str, treatment: str, seconds: list[float]) -> ReadingTime:
    lower, median, upper = (float(value) for value in np.quantile(seconds, [0.25, 0.5, 0.75]))
    return ReadingTime(reader, treatment, len(seconds), median, lower, upper, float(sum(seconds)))
