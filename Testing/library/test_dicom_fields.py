"""Fields as Deformable Spatial Registration objects: others map points through them as this library does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_sources import LPS, finished_job, moved, oblique, smooth_field, translated_series, whole_numbers

from MedTranslateLib.core.correspondence import Correspondence, DisplacementField, Origin
from MedTranslateLib.core.errors import InvalidVolumeError, SourceUnreadableError
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.dicom.export import ExportOptions, export_result
from MedTranslateLib.dicom.registration import read_registration
from MedTranslateLib.imaging.fields import map_points
from MedTranslateLib.imaging.job_folder import read_result

GRID = oblique((9, 7, 5), (0.9, 1.3, 4.0))
LEFT_HANDED = oblique((9, 7, 5), (0.9, 1.3, 4.0), left_handed=True)
COARSER = oblique((6, 5, 4), (1.7, 2.1, 5.0))


@pytest.fixture(scope="module")
def model_fields(tmp_path_factory):
    """Folders of exports of the same job on different grids, each made once: `model_fields(geometry)`."""
    known: dict[int, Path] = {}

    def folder(geometry: Geometry) -> Path:
        if id(geometry) not in known:
            known[id(geometry)] = tmp_path_factory.mktemp("fields")
            exported(known[id(geometry)], moved(geometry))
        return known[id(geometry)]

    return folder


def exported(folder: Path, correspondence: Correspondence) -> dict[str, Path]:
    source, job = translated_series(folder, whole_numbers(GRID), correspondence=correspondence)
    export_result(job, source, folder / "out", ExportOptions())
    return files_of(folder)


def files_of(folder: Path) -> dict[str, Path]:
    return {name: folder / f"out/fields/{name}.dcm" for name in ("forward", "inverse")}


def grid_of(path):
    """The grid as PS3.3 C.20.3.1 defines it, by pydicom alone: centre of its first voxel, axes, vectors, all in LPS."""
    (item,) = pydicom.dcmread(path).DeformableRegistrationSequence[1].DeformableRegistrationGridSequence
    row, column = np.array(item.ImageOrientationPatient, dtype=float).reshape(2, 3)
    axes = np.stack([row, column, np.cross(row, column)], axis=1) * np.array(item.GridResolution, dtype=float)
    columns, rows, slices = item.GridDimensions
    vectors = np.frombuffer(item.VectorGridData, "<f4").reshape(slices, rows, columns, 3)
    return np.array(item.ImagePositionPatient, dtype=float), axes, vectors


def points_in(field: DisplacementField, count: int = 40):
    size = np.array(field.geometry.size_ijk)
    return field.geometry.ras_from_ijk(np.random.default_rng(6).uniform(0, size - 1, (count, 3)))


@pytest.mark.parametrize("geometry", [GRID, LEFT_HANDED, COARSER], ids=["right", "left-handed", "coarser"])
@pytest.mark.parametrize("name", ["forward", "inverse"])
def test_every_grid_point_is_mapped_as_the_formula_of_the_standard_says(model_fields, geometry, name):
    correspondence = moved(geometry)
    first, axes, vectors = grid_of(files_of(model_fields(geometry))[name])
    field = getattr(correspondence, name)
    for k, j, i in np.ndindex(vectors.shape[:3]):
        start = first + axes @ [i, j, k]
        mapped = map_points(field, LPS @ start)
        np.testing.assert_allclose(LPS @ (start + vectors[k, j, i]), mapped, atol=2e-5)


@pytest.mark.parametrize("geometry", [GRID, LEFT_HANDED], ids=["right", "left-handed"])
def test_itk_maps_points_between_the_grid_points_to_the_same_places(model_fields, geometry):
    correspondence = moved(geometry)
    first, axes, vectors = grid_of(files_of(model_fields(geometry))["forward"])
    image = sitk.GetImageFromArray(vectors.astype(np.float64), isVector=True)
    spacing = np.linalg.norm(axes, axis=0)
    image.SetOrigin(first.tolist())
    image.SetSpacing(spacing.tolist())
    image.SetDirection((axes / spacing).ravel().tolist())
    transform = sitk.DisplacementFieldTransform(image)
    points = points_in(correspondence.forward)
    ours = map_points(correspondence.forward, points)
    theirs = [LPS @ transform.TransformPoint((LPS @ point).tolist()) for point in points]
    np.testing.assert_allclose(theirs, ours, atol=2e-5)
    assert np.linalg.norm(ours - points, axis=1).max() > 2  # mm


def test_the_forward_field_leads_from_the_output_to_the_source_and_the_inverse_back(model_fields):
    folder = model_fields(GRID)
    files = files_of(folder)
    outputs = [pydicom.dcmread(path) for path in sorted((folder / "out/series").iterdir())]
    output = tuple(image.SOPInstanceUID for image in outputs)
    source = tuple(image.SourceImageSequence[0].ReferencedSOPInstanceUID for image in outputs)
    forward, inverse = (read_registration(files[name]) for name in ("forward", "inverse"))
    assert (forward.registered, forward.source) == (output, source)
    assert (inverse.registered, inverse.source) == (source, output)


def test_registered_and_source_frame_are_the_one_that_both_series_share(model_fields):
    folder = model_fields(GRID)
    files = files_of(folder)
    image = pydicom.dcmread(folder / "out/series/0001.dcm")
    for path in files.values():
        made = pydicom.dcmread(path)
        assert made.Modality == "REG"
        frames = {made.FrameOfReferenceUID, *(i.SourceFrameOfReferenceUID for i in made.DeformableRegistrationSequence)}
        assert frames == {image.FrameOfReferenceUID}
        assert made.StudyInstanceUID == image.StudyInstanceUID
        assert "DeformableRegistrationGridSequence" not in made.DeformableRegistrationSequence[0]


def test_both_matrices_are_the_identity(model_fields):
    for path in files_of(model_fields(GRID)).values():
        for item in pydicom.dcmread(path).DeformableRegistrationSequence:
            for name in ("PreDeformationMatrixRegistrationSequence", "PostDeformationMatrixRegistrationSequence"):
                (step,) = item[name].value
                np.testing.assert_array_equal(
                    np.array(step.FrameOfReferenceTransformationMatrix, float), np.eye(4).ravel()
                )


@pytest.mark.parametrize("geometry", [GRID, LEFT_HANDED], ids=["right", "left-handed"])
def test_what_is_written_is_read_back_to_the_same_mapping(model_fields, geometry):
    correspondence = moved(geometry)
    for name, path in files_of(model_fields(geometry)).items():
        field, again = getattr(correspondence, name), read_registration(path).field
        points = points_in(field)
        np.testing.assert_allclose(map_points(again, points), map_points(field, points), atol=2e-5)


@pytest.mark.parametrize(
    ("origin", "said", "method"),
    [
        (Origin.MODEL, "Made by the model", []),
        (Origin.IDENTITY, "No deformation", ["125021"]),
        (Origin.ESTIMATED, "Estimated from both pictures afterwards, not by the model", ["125024"]),
    ],
)
def test_where_a_field_comes_from_is_said_in_it(tmp_path, origin, said, method):
    fields = Correspondence.identity(GRID) if origin is Origin.IDENTITY else moved(GRID, origin)
    for path in exported(tmp_path, fields).values():
        made = pydicom.dcmread(path)
        item = made.DeformableRegistrationSequence[1]
        assert item.FrameOfReferenceTransformationComment.startswith(said)
        assert made.ContentDescription.startswith(said)
        assert [code.CodeValue for code in item.RegistrationTypeCodeSequence] == method


def test_an_identity_is_eight_zero_vectors_that_cover_the_image(tmp_path):
    first, axes, vectors = grid_of(exported(tmp_path, Correspondence.identity(GRID))["forward"])
    assert vectors.shape == (2, 2, 2, 3)
    assert not vectors.any()
    corners = LPS @ GRID.ras_from_ijk([-0.5, -0.5, -0.5]), LPS @ GRID.ras_from_ijk(np.array(GRID.size_ijk) - 0.5)
    np.testing.assert_allclose([first, first + axes @ [1, 1, 1]], corners, atol=1e-6)


def test_without_a_series_the_source_images_are_not_named(tmp_path):
    job = finished_job(tmp_path / "job", whole_numbers(GRID), correspondence=moved(GRID))
    export_result(job, None, tmp_path / "out", ExportOptions())
    forward = read_registration(tmp_path / "out/fields/forward.dcm")
    assert (len(forward.registered), forward.source) == (5, ())
    field = read_result(job).correspondence.forward
    np.testing.assert_allclose(forward.field.vectors_kji_ras, field.vectors_kji_ras)


def test_a_grid_whose_axes_are_not_perpendicular_is_refused(tmp_path):
    matrix = np.array(GRID.ijk_to_ras)
    matrix[:3, 2] += 0.5 * matrix[:3, 0]
    sheared = smooth_field(Geometry(GRID.size_ijk, matrix))
    with pytest.raises(InvalidVolumeError, match="not perpendicular"):
        exported(tmp_path, Correspondence(sheared, sheared, Origin.MODEL))
    assert not (tmp_path / "out").exists()


def test_what_is_no_registration_or_has_a_matrix_of_its_own_is_refused(model_fields, tmp_path):
    folder = model_fields(GRID)
    files = files_of(folder)
    with pytest.raises(SourceUnreadableError, match="one grid and no other transformation"):
        read_registration(folder / "out/series/0001.dcm")
    made = pydicom.dcmread(files["forward"])
    step = made.DeformableRegistrationSequence[1].PostDeformationMatrixRegistrationSequence[0]
    step.FrameOfReferenceTransformationMatrix[3] = 5
    made.save_as(tmp_path / "shifted.dcm")
    with pytest.raises(SourceUnreadableError, match="one grid and no other transformation"):
        read_registration(tmp_path / "shifted.dcm")
    (tmp_path / "text.dcm").write_text("no DICOM")
    with pytest.raises(SourceUnreadableError, match="cannot be read as DICOM"):
        read_registration(tmp_path / "text.dcm")
