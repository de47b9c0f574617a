"""A small file that promises a huge image is refused before memory is taken; no header reaches outside its folder."""

from __future__ import annotations

import gzip
import struct
import tracemalloc

import numpy as np
import pytest
import SimpleITK as sitk

from MedTranslateLib.core.errors import SourceUnreadableError
from MedTranslateLib.imaging.reading import read_volume

RAMP = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
NIFTI_SIZES = slice(40, 56)
"""dim[8] of the NIfTI-1 header, int16: https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h"""


def nifti(tmp_path, ending, size):
    plain = tmp_path / "plain.nii"
    sitk.WriteImage(sitk.GetImageFromArray(RAMP), str(plain))
    content = bytearray(plain.read_bytes())
    content[NIFTI_SIZES] = struct.pack("<8h", 3, *size, 1, 1, 1, 1)
    path = tmp_path / f"image{ending}"
    path.write_bytes(gzip.compress(bytes(content)) if ending.endswith("gz") else bytes(content))
    return path


def nrrd(tmp_path, encoding, size, more=""):
    header = (
        f"NRRD0004\ntype: float\ndimension: 3\nspace: left-posterior-superior\nsizes: {size[0]} {size[1]} {size[2]}\n"
        "space directions: (1,0,0) (0,1,0) (0,0,2)\nkinds: domain domain domain\nendian: little\n"
        f"encoding: {encoding}\nspace origin: (1,2,3)\n{more}\n"
    )
    voxels = RAMP.tobytes()
    path = tmp_path / ("image.nhdr" if more else "image.nrrd")
    packed = gzip.compress(voxels) if encoding == "gzip" else voxels
    path.write_bytes(header.encode() + (b"" if more else packed))
    return path


def meta(tmp_path, data_file, size):
    path = tmp_path / ("image.mha" if data_file == "LOCAL" else "image.mhd")
    header = (
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
        f"DimSize = {size[0]} {size[1]} {size[2]}\nElementType = MET_FLOAT\nElementDataFile = {data_file}\n"
    )
    path.write_bytes(header.encode() + (RAMP.tobytes() if data_file == "LOCAL" else b""))
    return path


FORMS = {
    "nii": lambda folder, size: nifti(folder, ".nii", size),
    "nii.gz": lambda folder, size: nifti(folder, ".nii.gz", size),
    "nrrd raw": lambda folder, size: nrrd(folder, "raw", size),
    "nrrd gzip": lambda folder, size: nrrd(folder, "gzip", size),
    "mha": lambda folder, size: meta(folder, "LOCAL", size),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_header_that_promises_more_than_the_file_can_hold_is_refused_without_taking_memory(tmp_path, form):
    path = FORMS[form](tmp_path, (900, 800, 700))
    tracemalloc.start()
    with pytest.raises(SourceUnreadableError, match=r"promises 900 x 800 x 700 voxels, which take 2016000000 bytes"):
        read_volume(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6


@pytest.mark.parametrize("form", FORMS)
def test_more_voxels_than_any_scanner_makes_are_refused(tmp_path, form):
    with pytest.raises(SourceUnreadableError, match=r"30000 x 30000 x 30000 voxels, more than the 2147483647"):
        read_volume(FORMS[form](tmp_path, (30000, 30000, 30000)))


@pytest.mark.parametrize("form", FORMS)
def test_a_header_that_keeps_its_promise_is_read(tmp_path, form):
    np.testing.assert_array_equal(read_volume(FORMS[form](tmp_path, (5, 4, 3))).array_kji, RAMP)


def test_an_empty_image_that_packs_a_thousandfold_is_read(tmp_path):
    path = tmp_path / "zeros.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((64, 128, 128), np.float32)), str(path))
    assert path.stat().st_size * 900 < 64 * 128 * 128 * 4
    assert read_volume(path).array_kji.max() == 0


@pytest.mark.parametrize("where", ["/etc/passwd", "../secret.raw", "LIST\n{folder}/../secret.raw"])
def test_a_header_that_takes_its_voxels_from_elsewhere_is_refused(tmp_path, where):
    (tmp_path / "secret.raw").write_bytes(bytes(240))
    folder = tmp_path / "images"
    folder.mkdir()
    data_file = where.format(folder=folder)
    with pytest.raises(SourceUnreadableError, match="outside of its folder"):
        read_volume(meta(folder, data_file, (5, 4, 3)))
    if "LIST" not in where:
        with pytest.raises(SourceUnreadableError, match="outside of its folder"):
            read_volume(nrrd(folder, "raw", (5, 4, 3), f"data file: {data_file}\n"))


def test_a_header_with_its_voxels_beside_it_is_read(tmp_path):
    (tmp_path / "two words.raw").write_bytes(RAMP.tobytes())
    np.testing.assert_array_equal(read_volume(meta(tmp_path, "two words.raw", (5, 4, 3))).array_kji, RAMP)
    np.testing.assert_array_equal(
        read_volume(nrrd(tmp_path, "raw", (5, 4, 3), "data file: two words.raw\n")).array_kji, RAMP
    )
