"""All that a study folder tells beside the pictures themselves, as numbers; and whether that tells images apart."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from MedTranslateLib.studies.prepare_plan import ReadingPlan, read_plan

HEADER_END = b"\n\n"
PERMUTATIONS = 2000


def metadata(folder: Path) -> tuple[list[str], np.ndarray]:
    """Items, and one row of features for each: names, times, sizes, headers, grey levels, places in all orders."""
    plan = read_plan(folder)
    items = [item.item for item in plan.items]
    rows = [
        [*of_file(folder / plan.item(item).images[0]), *of_name(item), place, *of_orders(plan, item)]
        for place, item in enumerate(items)
    ]
    return items, np.array(rows, dtype=float)


def of_file(path: Path) -> list[float]:
    stat = path.stat()
    content = path.read_bytes()
    header, _, data = content.partition(HEADER_END)
    lines = [int(hashlib.sha256(line).hexdigest()[:6], 16) for line in header.splitlines()]
    return [
        *(stat.st_size, stat.st_mtime_ns, stat.st_mode, stat.st_ino, stat.st_nlink, stat.st_blocks, stat.st_ctime_ns),
        *(len(header), len(lines), *(lines + [0] * 20)[:20]),
        *of_levels(np.frombuffer(data, np.uint8)),
    ]


def of_levels(levels: np.ndarray) -> list[float]:
    """Range, and how levels are used: gaps, combs, ends."""
    count = np.bincount(levels, minlength=256)
    inside = count[1:255]
    comb = np.abs(np.fft.rfft(inside / max(inside.sum(), 1)))
    return [
        *(levels.min(), levels.max(), np.count_nonzero(count), np.count_nonzero(inside == 0)),
        *(inside[::2].sum() / max(inside.sum(), 1), comb[60:].max(), np.abs(np.diff(inside)).sum() / inside.sum()),
        *(count[0] / levels.size, count[255] / levels.size, count[1] / levels.size, count[254] / levels.size),
    ]


def of_name(item: str) -> list[float]:
    return [len(item), int(item, 16), *(ord(letter) for letter in item[:8])]


def of_orders(plan: ReadingPlan, item: str) -> list[float]:
    """Place in each order, and how often it is shown again."""
    found = []
    for turns in plan.orders.values():
        names = [turn.item for turn in turns]
        found += [names.index(item), names.count(item)]
    return found


def chance_of(features: np.ndarray, labels: np.ndarray, seed: int = 0) -> float:
    """How likely features tell the labels apart so well where they tell nothing.

    The better of two classifiers: a threshold on the best single feature (area under its ROC curve), and the nearest
    neighbour among all others on all features. Both are compared with themselves on permuted labels, and the smaller of
    both chances is doubled (Bonferroni).
    """
    permuted = np.array([np.random.default_rng([seed, n]).permutation(labels) for n in range(PERMUTATIONS)])
    every = np.vstack([labels, permuted]).astype(bool)
    chances = [
        np.mean(score[1:] >= score[0] - 1e-9) for score in (best_single(features, every), nearest(features, every))
    ]
    return min(1.0, 2 * min(chances))


def best_single(features: np.ndarray, every: np.ndarray) -> np.ndarray:
    """Largest |AUC - 1/2| over the features, for each row of labels."""
    ranks = np.apply_along_axis(rankdata, 0, features)
    positive = every.sum(axis=1, keepdims=True)
    sums = every @ ranks
    auc = (sums - positive * (positive + 1) / 2) / (positive * (every.shape[1] - positive))
    return np.abs(auc - 0.5).max(axis=1)


def nearest(features: np.ndarray, every: np.ndarray) -> np.ndarray:
    """Share of items whose nearest neighbour has the same label, for each row of labels."""
    varying = features[:, np.ptp(features, axis=0) > 0]
    varying = varying - varying.min(axis=0)  # times in nanoseconds are too large to be squared
    scaled = (varying - varying.mean(axis=0)) / varying.std(axis=0)
    distance = np.square(scaled[:, None] - scaled[None]).sum(axis=2)
    np.fill_diagonal(distance, np.inf)
    return (every[:, distance.argmin(axis=1)] == every).mean(axis=1)
