"""A written field is the same mapping in Slicer's core, in SimpleITK and in the library."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import SimpleITK as sitk

from MedTranslateLib.core.correspondence import DisplacementField
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.imaging.field_files import read_field, write_field
from MedTranslateLib.imaging.fields import map_points

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")


@pytest.fixture(scope="module")
def agreement() -> ModuleType:
    """The benchmark script, whose figures the tests hold to their limits."""
    path = Path(__file__).parents[1] / "benchmarks" / "field_agreement.py"
    spec = importlib.util.spec_from_file_location("field_agreement", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def loaded(agreement: ModuleType, tmp_path: Path):
    """The smooth field's file as a transform node, in a scene that the test holds."""
    path = tmp_path / "smooth.nrrd"
    write_field(path, agreement.smooth_field())
    scene = slicer.vtkMRMLScene()
    return scene, slicer.vtkSlicerTransformLogic().AddTransform(str(path), scene)


def test_three_readers_map_points_to_the_same_places(agreement: ModuleType, tmp_path: Path):
    measured = agreement.measure(tmp_path)
    assert measured["points"] == 1000
    assert measured["on_grid_mm"] <= 1e-3, measured
    assert measured["between_mm"] <= 0.02, measured  # Slicer interpolates cubically, the others linearly
    assert measured["identity_mm"] <= 1e-9, measured


def test_slicer_reads_the_file_as_a_grid_transform_from_parent(agreement: ModuleType, loaded):
    _, node = loaded
    assert node.GetTransformFromParentAs("vtkOrientedGridTransform", False) is not None
    points = agreement.random_points(on_grid=True)
    expected = points + agreement.smooth_displacement(points)
    assert np.abs(expected - points).max() > 4
    from_parent, to_parent = node.GetTransformFromParent(), node.GetTransformToParent()
    mapped = np.array([from_parent.TransformPoint(point) for point in points.tolist()])
    np.testing.assert_allclose(mapped, expected, atol=1e-5)
    back = np.array([to_parent.TransformPoint(point) for point in expected[:50].tolist()])
    np.testing.assert_allclose(back, points[:50], atol=0.05)  # Slicer's inverse iterates


def test_a_field_that_slicer_wrote_is_read_to_the_same_mapping(agreement: ModuleType, loaded, tmp_path: Path):
    _, node = loaded
    storage = slicer.vtkMRMLTransformStorageNode()
    storage.SetFileName(str(tmp_path / "by_slicer.nrrd"))
    assert storage.WriteData(node)
    points = agreement.random_points(on_grid=False)
    again = map_points(read_field(tmp_path / "by_slicer.nrrd"), points)
    np.testing.assert_allclose(again, map_points(agreement.smooth_field(), points), atol=1e-5)


def test_slicers_own_displacement_files_carry_the_marks_that_ours_carry(loaded, tmp_path: Path):
    _, node = loaded
    storage = slicer.vtkMRMLTransformStorageNode()
    storage.SetFileName(str(tmp_path / "by_slicer.nrrd"))
    assert storage.WriteData(node)
    ours, theirs = sitk.ReadImage(str(tmp_path / "smooth.nrrd")), sitk.ReadImage(str(tmp_path / "by_slicer.nrrd"))
    for key in ("displacement field type", "intent_code"):
        assert ours.GetMetaData(key) == theirs.GetMetaData(key)


def test_on_a_single_slice_all_readers_agree(agreement: ModuleType, oblique_geometry, tmp_path: Path):
    geometry = Geometry((14, 9, 1), oblique_geometry.ijk_to_ras)
    vectors = np.random.default_rng(4).normal(scale=3, size=(1, 9, 14, 3)).astype(np.float32)
    write_field(tmp_path / "slice.nrrd", DisplacementField(vectors, geometry))
    rows, columns = np.mgrid[:9, :14]
    centres = geometry.ras_from_ijk(np.stack([columns, rows, 0 * rows], axis=-1).reshape(-1, 3))
    assert agreement.greatest_distance_mm(tmp_path / "slice.nrrd", centres) <= 1e-3
