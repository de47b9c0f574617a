"""Nothing in, a small study of every kind of question on disk out: made inside Slicer, from phantoms."""

from __future__ import annotations

from pathlib import Path

import numpy as np

KINDS = ("real", "bundle-a")


def head(seed: int, size=(96, 112, 60), spacing=(2.0, 2.0, 2.5)):
    """A head of its own."""
    from MedTranslateLib.core.volume import Geometry
    from MedTranslateLib.imaging.phantom import head_phantom

    matrix = np.diag([*spacing, 1.0])
    matrix[:3, 3] = -(np.array(size) - 1) * spacing / 2
    phantom = head_phantom(Geometry(size, matrix))
    noise = np.random.default_rng(seed).normal(0, 0.03 * float(phantom.array_kji.max()), phantom.array_kji.shape)
    return phantom.with_array(phantom.array_kji * (1 + 0.03 * (seed % 7)) + noise.astype(np.float32))


def questions():
    from MedTranslateLib.studies.study import Question, QuestionKind

    return (
        Question("turing", QuestionKind.TURING, "Is this image from a scanner, or is it synthetic?"),
        Question(
            "grade",
            QuestionKind.GRADE,
            "How realistic is the image?",
            1,
            5,
            ("not at all", "hardly", "partly", "largely", "fully"),
        ),
        Question("lesion", QuestionKind.CONFIDENCE, "How sure are you that there is a lesion?"),
        Question("marks", QuestionKind.MARKS, "Mark every place that looks suspicious to you."),
        Question("choice", QuestionKind.FORCED_CHOICE, "Which of the two images is synthetic?"),
        Question("better", QuestionKind.PREFERENCE, "Which of the two images would you rather work with?"),
    )


def make_study(folder: Path, *, size=(96, 112, 60), spacing=(2.0, 2.0, 2.5), singles=13, pairs=5, **changes) -> Path:
    """Two practice cases and the rest that count: `singles` images, then pairs; gives the study folder."""
    from MedTranslateLib.studies.design_grid import StudyGrid
    from MedTranslateLib.studies.prepare import CaseImages, prepare_study
    from MedTranslateLib.studies.study import ShowOptions, Study, StudyCase, StudyPair

    count = singles + 1 + 2 * (pairs + 1 if pairs else 0)
    cases = tuple(
        StudyCase(f"case-{n}", image=f"{n}.nrrd", treatment=KINDS[n % 2], practice=n == 0, source=f"{n}.nrrd")
        for n in range(count)
    )
    listed = tuple(
        StudyPair(f"pair-{n}", (f"case-{singles + 1 + 2 * n}", f"case-{singles + 2 + 2 * n}"), practice=n == 0)
        for n in range(pairs + 1 if pairs else 0)
    )
    kept = [question for question in questions() if pairs or not question.kind.of_pairs]
    study = Study(
        title="Brain MR: real or synthetic?",
        seed=11,
        readers=("reader-1", "reader-2"),
        questions=tuple(kept),
        cases=cases,
        pairs=listed,
        grid=StudyGrid(size, spacing),
        **{"show": ShowOptions(), **changes},
    )
    heads: dict[int, object] = {}

    def load(case):
        seed = int(case.id.partition("-")[2]) % 5
        if seed not in heads:
            heads[seed] = head(seed, size, spacing)
        return CaseImages(heads[seed], heads[seed])

    return prepare_study(study, folder / "study", folder / "study.key.json", load).folder
