"""Averages are taken by patients, the best is best by its metric, and differences are tested as papers should."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import numpy as np
import pytest

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.evaluation.aggregate import Arrangement, summarise
from MedTranslateLib.evaluation.measurement import Measurement
from MedTranslateLib.evaluation.metric_names import Better, Metric
from MedTranslateLib.evaluation.report.csv_tables import metrics_csv
from MedTranslateLib.evaluation.report.markdown import markdown_tables
from MedTranslateLib.evaluation.report.score_table import legend, score_tables

KNOWN = {
    "gain": Metric("Gain", Better.HIGHER, 2, "What is won."),
    "loss": Metric("Loss [dB]", Better.LOWER, 1, "What is lost."),
    "note": Metric("Note", Better.NEITHER, 3, "What is seen."),
}
PLAIN = Arrangement(definitions=KNOWN)
NAN = math.nan


def figure(method, case, value, metric="gain", **changes):
    return replace(Measurement("T", case, "forward", method, metric, value), **changes)


def figures(method, values, metric="gain"):
    return [figure(method, f"p{number}", value, metric) for number, value in enumerate(values)]


def table_of(measurements, arrangement=PLAIN):
    (table,) = score_tables(summarise(measurements, arrangement), arrangement)
    return table


def only(measurements, arrangement=PLAIN):
    (summary,) = summarise(measurements, arrangement)
    return summary


def by_method(measurements):
    return {summary.method: summary for summary in summarise(measurements, PLAIN)}


def test_several_files_of_a_patient_count_as_one_patient():
    summary = only([figure("A", "p", 1.0), figure("A", "p", 3.0), figure("A", "q", 10.0)])
    assert (summary.n, summary.mean) == (2, 6.0)  # not 14 / 3
    assert summary.sd == pytest.approx(math.sqrt(32))


def test_slices_count_only_where_there_is_no_figure_of_the_case():
    slices = [figure("A", "p", value, slice_index=number) for number, value in enumerate([1.0, 2.0, 6.0])]
    assert only(slices).mean == 3.0
    assert only([*slices, figure("A", "p", 8.0)]).mean == 8.0


def test_patients_without_a_value_are_left_out_and_counted():
    summary = only([*figures("A", [1.0, NAN, 3.0]), figure("A", "p1", NAN)])
    assert (summary.n, summary.undefined, summary.mean) == (2, 1, 2.0)


def test_what_is_defined_for_nobody_is_not_zero():
    measurements = figures("A", [NAN, NAN])
    assert math.isnan(only(measurements).mean)
    assert "| A | 0 | not defined |" in markdown_tables([table_of(measurements)])


def test_a_figure_of_the_whole_set_has_no_interval_and_no_test():
    set_figures = [figure(name, "", value) for name, value in [("A", 1.0), ("B", 2.0)]]
    best = by_method(set_figures)["B"]
    assert best.of_set
    assert (best.mean, best.rank) == (2.0, 1)
    assert math.isnan(best.interval.low)
    assert by_method(set_figures)["A"].comparison is None


def test_figures_of_patients_and_of_the_set_do_not_share_a_name():
    with pytest.raises(ConfigError, match="both of patients and of the whole set"):
        summarise([figure("A", "", 1.0), figure("A", "p", 1.0)], PLAIN)


def test_summaries_do_not_depend_on_the_order_of_measurements():
    chance = np.random.default_rng(5)
    measurements = [m for name in "ABC" for _ in range(3) for m in figures(name, chance.random(9))]
    shuffled = list(measurements)
    random.Random(1).shuffle(shuffled)
    assert summarise(measurements, PLAIN) == summarise(shuffled, PLAIN)
    assert metrics_csv(measurements) == metrics_csv(shuffled)


# Ranks and tests


@pytest.mark.parametrize(("metric", "ranks"), [("gain", [3, 1, 2]), ("loss", [1, 3, 2]), ("note", [None] * 3)])
def test_the_best_is_best_by_the_sense_of_the_metric(metric, ranks):
    measurements = [figure(name, "p", value, metric) for name, value in zip("ABC", [1.0, 5.0, 2.0], strict=True)]
    found = by_method(measurements)
    assert [found[name].rank for name in "ABC"] == ranks


def test_equal_means_are_equally_good_and_what_is_not_defined_has_no_rank():
    found = by_method([figure(name, "p", value) for name, value in zip("ABCD", [2.0, 2.0, 1.0, NAN], strict=True)])
    assert [found[name].rank for name in "ABCD"] == [1, 1, 3, None]


def test_each_method_is_tested_against_the_best_and_corrected_by_holm():
    # Best B. A is worse for all of 8 patients: 2 / 2**8. C is better for the one with the smallest difference:
    # W = 1, reached by 2 of 2**8 sign patterns on each side: 4 / 2**8. Two tests: A doubled, C times one, not below A.
    best = [10.0] * 8
    a = [value - 1 - step / 8 for step, value in enumerate(best)]
    c = [10.1, 9.8, 9.7, 9.6, 9.5, 9.4, 9.3, 9.2]
    found = by_method([*figures("A", a), *figures("B", best), *figures("C", c)])
    assert found["B"].comparison is None
    assert found["A"].comparison.best == "B"
    assert (found["A"].comparison.p, found["C"].comparison.p) == pytest.approx((2 / 256, 4 / 256))
    assert (found["A"].comparison.p_holm, found["C"].comparison.p_holm) == pytest.approx((4 / 256, 4 / 256))
    assert found["A"].comparison.significant


def test_the_legend_says_when_no_test_could_have_been_significant():
    few = table_of([*figures("A", range(5)), *figures("B", range(1, 6))])
    assert any("no test can reach p < 0.05" in said for said in legend(few))
    # Six pairs reach 2 / 64 for one test, but two tests double it to 0.0625.
    one = table_of([*figures("A", range(6)), *figures("B", range(1, 7))])
    two = table_of([*figures("A", range(6)), *figures("B", range(1, 7)), *figures("C", range(-1, 5))])
    assert any("Wilcoxon" in said for said in legend(one))
    assert any("no test can reach" in said for said in legend(two))
