"""What dciodvfy and dcentvfy of dicom3tools, an independent validator, say of every object that is written."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from dicom_sources import finished_job, moved, oblique, whole_numbers, write_series

from MedTranslateLib.core.correspondence import Correspondence, Origin
from MedTranslateLib.core.trust import TrustMaps
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.dicom.export import ExportOptions, export_result
from MedTranslateLib.imaging.reading import read_volume

pytestmark = pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="the validator dciodvfy is not installed (Debian: apt install dicom3tools)"
)
GRID = oblique((70, 56, 3), (0.9, 1.3, 4.0))
NEWER_THAN_THE_VALIDATOR = "(0x0008,0x001c)"
"""Synthetic Data: Debian's dicom3tools of 2022 does not know it, and calls every tag that it does not know an error."""
EVERYTHING = ExportOptions(burn_in=True, uncertainty=True)
NOBODY = ExportOptions(deidentify=True, uncertainty=True)


def errors_in(path: Path) -> list[str]:
    run = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    lines = [line for line in (run.stdout + run.stderr).splitlines() if line.startswith("Error")]
    return [f"{path.name}: {line}" for line in lines if NEWER_THAN_THE_VALIDATOR not in line]


def all_maps(scale: str) -> dict[str, object]:
    random = np.random.default_rng(2)
    share = Volume(random.uniform(0, 1, GRID.shape_kji), GRID)
    spread = Volume(share.array_kji * (1000 if scale == "hounsfield" else 0.25), GRID)
    return {"uncertainty": spread, "trust": TrustMaps(share, spread)}


def export(tmp_path: Path, options: ExportOptions, job: dict, **source: object) -> list[Path]:
    write_series(tmp_path / "source", whole_numbers(GRID), **source)
    scale = job.get("scale", "relative")
    folder = finished_job(tmp_path / "job", read_volume(tmp_path / "source"), **all_maps(scale), **job)
    export_result(folder, tmp_path / "source", tmp_path / "out", options)
    return sorted((tmp_path / "out").rglob("*.dcm"))


@pytest.mark.parametrize("options", [EVERYTHING, NOBODY], ids=["named", "deidentified"])
@pytest.mark.parametrize(
    "job",
    [
        {"modality": "MR", "correspondence": moved(GRID)},
        {"modality": "CT", "correspondence": moved(GRID, Origin.ESTIMATED)},
        {"modality": "CT", "scale": "hounsfield", "correspondence": Correspondence.identity(GRID)},
    ],
    ids=["MR", "CT, relative", "CT in HU"],
)
def test_the_validator_finds_no_error_in_any_object(tmp_path, options, job):
    files = export(tmp_path, options, job)
    assert [path.name for path in files if path.parent.name != "series"] == [
        "forward.dcm", "inverse.dcm", "expected_error.dcm", "trust.dcm", "uncertainty.dcm", "validity.dcm",
    ]  # fmt: skip
    assert [error for path in files for error in errors_in(path)] == []


@pytest.mark.parametrize(
    "changes",
    [
        dict.fromkeys(("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyID")),
        dict.fromkeys(("BodyPartExamined", "PatientPosition", "FrameOfReferenceUID", "PositionReferenceIndicator")),
        {"BodyPartExamined": "KNEE", "SliceThickness": None, "SeriesNumber": None, "Manufacturer": None},
        {"StudyDate": "29.02.2024", "PatientAge": "65", "BodyPartExamined": "left foot"},
    ],
    ids=["no patient", "no space", "paired part", "illegal values"],
)
def test_a_source_with_gaps_and_illegal_values_gives_objects_without_errors(tmp_path, changes):
    files = export(tmp_path, EVERYTHING, {"modality": "CT", "correspondence": moved(GRID)}, **changes)
    assert [error for path in files for error in errors_in(path)] == []


@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_a_study_of_its_own_has_no_errors(tmp_path, modality):
    job = finished_job(tmp_path / "job", whole_numbers(GRID), modality, correspondence=moved(GRID))
    export_result(job, None, tmp_path / "out", ExportOptions())
    assert [error for path in (tmp_path / "out").rglob("*.dcm") for error in errors_in(path)] == []


def test_patient_study_and_frame_agree_in_source_and_output(tmp_path):
    files = export(tmp_path, EVERYTHING, {"modality": "CT", "correspondence": moved(GRID)})
    sources = sorted((tmp_path / "source").iterdir())
    run = subprocess.run(["dcentvfy", *map(str, [*sources, *files])], capture_output=True, text=True, check=False)
    assert [line for line in (run.stdout + run.stderr).splitlines() if line.startswith("Error")] == []


def test_the_validator_would_find_a_missing_attribute(tmp_path):
    import pydicom

    (first, *_) = export(tmp_path, NOBODY, {"modality": "CT"})
    header = pydicom.dcmread(first)
    del header.ContentDate, header.DeformableRegistrationSequence
    header.save_as(tmp_path / "broken.dcm")
    assert len(errors_in(tmp_path / "broken.dcm")) >= 2
