"""A study whose key is open in, its report with figures, tables and exports on disk out."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from MedTranslateLib.core.errors import OutputError, StudyError
from MedTranslateLib.imaging.files import make_folder, write_text
from MedTranslateLib.studies.exports import imrmc_csv, imrmc_text, mrmcaov_csv, ratings_csv
from MedTranslateLib.studies.findings import Findings, analyse
from MedTranslateLib.studies.prepare_plan import read_seal
from MedTranslateLib.studies.ratings import Rating, join_all, of_question
from MedTranslateLib.studies.report_json import summary_document
from MedTranslateLib.studies.report_page import StudyReport, study_page
from MedTranslateLib.studies.session_opening import OpenedStudy, opened_study

PAGE, SUMMARY, RATINGS = "report.html", "summary.json", "ratings.csv"


def write_report(arguments: argparse.Namespace) -> int:
    """Writes the report.

    Raises:
        StudyError: If the key has not been opened, readers had not finished, or there is nothing to analyse.
        StudyChangedError: If study, answers or key are not the ones that were sealed.
        OutputError: If the report cannot be written.
    """
    _check_out(arguments.out)
    opened = opened_study(arguments.folder)
    _check_finished(opened, anyway=arguments.anyway)
    study = opened.key.study
    joined = join_all(study, opened.record.answers, opened.key)
    report = StudyReport(opened, read_seal(arguments.folder).key_sha256, joined, analyse(joined, opened.key))
    summary = json.dumps(summary_document(report), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    files = {PAGE: study_page(report), SUMMARY: summary, **export_files(report.findings, joined.ratings)}
    make_folder(arguments.out)
    for name, text in files.items():
        write_text(arguments.out / name, text)
    sys.stdout.write(summary if arguments.json else _told(report, arguments.out, files))
    return 0


def export_files(findings: Findings, ratings: tuple[Rating, ...]) -> dict[str, str]:
    """The tables for other programs.

    Args:
        findings: Made of the ratings; only confidences that have a truth go to programs for ROC analysis.
        ratings: That count.

    Returns:
        Content of each file, by name.

    Raises:
        StudyError: If a name cannot be written for iMRMC.
    """
    files = {RATINGS: ratings_csv(ratings)}
    for name in (one.question.id for one in findings.questions if one.roc is not None):
        given = of_question(ratings, name)
        files[f"imrmc-{name}.csv"] = imrmc_csv(given)
        files[f"imrmc-{name}.imrmc"] = imrmc_text(given)
        files[f"mrmcaov-{name}.csv"] = mrmcaov_csv(given)
    return files


def _check_out(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        msg = f"{out} is there already; a report is never written over. Choose another name."
        raise OutputError(msg)


def _check_finished(opened: OpenedStudy, *, anyway: bool) -> None:
    unfinished = [one for one in opened.record.progress() if not one.finished]
    if unfinished and not anyway:
        said = ", ".join(f"{one.reader} ({one.done} of {one.total} items)" for one in unfinished)
        msg = f"Not everybody has finished: {said}. Give --anyway to analyse what is there; every page will say so."
        raise StudyError(msg)


def _told(report: StudyReport, out: Path, files: Mapping[str, str]) -> str:
    lines = [f"{len(report.joined.ratings)} ratings of {len(report.study.readers)} readers; the key fits the seal."]
    if report.unfinished:
        lines.append(f"INTERIM: {', '.join(report.unfinished)} had not finished.")
    lines += report.findings.notes
    for one in report.findings.questions:
        lines += [f"{one.question.id}: NOT ANALYSED: {one.failed}"] if one.failed else []
        lines += [f"{one.question.id}: {text}" for text in one.notes]
    return "\n".join([*lines, *(str(out / name) for name in files)]) + "\n"
