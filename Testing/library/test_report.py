"""Tables and pages state what was measured, with honest marks, pictures on one scale and names that stay names."""

from __future__ import annotations

import base64
import io
import itertools
import json
import math
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.quiver import Quiver
from test_aggregate import KNOWN, NAN, PLAIN, figure, figures, table_of

from MedTranslateLib.evaluation.aggregate import Arrangement, summarise
from MedTranslateLib.evaluation.measurement import Findings, Pictured, Problem, Severity
from MedTranslateLib.evaluation.report import curves, pictures
from MedTranslateLib.evaluation.report.content import Report
from MedTranslateLib.evaluation.report.csv_tables import metrics_csv, slices_csv
from MedTranslateLib.evaluation.report.dot_plots import dot_plot
from MedTranslateLib.evaluation.report.html import report_page
from MedTranslateLib.evaluation.report.latex import escape_latex, latex_tables
from MedTranslateLib.evaluation.report.markdown import escape_markdown, markdown_tables
from MedTranslateLib.evaluation.report.score_table import score_tables
from MedTranslateLib.evaluation.report.summary_json import summary_document

EVIL = "<script>alert('1')</script>&\udc80\n\"x"


# Text


def test_the_csv_has_a_sorted_row_for_each_case_method_and_metric():
    measurements = [
        figure("B, b", "p2", 1 / 3),
        figure("A", "p2", NAN),
        figure("A", "p1", 1.0),
        figure("A", "p1", 2.0),
        figure("A", "", 1234567.0, "set"),
    ]
    assert metrics_csv(measurements).splitlines() == [
        "table,case,direction,method,metric,value",
        "T,,forward,A,set,1.23457e+06",
        "T,p1,forward,A,gain,1.5",
        "T,p2,forward,A,gain,",
        'T,p2,forward,"B, b",gain,0.333333',
    ]


def test_slices_have_a_table_of_their_own_in_numerical_order():
    measurements = [figure("A", "p", NAN, slice_index=10), figure("A", "p", 0.5, slice_index=9), figure("A", "p", 7.0)]
    assert slices_csv(measurements).splitlines() == [
        "table,case,direction,method,metric,value,slice_index",
        "T,p,forward,A,gain,0.5,9",
        "T,p,forward,A,gain,,10",
    ]


def scores():
    """A is worse by gain for each of seven patients, beyond chance: 2 / 2**7."""
    gains = [*figures("A_1", [1.0] * 7), *figures("B|2", np.arange(2, 9) / 2)]
    return table_of([*gains, figure("A_1", "", -0.01, "loss"), figure("B|2", "", 3.0, "note")])


def test_markdown_marks_best_second_and_significance():
    lines = markdown_tables([scores()]).splitlines()
    assert lines[0] == "### T, forward"
    assert lines[2:6] == [
        "| method | patients | Gain \N{UPWARDS ARROW} | Loss \\[dB\\] \N{DOWNWARDS ARROW} | Note |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| A\\_1 | 7 | <u>1.00</u>\N{DAGGER} | 0.0 | \N{EN DASH} |",
        "| B\\|2 | 7 | **2.50** | \N{EN DASH} | 3.000 |",
    ]


def test_intervals_stand_behind_the_means_where_they_are_asked_for():
    assert "<u>1.00</u>\N{DAGGER} (1.00 to 1.00)" in markdown_tables([scores()], intervals=True)
    assert r"\underline{1.00}$^{\dagger}$ (1.00 to 1.00)" in latex_tables([scores()], intervals=True)


def test_latex_marks_best_second_and_significance():
    lines = latex_tables([scores()]).splitlines()
    assert lines[5:12] == [
        r"\toprule",
        r"method & patients & Gain $\uparrow$ & Loss {[}dB] $\downarrow$ & Note \\",
        r"\midrule",
        r"A\_1 & 7 & \underline{1.00}$^{\dagger}$ & 0.0 & -- \\",
        r"B\textbar{}2 & 7 & \textbf{2.50} & -- & 3.000 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]
    assert lines[4] == r"\begin{tabular}{lrrrr}"
    assert r"95 \% bootstrap" in lines[3]


def test_no_special_character_gets_through():
    assert escape_latex(r"50 % & #1_a {b}~^$\|<") == (
        r"50 \% \& \#1\_a \{b\}\textasciitilde{}\textasciicircum{}\$\textbackslash{}\textbar{}\textless{}"
    )
    assert escape_markdown("a|b_c*<i>`#1\n") == r"a\|b\_c\*\<i\>\`\#1\\n"


def test_unknown_metrics_and_infinite_figures_are_told_too():
    table = table_of([figure("A", "", 123.456, "own_metric"), figure("A", "p", math.inf, "gain")])
    row = markdown_tables([table]).splitlines()[2:5]
    assert "| own\\_metric |" in row[0]
    assert row[2] == "| A | 1 | \N{INFINITY} | 123.5 |"


def test_methods_and_tables_stand_in_the_order_asked_for_and_numbers_count():
    names = ["zero", "B @ 10 steps", "B @ 2 steps", "A", "C"]
    arrangement = Arrangement(tables=("Z",), methods=("C", "B"), definitions=KNOWN)
    tables = [figure(name, "p", 1.0, table=title) for name in names for title in "AZ"]
    found = score_tables(summarise(tables, arrangement), arrangement)
    assert [table.table for table in found] == ["Z", "A"]
    assert found[0].methods == ("C", "B @ 2 steps", "B @ 10 steps", "A", "zero")


def test_the_json_summary_holds_no_nan():
    measurements = [*figures("A", [1.0, 2.0]), *figures("B", [NAN]), figure("A", "p", math.inf, "note")]
    document = json.loads(json.dumps(summary_document(summarise(measurements, PLAIN)), allow_nan=False))
    first, second, infinite = document["summaries"]
    assert (first["mean"], first["n"], first["interval"]) == (1.5, 2, {"low": None, "high": None})
    assert (second["mean"], second["undefined"]) == (None, 1)
    assert infinite["mean"] == "inf"


# Curves and pictures


def test_settings_are_read_from_the_names_of_methods():
    assert curves.setting_of("A @ 1 step") == curves.Setting("A", 1.0, "steps")
    assert curves.setting_of("A @ b @ 2.5 % paired") == curves.Setting("A @ b", 2.5, "% paired")
    assert curves.setting_of("A @ ten steps") is None
    assert curves.setting_of("A @ 10 steps more") is None


def test_a_curve_has_rising_amounts_and_gaps_where_nothing_was_measured():
    names = ["A @ 10 steps", "A @ 2 steps", "A @ 1 step", "once @ 5 steps", "plain"]
    bases = curves.sweeps(names)
    assert bases == {"steps": {"A": ["A @ 1 step", "A @ 2 steps", "A @ 10 steps"]}}
    table = table_of([figure("A @ 10 steps", "p", 3.0), figure("A @ 1 step", "p", 1.0)])
    points = curves.points(table, "gain", bases["steps"]["A"])
    assert [point.amount for point in points] == [1, 2, 10]
    assert [point.mean for point in points] == pytest.approx([1.0, NAN, 3.0], nan_ok=True)


def image_of(address, kind):
    head, _, data = address.partition(",")
    assert head == f"data:image/{kind};base64"
    return base64.b64decode(data)


def test_a_dot_plot_has_a_dot_for_each_defined_figure_at_its_value():
    values = [1.0, 2.0, NAN, 5.0]
    measurements = [*figures("A", values), *figures("B", [3.0] * 4)]
    root = ET.fromstring(image_of(dot_plot(table_of(measurements), measurements, ["A", "B"], ["gain"]), "svg+xml"))
    groups = [g for g in root.iter("{http://www.w3.org/2000/svg}g") if g.get("id", "").startswith("PathCollection")]
    places = [[float(use.get("x")) for use in g.iter("{http://www.w3.org/2000/svg}use")] for g in groups]
    assert [len(row) for row in places] == [3, 4]
    first, second, third = places[0]
    assert (third - second) / (second - first) == pytest.approx(3.0, rel=1e-4)
    assert places[1][0] == pytest.approx((second + third) / 2 - (third - second) / 6, rel=1e-4)


def example(method="A", case="p", **changes):
    flat = np.full((24, 20), 0.5, np.float32)
    error = np.zeros((24, 20), np.float32)
    error[:12], error[12:] = 0.3, -0.3
    made = Pictured("T", case, "forward", method, flat * 0, flat + error, flat)
    return replace(made, **changes)


def test_errors_have_a_sign_and_grey_images_one_window():
    shown = example()
    panels = pictures.columns([shown])
    assert [panel.title.split(",")[0] for panel in panels] == ["Source", "Output (synthetic)", "Target", "Error"]
    rgb = imread(io.BytesIO(image_of(pictures.strip(shown, panels), "png")))[..., :3]
    height, width = rgb.shape[:2]
    upper, lower = int(height * 0.3), int(height * 0.7)
    columns = [int(width * (number + 0.5) * 2.69 / 11.2) for number in range(4)]
    grey = rgb[[upper, lower]][:, columns[:3]]
    np.testing.assert_allclose(grey, [[[0.0] * 3, [0.8] * 3, [0.5] * 3], [[0.0] * 3, [0.2] * 3, [0.5] * 3]], atol=0.01)
    brighter, darker = rgb[upper, columns[3]], rgb[lower, columns[3]]
    assert brighter[0] > 2 * brighter[2]  # red
    assert darker[2] > 2 * darker[0]  # blue


def test_arrows_point_from_the_output_to_the_source_row_first():
    figure_ = Figure()
    axes: Axes = figure_.add_subplot()
    down = np.stack([np.full((32, 48), 2.0), np.zeros((32, 48))]).astype(np.float32)
    field_panel = pictures.columns([example(displacement=down)])[-1]
    field_panel.draw(axes, example(output=np.zeros((32, 48), np.float32)), down)
    (arrows,) = [child for child in axes.get_children() if isinstance(child, Quiver)]
    assert np.all(arrows.U == 0)
    assert np.all(arrows.V == 2.0)  # steps of 48 / 16 = 3 pixels leave room for arrows of once their length
    assert axes.yaxis_inverted()


def test_panels_that_no_example_fills_are_left_out():
    titles = [panel.title for panel in pictures.columns([example(target=None)])]
    assert titles == ["Source", "Output (synthetic)"]
    spread = np.full((24, 20), 0.1, np.float32)
    both = pictures.columns([example(target=None), example(uncertainty=spread)])
    assert [panel.title for panel in both][-1] == "Uncertainty"
    assert len(both) == 5


# The page


class Page(HTMLParser):
    """Tags, addresses and visible text of a page, as a browser takes it apart."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.words, self.text = [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]
        self.words += [value for name, value in attrs if name in ("alt", "title")]

    def handle_data(self, data):
        self.text += data


def report(**changes):
    measurements = (*figures("A", [1.0, 2.0, 4.0]), *figures("B", [2.0, 3.0, NAN]), figure(EVIL, EVIL, 1.0, EVIL))
    problems = (
        Problem("T", EVIL, "", "It was noted.", Severity.NOTED),
        Problem("T", "p2", "B", "Without a target it failed."),
    )
    pictures_ = (example(case=EVIL, method=EVIL), example())
    settings = {"Run": {"command": f"evaluate {EVIL}", "sha256": "9f86d08"}}
    made = Report(f"Title {EVIL}", Findings(measurements, pictures_, problems), "today", settings, PLAIN)
    return replace(made, **changes)


def test_names_of_files_cannot_become_part_of_the_page():
    page = Page(report_page(report()))
    assert "script" not in page.tags
    shown = EVIL.replace("\udc80", "\\udc80").replace("\n", "\\n")
    assert page.text.count(shown) >= 6
    assert shown in "".join(page.words)


def test_the_page_loads_nothing_and_is_the_same_every_time():
    text = report_page(report())
    addresses = Page(text).addresses
    assert len([address for address in addresses if address.startswith("data:image/")]) == 3
    assert all(address.startswith(("data:image/", "#")) for address in addresses)
    assert "url(" not in text
    assert "@import" not in text
    assert text.encode("utf-8") == report_page(report()).encode("utf-8")


def test_links_of_the_page_lead_somewhere():
    text = report_page(report())
    for address in Page(text).addresses:
        if address.startswith("#"):
            assert f'id="{address[1:]}"' in text


def test_the_page_says_first_that_it_is_synthetic_then_what_went_wrong():
    text = Page(report_page(report())).text
    order = [
        "SYNTHETIC, for research use only",
        "1 failed: asked for, but not measured. 1 noted",
        "Without a target it failed.",
        "It was noted.",
        "Direction: forward",
        "What is won.",
        "9f86d08",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_only_figures_that_were_all_measured_let_the_page_say_so():
    assert "Every figure that was asked for was measured." not in report_page(report())
    whole = report(findings=Findings(tuple(figures("A", [1.0]))))
    assert "Every figure that was asked for was measured." in report_page(whole)


def test_the_table_of_the_page_holds_means_marks_and_what_is_missing():
    page = report_page(report())
    assert '<span class="best">2.50</span>' in page
    assert '<span class="second">2.33</span>' in page
    assert "<small>1 not defined</small>" in page
    assert "n = 3, sd = 1.53; against B: 2 pairs, p = 0.5, after Holm 0.5" in page


def test_metrics_are_defined_once_and_only_those_that_are_used():
    page = report_page(report())
    assert page.count("<dd>What is won.</dd>") == 1
    assert "What is lost." not in page
    assert "No definition is stored for this metric" in page


def test_an_empty_evaluation_still_has_its_page():
    page = report_page(report(findings=Findings(problems=(Problem("T", "", "", "Nothing could be read."),))))
    assert "Nothing could be read." in page
    assert "No figures and no pictures were made." in page


def test_swept_methods_are_drawn_as_curves_and_others_as_dots():
    names = ["A @ 1 step", "A @ 10 steps", "plain", "other"]
    measurements = tuple(itertools.chain.from_iterable(figures(name, [1.0, 2.0, 3.0]) for name in names))
    page = report_page(report(findings=Findings(measurements)))
    assert page.count("data:image/svg+xml") == 2
    assert "Means against steps" in page
    one_less = tuple(one for one in measurements if one.method != "other")
    assert report_page(report(findings=Findings(one_less))).count("data:image/svg+xml") == 1
