"""Measurements in, one summary for each table, direction, method and metric out: mean over patients, interval, rank."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.evaluation.measurement import Measurement
from MedTranslateLib.evaluation.metric_names import METRICS, Better, Metric
from MedTranslateLib.metrics.statistics import SIGNIFICANT, Interval, bootstrap_interval, holm, paired_test

NO_INTERVAL = Interval(float("nan"), float("nan"))
Key = tuple[str, str, str, str]
"""Table, direction, metric, method."""


@dataclass(frozen=True)
class Comparison:
    """A method against the best one.

    Args:
        best: The method with the best mean.
        pairs: Patients that both have.
        p: Two-sided p-value of the Wilcoxon signed-rank test; NaN without a pair.
        p_holm: The same, corrected for all methods compared by this metric (Holm 1979).
        can_reach: Whether the pairs are enough for `p_holm` to get below 0.05, were this the clearest difference.
    """

    best: str
    pairs: int
    p: float
    p_holm: float
    can_reach: bool

    @property
    def significant(self) -> bool:
        """Whether the method differs from the best one beyond chance."""
        return self.p_holm < SIGNIFICANT


@dataclass(frozen=True)
class Summary:
    """One cell of a table of results.

    Args:
        table, direction, method, metric: As in `Measurement`.
        n: Patients in the mean; 0 where the figure concerns the whole set.
        undefined: Patients for whom the metric is not defined, left out of the mean.
        mean: Mean over patients, or the figure of the set; NaN where it is not defined at all.
        sd: Standard deviation over patients (n - 1); NaN for fewer than two.
        interval: 95 % bootstrap interval of the mean; NaN for fewer than three patients and for a set.
        rank: 1 for the best method by this metric, 2 for the next; None where there is nothing to rank.
        comparison: With the best method; None for that one, for a set and where no way is better.
    """

    table: str
    direction: str
    method: str
    metric: str
    n: int
    undefined: int
    mean: float
    sd: float
    interval: Interval
    rank: int | None = None
    comparison: Comparison | None = None

    @property
    def of_set(self) -> bool:
        """Whether the figure concerns the whole set, so that there are no patients to average."""
        return self.n == 0 and self.undefined == 0


@dataclass(frozen=True)
class Arrangement:
    """In which order, and by which definitions, results are told.

    Args:
        tables: Titles in their order; others follow by name.
        methods: Methods in their order, or what stands before " @ " in their names; others follow by name.
        definitions: What is known of each metric, in the order of columns; others follow by name.
    """

    tables: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    definitions: Mapping[str, Metric] = field(default_factory=lambda: METRICS)

    def better(self, metric: str) -> Better:
        """Which way a metric improves; `neither` for an unknown one."""
        return self.definitions[metric].better if metric in self.definitions else Better.NEITHER

    def order(self, key: Key) -> tuple[object, ...]:
        """Sorts by table, direction, metric and method."""
        table, direction, metric, method = key
        stem = method if method in self.methods else method.partition(" @ ")[0]
        return (
            *_place(table, self.tables),
            direction,
            *_place(metric, list(self.definitions)),
            *_place(stem, self.methods),
            _natural(method),
        )


def summarise(measurements: Iterable[Measurement], arrangement: Arrangement, seed: int = 0) -> list[Summary]:
    """Summaries of all tables; the order of the measurements does not matter.

    Args:
        measurements: Any number of figures for each patient; a case without a name stands for the whole set.
        arrangement: Order of the tables, methods and metrics.
        seed: Of the bootstrap.

    Returns:
        One for each table, direction, metric and method, in the order of the arrangement.

    Raises:
        ConfigError: If a metric has figures both of patients and of the whole set.
    """
    groups: dict[Key, dict[str, float]] = {}
    for one in patient_figures(measurements):
        groups.setdefault((one.table, one.direction, one.metric, one.method), {})[one.case] = one.value
    families: dict[tuple[str, str, str], list[Summary]] = {}
    for key in sorted(groups, key=arrangement.order):
        families.setdefault(key[:3], []).append(_summary(key, groups[key], seed))
    return [
        each
        for (table, direction, metric), family in families.items()
        for each in _compared(family, groups, arrangement.better(metric))
    ]


def patient_figures(measurements: Iterable[Measurement]) -> list[Measurement]:
    """One figure for each table, case, direction, method and metric, sorted by these.

    Args:
        measurements: In any order; several files of a patient each have their own.

    Returns:
        The mean of the figures of the whole case, or of its slices where there are no others. NaN is left out of the
        mean, and is what remains where there is nothing else.
    """
    groups: dict[tuple[str, str, str, str, str], list[Measurement]] = {}
    for one in measurements:
        groups.setdefault((one.table, one.case, one.direction, one.method, one.metric), []).append(one)
    return [replace(groups[key][0], value=_patient_value(groups[key]), slice_index=None) for key in sorted(groups)]


def _patient_value(group: Sequence[Measurement]) -> float:
    whole = [one.value for one in group if one.slice_index is None]
    # Sorted, as the last digit of a sum depends on the order of its terms.
    values = sorted(value for value in whole or [one.value for one in group] if not np.isnan(value))
    return float(np.mean(values)) if values else float("nan")


def _summary(key: Key, figures: Mapping[str, float], seed: int) -> Summary:
    table, direction, metric, method = key
    if "" in figures:
        if len(figures) > 1:
            msg = f"The metric {metric} of {method} in {table!r} has figures both of patients and of the whole set."
            msg += " Give the two different names."
            raise ConfigError(msg)
        return Summary(table, direction, method, metric, 0, 0, figures[""], float("nan"), NO_INTERVAL)
    values = np.array([figures[case] for case in sorted(figures) if not np.isnan(figures[case])])
    undefined = len(figures) - len(values)
    mean = float(values.mean()) if len(values) else float("nan")
    finite = bool(np.isfinite(values).all())
    sd = float(values.std(ddof=1)) if len(values) > 1 and finite else float("nan")
    interval = bootstrap_interval(values, seed)
    return Summary(table, direction, method, metric, len(values), undefined, mean, sd, interval)


def _compared(family: Sequence[Summary], groups: Mapping[Key, Mapping[str, float]], better: Better) -> list[Summary]:
    defined = [each for each in family if not np.isnan(each.mean)]
    if better is Better.NEITHER or len(defined) < 2:
        return list(family)
    sign = -1.0 if better is Better.HIGHER else 1.0
    ranks = {each.method: 1 + sum(sign * other.mean < sign * each.mean for other in defined) for each in defined}
    best = next(each for each in defined if ranks[each.method] == 1)
    others = [each for each in defined if each.n and each is not best]
    comparisons = _comparisons(best, others, groups)
    return [replace(each, rank=ranks.get(each.method), comparison=comparisons.get(each.method)) for each in family]


def _comparisons(
    best: Summary, others: Sequence[Summary], groups: Mapping[Key, Mapping[str, float]]
) -> dict[str, Comparison]:
    reference = groups[best.table, best.direction, best.metric, best.method]
    tests = {
        each.method: paired_test(groups[each.table, each.direction, each.metric, each.method], reference)
        for each in others
    }
    made = [name for name, test in tests.items() if test.pairs]
    corrected = dict(zip(made, holm([tests[name].p for name in made]), strict=True))
    return {
        name: Comparison(
            best.method,
            test.pairs,
            test.p,
            corrected.get(name, float("nan")),
            can_reach=test.smallest_p * len(made) < SIGNIFICANT,
        )
        for name, test in tests.items()
    }


def _place(name: str, known: Sequence[str]) -> tuple[int, tuple[object, ...]]:
    return (known.index(name), ()) if name in known else (len(known), _natural(name))


def _natural(name: str) -> tuple[object, ...]:
    """Sorts "2 steps" before "10 steps"."""
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name))
