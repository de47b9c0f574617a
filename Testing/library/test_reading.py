"""What can be read gives the right values and geometry; what cannot is answered with a sentence."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from MedTranslateLib.core.errors import InvalidVolumeError, SourceNotFoundError, SourceUnreadableError
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.imaging.geometry import set_geometry
from MedTranslateLib.imaging.reading import read_volume

TYPES = [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.float32, np.float64]


def numbered(shape, kind=np.int16):
    """A different value in each voxel."""
    return np.arange(np.prod(shape)).reshape(shape).astype(kind)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha", ".mhd"])
def test_every_format_gives_the_same_values_and_geometry(tmp_path, oblique_geometry, ending):
    shape = (3, 4, 5)
    image = set_geometry(sitk.GetImageFromArray(numbered(shape)), oblique_geometry)
    path = tmp_path / f"head.t1{ending}"
    sitk.WriteImage(image, str(path))
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array_kji, numbered(shape))
    # NIfTI stores its matrix as float32
    np.testing.assert_allclose(volume.geometry.ijk_to_ras, oblique_geometry.ijk_to_ras, atol=2e-5)
    assert volume.name == "head.t1"


@pytest.mark.parametrize("kind", TYPES)
def test_every_integer_and_float_type_is_read_as_float32(tmp_path, kind):
    path = tmp_path / "image.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(numbered((2, 3, 4), kind)), str(path))
    volume = read_volume(path)
    assert volume.array_kji.dtype == np.float32
    np.testing.assert_array_equal(volume.array_kji, numbered((2, 3, 4)))


def test_a_single_two_dimensional_slice_is_a_volume_of_one_slice(tmp_path):
    image = sitk.GetImageFromArray(numbered((3, 4)))
    image.SetSpacing((0.7, 0.9))
    sitk.WriteImage(image, str(tmp_path / "slice.mha"))
    volume = read_volume(tmp_path / "slice.mha")
    assert volume.geometry.size_ijk == (4, 3, 1)
    np.testing.assert_allclose(volume.geometry.spacing_mm[:2], [0.7, 0.9])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SourceNotFoundError, match=r"nothing\.nii does not exist; expected NIfTI"):
        read_volume(tmp_path / "nothing.nii")


def test_a_file_that_is_no_image_is_named(tmp_path):
    (tmp_path / "text.nii.gz").write_text("not an image")
    with pytest.raises(SourceUnreadableError, match=r"text\.nii\.gz cannot be read"):
        read_volume(tmp_path / "text.nii.gz")


def test_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "cut.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(numbered((20, 30, 40))), str(path))
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(SourceUnreadableError, match="cut"):
        read_volume(path)


def test_a_time_series_is_refused_with_its_size(tmp_path):
    series = sitk.JoinSeries([sitk.GetImageFromArray(numbered((2, 3, 4))) for _ in range(5)])
    sitk.WriteImage(series, str(tmp_path / "series.nii"))
    with pytest.raises(InvalidVolumeError, match=r"4-D with size \(4, 3, 2, 5\)"):
        read_volume(tmp_path / "series.nii")


def test_a_colour_image_is_refused(tmp_path):
    colour = sitk.GetImageFromArray(np.zeros((2, 3, 4, 3), np.uint8), isVector=True)
    sitk.WriteImage(colour, str(tmp_path / "colour.nrrd"))
    with pytest.raises(InvalidVolumeError, match="3 components"):
        read_volume(tmp_path / "colour.nrrd")


def test_nan_in_a_file_is_refused(tmp_path):
    array = np.zeros((2, 3, 4), np.float32)
    array[1, 1, 1] = np.nan
    sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / "nan.nrrd"))
    with pytest.raises(InvalidVolumeError, match="1 voxels are NaN"):
        read_volume(tmp_path / "nan.nrrd")


def write_dicom_series(folder, uid, *, slices=4, modality="MR"):
    """Slices 2.5 mm apart along the normal of an oblique plane, written in disorder."""
    row, column = np.array([0.8, 0.6, 0.0]), np.array([0.0, 0.0, -1.0])
    normal = np.cross(row, column)
    for number in [2, 0, 3, 1][:slices]:
        image = sitk.GetImageFromArray(numbered((1, 3, 4), np.int16) + 100 * number)
        image.SetSpacing((0.5, 0.75, 2.5))
        position = np.array([10.0, 20.0, 30.0]) + 2.5 * number * normal
        tags = {
            "0008|0060": modality,
            "0020|000e": uid,
            "0020|0013": str(number),
            "0020|0032": "\\".join(f"{value:.6f}" for value in position),
            "0020|0037": "\\".join(f"{value:.6f}" for value in [*row, *column]),
            "0028|0030": "0.75\\0.5",
            "0018|0050": "2.5",
        }
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetFileName(str(folder / f"{uid}-{number}.dcm"))
        writer.Execute(image)
    return position, normal


def test_a_dicom_folder_is_sorted_by_position_and_knows_its_modality(tmp_path):
    _, normal = write_dicom_series(tmp_path, "1.2.3.1")
    volume = read_volume(tmp_path)
    assert volume.modality == "MR"
    assert volume.geometry.size_ijk == (4, 3, 4)
    first_values = volume.array_kji[:, 0, 0]
    np.testing.assert_array_equal(first_values, [0, 100, 200, 300])
    expected_first = np.array([10.0, 20.0, 30.0]) * [-1, -1, 1]
    np.testing.assert_allclose(volume.geometry.ras_from_ijk([0, 0, 0]), expected_first, atol=1e-4)
    expected_last = (np.array([10.0, 20.0, 30.0]) + 7.5 * normal) * [-1, -1, 1]
    np.testing.assert_allclose(volume.geometry.ras_from_ijk([0, 0, 3]), expected_last, atol=1e-4)


def test_a_series_with_a_missing_slice_is_refused_instead_of_being_squeezed(tmp_path):
    write_dicom_series(tmp_path, "1.2.3.1", slices=4)
    (tmp_path / "1.2.3.1-1.dcm").unlink()
    with pytest.raises(InvalidVolumeError, match=r"5\.000 mm between slices 1 and 2|not evenly spaced"):
        read_volume(tmp_path)


def test_a_folder_with_two_series_lists_both(tmp_path):
    write_dicom_series(tmp_path, "1.2.3.1")
    write_dicom_series(tmp_path, "1.2.3.2")
    with pytest.raises(SourceUnreadableError, match=r"2 DICOM series: .*1\.2\.3\.1.*1\.2\.3\.2"):
        read_volume(tmp_path)


def test_a_folder_without_dicom_is_refused(tmp_path):
    with pytest.raises(SourceUnreadableError, match="holds no DICOM series"):
        read_volume(tmp_path)


def test_reading_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "image.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(numbered((2, 3, 4))), str(path))
    before = path.read_bytes()
    assert isinstance(read_volume(path), Volume)
    assert path.read_bytes() == before


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_nan_in_nifti_is_found_though_the_reader_of_itk_makes_it_zero(tmp_path, ending):
    values = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    values[1, 2, 3], values[2, 0, 0] = np.nan, np.inf
    path = tmp_path / f"head{ending}"
    sitk.WriteImage(sitk.GetImageFromArray(values), str(path))
    assert np.isfinite(sitk.GetArrayFromImage(sitk.ReadImage(str(path)))).all()  # which is why it has to be looked for
    with pytest.raises(InvalidVolumeError, match="holds 2 voxels that are not finite"):
        read_volume(path)
    sitk.WriteImage(sitk.GetImageFromArray(np.nan_to_num(values, posinf=7)), str(path))
    assert read_volume(path).array_kji[1, 1, 1] == 26
