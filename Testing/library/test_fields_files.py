"""A field file is what SimpleITK maps points with, is equal for equal fields, and is whole or not there."""

from __future__ import annotations

import ast
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from MedTranslateLib.core.correspondence import DisplacementField
from MedTranslateLib.core.errors import InvalidVolumeError, OutputError, SourceNotFoundError, SourceUnreadableError
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.imaging.field_files import read_field, write_field
from MedTranslateLib.imaging.fields import is_identity, map_points
from MedTranslateLib.imaging.geometry import set_geometry

LPS = np.array([-1, -1, 1])


@pytest.fixture
def field(oblique_geometry: Geometry) -> DisplacementField:
    """Random displacements of about 3 mm on an oblique, anisotropic, left-handed grid of 13 x 11 x 7 points."""
    geometry = Geometry((13, 11, 7), oblique_geometry.ijk_to_ras)
    vectors = np.random.default_rng(8).normal(scale=3, size=(*geometry.shape_kji, 3)).astype(np.float32)
    return DisplacementField(vectors, geometry)


def header_of(path: Path) -> list[str]:
    return path.read_bytes().split(b"\n\n")[0].decode().splitlines()


def mapped_by_simpleitk(path: Path, points_ras: np.ndarray) -> np.ndarray:
    transform = sitk.DisplacementFieldTransform(sitk.ReadImage(str(path), sitk.sitkVectorFloat64))
    return np.array([transform.TransformPoint((p * LPS).tolist()) for p in points_ras]) * LPS


def sheared(geometry: Geometry) -> Geometry:
    """The slices slide over each other, as with a tilted gantry."""
    matrix = np.array(geometry.ijk_to_ras)
    matrix[:3, 2] += 0.3 * matrix[:3, 1]
    return Geometry(geometry.size_ijk, matrix)


def test_a_field_comes_back_bit_for_bit_on_the_same_grid(field, tmp_path):
    write_field(tmp_path / "field.nrrd", field)
    again = read_field(tmp_path / "field.nrrd")
    np.testing.assert_array_equal(again.vectors_kji_ras, field.vectors_kji_ras)
    assert again.geometry.same_grid(field.geometry, tolerance_mm=1e-9)


@pytest.mark.parametrize("size", [(13, 11, 7), (13, 11, 1)])
@pytest.mark.parametrize("shear", [False, True])
def test_simpleitk_maps_points_through_the_file_as_the_library_does(field, tmp_path, size, shear):
    geometry = Geometry(size, field.geometry.ijk_to_ras)
    written = DisplacementField(field.vectors_kji_ras[: size[2]], sheared(geometry) if shear else geometry)
    write_field(tmp_path / "field.nrrd", written)
    indices = np.random.default_rng(9).uniform(-1, np.array(size), (500, 3))
    points = written.geometry.ras_from_ijk(indices)
    theirs = mapped_by_simpleitk(tmp_path / "field.nrrd", points)
    np.testing.assert_allclose(map_points(written, points), theirs, atol=1e-9)
    np.testing.assert_allclose(map_points(read_field(tmp_path / "field.nrrd"), points), theirs, atol=1e-9)
    assert np.abs(theirs - points).max() > 3


@pytest.mark.parametrize("ending", [".mha", ".nii.gz", ".nrrd"])
def test_a_field_that_simpleitk_wrote_is_read_to_the_same_mapping(field, tmp_path, ending):
    write_field(tmp_path / "field.nrrd", field)
    path = tmp_path / f"theirs{ending}"
    image = sitk.ReadImage(str(tmp_path / "field.nrrd"), sitk.sitkVectorFloat64)
    image.EraseMetaData("intent_code")  # SimpleITK's images cannot be turned into NIfTI's RAS displacements
    sitk.WriteImage(image, str(path))
    points = field.geometry.ras_from_ijk([[3.2, 4.5, 2.1], [11.0, 0.3, 5.5]])
    np.testing.assert_allclose(map_points(read_field(path), points), map_points(field, points), atol=1e-4)


def test_a_nifti_displacement_whose_vectors_are_ras_on_disk_is_read_to_the_same_mapping(field, tmp_path):
    path = tmp_path / "theirs.nii"
    image = sitk.GetImageFromArray(field.vectors_kji_ras, isVector=True)
    sitk.WriteImage(set_geometry(image, field.geometry), str(path))
    content = bytearray(path.read_bytes())
    struct.pack_into("<h", content, 68, 1006)  # NIfTI-1 intent_code: NIFTI_INTENT_DISPVECT
    path.write_bytes(content)
    points = field.geometry.ras_from_ijk([[3.2, 4.5, 2.1], [11.0, 0.3, 5.5]])
    np.testing.assert_allclose(map_points(read_field(path), points), map_points(field, points), atol=1e-4)


def test_the_header_says_displacement_in_lps_from_output_to_input(field, tmp_path):
    write_field(tmp_path / "field.nrrd", field)
    lines = header_of(tmp_path / "field.nrrd")
    expected = {
        "type: float",
        "space: left-posterior-superior",
        "sizes: 3 13 11 7",
        "kinds: vector domain domain domain",
        "encoding: gzip",
        "displacement field type:=resampling",
        "intent_code:=1006",
    }
    assert expected <= set(lines)
    origin = next(line for line in lines if line.startswith("space origin")).split(": ")[1]
    np.testing.assert_allclose(ast.literal_eval(origin), field.geometry.origin_ras * LPS, atol=0)


def test_equal_fields_give_equal_bytes_without_a_date_whatever_their_name(field, tmp_path):
    write_field(tmp_path / "a.nrrd", field)
    strided = DisplacementField(field.vectors_kji_ras[::-1].copy()[::-1], field.geometry)
    write_field(tmp_path / "another.nrrd", strided)
    content = (tmp_path / "a.nrrd").read_bytes()
    assert (tmp_path / "another.nrrd").read_bytes() == content
    stream = content.split(b"\n\n", 1)[1]
    assert stream[:3] == b"\x1f\x8b\x08"
    assert stream[3:8] == bytes(5)  # no flags (no name), no time


def test_an_identity_is_a_tiny_file_and_stays_free_of_memory(oblique_geometry, tmp_path):
    write_field(tmp_path / "identity.nrrd", DisplacementField.zero(oblique_geometry))
    assert (tmp_path / "identity.nrrd").stat().st_size < 1000
    again = read_field(tmp_path / "identity.nrrd")
    assert is_identity(again)
    points = oblique_geometry.ras_from_ijk(np.random.default_rng(3).uniform(0, [149, 129, 29], (20, 3)))
    np.testing.assert_array_equal(map_points(again, points), points)
    np.testing.assert_array_equal(mapped_by_simpleitk(tmp_path / "identity.nrrd", points), points)


def test_only_the_finished_file_is_left(field, tmp_path):
    write_field(tmp_path / "field.nrrd", field)
    write_field(tmp_path / "field.nrrd", DisplacementField.zero(field.geometry))
    assert [path.name for path in tmp_path.iterdir()] == ["field.nrrd"]
    assert is_identity(read_field(tmp_path / "field.nrrd"))


def test_a_file_is_replaced_in_one_step_and_never_written_into(field, tmp_path):
    write_field(tmp_path / "field.nrrd", field)
    content = (tmp_path / "field.nrrd").read_bytes()
    (tmp_path / "same_file.nrrd").hardlink_to(tmp_path / "field.nrrd")
    write_field(tmp_path / "field.nrrd", DisplacementField.zero(field.geometry))
    assert (tmp_path / "same_file.nrrd").read_bytes() == content
    assert (tmp_path / "field.nrrd").read_bytes() != content


def test_another_ending_is_refused_before_anything_is_written(field, tmp_path):
    with pytest.raises(OutputError, match=r"written as \.nrrd, got the ending '\.h5'"):
        write_field(tmp_path / "field.h5", field)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["missing/field.nrrd", "file.txt/field.nrrd", "folder.nrrd"])
def test_a_place_that_cannot_be_written_to_is_an_output_error(field, tmp_path, place):
    (tmp_path / "file.txt").write_text("in the way")
    (tmp_path / "folder.nrrd").mkdir()
    with pytest.raises(OutputError, match="could not be written"):
        write_field(tmp_path / place, field)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.txt", "folder.nrrd"]


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are a POSIX feature")
def test_a_file_that_finds_no_space_for_its_last_byte_is_an_error_and_leaves_the_old_one(field, tmp_path):
    path = tmp_path / "field.nrrd"
    write_field(path, field)
    content = path.read_bytes()
    program = f"""
import resource, signal
from pathlib import Path
from MedTranslateLib.core.errors import OutputError
from MedTranslateLib.imaging.field_files import read_field, write_field
path = Path({str(path)!r})
field = read_field(path)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({len(content) - 1}, {len(content) - 1}))
try:
    write_field(path, field)
except OutputError:
    raise SystemExit(3)
"""
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", program], cwd=root, check=False).returncode == 3
    assert path.read_bytes() == content
    assert [found.name for found in tmp_path.iterdir()] == ["field.nrrd"]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SourceNotFoundError, match=r"nothing\.nrrd does not exist"):
        read_field(tmp_path / "nothing.nrrd")


@pytest.mark.parametrize("damage", ["text", "truncated", "flipped"])
def test_a_damaged_file_is_refused(field, tmp_path, damage):
    path = tmp_path / "field.nrrd"
    write_field(path, field)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    damaged = {"text": b"no field", "truncated": path.read_bytes()[:-1000], "flipped": bytes(content)}
    path.write_bytes(damaged[damage])
    with pytest.raises(SourceUnreadableError, match="cannot be read"):
        read_field(path)


@pytest.mark.parametrize("components", [1, 2])
def test_an_image_without_three_components_is_no_field(tmp_path, components):
    array = np.ones((4, 3, 5, components), np.float32)
    image = sitk.GetImageFromArray(array.squeeze(), isVector=components > 1)
    sitk.WriteImage(image, str(tmp_path / "image.nrrd"))
    with pytest.raises(InvalidVolumeError, match=rf"3 components a voxel, got 3-D with {components} comp"):
        read_field(tmp_path / "image.nrrd")


def test_displacements_that_are_not_finite_are_refused_with_the_name_of_the_file(tmp_path):
    array = np.ones((4, 3, 5, 3), np.float32)
    array[1, 2, 3, 0] = np.nan
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=True), str(tmp_path / "holes.nrrd"))
    with pytest.raises(InvalidVolumeError, match=r"holes\.nrrd: .*NaN"):
        read_field(tmp_path / "holes.nrrd")
