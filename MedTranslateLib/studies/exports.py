"""Ratings in, tables for other programs out: every rating, and the forms that iMRMC and MRMCaov read.

iMRMC (R package 2.1.0, help page `dfMRMC_example`, https://cran.r-project.org/package=iMRMC): a data frame with the
columns `readerID`, `caseID`, `modalityID` and `score`; for each case a row in which reader and modality are `truth` and
the score is 0 or 1. Its Java program reads the same four fields without names after a line `BEGIN DATA:`, below the
numbers N0, N1, NR and NM; no spaces beside the commas, and the truth of each case once (user manual, 4.1.1 and 4.1.3,
http://didsr.github.io/iMRMC/000_iMRMC/userManualHTMLdraft/4_1_1_study_raw_data.htm).

MRMCaov (R package 0.3.0, user guide, "VanDyke Example", https://brian-j-smith.github.io/MRMCaov/using.html): one row a
rating with identifiers of reader, treatment and case, the truth as 1 or 0, and the rating, for
`mrmc(empirical_auc(truth, rating), treatment, reader, case, data = read.csv(FILE))`.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence

from MedTranslateLib.core.errors import StudyError
from MedTranslateLib.studies.ratings import Rating
from MedTranslateLib.studies.study import QuestionKind

LONG_COLUMNS = (
    "reader",
    "case",
    "subject",
    "item",
    "treatment",
    "second_treatment",
    "question",
    "kind",
    "repeat",
    "value",
    "truth",
    "seconds",
    "marks_ras_mm",
)
TRUTH = "truth"


def ratings_csv(ratings: Iterable[Rating]) -> str:
    """Every rating that counts, second readings included.

    Args:
        ratings: From `join`.

    Returns:
        Sorted rows under a head; marks as `r a s; r a s`, fields that do not apply empty.
    """
    rows = sorted((_row(one) for one in ratings), key=lambda row: [row[column] for column in (0, 6, 8, 1, 3)])
    return _csv([LONG_COLUMNS, *rows])


def imrmc_csv(ratings: Sequence[Rating]) -> str:
    """For the R package iMRMC.

    Args:
        ratings: Of one question of the kind `confidence`; second readings are left out.

    Raises:
        StudyError: If there are none, a case has no truth, or a reader is called `truth`.
    """
    return _csv([("readerID", "caseID", "modalityID", "score"), *_imrmc_rows(_scored(ratings))])


def imrmc_text(ratings: Sequence[Rating]) -> str:
    """For the Java program iMRMC, which reads files that end in `.imrmc`.

    Args:
        ratings: Of one question of the kind `confidence`; second readings are left out.

    Raises:
        StudyError: If there are none, a case has no truth, or a reader is called `truth`.
    """
    kept = _scored(ratings)
    truths = _truths(kept)
    positive = sum(truths.values())
    counts = {
        "N0": len(truths) - positive,
        "N1": positive,
        "NR": len({one.reader for one in kept}),
        "NM": len({one.treatment for one in kept}),
    }
    head = [f"{name}: {count}" for name, count in counts.items()]
    return "\n".join(["Ratings of a MedTranslate reader study", *head, "BEGIN DATA:", _csv(_imrmc_rows(kept))])


def mrmcaov_csv(ratings: Sequence[Rating]) -> str:
    """For the R package MRMCaov.

    Args:
        ratings: Of one question of the kind `confidence`; second readings are left out.

    Raises:
        StudyError: If there are none, or a case has no truth.
    """
    kept = _scored(ratings)
    names = _case_names(kept)
    rows = sorted((one.reader, one.treatment, names[one.item], str(one.truth), f"{one.number:g}") for one in kept)
    return _csv([("reader", "treatment", "case", TRUTH, "rating"), *rows])


def _row(one: Rating) -> tuple[str, ...]:
    marks = "; ".join(" ".join(f"{axis:.3f}" for axis in mark) for mark in one.marks)
    value = "" if one.value is None else f"{one.value:g}"
    truth = "" if one.truth is None else str(one.truth)
    made = (one.reader, one.case, one.subject, one.item, one.treatment, one.second_treatment or "")
    return (*made, one.question, one.kind.value, str(one.repeat), value, truth, f"{one.seconds:.3f}", marks)


def _scored(ratings: Iterable[Rating]) -> list[Rating]:
    kept = [one for one in ratings if one.kind is QuestionKind.CONFIDENCE and one.repeat == 0]
    if not kept:
        msg = "There are no confidences to export; programs for ROC analysis read no other answers."
        raise StudyError(msg)
    lacking = sorted({one.case for one in kept if one.truth is None})
    if lacking:
        msg = f"Case {lacking[0]!r} has no truth; state `truth = 0` or `truth = 1` for each case in the study file."
        raise StudyError(msg)
    return kept


def _case_names(ratings: Sequence[Rating]) -> dict[str, str]:
    """Name of each item's case: the patient, where each treatment shows him once and his truth is one; else the item's.

    Programs that compare treatments pair by this name, and need one truth for each.
    """
    shown: dict[tuple[str, str], set[str]] = defaultdict(set)
    truths: dict[str, set[int | None]] = defaultdict(set)
    for one in ratings:
        shown[one.subject, one.treatment].add(one.item)
        truths[one.subject].add(one.truth)
    once = all(len(items) == 1 for items in shown.values()) and all(len(each) == 1 for each in truths.values())
    return {one.item: one.subject if once and one.subject else one.case for one in ratings}


def _truths(ratings: Sequence[Rating]) -> dict[str, int]:
    names = _case_names(ratings)
    return {names[one.item]: int(one.truth or 0) for one in ratings}


def _imrmc_rows(ratings: Sequence[Rating]) -> list[tuple[str, ...]]:
    if any(one.reader.lower() == TRUTH or one.treatment.lower() == TRUTH for one in ratings):
        msg = f"iMRMC takes the name {TRUTH!r} for the truth; rename the reader or treatment that is called so."
        raise StudyError(msg)
    names = _case_names(ratings)
    truths = sorted((TRUTH, name, TRUTH, str(truth)) for name, truth in _truths(ratings).items())
    scores = sorted((one.reader, names[one.item], one.treatment, f"{one.number:g}") for one in ratings)
    return [*truths, *scores]


def _csv(rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
