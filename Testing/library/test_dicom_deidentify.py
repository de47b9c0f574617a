"""De-identification: no byte that is written names the patient, and references still lead to one another."""

from __future__ import annotations

import re

import numpy as np
import pydicom
import pytest
from dicom_sources import SECRETS, finished_job, moved, oblique, whole_numbers, write_series

from MedTranslateLib.core.errors import RequestError
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.dicom.export import ExportOptions, export_result
from MedTranslateLib.imaging.reading import read_volume

GRID = oblique((9, 7, 4), (0.9, 1.3, 4.0))
DEIDENTIFY = ExportOptions(deidentify=True, uncertainty=True)
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID")


def exported(tmp_path, options=DEIDENTIFY, **changes):
    sources = write_series(tmp_path / "source", whole_numbers(GRID), **changes)
    spread = Volume(np.random.default_rng(1).uniform(0, 1, GRID.shape_kji), GRID)
    source = read_volume(tmp_path / "source")
    job = finished_job(tmp_path / "job", source, correspondence=moved(source.geometry), uncertainty=spread)
    export_result(job, tmp_path / "source", tmp_path / "out", options)
    return sources, tmp_path / "out"


def files_of(out):
    return [path for path in out.rglob("*") if path.is_file()]


def identifying(sources) -> list[bytes]:
    """Every value of the source that could tell whose it is; names also by their parts."""
    names = [part for keyword in SECRETS if "Name" in keyword or "Description" in keyword
             for part in SECRETS[keyword].replace(" ", "^").split("^")]  # fmt: skip
    uids = [str(source[keyword].value) for source in sources for keyword in UIDS]
    texts = [*SECRETS.values(), *names, *uids, "ScannerWorks", "Model T", "c0ffee"]
    return [text.encode() for text in texts]


def test_no_written_byte_holds_an_identifying_value_of_the_source(tmp_path):
    sources, out = exported(tmp_path)
    assert len(files_of(out)) == 4 + 2 + 2 + 1
    for path in files_of(out):
        content = re.sub(rb"2\.25\.[0-9]+", b"", path.read_bytes())  # new UIDs, whose digits may by chance be a date
        assert [value for value in identifying(sources) if value in content] == []


def test_without_it_the_same_values_would_be_found(tmp_path):
    sources, out = exported(tmp_path, ExportOptions())
    content = b"".join(path.read_bytes() for path in files_of(out))
    found = [value for value in identifying(sources) if value in content]
    assert {b"Mustermann^Maximilian", b"HOSP-4711", b"20240229", b"Klinikum Irgendwo", b"c0ffee"} <= set(found)


def test_no_date_is_written_but_one_that_is_none(tmp_path):
    _, out = exported(tmp_path)
    for path in out.rglob("*.dcm"):
        dates = {str(element.value) for element in pydicom.dcmread(path).iterall() if element.VR in ("DA", "DT")}
        assert dates <= {"", "19000101"}


def test_every_object_says_that_the_identity_was_removed_and_how(tmp_path):
    _, out = exported(tmp_path)
    people = set()
    for path in out.rglob("*.dcm"):
        made = pydicom.dcmread(path)
        assert made.PatientIdentityRemoved == "YES"
        assert made.DeidentificationMethod == "PS3.15 Basic Application Confidentiality Profile"
        assert made.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
        assert made.get("PositionReferenceIndicator", "") == ""
        people.add((str(made.PatientName), made.PatientID, made.StudyInstanceUID, made.FrameOfReferenceUID))
    assert len(people) == 1


def test_new_uids_agree_wherever_one_source_uid_stood(tmp_path):
    _, out = exported(tmp_path)
    images = [pydicom.dcmread(path) for path in sorted((out / "series").iterdir())]
    forward = pydicom.dcmread(out / "fields/forward.dcm")
    still, moving = forward.DeformableRegistrationSequence
    sources = [image.SourceImageSequence[0].ReferencedSOPInstanceUID for image in images]
    assert [one.ReferencedSOPInstanceUID for one in moving.ReferencedImageSequence] == sources
    assert [one.ReferencedSOPInstanceUID for one in still.ReferencedImageSequence] == [i.SOPInstanceUID for i in images]
    assert len(set(sources)) == len(images)
    assert {str(item.SourceFrameOfReferenceUID) for item in (still, moving)} == {images[0].FrameOfReferenceUID}
    named = {item.SeriesInstanceUID for item in forward.ReferencedSeriesSequence}
    assert images[0].SeriesInstanceUID in named


def test_one_source_uid_has_one_new_uid_within_an_export():
    from MedTranslateLib.dicom.deidentify import NewUids

    uids = NewUids()
    assert uids.of("1.2.3") == uids.of("1.2.3")
    assert uids.of("1.2.3") != uids.of("1.2.4")
    assert uids.of("1.2.3") != NewUids().of("1.2.3")


def test_two_exports_cannot_be_matched_by_their_uids(tmp_path):
    studies = set()
    for name in ("a", "b"):
        _, out = exported(tmp_path / name)
        studies.add(pydicom.dcmread(out / "series/0001.dcm").StudyInstanceUID)
    assert len(studies) == 2


def test_pixels_and_places_stay_as_they_are(tmp_path):
    _, out = exported(tmp_path)
    _, named = exported(tmp_path / "named", ExportOptions())
    plain, removed = read_volume(named / "series"), read_volume(out / "series")
    assert plain.geometry.same_grid(removed.geometry)
    np.testing.assert_array_equal(plain.array_kji, removed.array_kji)


def test_a_source_with_annotation_in_its_pixels_is_refused(tmp_path):
    with pytest.raises(RequestError, match="annotation is burned into its pixels"):
        exported(tmp_path, BurnedInAnnotation="YES")
    assert not (tmp_path / "out").exists()
