"""Findings in; what a study of this size cannot show, and how its figures were made, out."""

from __future__ import annotations

from collections.abc import Iterator

from MedTranslateLib.studies.findings import Findings
from MedTranslateLib.studies.study import QuestionKind, Study

FEW_READERS, FEW_ITEMS = 10, 30
DEFINITIONS = {
    "Exact interval": (
        "Clopper and Pearson 1934: at least 95 of 100 such intervals hold the true share. It takes the answers for "
        "independent of each other."
    ),
    "Interval over readers and cases": (
        "Percentiles of 4000 resamples in which readers and patients are drawn with replacement, independently of each "
        "other (Owen 2007); all images of a patient are drawn together. It holds for other readers and cases like "
        "these. Noise of single answers enters it more than once, so it is too wide where readers and cases hardly "
        "differ, and too narrow where they do and fewer than about ten readers took part."
    ),
    "p exact, p mid, p lot": (
        "Two-sided tests against guessing. The exact one never accuses more than 5 % of those who guess, but usually "
        "fewer, as counts make steps. Mid-p counts the outcome itself by half. With the lot the outcome itself counts "
        "by a random share, which makes the rate exactly 5 % at every number of images. The lot is the SHA-256 of the "
        "sealed key's secret, the question and the reader: fixed before the first answer, so that nobody could choose "
        "it. Where lot and exact test differ, the verdict says so; give both in a paper."
    ),
    "p Fisher": "Fisher's exact test of judgement against truth, which holds whatever answer a reader leans to.",
    "AUC": (
        "Area under the empirical ROC curve: how often a case with the lesion was rated higher than one without, ties "
        "half. Interval by DeLong et al. 1988, on the logit scale."
    ),
    "Kappa, ICC": (
        "Agreement beyond chance: Fleiss 1971 with the interval of Gwet 2021, Cohen 1960 with that of Fleiss, Cohen "
        "and Everitt 1969, quadratic weights for grades. ICC(2,1) is absolute agreement with readers drawn from many, "
        "ICC(3,1) consistency of these readers (Shrout and Fleiss 1979)."
    ),
    "Mean grade of one reader": "With a BCa bootstrap interval over cases, where each patient has one image.",
}


def limits(study: Study, findings: Findings) -> Iterator[str]:
    """What should be known before the figures are believed.

    Args:
        study: The design.
        findings: What was found.
    """
    readers = {one.reader for one in findings.times if one.reader}
    if len(readers) < FEW_READERS:
        yield (
            f"{_counted(len(readers), 'reader')}: too few to say how other readers would do. Intervals over readers "
            "are too narrow with fewer than about ten."
        )
    shown = sum(not one.practice for one in study.singles) + sum(not one.practice for one in study.pairs)
    if shown < FEW_ITEMS:
        yield f"{_counted(shown, 'item')}: only large differences can be seen. Look at the intervals, not at the means."
    kinds = {one.kind for one in study.questions}
    if QuestionKind.TURING in kinds or QuestionKind.FORCED_CHOICE in kinds:
        yield (
            "Not told from guessing is not the same as indistinguishable: a larger study, other readers or another "
            "display may tell the images apart. And images that nobody can tell apart may still show a wrong anatomy "
            "or lack a lesion: a Turing test alone does not show clinical value."
        )
    if QuestionKind.GRADE in kinds:
        yield "Grades are opinions about looks. Means take their steps for equally large."
    if QuestionKind.CONFIDENCE in kinds:
        yield "The truth is what the study file states; how it was found is not part of this report."
    if study.repeats == 0:
        yield "No item was read twice, so nothing is known about how far readers agree with themselves."
    if len(study.questions) > 1:
        yield "p-values and intervals are not corrected for the number of questions and readers."


def _counted(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count} {name}s"
