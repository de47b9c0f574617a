"""The derived series: whose it is, what it claims, where it lies, and that others read it as it was meant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from dicom_sources import (
    LPS,
    PHYSICS,
    SECRETS,
    finished_job,
    oblique,
    translated_series,
    whole_numbers,
    write_series,
)

from MedTranslateLib.core.correspondence import Correspondence, Origin
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.dicom.export import ExportOptions, export_result
from MedTranslateLib.imaging.job_folder import read_result
from MedTranslateLib.imaging.reading import read_volume

GRID = oblique((9, 7, 4), (0.9, 1.3, 4.0))
KEPT = ("PatientName", "PatientID", "PatientBirthDate", "StudyDate", "AccessionNumber", "StudyID", "StudyDescription")


@dataclass(frozen=True)
class Case:
    """A source and what was written of its translation: headers in the order of the slices, and the folder of all."""

    folder: Path
    sources: list[pydicom.Dataset]
    images: list[pydicom.Dataset]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """`exported(geometry, modality=..., ...)`; equal cases are made once."""
    known: dict[str, Case] = {}

    def case(geometry: Geometry = GRID, start: str = "MR", **of_the_job: object) -> Case:
        key = repr((geometry, start, of_the_job))
        if key not in known:
            folder = tmp_path_factory.mktemp("case")
            source, job = translated_series(folder, whole_numbers(geometry), start, **of_the_job)
            export_result(job, source, folder / "out", ExportOptions())
            sources = sorted(map(pydicom.dcmread, source.iterdir()), key=lambda one: int(one.InstanceNumber))
            images = [pydicom.dcmread(path) for path in sorted((folder / "out/series").iterdir())]
            known[key] = Case(folder, sources, images)
        return known[key]

    return case


def test_patient_study_and_space_are_those_of_the_source_and_the_series_is_new(exported):
    case = exported()
    for source, image in zip(case.sources, case.images, strict=True):
        assert [image.get(keyword) for keyword in KEPT] == [SECRETS[keyword] for keyword in KEPT]
        assert image.StudyInstanceUID == source.StudyInstanceUID
        assert image.FrameOfReferenceUID == source.FrameOfReferenceUID
        assert image.PatientPosition == "HFS"
    series = {image.SeriesInstanceUID for image in case.images}
    assert len(series) == 1
    assert case.sources[0].SeriesInstanceUID not in series
    assert len({image.SOPInstanceUID for image in case.images}) == len(case.images)


def test_each_image_refers_to_the_source_image_at_its_place_though_files_lie_in_reverse(exported):
    case = exported()
    for source, image in zip(case.sources, case.images, strict=True):
        (reference,) = image.SourceImageSequence
        assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert reference.ReferencedSOPClassUID == source.SOPClassUID
        assert reference.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
        assert image.ImagePositionPatient == source.ImagePositionPatient


@pytest.mark.parametrize(
    ("modality", "image_type", "class_uid"),
    [
        ("MR", ["DERIVED", "SECONDARY", "OTHER", "SYNTHETIC"], "1.2.840.10008.5.1.4.1.1.4"),
        ("CT", ["DERIVED", "SECONDARY", "AXIAL", "SYNTHETIC"], "1.2.840.10008.5.1.4.1.1.2"),
    ],
)
def test_every_image_says_that_it_is_synthetic_in_each_place_that_there_is(exported, modality, image_type, class_uid):
    case = exported(modality=modality)
    for image in case.images:
        assert (image.ImageType, image.SOPClassUID, image.Modality) == (image_type, class_uid, modality)
        assert image[0x0008001C].value == "YES"
        assert image.ContentQualification == "RESEARCH"
        assert image.SeriesDescription.startswith("SYNTHETIC ")
        assert image.DerivationDescription.startswith("SYNTHETIC, research use only. ")
        assert "bundle tiny 1.2.3" in image.DerivationDescription
        assert image.DerivationCodeSequence[0].CodeMeaning == "Synthetic image of another modality"
        assert image.BurnedInAnnotation == "NO"
        makers = [
            (item.Manufacturer, item.PurposeOfReferenceCodeSequence[0].CodeValue)
            for item in image.ContributingEquipmentSequence
        ]
        assert makers == [("ScannerWorks", "109101"), ("MedTranslate", "109102")]
        assert image.Manufacturer == "MedTranslate"


def test_no_written_byte_says_original_or_repeats_how_the_source_was_acquired(exported):
    case = exported(correspondence=Correspondence.identity(GRID))
    for path in (case.folder / "out").rglob("*.dcm"):
        content = path.read_bytes()
        assert b"ORIGINAL" not in content.upper()
        assert b"PRIMARY" not in content
        assert not [value for value in PHYSICS.values() if value.encode() in content]
    assert all(image.get(keyword) is None for image in case.images for keyword in PHYSICS)


def test_an_mr_claims_no_sequence(exported):
    case = exported(modality="MR")
    assert (case.images[0].ScanningSequence, case.images[0].SequenceVariant) == ("RM", "NONE")
    assert all(case.images[0][keyword].is_empty for keyword in ("EchoTime", "RepetitionTime", "MRAcquisitionType"))


@pytest.mark.parametrize(("scale", "unit"), [("relative", "US"), ("hounsfield", "HU")])
def test_a_ct_is_in_hounsfield_units_only_where_its_bundle_says_so(exported, scale, unit):
    case = exported(scale=scale)
    assert {image.RescaleType for image in case.images} == {unit}
    assert ("not HU" in case.images[0].SeriesDescription) == (scale == "relative")


@pytest.mark.parametrize("start", ["MR", "CT"])
@pytest.mark.parametrize(("modality", "scale"), [("MR", "relative"), ("CT", "relative"), ("CT", "hounsfield")])
def test_simpleitk_reads_the_grid_of_the_source_and_the_intensities_of_the_result(exported, start, modality, scale):
    case = exported(start=start, modality=modality, scale=scale)
    again = read_volume(case.folder / "out/series")
    result = read_result(case.folder / "job").translated
    assert again.modality == modality
    assert again.geometry.same_grid(result.geometry, tolerance_mm=1e-6)
    accuracy = float(case.images[0].RescaleSlope) / 2
    assert accuracy <= {"relative": 1e-5, "hounsfield": 0.05}[scale]
    assert np.abs(again.array_kji - result.array_kji).max() <= accuracy * 1.001  # 1.001: float32


@pytest.mark.parametrize("left_handed", [False, True])
def test_pydicom_and_highdicom_read_every_voxel_at_its_place(exported, left_handed):
    geometry = oblique((9, 7, 4), (0.9, 1.3, 4.0), left_handed=left_handed)
    case = exported(geometry)
    result = read_result(case.folder / "job").translated
    volume = highdicom.get_volume_from_series(case.images, apply_modality_transform=True)
    for kji in np.ndindex(result.array_kji.shape):
        ras = result.geometry.ras_from_ijk(kji[::-1])
        index = np.rint(volume.map_reference_to_indices((LPS @ ras)[None])[0]).astype(int)
        assert volume.array[tuple(index)] == pytest.approx(result.array_kji[kji], abs=1e-5)
        place = volume.map_indices_to_reference(index[None])[0]
        np.testing.assert_allclose(LPS @ place, ras, atol=1e-4)


def test_what_a_viewer_shows_at_first_is_the_whole_relative_range_and_the_soft_tissue_of_a_ct(exported):
    case = exported(scale="relative")
    shown = pydicom.pixels.apply_windowing(np.array([0.0, 0.25, 1.0]), _without_rescale(case.images[0]))
    np.testing.assert_allclose(shown / shown[-1], [0, 0.25, 1])
    case = exported(scale="hounsfield")
    assert (case.images[0].WindowCenter, case.images[0].WindowWidth) == (40, 400)


def _without_rescale(image):
    """A header for `apply_windowing`, whose output range is that of the values after slope and intercept."""
    header = pydicom.Dataset()
    header.PhotometricInterpretation, header.BitsStored, header.PixelRepresentation = "MONOCHROME2", 16, 0
    header.WindowCenter, header.WindowWidth = image.WindowCenter, image.WindowWidth
    header.VOILUTFunction = image.VOILUTFunction
    return header


@pytest.mark.parametrize(
    ("origin", "preserved"), [(Origin.MODEL, "NO"), (Origin.IDENTITY, "YES"), (Origin.ESTIMATED, None)]
)
def test_whether_places_are_those_of_the_source_is_said_where_it_is_known(exported, origin, preserved):
    zero = Correspondence.identity(GRID).forward
    case = exported(correspondence=Correspondence(zero, zero, origin))
    assert case.images[0].SourceImageSequence[0].get("SpatialLocationsPreserved") == preserved


def test_loss_and_annotation_of_the_source_are_passed_on(tmp_path):
    changes = {"LossyImageCompression": "01", "LossyImageCompressionRatio": "12", "BurnedInAnnotation": "YES"}
    write_series(tmp_path / "source", whole_numbers(GRID), **changes)
    job = finished_job(tmp_path / "job", read_volume(tmp_path / "source"))
    export_result(job, tmp_path / "source", tmp_path / "out", ExportOptions())
    image = pydicom.dcmread(tmp_path / "out/series/0001.dcm")
    assert (image.LossyImageCompression, image.LossyImageCompressionRatio) == ("01", 12)
    assert image.BurnedInAnnotation == "YES"


def test_the_source_and_the_result_are_not_touched(tmp_path):
    source, job = translated_series(tmp_path, whole_numbers(GRID))
    before = {path: path.read_bytes() for folder in (source, job) for path in folder.rglob("*")}
    export_result(job, source, tmp_path / "out", ExportOptions())
    assert {path: path.read_bytes() for folder in (source, job) for path in folder.rglob("*")} == before
