"""A case of a study in, its images out: read from files, generated, or translated by bundles."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from MedTranslateLib.cli.job import request_for, run_translation
from MedTranslateLib.core.errors import StudyError
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.evaluation.job import acceptance_offered
from MedTranslateLib.imaging.job_folder import Job
from MedTranslateLib.imaging.phantom import head_phantom
from MedTranslateLib.imaging.reading import read_volume
from MedTranslateLib.studies.prepare import CaseImages
from MedTranslateLib.studies.study import Study, StudyCase

PHANTOM = "phantom:"
"""An image that is generated, by its seed: `phantom:3`."""
REVERSE = ":reverse"
PHANTOM_SIZE, PHANTOM_MM = (100, 124, 90), (2.0, 1.9, 2.1)
PHANTOM_NOISE = 12.0


class CaseLoader:
    """Gives the images of cases; each file is read and each translation made once.

    Args:
        study: The design.
        folder: What the paths in it are relative to.
        device: What bundles run on.
        accept_doubtful: Whether images that the input gate doubts are translated in every case.

    Raises:
        StudyError: If the study's grid is finer than what a bundle works on.
        BundleNotFoundError: If a bundle is not installed.
    """

    def __init__(self, study: Study, folder: Path, device: str, *, accept_doubtful: bool) -> None:
        for case in study.cases:
            for step in case.translate:
                _check_grid(study, step)
        self._folder = folder
        self._options = {"device": device, "trust": False}
        self._accept_doubtful = accept_doubtful
        self._work = tempfile.TemporaryDirectory(prefix="medtranslate-study-")
        self._known: dict[tuple[str, ...], Volume] = {}

    def __enter__(self) -> CaseLoader:
        """The loader itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Removes the translations."""
        self._work.cleanup()

    def __call__(self, case: StudyCase) -> CaseImages:
        """The images of a case.

        Args:
            case: A case of the study.

        Raises:
            StudyError: If a generated image has no number.
            MedTranslateError: If a file cannot be read, or a translation fails.
        """
        source = None if case.source is None else self._read(case.source)
        if case.image is not None:
            return CaseImages(self._read(case.image), source)
        accept = case.accept_doubtful or self._accept_doubtful
        return CaseImages(self._translated((str(case.source), *case.translate), accept_doubtful=accept), source)

    def _read(self, name: str) -> Volume:
        """A file, or a phantom."""
        if (name,) not in self._known:
            path = self._folder / name
            self._known[(name,)] = generated_head(name) if name.startswith(PHANTOM) else read_volume(path)
        return self._known[(name,)]

    def _translated(self, steps: tuple[str, ...], *, accept_doubtful: bool) -> Volume:
        """A file, and what bundles made of it, one after the other."""
        if len(steps) == 1:
            return self._read(steps[0])
        if steps not in self._known:
            source = self._translated(steps[:-1], accept_doubtful=accept_doubtful)
            bundle, reverse = steps[-1].removesuffix(REVERSE), steps[-1].endswith(REVERSE)
            options = {**self._options, "reverse": reverse, "accept_doubtful": accept_doubtful}
            out = Path(self._work.name) / str(len(self._known))
            with acceptance_offered():
                job = Job(request_for(source, bundle, **options), source)
                self._known[steps] = run_translation(job, out, views=False, debug=False).result.translated
        return self._known[steps]


def generated_head(name: str) -> Volume:
    """A head that no scanner saw, for practice and for tests.

    Args:
        name: `phantom:SEED`; each seed gives another head.

    Raises:
        StudyError: If the seed is no whole number.
    """
    seed = name.removeprefix(PHANTOM)
    if not seed.isdecimal():
        msg = f"{name!r}: a generated image is called {PHANTOM}NUMBER, such as {PHANTOM}3."
        raise StudyError(msg)
    chance = np.random.default_rng(int(seed))
    matrix = np.diag([*(np.array(PHANTOM_MM) * chance.uniform(0.92, 1.08, 3)), 1.0])
    matrix[:3, 3] = chance.uniform(-20, 20, 3)
    head = head_phantom(Geometry(PHANTOM_SIZE, matrix), f"phantom {seed}")
    noise = chance.normal(0.0, PHANTOM_NOISE, head.array_kji.shape)
    return head.with_array(np.abs(head.array_kji + noise).astype(np.float32))


def _check_grid(study: Study, step: str) -> None:
    """A real image on a grid finer than the network's would show detail that no synthetic one can."""
    from MedTranslateLib.bundles.store import default_store

    bundle = default_store().find(step.removesuffix(REVERSE)).manifest
    finest = min(study.grid.spacing_mm[:2])
    if finest < bundle.spacing_mm:
        msg = (
            f"The study's grid has {finest:g} mm, bundle {bundle.name!r} works on {bundle.spacing_mm:g} mm: real "
            f"images would be sharper than synthetic ones. Set grid.spacing_mm to {bundle.spacing_mm:g} or more."
        )
        raise StudyError(msg)
