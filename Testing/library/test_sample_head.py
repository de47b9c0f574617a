from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import SimpleITK as sitk

from MedTranslateLib.imaging.reading import read_volume

ROOT = Path(__file__).parents[2]
HEAD = ROOT / "Resources" / "SampleData" / "colin27_t1.nii.gz"
NOTICE = HEAD.with_name("NOTICE.txt")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = ROOT / "Testing" / "benchmarks" / "make_sample_head.py"
    spec = importlib.util.spec_from_file_location("make_sample_head", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_sample_head_is_small_and_the_file_that_its_notice_names() -> None:
    content = HEAD.read_bytes()
    assert len(content) < 3_000_000
    assert hashlib.sha256(content).hexdigest() in NOTICE.read_text(encoding="utf-8")
    assert content[4:8] == bytes(4)  # the date in a gzip header


def test_the_notice_of_the_copyright_holder_stands_beside_the_sample_head() -> None:
    words = " ".join(NOTICE.read_text(encoding="utf-8").split())
    assert "Copyright (C) 1993-2009 Louis Collins, McConnell Brain Imaging Centre" in words
    assert "provided that the above copyright notice appear in all copies" in words


def test_the_sample_head_lies_upright_around_the_origin_of_the_brain() -> None:
    head = read_volume(HEAD)
    assert head.geometry.size_ijk == (181, 217, 90)
    np.testing.assert_allclose(head.geometry.spacing_mm, [1, 1, 2])
    # Above the skull there is air, at the middle of the brain there is not.
    i, j, k = np.rint(head.geometry.ijk_from_ras([[0, 0, 105], [20, -20, 30]])).astype(int).T
    above, brain = head.array_kji[k, j, i]
    assert above == 0
    assert brain > 50


def test_a_thick_slice_is_the_mean_of_its_slices_and_lies_between_them(script: ModuleType, tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((5, 3, 2), np.uint8) * 10)
    image.SetSpacing((1.0, 1.5, 2.0))
    image.SetOrigin((7.0, 8.0, 9.0))
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    thick = script.thick_slices(image, 2)
    assert sitk.GetArrayFromImage(thick)[:, 0, 0].tolist() == [5, 25]  # slices 0 and 1, 2 and 3; 4 is left over
    assert thick.GetSpacing() == (1.0, 1.5, 4.0)
    assert thick.GetOrigin() == (7.0, 8.0, 10.0)
    script.write_without_date(tmp_path / "a.nii.gz", thick)
    script.write_without_date(tmp_path / "b.nii.gz", thick)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    assert sitk.ReadImage(str(tmp_path / "a.nii.gz")).GetOrigin() == thick.GetOrigin()
