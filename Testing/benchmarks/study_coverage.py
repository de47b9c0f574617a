"""How often the figures of a reader study are right: false positives of readers who guess, coverage of intervals.

    python Testing/benchmarks/study_coverage.py [--simulations 4000] [--seed 1] [--out TABLE.md]

Readers are drawn from known distributions: guessers, a binormal model with a known area, raters who agree by a known
kappa. Prints a table in Markdown, and one line of JSON. The rates have a standard error of sqrt(p (1 - p) / n), 0.3 %
at 95 % and 4000 simulations.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from MedTranslateLib.metrics.statistics import Interval
from MedTranslateLib.studies.accuracy import binomial_test, proportion, sealed_lot
from MedTranslateLib.studies.agreement import cohen_kappa, fleiss_kappa, icc_2_1, icc_3_1
from MedTranslateLib.studies.ratings import Rating
from MedTranslateLib.studies.resampling import draw, mean_interval
from MedTranslateLib.studies.roc import area, paired_difference, placements
from MedTranslateLib.studies.roc_study import roc_findings
from MedTranslateLib.studies.study import QuestionKind

GUESSERS = 10_000
SLOW_SHARE = 10
"""Bootstraps are simulated so many times less often."""


@dataclass(frozen=True)
class Rate:
    """One line of the table: what was simulated, what it should be, and how often it was."""

    what: str
    expected: str
    rate: float
    simulations: int


def false_positives(items: int, readers: int, seed: int) -> dict[str, float]:
    """Share of guessing readers that each test accuses at 5 %, each with the lot of his own name."""
    right = np.random.default_rng(seed).binomial(items, 0.5, readers)
    ends = [(binomial_test(count, items, 0.0), binomial_test(count, items, 1.0)) for count in range(items + 1)]
    lots = np.array([sealed_lot(f"secret {seed}", "turing", f"reader {number}") for number in range(readers)])
    least, most = (np.array([end[side].lot for end in ends])[right] for side in (0, 1))
    p = {"exact": most, "mid": (least + most) / 2, "lot": least + lots * (most - least)}
    return {name: float((values <= 0.05).mean()) for name, values in p.items()}


def covered(truth: float, simulate: Callable[[np.random.Generator], Interval], count: int, seed: int) -> float:
    """Share of intervals that hold the truth; one that cannot be computed does not."""
    rng = np.random.default_rng(seed)
    held = [one.low <= truth <= one.high for one in (simulate(rng) for _ in range(count))]
    return float(np.mean(held))


def binormal(auc: float) -> float:
    """Distance of two normal distributions of equal width whose area under the ROC curve is this."""
    return float(np.sqrt(2) * stats.norm.ppf(auc))


def raters_with_kappa(
    kappa: float, shares: np.ndarray, images: int, raters: int, rng: np.random.Generator
) -> np.ndarray:
    """Answers, shape (images, raters), of which Fleiss' and Cohen's kappa is exactly this in the long run.

    With probability kappa all give one answer to an image, else each draws his own; two answers then agree with
    probability kappa + (1 - kappa) * sum(shares**2).
    """
    own = rng.choice(len(shares), (images, raters), p=shares)
    one = rng.choice(len(shares), (images, 1), p=shares)
    return np.where(rng.random((images, 1)) < kappa, one, own).astype(float)


def graded(deviations: tuple[float, float, float], images: int, raters: int, rng: np.random.Generator) -> np.ndarray:
    """Grades of the two-way model: deviations of images, raters and of single answers, in this order."""
    of_images, of_raters, of_answers = deviations
    images_part, raters_part = rng.normal(0, of_images, (images, 1)), rng.normal(0, of_raters, (1, raters))
    return images_part + raters_part + rng.normal(0, of_answers, (images, raters))


def answers_of_guessers(rng: np.random.Generator) -> Interval:
    """Six readers guess on 40 images."""
    right = rng.integers(0, 2, (6, 40)).astype(float)
    return over_readers_and_cases(right, rng)


def answers_of_differing_readers(rng: np.random.Generator) -> Interval:
    """Six readers of differing skill judge 40 images of differing difficulty; half of all answers are right."""
    skill, ease = rng.normal(0, 0.8, (6, 1)), rng.normal(0, 0.8, (1, 40))
    right = skill + ease + rng.normal(0, 1, (6, 40)) > 0
    return over_readers_and_cases(right.astype(float), rng)


def over_readers_and_cases(right: np.ndarray, rng: np.random.Generator) -> Interval:
    """The interval of the report."""
    readers, cases = right.shape
    weights = draw(readers, np.arange(cases), np.zeros(cases, np.intp), int(rng.integers(2**31)))
    return mean_interval(right, weights)


def average_area(rng: np.random.Generator) -> Interval:
    """Mean area of six readers of differing skill on 40 + 40 cases of differing difficulty; 0.8 in the long run.

    A rating is truth times (mean skill + that of the reader), plus a part of the case and one of its own, each with
    variance 1/2; the mean area of all such readers is Phi(mean skill / sqrt(2 + variance of skill)).
    """
    skill = stats.norm.ppf(0.8) * np.sqrt(2 + 0.3**2) + rng.normal(0, 0.3, (6, 1))
    truths = np.repeat([0, 1], 40)
    ratings = truths * skill + rng.normal(0, np.sqrt(0.5), (1, 80)) + rng.normal(0, np.sqrt(0.5), (6, 80))
    made = [
        Rating(
            f"r{row}",
            f"c{column}",
            f"c{column}",
            "real",
            "q",
            QuestionKind.CONFIDENCE,
            ratings[row, column],
            truth,
            1.0,
        )
        for row in range(6)
        for column, truth in enumerate(truths.tolist())
    ]
    return roc_findings(made, int(rng.integers(2**31))).averages[0].resampled


def area_interval(auc: float, negative: int, positive: int, *, plain: bool = False) -> Callable[..., Interval]:
    """Interval of one reader whose ratings are normal in both classes."""

    def simulate(rng: np.random.Generator) -> Interval:
        found = area(rng.normal(0, 1, negative), rng.normal(binormal(auc), 1, positive))
        return found.plain_interval if plain else found.interval

    return simulate


def difference_interval(first: float, second: float, cases: int) -> Callable[..., Interval]:
    """Interval of the difference of two treatments whose ratings are correlated by one half within a patient."""

    def simulate(rng: np.random.Generator) -> Interval:
        placed = []
        shared = rng.normal(0, np.sqrt(0.5), (2, cases))
        for auc in (first, second):
            own = shared + rng.normal(0, np.sqrt(0.5), (2, cases))
            placed.append(placements(own[0], own[1] + binormal(auc)))
        return paired_difference(*placed).interval

    return simulate


def rates(count: int, seed: int) -> Iterator[Rate]:
    """Every line."""
    for items in (10, 20, 30, 40, 60, 100):
        for name, found in false_positives(items, GUESSERS, seed).items():
            expected = "4.5 to 5.5 %" if name == "lot" else "at most 5 %" if name == "exact" else "about 5 %"
            yield Rate(f"Turing test, {items} images, p {name} <= 0.05 of guessing readers", expected, found, GUESSERS)
    yield from _areas(count, seed)
    yield from _agreement(count, seed)
    few = max(count // SLOW_SHARE, 1)
    for told, simulate in (
        ("accuracy over readers and cases, 6 guessers, 40 images", answers_of_guessers),
        ("accuracy over readers and cases, 6 differing readers, 40 differing images", answers_of_differing_readers),
    ):
        yield Rate(told, "95 % or more" if "guess" in told else "95 %", covered(0.5, simulate, few, seed), few)
    told = "mean AUC 0.8 over readers and cases, 6 differing readers, 40 + 40 cases"
    yield Rate(told, "95 %", covered(0.8, average_area, few, seed), few)


def _areas(count: int, seed: int) -> Iterator[Rate]:
    for auc, cases in ((0.6, 30), (0.75, 50), (0.85, 50), (0.9, 100)):
        told = f"AUC {auc}, {cases} + {cases} cases"
        yield Rate(f"{told}, DeLong logit", "95 %", covered(auc, area_interval(auc, cases, cases), count, seed), count)
        plain = covered(auc, area_interval(auc, cases, cases, plain=True), count, seed)
        yield Rate(f"{told}, DeLong plain", "95 %", plain, count)
    difference = covered(0.1, difference_interval(0.85, 0.75, 60), count, seed)
    yield Rate("difference of two AUC, 0.85 and 0.75, 60 + 60 paired cases, DeLong", "95 %", difference, count)
    exact = covered(0.7, lambda rng: proportion(int(rng.binomial(40, 0.7)), 40).interval, count, seed)
    yield Rate("share 0.7 of 40 answers, Clopper-Pearson", "95 % or more", exact, count)


def _agreement(count: int, seed: int) -> Iterator[Rate]:
    even, skew = np.array([0.5, 0.5]), np.array([0.5, 0.3, 0.2])
    for kappa, images, raters in ((0.3, 100, 3), (0.6, 100, 5)):

        def fleiss(
            rng: np.random.Generator, kappa: float = kappa, images: int = images, raters: int = raters
        ) -> Interval:
            return fleiss_kappa(raters_with_kappa(kappa, skew, images, raters, rng)).interval

        yield Rate(
            f"Fleiss' kappa {kappa}, {images} images, {raters} readers",
            "95 %",
            covered(kappa, fleiss, count, seed),
            count,
        )
    for kappa, images in ((0.4, 100), (0.7, 150)):

        def cohen(rng: np.random.Generator, kappa: float = kappa, images: int = images) -> Interval:
            return cohen_kappa(*raters_with_kappa(kappa, even, images, 2, rng).T).interval

        yield Rate(f"Cohen's kappa {kappa}, {images} images", "95 %", covered(kappa, cohen, count, seed), count)
    spread = (1.0, 0.5, 1.0)
    absolute, consistent = 1 / 2.25, 1 / 2
    one = covered(absolute, lambda rng: icc_2_1(graded(spread, 40, 6, rng)).interval, count, seed)
    other = covered(consistent, lambda rng: icc_3_1(graded(spread, 40, 6, rng)).interval, count, seed)
    yield Rate(f"ICC(2,1) {absolute:.2f}, 40 images, 6 readers", "95 %", one, count)
    yield Rate(f"ICC(3,1) {consistent:.2f}, 40 images, 6 readers", "95 %", other, count)


def main() -> int:
    """Simulates and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    found = list(rates(arguments.simulations, arguments.seed))
    lines = ["| simulated | expected | found | simulations |", "|---|---|---|---|"]
    lines += [f"| {one.what} | {one.expected} | {100 * one.rate:.2f} % | {one.simulations} |" for one in found]
    text = "\n".join(lines) + "\n"
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
    print(text)
    print(json.dumps([asdict(one) for one in found]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
