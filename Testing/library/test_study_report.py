"""`medtranslate study analyse` writes a page that carries all it shows, and refuses what it should."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from study_readers import LESION, REALISM, TURING, Skill, key_of, prepared, read_study, small_study

from MedTranslateLib.cli.main import main
from MedTranslateLib.core.errors import StudyError
from MedTranslateLib.studies.findings import analyse
from MedTranslateLib.studies.key import KEY
from MedTranslateLib.studies.ratings import Joined, Rating
from MedTranslateLib.studies.report import Bar, Dot, RocLine, Scale, bar_plot, dot_plot, roc_plot
from MedTranslateLib.studies.report_elements import number, p_value, table
from MedTranslateLib.studies.report_sections import verdict
from MedTranslateLib.studies.session_opening import open_key
from MedTranslateLib.studies.study import QuestionKind
from MedTranslateLib.studies.turing import turing_accuracy

SKILLS = {"anna": Skill(0.9, 2.0), "ben": Skill(0.5, 1.0)}
EVIL = "<script>alert('1')</script>"


class Page(HTMLParser):
    """The text of a page, its headings and its addresses."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.addresses, self.headings, self.text = set(), [], [], ""
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self._open = tag
        self.addresses += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        if self._open != "style":
            self.text += data
        if self._open in ("h1", "h2", "h3"):
            self.headings.append(data)
        self._open = ""


def read(place, study, stop_after=None):
    """A study that was read, and its key opened."""
    made = prepared(study, place)
    read_study(made.folder, made.key_file, SKILLS, stop_after=stop_after)
    open_key(made.folder, made.key_file, anyway=stop_after is not None)
    return made


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished study with its report."""
    place = tmp_path_factory.mktemp("finished")
    made = read(place, small_study(title=f"A study {EVIL}", patients=8, pairs=6))
    assert main(["study", "analyse", str(made.folder), "--out", str(place / "report")]) == 0
    return made


@pytest.fixture(scope="module")
def page(finished):
    return Page((finished.folder.parent / "report" / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def summary(finished):
    return json.loads((finished.folder.parent / "report" / "summary.json").read_text(encoding="utf-8"))


def test_the_page_carries_everything_and_loads_nothing(page):
    assert page.addresses
    assert all(address.startswith(("data:image/svg+xml;base64,", "#")) for address in page.addresses)
    assert "script" not in page.tags
    for address in page.addresses:
        if address.startswith("data:"):
            drawn = ET.fromstring(base64.b64decode(address.partition(",")[2]))
            assert drawn.tag.endswith("svg")


def test_the_page_says_who_read_what_and_that_the_key_fits_the_seal(page, finished):
    assert "16 of 16" not in page.text  # 16 images, 6 pairs and 4 repeats
    assert page.text.count("26 of 26") == 2
    assert finished.key_sha256 in page.text
    assert "is the published one" in page.text
    assert EVIL in page.text  # as text, not as an element


def test_the_page_has_a_part_for_each_question_and_the_papers_tables(page):
    for expected in ("turing", "realism", "lesions", "lesion", "places", "which", "better"):
        assert any(heading.startswith(f"{expected}: ") for heading in page.headings)
    told = " ".join(page.headings)
    assert "(Bi-DPM, table 3)" in told
    assert "(Bi-DPM, table 4)" in told
    assert "(Plasticine, table VI)" in told


def test_the_page_does_not_claim_more_than_it_knows(page):
    assert "2 readers: too few" in page.text
    assert "a Turing test alone does not show clinical value" in page.text
    assert "Not told from guessing is not the same as indistinguishable" in page.text
    assert "INTERIM" not in page.text


def test_equal_studies_give_equal_pages(finished, tmp_path):
    assert main(["study", "analyse", str(finished.folder), "--out", str(tmp_path / "again")]) == 0
    for made in sorted((finished.folder.parent / "report").iterdir()):
        assert (tmp_path / "again" / made.name).read_bytes() == made.read_bytes()


def test_the_summary_has_the_figures_that_the_ratings_give(finished, summary):
    rows = (finished.folder.parent / "report" / "ratings.csv").read_text(encoding="utf-8").splitlines()
    head, *rows = [row.split(",") for row in rows]
    place = {name: number for number, name in enumerate(head)}
    first = [row for row in rows if row[place["question"]] == "turing" and row[place["repeat"]] == "0"]
    right = [row for row in first if (row[place["treatment"]] != "real") == (row[place["value"]] == "1")]
    (turing,) = [one for one in summary["questions"] if one["question"]["id"] == "turing"]
    assert turing["ratings"] == len(first) == 32
    assert turing["turing"][-1]["share"]["right"] == len(right)
    grades = [
        float(row[place["value"]])
        for row in rows
        if row[place["question"]] == "realism" and row[place["repeat"]] == "0"
    ]
    (graded,) = [one for one in summary["questions"] if one["question"]["id"] == "realism"]
    assert graded["grades"][-1]["mean"] == pytest.approx(sum(grades) / len(grades))


def test_json_is_printed_for_programs(finished, tmp_path, capsys):
    assert main(["study", "analyse", str(finished.folder), "--out", str(tmp_path / "out"), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["key_sha256"] == finished.key_sha256


def test_an_earlier_report_is_never_written_over(finished, tmp_path, capsys):
    (tmp_path / "kept.txt").write_text("mine")
    assert main(["study", "analyse", str(finished.folder), "--out", str(tmp_path)]) == 2
    assert "there already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


def test_a_sealed_key_is_not_opened_by_an_analysis(tmp_path, capsys):
    made = prepared(small_study(patients=2, pairs=0, repeats=0), tmp_path)
    assert main(["study", "analyse", str(made.folder), "--out", str(tmp_path / "report")]) == 2
    assert "has not been opened" in capsys.readouterr().err
    assert not (tmp_path / "report").exists()
    assert not (made.folder / KEY).exists()


def test_unfinished_readings_are_analysed_only_if_asked_and_marked_everywhere(tmp_path, capsys):
    made = read(tmp_path, small_study(patients=4, pairs=0, repeats=0), stop_after=6)
    asked = ["study", "analyse", str(made.folder), "--out", str(tmp_path / "report")]
    assert main(asked) == 2
    assert "anna (6 of 8 items), ben (6 of 8 items)" in capsys.readouterr().err
    assert not (tmp_path / "report").exists()
    assert main([*asked, "--anyway"]) == 0
    text = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "INTERIM: not all readers had finished" in Page(text).text
    assert "@top-right" in text  # every printed page


def test_a_study_that_nobody_answered_has_no_report():
    with pytest.raises(StudyError, match="no answers to analyse"):
        analyse(Joined((), 3, 0, 0), key_of(small_study()))


def ratings_of(question, values, truths=(0, 1, 0, 1, 0, 1)):
    """Six items of one reader, every second synthetic."""
    made = ("real", "Bi-DPM")
    return tuple(
        Rating(
            "anna",
            f"c{n}",
            f"i{n}",
            made[n % 2],
            question.id,
            question.kind,
            value,
            truths[n // 2],
            1.0,
            subject=f"p{n // 2}",
        )
        for n, value in enumerate(values)
    )


def test_equal_answers_of_a_single_reader_give_notes_and_no_made_up_interval():
    study = small_study(patients=3, pairs=0, repeats=0, readers=("anna",), questions=(TURING, REALISM, LESION))
    same = [*ratings_of(TURING, [0] * 6), *ratings_of(REALISM, [2] * 6), *ratings_of(LESION, [50] * 6)]
    found = analyse(Joined(tuple(same), 0, 0, 0), key_of(study))
    assert "Only anna answered" in found.notes[0]
    turing, realism, lesion = found.questions
    assert all("same answer" in one.notes[0] for one in found.questions)
    assert turing.turing[0].leaning_free.exact == 1.0
    assert str(realism.grades[0].interval.low) == "nan"
    assert lesion.roc.readings[0].area.auc == 0.5
    assert turing.between is None


def test_a_question_that_nobody_answered_says_so():
    study = small_study(patients=3, pairs=0, repeats=0, questions=(TURING, REALISM))
    found = analyse(Joined(ratings_of(TURING, [0, 1] * 3), 0, 0, 0), key_of(study))
    assert found.questions[1].notes == ("Nobody answered this question.",)


def test_the_verdict_names_the_direction_and_the_lot():
    everything_right, everything_wrong = [0, 1] * 12, [1, 0] * 12
    named = []
    for values in (everything_right, everything_wrong, [0] * 24):
        made = ("real", "Bi-DPM")
        ratings = [
            Rating("anna", f"c{n}", f"i{n}", made[n % 2], "t", QuestionKind.TURING, value, None, 1.0, subject=f"p{n}")
            for n, value in enumerate(values)
        ]
        named.append(verdict(turing_accuracy(ratings, "secret", 1)[0]))
    assert named[0] == "tells real from synthetic"
    assert named[1] == "tells them apart, but takes one for the other"
    assert named[2] == "not told from guessing"


def test_plots_are_the_same_bytes_each_time_and_survive_missing_values():
    nothing = float("nan")
    dots = [Dot("a $x$", 0.5, 0.2, 0.9), Dot("b" * 60, nothing, nothing, nothing, pooled=True)]
    for drawn in (
        lambda: dot_plot(dots, Scale("share", 0, 1, 0.5, percent=True)),
        lambda: dot_plot(dots[1:], Scale("seconds", 0, float("inf"))),
        lambda: bar_plot([Bar("a", (1, 0, 5)), Bar("nobody", (0, 0, 0))], ["0", "1", "2"]),
        lambda: roc_plot([("real", [RocLine("anna 0.9", (0.0, 0.2, 1.0), (0.0, 0.8, 1.0))])]),
    ):
        assert drawn() == drawn()


def test_figures_are_written_as_they_are_read():
    assert [number(value) for value in (-0.001, 0.125, float("nan"))] == ["0.00", "0.12", "-"]
    assert [p_value(p) for p in (0.04999, 0.0001, float("nan"))] == ["0.050", "< 0.001", "-"]
    drawn = ET.tostring(table(("reader", "x"), [("anna", EVIL), ("all", "1")], last_is_all=True), encoding="unicode")
    assert EVIL not in drawn
    assert re.search(r'<tr class="all"><th scope="row">all</th>', drawn)


def test_a_question_that_cannot_be_analysed_says_why_and_does_not_take_the_others_along():
    study = small_study(patients=3, pairs=0, repeats=0, questions=(TURING, LESION))
    without_truth = tuple(replace(one, truth=None) for one in ratings_of(LESION, [10, 90] * 3))
    found = analyse(Joined((*ratings_of(TURING, [0, 1] * 3), *without_truth), 0, 0, 0), key_of(study))
    assert found.questions[0].turing[0].share.right == 6
    assert "have no truth" in found.questions[1].failed
    with pytest.raises(StudyError, match="have no truth"):
        analyse(Joined(without_truth, 0, 0, 0), key_of(study))
