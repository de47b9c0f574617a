"""`medtranslate study export`: a study folder in, a CSV file with the answers out: blinded, or joined with the key."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from MedTranslateLib.core.errors import StudyError
from MedTranslateLib.imaging.files import write_text
from MedTranslateLib.studies.answers_table import answers_csv
from MedTranslateLib.studies.session_opening import opened_study
from MedTranslateLib.studies.session_status import read_record
from MedTranslateLib.studies.study import QuestionKind

if TYPE_CHECKING:
    from MedTranslateLib.studies.ratings import Rating

ANSWERS = "answers"
RATINGS, IMRMC, MRMCAOV = "ratings", "imrmc", "mrmcaov"
"""Forms that need the key."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the action."""
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="a study folder")
    parser.add_argument("--out", type=Path, metavar="FILE", help="CSV file to write (default: print it)")
    parser.add_argument(
        "--form",
        choices=[ANSWERS, RATINGS, IMRMC, MRMCAOV],
        default=ANSWERS,
        help="answers: all of them, blinded (default); ratings, imrmc, mrmcaov: joined with the opened key, in a form "
        "of ours or of the R packages",
    )
    parser.add_argument("--question", metavar="ID", help="for imrmc and mrmcaov, where several ask for confidence")


def run(arguments: argparse.Namespace) -> int:
    """Writes or prints the answers."""
    text = _text(arguments)
    if arguments.out is None:
        sys.stdout.write(text)
    else:
        write_text(arguments.out, text)
    return 0


def _text(arguments: argparse.Namespace) -> str:
    if arguments.form == ANSWERS:
        return answers_csv(read_record(arguments.folder).answers)
    from MedTranslateLib.studies.exports import imrmc_csv, mrmcaov_csv, ratings_csv
    from MedTranslateLib.studies.ratings import join

    opened = opened_study(arguments.folder)
    ratings = join(opened.key.study, opened.record.answers, opened.key)
    if arguments.form == RATINGS:
        return ratings_csv(ratings)
    chosen = _of_one_question(ratings, arguments.question)
    return imrmc_csv(chosen) if arguments.form == IMRMC else mrmcaov_csv(chosen)


def _of_one_question(ratings: Sequence[Rating], name: str | None) -> tuple[Rating, ...]:
    """ROC analysis takes one question at a time."""
    there = sorted({one.question for one in ratings if one.kind is QuestionKind.CONFIDENCE})
    if (name is None and len(there) > 1) or (name is not None and name not in there):
        msg = f"Name one question about confidence with --question; the study has {', '.join(there) or 'none'}."
        raise StudyError(msg)
    return tuple(one for one in ratings if one.question in (name, *([] if name else there)))
