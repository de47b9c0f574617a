"""Which series a result came from is found by place and voxels; what does not fit is refused with a sentence."""

from __future__ import annotations

import shutil

import numpy as np
import pydicom
import pytest
from dicom_sources import SECRETS, finished_job, oblique, set_pixels, whole_numbers, write, write_series
from pydicom.data import get_testdata_file

from MedTranslateLib.core.errors import SourceNotFoundError, SourceUnreadableError
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.dicom.export import ExportOptions, export_result
from MedTranslateLib.imaging.reading import read_volume

GRID = oblique((9, 7, 4), (0.9, 1.3, 4.0))


def export(tmp_path, source: Volume, series=None, **options):
    """The first written image, and the warnings."""
    job = finished_job(tmp_path / "job", source)
    done = export_result(job, series or tmp_path / "source", tmp_path / "out", ExportOptions(**options))
    return pydicom.dcmread(tmp_path / "out/series/0001.dcm"), done.warnings


def test_among_several_series_the_one_with_the_voxels_of_the_source_is_taken(tmp_path):
    others = [oblique((9, 7, 4), (0.9, 1.3, 5.0)), oblique((7, 9, 4), (0.9, 1.3, 4.0))]
    wanted = write_series(tmp_path / "alone", whole_numbers(GRID))
    source = read_volume(tmp_path / "alone")
    for number, folder in enumerate([tmp_path / "alone", tmp_path / "b", tmp_path / "c"]):
        if number:
            write_series(folder, whole_numbers(others[number - 1]))
        for path in folder.iterdir():
            target = tmp_path / "all" / f"{number}-{path.name}"
            target.parent.mkdir(exist_ok=True)
            shutil.copy(path, target)
    (tmp_path / "all" / "notes.txt").write_text("not an image")
    image, _ = export(tmp_path, source, tmp_path / "all")
    assert image.StudyInstanceUID == wanted[0].StudyInstanceUID
    assert image.SourceImageSequence[0].ReferencedSOPInstanceUID == wanted[0].SOPInstanceUID


def test_a_source_that_was_read_from_the_other_end_finds_its_slices_by_their_place(tmp_path):
    written = write_series(tmp_path / "source", whole_numbers(GRID))
    volume = read_volume(tmp_path / "source")
    matrix = np.array(volume.geometry.ijk_to_ras)
    matrix[:3, 3] = volume.geometry.ras_from_ijk([0, 0, 3])
    matrix[:3, 2] *= -1
    image, _ = export(tmp_path, Volume(volume.array_kji[::-1], Geometry(GRID.size_ijk, matrix)))
    assert image.SourceImageSequence[0].ReferencedSOPInstanceUID == written[3].SOPInstanceUID
    assert image.ImagePositionPatient == written[3].ImagePositionPatient


def test_other_voxels_at_the_same_place_are_another_image(tmp_path):
    write_series(tmp_path / "source", whole_numbers(GRID, seed=4))
    changed = np.array(read_volume(tmp_path / "source").array_kji)
    changed[2, 3, 4] += 1
    with pytest.raises(SourceUnreadableError, match=r"1 of 252 voxels differ, by up to 1.*give its folder"):
        export(tmp_path, Volume(changed, GRID))


@pytest.mark.parametrize("shift", [(0.3, 0, 0), (0, 0, 4.0)])
def test_a_series_at_another_place_is_not_the_source(tmp_path, shift):
    write_series(tmp_path / "source", whole_numbers(GRID))
    matrix = np.array(GRID.ijk_to_ras)
    matrix[:3, 3] += shift
    with pytest.raises(SourceUnreadableError, match=r"No series in .* .9 x 7 pixels, 4 slices.*It holds 1\.2\.3\."):
        export(tmp_path, Volume(whole_numbers(GRID).array_kji, Geometry(GRID.size_ijk, matrix)))


def test_rounded_directions_do_not_hide_the_source_and_are_written_as_they_were(tmp_path):
    geometry = oblique((60, 50, 30), (0.9, 1.3, 4.0))
    direction = np.diag([-1, -1, 1]) @ geometry.direction_ras
    rounded = [f"{value:.4f}" for value in direction[:, :2].T.ravel()]
    written = write_series(tmp_path / "source", whole_numbers(geometry), ImageOrientationPatient=rounded)
    export(tmp_path, read_volume(tmp_path / "source"))
    for k, source in enumerate(written):
        image = pydicom.dcmread(tmp_path / f"out/series/{k + 1:04d}.dcm")
        assert image.ImagePositionPatient == source.ImagePositionPatient
        assert image.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID


def test_no_folder_no_images_and_multi_frame_files_are_named(tmp_path):
    source = whole_numbers(GRID)
    with pytest.raises(SourceNotFoundError, match="is no folder"):
        export(tmp_path / "1", source, tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceUnreadableError, match="holds no DICOM images"):
        export(tmp_path / "2", source, tmp_path / "empty")
    enhanced = write_series(tmp_path / "frames", source, NumberOfFrames="4")[0]
    for path in (tmp_path / "frames").iterdir():
        path.unlink()
    set_pixels(enhanced, source.array_kji.reshape(-1, 9))
    enhanced.Rows = 7
    write(tmp_path / "frames/1.dcm", enhanced)
    with pytest.raises(SourceUnreadableError, match="multi-frame DICOM files; expected one file a slice"):
        export(tmp_path / "3", source, tmp_path / "frames")


def test_private_tags_and_everything_that_is_not_known_stay_behind(tmp_path):
    write_series(tmp_path / "source", whole_numbers(GRID), PatientComments="secret thoughts")
    for path in (tmp_path / "source").iterdir():
        header = pydicom.dcmread(path)
        header.private_block(0x0099, "ACME 1.0", create=True).add_new(0x01, "LO", "private thoughts")
        header.save_as(path)
    export(tmp_path, read_volume(tmp_path / "source"))
    for path in (tmp_path / "out").rglob("*.dcm"):
        content = path.read_bytes()
        assert b"thoughts" not in content
        assert not any(element.tag.is_private for element in pydicom.dcmread(path).iterall())


@pytest.mark.parametrize(
    ("charset", "name", "written"),
    [
        ("ISO_IR 100", "Müller^Jürgen", "ISO_IR 100"),
        ("ISO_IR 192", "Ωmega^Ærø", "ISO_IR 192"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう", "ISO_IR 192"),
    ],
)
def test_a_name_is_the_same_in_whatever_character_set_the_source_wrote_it(tmp_path, charset, name, written):
    write_series(tmp_path / "source", whole_numbers(GRID), SpecificCharacterSet=charset, PatientName=name)
    image, warnings = export(tmp_path, read_volume(tmp_path / "source"))
    assert image.PatientName == name
    assert image.SpecificCharacterSet == written
    assert warnings == ()


def test_an_illegal_patient_id_is_kept_and_an_illegal_date_is_not_and_both_are_said(tmp_path):
    write_series(tmp_path / "source", whole_numbers(GRID), PatientID="X" * 70, StudyDate="yesterday", PatientAge="65")
    image, warnings = export(tmp_path, read_volume(tmp_path / "source"))
    assert image.PatientID == "X" * 70
    assert image.StudyDate == ""
    assert "PatientAge" not in image
    assert [warning.split(" ")[0] for warning in warnings] == ["PatientID", "StudyDate", "PatientAge"]
    assert not any("XXXX" in warning or "yesterday" in warning for warning in warnings)


def test_what_a_source_lacks_is_empty_or_made_and_said(tmp_path):
    gaps = ("PatientName", "PatientID", "StudyInstanceUID", "FrameOfReferenceUID", "StudyDate", "PatientPosition")
    write_series(tmp_path / "source", whole_numbers(GRID), **dict.fromkeys(gaps))
    image, warnings = export(tmp_path, read_volume(tmp_path / "source"))
    assert (image.PatientName, image.PatientID, image.StudyDate, image.PatientPosition) == ("", "", "", "")
    assert image.StudyInstanceUID.startswith("2.25.")
    assert image.FrameOfReferenceUID.startswith("2.25.")
    assert "StudyInstanceUID is missing" in warnings[0]
    assert "FrameOfReferenceUID" in warnings[1]


def test_a_patient_who_was_deidentified_before_stays_so(tmp_path):
    changes = {"PatientIdentityRemoved": "YES", "DeidentificationMethod": "by hand"}
    write_series(tmp_path / "source", whole_numbers(GRID), **changes)
    image, _ = export(tmp_path, read_volume(tmp_path / "source"))
    assert (image.PatientIdentityRemoved, image.DeidentificationMethod) == ("YES", "by hand")
    assert image.PatientName == SECRETS["PatientName"]


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_implicit.dcm", "MR_small_jpeg_ls_lossless.dcm"])
def test_real_files_of_scanners_are_found_again_whatever_their_transfer_syntax(tmp_path, name):
    (tmp_path / "source").mkdir()
    shutil.copy(get_testdata_file(name), tmp_path / "source")
    header = pydicom.dcmread(tmp_path / "source" / name)
    image, _ = export(tmp_path, read_volume(tmp_path / "source"))
    assert (image.PatientName, image.PatientID) == (header.PatientName, header.PatientID)
    assert image.SourceImageSequence[0].ReferencedSOPInstanceUID == header.SOPInstanceUID
    assert image.ImagePositionPatient == header.ImagePositionPatient
