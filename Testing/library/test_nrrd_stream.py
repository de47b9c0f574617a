"""What is taken past SimpleITK is what SimpleITK reads; what is not plain is left to it, and damage is an error."""

from __future__ import annotations

import gzip
import tracemalloc

import numpy as np
import pytest
import SimpleITK as sitk

from MedTranslateLib.core.correspondence import DisplacementField
from MedTranslateLib.core.errors import SourceUnreadableError
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.field_files import read_field, write_field
from MedTranslateLib.imaging.geometry import geometry_of
from MedTranslateLib.imaging.nrrd_stream import new_array, stream_nrrd
from MedTranslateLib.imaging.reading import read_volume
from MedTranslateLib.imaging.writing import write_mask, write_volume

FLOAT, VECTOR, BYTE = sitk.sitkFloat32, sitk.sitkVectorFloat32, sitk.sitkUInt8


@pytest.fixture
def geometry(oblique_geometry):
    """Oblique, anisotropic, left-handed, 7 x 6 x 5 voxels."""
    return Geometry((7, 6, 5), oblique_geometry.ijk_to_ras)


@pytest.fixture
def volume(geometry):
    return Volume(np.random.default_rng(1).normal(size=geometry.shape_kji), geometry)


@pytest.fixture
def volume_file(volume, tmp_path):
    write_volume(tmp_path / "volume.nrrd", volume)
    return tmp_path / "volume.nrrd"


def replaced(path, old, new):
    """Another text in the header."""
    head, end, stream = path.read_bytes().partition(b"\n\n")
    assert old in head
    path.write_bytes(head.replace(old, new) + end + stream)
    return path


def test_numbers_and_geometry_are_bit_for_bit_those_that_simpleitk_reads(geometry, volume, volume_file, tmp_path):
    vectors = np.random.default_rng(2).normal(size=(*geometry.shape_kji, 3)).astype(np.float32)
    write_field(tmp_path / "field.nrrd", DisplacementField(vectors, geometry))
    write_mask(tmp_path / "mask.nrrd", (volume.array_kji > 0).astype(np.uint8), geometry)
    for name, pixel in (("volume", FLOAT), ("field", VECTOR), ("mask", BYTE)):
        ours, theirs = stream_nrrd(tmp_path / f"{name}.nrrd", pixel), sitk.ReadImage(str(tmp_path / f"{name}.nrrd"))
        np.testing.assert_array_equal(ours.array_kji, sitk.GetArrayFromImage(theirs))
        assert ours.array_kji.dtype == sitk.GetArrayFromImage(theirs).dtype
        assert geometry_of(ours.header).ijk_to_ras.tolist() == geometry_of(theirs).ijk_to_ras.tolist()


def test_the_numbers_are_written_into_the_memory_that_is_given(geometry, volume, volume_file, tmp_path):
    given = []

    def allocate(shape, dtype, /):
        given.append(new_array(shape, dtype))
        return given[-1]

    assert np.shares_memory(read_volume(volume_file, allocate).array_kji, given[0])
    np.testing.assert_array_equal(given[0], volume.array_kji)
    vectors = np.random.default_rng(2).normal(size=(*geometry.shape_kji, 3)).astype(np.float32)
    write_field(tmp_path / "field.nrrd", DisplacementField(vectors, geometry))
    assert np.shares_memory(read_field(tmp_path / "field.nrrd", allocate).vectors_kji_ras, given[1])
    np.testing.assert_array_equal(given[1], vectors)


def test_reading_a_field_takes_little_more_memory_than_the_field(oblique_geometry, tmp_path):
    geometry = Geometry((150, 130, 30), oblique_geometry.ijk_to_ras)
    vectors = np.random.default_rng(2).normal(size=(*geometry.shape_kji, 3)).astype(np.float32)
    write_field(tmp_path / "field.nrrd", DisplacementField(vectors, geometry))
    tracemalloc.start()
    read_field(tmp_path / "field.nrrd")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.3 * vectors.nbytes


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"endian: little", b"endian: big"),
        (b"encoding: gzip", b"encoding: bzip2"),
        (b"kinds: domain domain domain", b"kinds: domain domain domain\nbyte skip: 4"),
        (b"kinds: domain domain domain", b"kinds: domain domain domain\ndata file: other.gz"),
        (b"kinds: domain domain domain", b"kinds: vector domain domain"),
        (b"sizes: 7 6 5", b"sizes: 70 60 50000"),
        (b"sizes: 7 6 5", b"sizes: 7 6 4"),
        (b"sizes: 7 6 5", b"sizes: 7 6 6"),
    ],
)
def test_another_form_is_left_to_simpleitk(volume_file, old, new):
    assert stream_nrrd(replaced(volume_file, old, new), FLOAT) is None


def test_another_type_is_left_to_simpleitk(volume_file, tmp_path):
    assert stream_nrrd(volume_file, VECTOR) is None
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((2, 3, 4), np.int32)), str(tmp_path / "whole.nrrd"), True)
    assert stream_nrrd(tmp_path / "whole.nrrd", FLOAT) is None  # as many bytes, but whole numbers


def test_a_header_that_promises_more_than_the_file_can_hold_costs_no_memory(volume_file):
    def allocate(shape, _dtype, /):
        pytest.fail(f"memory for {shape}")

    assert stream_nrrd(replaced(volume_file, b"sizes: 7 6 5", b"sizes: 7000 6000 5000"), FLOAT, allocate) is None


def test_components_that_are_stored_one_after_the_other_are_left_to_simpleitk(geometry, tmp_path):
    small = Geometry((3, 3, 3), geometry.ijk_to_ras)
    vectors = np.random.default_rng(2).normal(size=(3, 3, 3, 3)).astype(np.float32)
    path = tmp_path / "field.nrrd"
    write_field(path, DisplacementField(vectors, small))
    replaced(path, b"kinds: vector domain domain domain", b"kinds: domain domain domain vector")
    directions = next(line for line in path.read_bytes().split(b"\n") if line.startswith(b"space directions: none "))
    replaced(path, directions, directions.replace(b"none ", b"") + b" none")
    assert stream_nrrd(path, VECTOR) is None
    lps = np.array([-1, -1, 1])
    components = vectors * lps  # the slowest axis of these numbers, as they stand in the file, is the component now
    np.testing.assert_array_equal(read_field(path).vectors_kji_ras, np.moveaxis(components, 0, -1) * lps)


@pytest.mark.parametrize("name", ["nothing.nrrd", "folder.nrrd", "text.nrrd", "image.mha"])
def test_what_is_no_nrrd_file_is_left_to_simpleitk(volume, tmp_path, name):
    (tmp_path / "folder.nrrd").mkdir()
    (tmp_path / "text.nrrd").write_text("NRRD of a kind\n\n")
    write_volume(tmp_path / "image.mha", volume)
    assert stream_nrrd(tmp_path / name, FLOAT) is None


def test_a_big_endian_file_has_the_same_numbers(volume, volume_file):
    head, end, stream = volume_file.read_bytes().partition(b"\n\n")
    swapped = gzip.compress(np.frombuffer(gzip.decompress(stream), "<f4").astype(">f4").tobytes())
    volume_file.write_bytes(head.replace(b"endian: little", b"endian: big") + end + swapped)
    np.testing.assert_array_equal(read_volume(volume_file).array_kji, volume.array_kji)


def test_the_modality_in_a_header_is_read(volume_file):
    assert read_volume(volume_file).modality is None
    replaced(volume_file, b"space origin", b"0008|0060:=MR \nspace origin")
    assert read_volume(volume_file).modality == "MR"


@pytest.mark.parametrize("place", [-1, -6, -40])
def test_a_single_changed_bit_of_the_numbers_or_of_their_checksum_is_noticed(volume_file, place):
    content = bytearray(volume_file.read_bytes())
    content[place] ^= 0x10
    volume_file.write_bytes(bytes(content))
    with pytest.raises(SourceUnreadableError, match="compressed data"):
        stream_nrrd(volume_file, FLOAT)


@pytest.mark.parametrize("missing", [1, 8, 200])
def test_a_file_that_ends_too_early_is_noticed(volume_file, missing):
    volume_file.write_bytes(volume_file.read_bytes()[:-missing])
    with pytest.raises(SourceUnreadableError, match="end too early"):
        stream_nrrd(volume_file, FLOAT)


def test_values_that_are_not_finite_are_refused_with_their_number(volume_file, volume):
    head, end, stream = volume_file.read_bytes().partition(b"\n\n")
    numbers = np.frombuffer(gzip.decompress(stream), "<f4").copy()
    numbers[[3, 8]] = np.nan, np.inf
    volume_file.write_bytes(head + end + gzip.compress(numbers.tobytes()))
    with pytest.raises(ValueError, match="volume: 2 voxels are NaN or infinite"):
        read_volume(volume_file)
