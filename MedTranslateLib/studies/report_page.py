"""An opened study and its findings in, one self-contained page out: equal studies give equal pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element, tostring

from MedTranslateLib.studies.findings import Findings
from MedTranslateLib.studies.ratings import Joined
from MedTranslateLib.studies.report import Dot, Scale, dot_plot
from MedTranslateLib.studies.report_elements import element, figure, note, number, table, words
from MedTranslateLib.studies.report_forms import paper_forms
from MedTranslateLib.studies.report_sections import KINDS, grade_names, question_section
from MedTranslateLib.studies.report_style import INTERIM_STYLE, STYLE_SHEET
from MedTranslateLib.studies.report_words import DEFINITIONS, limits
from MedTranslateLib.studies.session_files import KEY_OPENED
from MedTranslateLib.studies.session_opening import OpenedStudy
from MedTranslateLib.studies.study import REAL, Question, QuestionKind, Study
from MedTranslateLib.studies.times import ReadingTime

# What the page may load: only what it carries itself.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
RESEARCH = "For research only. "
WARNING = "Synthetic images were made by models; what readers thought of them does not make them fit for diagnosis."
INTERIM = "INTERIM: not all readers had finished"


@dataclass(frozen=True)
class StudyReport:
    """What the page tells.

    Args:
        opened: The study with its opened key, compared with the seal.
        key_sha256: Published when the study was sealed.
        joined: Ratings that count.
        findings: Made of them.
    """

    opened: OpenedStudy
    key_sha256: str
    joined: Joined
    findings: Findings

    @property
    def study(self) -> Study:
        """The design."""
        return self.opened.key.study

    @property
    def unfinished(self) -> tuple[str, ...]:
        """Readers whose readings are incomplete."""
        return tuple(one.reader for one in self.opened.record.progress() if not one.finished)


def study_page(report: StudyReport) -> str:
    """The page.

    Args:
        report: What to tell; names in it may hold any character.

    Returns:
        HTML in one string, to be written as UTF-8.
    """
    main = element("main", *_headline(report), _navigation(report.findings))
    main.extend([*_asked(report.study), *_read(report), *_sealed(report)])
    for place, one in enumerate(report.findings.questions):
        main.extend(question_section(one, place))
    main.extend([*paper_forms(report.findings), *_times(report.findings), *_limits(report), *_definitions()])
    style = STYLE_SHEET + (INTERIM_STYLE if report.unfinished else "")
    page = element("html", _head(report.study.title, style), element("body", main), lang="en")
    return "<!DOCTYPE html>\n" + tostring(page, encoding="unicode", method="html") + "\n"


def _head(title: str, style_sheet: str) -> Element:
    style = element("style")
    style.text = style_sheet
    policy = element("meta", content=POLICY)
    policy.set("http-equiv", "Content-Security-Policy")
    view = element("meta", content="width=device-width, initial-scale=1")
    view.set("name", "viewport")
    return element("head", element("meta", charset="utf-8"), policy, view, element("title", title), style)


def _headline(report: StudyReport) -> Iterator[Element]:
    yield element("h1", report.study.title)
    yield element("p", "Report of a blinded reader study, made by MedTranslate", class_="made")
    yield element("div", element("strong", RESEARCH), WARNING, class_="synthetic")
    if report.unfinished:
        told = (
            f". The key was opened before {', '.join(report.unfinished)} had read everything. Figures may change, and "
            "stopping when they look good makes them look better than they are."
        )
        yield element("div", element("strong", INTERIM), told, class_="interim")
    for text in report.findings.notes:
        yield element("p", text, class_="warning")


def _navigation(findings: Findings) -> Element:
    links = [
        ("study", "Study"),
        *((f"question-{place}", one.question.id) for place, one in enumerate(findings.questions)),
    ]
    if any(one.grades or one.turing for one in findings.questions):
        links.append(("forms", "Papers' forms"))
    links += [("times", "Times"), ("limits", "Limits"), ("definitions", "Definitions")]
    return element("nav", *(element("a", name, href=f"#{address}") for address, name in links))


def _asked(study: Study) -> Iterator[Element]:
    yield element("h2", "What was asked", id="study")
    rows = [(one.id, KINDS[one.kind], one.text, _scale(one)) for one in study.questions]
    yield words(("question", "kind", "as readers read it", "answers"), rows)


def _scale(question: Question) -> str:
    if question.kind is QuestionKind.GRADE:
        return ", ".join(grade_names(question))
    if question.labels:
        return ", ".join(question.labels)
    return question.expected


def _read(report: StudyReport) -> Iterator[Element]:
    study = report.study
    yield element("h3", "Who read what")
    rows = [
        (
            one.reader,
            f"{one.done} of {one.total}" + ("" if one.finished else " (unfinished)"),
            str(one.answers),
            str(one.superseded),
            one.last_utc.strftime("%Y-%m-%d %H:%M") if one.last_utc else "never",
        )
        for one in report.opened.record.progress()
    ]
    yield table(("reader", "items read, repeats and practice included", "answers", "corrected", "last (UTC)"), rows)
    made = Counter(case.made_by for case in study.singles if not case.practice)
    if made:
        order = sorted(made, key=lambda name: (name != REAL, name))
        yield table(("single images", "number"), [(name, str(made[name])) for name in order])
    pairs = Counter(_pair_name(study, pair.cases) for pair in study.pairs if not pair.practice)
    if pairs:
        yield table(("pairs", "number"), [(name, str(count)) for name, count in sorted(pairs.items())])
    yield element("p", _conditions(study))
    left = report.joined
    yield note(
        f"Left out: {left.practice} answers to practice cases, {left.superseded} that a correction took the place of, "
        f"{left.before_washout} second readings before the washout of {study.washout_days:g} days was over."
    )


def _pair_name(study: Study, cases: tuple[str, str]) -> str:
    return " / ".join(sorted((study.case(case).made_by for case in cases), key=lambda name: (name != REAL, name)))


def _conditions(study: Study) -> str:
    show = study.show
    parts = [
        f"Readers saw one {show.extent.value} at a time"
        if show.extent.value == "slice"
        else "Readers saw whole volumes",
        "with the source beside it" if show.source else "without the source",
        f"with a {show.window.value} window",
        "a linked cursor" if show.linked_cursor else "no linked cursor",
        f"at most {study.time_limit_s:g} s an item" if study.time_limit_s else "no time limit",
        f"{study.repeats} items read twice" if study.repeats else "no item twice",
    ]
    return ", ".join(parts) + f". The order was drawn for each reader (seed {study.seed})."


def _sealed(report: StudyReport) -> Iterator[Element]:
    yield element("h3", "Seal")
    opened = [event for event in report.opened.record.events if event.kind == KEY_OPENED]
    when = opened[0].utc.strftime("%Y-%m-%d %H:%M:%S UTC") if opened else "unknown"
    yield element(
        "p",
        f"The key was sealed before the first answer, and opened on {when}. Its SHA-256 was computed again for this "
        "report and is the published one; so are those of the plan and of every image.",
    )
    key, plan = report.key_sha256, report.opened.key.study_sha256
    yield element(
        "p", "key ", element("span", key, class_="hash"), element("br"), "plan ", element("span", plan, class_="hash")
    )


def _times(findings: Findings) -> Iterator[Element]:
    yield element("h2", "Reading times", id="times")
    dots = [Dot(_of(one), one.median, one.lower, one.upper, pooled=_of(one) == "all") for one in findings.times]
    scale = Scale("seconds an item", 0.0, float("inf"))
    yield figure("Seconds an item took", dot_plot(dots, scale), "Median, and the middle half of the items.")
    heads = ("of", "items", "median, s", "middle half, s", "together, min")
    rows = [
        (
            _of(one),
            str(one.items),
            number(one.median, 1),
            f"{one.lower:.1f} to {one.upper:.1f}",
            number(one.total / 60, 1),
        )
        for one in findings.times
    ]
    yield table(heads, rows, last_is_all=True)
    yield note("All questions about an item together, pauses left out, first readings only.")


def _of(one: ReadingTime) -> str:
    if one.reader:
        return f"reader {one.reader}"
    return f"images {one.treatment}" if one.treatment else "all"


def _limits(report: StudyReport) -> Iterator[Element]:
    yield element("h2", "Limits", id="limits")
    yield element("ul", *(element("li", text) for text in limits(report.study, report.findings)))


def _definitions() -> Iterator[Element]:
    yield element("h2", "Definitions", id="definitions")
    known = element("dl")
    for name, text in DEFINITIONS.items():
        known.extend([element("dt", name), element("dd", text)])
    yield known
