"""Items and a seed in, the order in which each reader sees them out: random, balanced, and repeats far apart.

Every treatment comes half in the first and half in the second half of an order, so that learning and tiring favour
none; of two readers that follow each other, one has in the first half what the other has in the second.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

TRIES = 300
"""Shuffles of which the one that keeps the items of a subject furthest apart is taken."""
APART = 4
"""Items of one subject so far apart are far enough."""


@dataclass(frozen=True)
class Turn:
    """One item in a reader's order.

    Args:
        item: Blinded name.
        repeat: 0 for the first time, 1 for the second.
        practice: Whether it is there to practise.
    """

    item: str
    repeat: int = 0
    practice: bool = False


@dataclass(frozen=True)
class OrderItem:
    """What the order of an item depends on.

    Args:
        item: Blinded name.
        group: Treatment, and truth where there is one; balanced between both halves.
        subjects: Whose images it shows; kept apart.
        practice: Whether it comes first.
    """

    item: str
    group: str
    subjects: frozenset[str]
    practice: bool = False


def draw_orders(
    items: Sequence[OrderItem], readers: Sequence[str], seed: Sequence[int], repeats: int
) -> Mapping[str, tuple[Turn, ...]]:
    """Draws the order of each reader.

    Args:
        items: All items.
        readers: Names of the readers.
        seed: Numbers that everything random follows from.
        repeats: How many items that count are seen a second time by each reader, all after the first times.

    Returns:
        The turns of each reader: practice first, then every item once, then the repeats. A repeat comes at least half
        as many turns (rounded down) after its first time as there are items that count.
    """
    counted = [item for item in items if not item.practice]
    practice = [item for item in items if item.practice]
    orders = {}
    halves: tuple[list[OrderItem], list[OrderItem]] = ([], [])
    for index, reader in enumerate(readers):
        chance = np.random.default_rng([*seed, index])
        halves = _halves(counted, chance) if index % 2 == 0 else (halves[1], halves[0])
        order = _spread(halves[0], chance, [])
        order += _spread(halves[1], chance, order)
        again = _repeated(order, repeats, chance)
        orders[reader] = (
            *(Turn(item.item, practice=True) for item in _shuffled(practice, chance)),
            *(Turn(item.item) for item in order),
            *(Turn(item.item, repeat=1) for item in again),
        )
    return orders


def _halves(items: Sequence[OrderItem], chance: np.random.Generator) -> tuple[list[OrderItem], list[OrderItem]]:
    """Each group split in two; of odd groups the larger part goes where fewer items are."""
    first: list[OrderItem] = []
    second: list[OrderItem] = []
    for group in sorted({item.group for item in items}):
        members = _shuffled([item for item in items if item.group == group], chance)
        coin = len(first) == len(second) and chance.random() < 0.5
        fewer, more = (first, second) if len(first) < len(second) or coin else (second, first)
        larger = -(-len(members) // 2)
        fewer.extend(members[:larger])
        more.extend(members[larger:])
    return first, second


def _spread(items: Sequence[OrderItem], chance: np.random.Generator, before: Sequence[OrderItem]) -> list[OrderItem]:
    """A shuffle of `items` that keeps those of one subject apart, also from the last of those before."""
    best, best_gap = list(items), -1
    for _ in range(TRIES):
        order = _shuffled(items, chance)
        gap = _smallest_gap([*before[-APART:], *order])
        if gap > best_gap:
            best, best_gap = order, gap
        if gap >= APART:
            break
    return best


def _smallest_gap(order: Sequence[OrderItem]) -> int:
    last: dict[str, int] = {}
    smallest = APART
    for place, item in enumerate(order):
        for subject in item.subjects:
            smallest = min(smallest, place - last.get(subject, place - APART))
            last[subject] = place
    return smallest


def _repeated(order: Sequence[OrderItem], repeats: int, chance: np.random.Generator) -> list[OrderItem]:
    """Items to show again, of each group the same share; at place p none from more than p beyond the first half."""
    size = Counter(item.group for item in order)
    first_half = -(-len(order) // 2)
    again: list[OrderItem] = []
    for place in range(repeats):
        may = [item for item in order[: first_half + place + 1] if item not in again]
        used = Counter(item.group for item in again)
        least = min(used[item.group] / size[item.group] for item in may)
        due = [item for item in may if used[item.group] / size[item.group] == least]
        again.append(due[int(chance.integers(len(due)))])
    return again


def _shuffled(items: Sequence[OrderItem], chance: np.random.Generator) -> list[OrderItem]:
    return [items[place] for place in chance.permutation(len(items))]
