# ruff: noqa: E402  # without Slicer's core the file is skipped before it imports what needs it
"""What can be translated is copied to where it lies in the scene; what cannot is refused with a sentence that helps."""

from __future__ import annotations

import time

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
vtk = pytest.importorskip("vtk")

from MedTranslateLib.core.correspondence import Correspondence, DisplacementField
from MedTranslateLib.core.errors import InvalidVolumeError
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.mrml.source import check_source, modality_of_node, volume_of_source
from MedTranslateLib.mrml.transforms import transform_node_from_field
from MedTranslateLib.mrml.volumes import (
    array_from_matrix,
    geometry_of_node,
    label_node_from_mask,
    matrix_from_array,
    node_from_volume,
    volume_from_node,
)

TILT = np.array([[0.8, -0.6, 0.0, 12.0], [0.6, 0.8, 0.0, -7.0], [0.0, 0.0, 1.0, 3.5], [0, 0, 0, 1]])
STRETCH = np.array([[1.1, 0.0, 0.0, 0.0], [0.0, 0.9, 0.2, 5.0], [0.0, 0.0, 1.0, 0.0], [0, 0, 0, 1]])
"""Not a rotation: it scales and shears a little, as an affine registration does."""


@pytest.fixture
def node(scene, known):
    """A different value in each voxel, oblique, anisotropic, left-handed."""
    return node_from_volume(scene, known.numbered(known.oblique_grid((7, 6, 5), handedness=-1.0)), "MRHead")


@pytest.fixture
def put_under(scene):
    """`put_under(node, matrix, ...)` nests linear transforms, the innermost first, and gives the innermost."""

    def put(node, *matrices, name="tilt"):
        child, made = node, []
        for matrix in matrices:
            made.append(scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name))
            made[-1].SetMatrixTransformToParent(matrix_from_array(matrix))
            child.SetAndObserveTransformNodeID(made[-1].GetID())
            child = made[-1]
        return made[0]

    return put


def empty(scene, kind="vtkMRMLScalarVolumeNode", name="chosen"):
    return scene.AddNewNodeByClass(kind, name)


def image_of(components=1, size=(3, 2, 4)):
    image = vtk.vtkImageData()
    image.SetDimensions(*size)
    image.AllocateScalars(vtk.VTK_SHORT, components)
    return image


def refusal(node) -> str:
    with pytest.raises(InvalidVolumeError) as caught:
        check_source(node)
    with pytest.raises(InvalidVolumeError) as caught_later:
        volume_of_source(node)
    assert str(caught.value) == str(caught_later.value)
    return str(caught.value)


# What is refused


def test_nothing_chosen_is_asked_for():
    assert refusal(None) == "Choose a source volume."


def test_a_label_map_is_refused(scene, known):
    geometry = known.oblique_grid((3, 4, 5))
    mask = label_node_from_mask(scene, np.ones(geometry.shape_kji, np.uint8), geometry, "skull")
    assert refusal(mask) == "skull is a label map, not an image. Choose the volume it was drawn on."


@pytest.mark.parametrize(
    "kind",
    [
        "vtkMRMLVectorVolumeNode",
        "vtkMRMLDiffusionTensorVolumeNode",
        "vtkMRMLDiffusionWeightedVolumeNode",
    ],
)
def test_volumes_with_several_values_a_voxel_are_refused(scene, kind):
    node = empty(scene, kind)
    node.SetAndObserveImageData(image_of(3))
    assert refusal(node).startswith("chosen holds several values a voxel (a colour, vector, diffusion or 4-D volume)")


def test_a_scalar_volume_with_several_components_is_refused(scene):
    node = empty(scene)
    node.SetAndObserveImageData(image_of(4))
    assert "chosen: has 4 components a voxel" in refusal(node)


@pytest.mark.parametrize("kind", ["vtkMRMLModelNode", "vtkMRMLSequenceNode", "vtkMRMLGridTransformNode"])
def test_what_is_no_volume_is_refused_by_its_kind(scene, kind):
    node = empty(scene, kind)
    assert refusal(node).startswith(f"chosen is a {node.GetNodeTagName()}, not a volume.")


def test_a_volume_without_an_image_is_refused(scene):
    assert "chosen: the volume node has no image" in refusal(empty(scene))


@pytest.mark.parametrize("size", [(0, 0, 0), (5, 4, 0)])
def test_an_image_without_voxels_is_refused(scene, size):
    node = empty(scene)
    node.SetAndObserveImageData(image_of(size=size))
    assert "chosen: the volume node has no image" in refusal(node)


def test_an_image_without_scalars_is_refused(scene):
    node = empty(scene)
    image = vtk.vtkImageData()
    image.SetDimensions(3, 3, 3)
    node.SetAndObserveImageData(image)
    assert "chosen: the volume node has no image" in refusal(node)


def test_under_a_non_linear_transform_the_way_out_is_told(scene, node, known):
    geometry = known.oblique_grid((3, 4, 5))
    field = DisplacementField(np.ones((*geometry.shape_kji, 3), np.float32), geometry)
    node.SetAndObserveTransformNodeID(transform_node_from_field(scene, field, "warp").GetID())
    said = refusal(node)
    assert "MRHead is moved by the non-linear transform 'warp'" in said
    assert "Harden transform" in said
    assert "take the volume out of it" in said


def test_a_non_linear_transform_above_a_linear_one_counts_as_well(scene, node, known, put_under):
    linear = put_under(node, TILT)
    geometry = known.oblique_grid((3, 4, 5))
    field = DisplacementField(np.ones((*geometry.shape_kji, 3), np.float32), geometry)
    linear.SetAndObserveTransformNodeID(transform_node_from_field(scene, field, "warp").GetID())
    assert "non-linear transform" in refusal(node)


@pytest.mark.parametrize(
    "matrix",
    [
        np.diag([1.0, 1.0, 0.0, 1.0]),
        np.array([[1, 0, 0, 0], [0, 1, 0, 0], [5000.0, 5000.0, 1, 0], [0, 0, 0, 1]]),
        np.array([[1, 0, 0, 1e9], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]),
    ],
    ids=["flat", "sheared", "far away"],
)
def test_a_transform_after_which_nothing_is_a_volume_is_refused_by_name(node, put_under, matrix):
    put_under(node, matrix, name="broken")
    assert "MRHead: the transform 'broken' flattens, shears or moves it beyond what a volume can be." in refusal(node)


def test_a_value_that_is_not_finite_is_refused_when_it_is_read(scene):
    node = empty(scene)
    image = image_of()
    image.AllocateScalars(vtk.VTK_DOUBLE, 1)
    image.GetPointData().GetScalars().Fill(1.0)
    image.SetScalarComponentFromDouble(1, 1, 1, 0, float("inf"))
    node.SetAndObserveImageData(image)
    check_source(node)
    with pytest.raises(InvalidVolumeError, match="chosen: 1 voxels are NaN or infinite"):
        volume_of_source(node)


def test_the_check_does_not_look_at_voxels(scene):
    node = empty(scene)
    image = image_of(size=(512, 512, 256))
    node.SetAndObserveImageData(image)
    started = time.process_time()
    for _ in range(20):
        check_source(node)
    assert (time.process_time() - started) / 20 < 0.005  # one pass over these voxels takes ten times as long


# What is copied


def test_a_plain_volume_is_copied_as_it_is_without_a_note(node, known):
    source = volume_of_source(node)
    expected = known.numbered(known.oblique_grid((7, 6, 5), handedness=-1.0))
    np.testing.assert_array_equal(source.volume.array_kji, expected.array_kji)
    assert source.volume.geometry.same_grid(expected.geometry)
    assert (source.volume.name, source.volume.modality, source.note) == ("MRHead", None, None)


@pytest.mark.parametrize("matrices", [(TILT,), (TILT, STRETCH), (STRETCH, TILT, STRETCH)])
def test_under_linear_transforms_it_lies_where_slicers_hardened_copy_lies(scene, node, put_under, matrices):
    put_under(node, *matrices)
    source = volume_of_source(node)
    copy = slicer.vtkMRMLScalarVolumeNode()
    copy.Copy(node)
    scene.AddNode(copy)
    assert copy.HardenTransform()
    hardened = volume_from_node(copy)
    assert copy.GetParentTransformNode() is None
    assert source.volume.geometry.same_grid(hardened.geometry, tolerance_mm=1e-9)
    np.testing.assert_array_equal(source.volume.array_kji, hardened.array_kji)


def test_a_voxel_lies_where_the_matrices_put_it_by_hand(node, put_under):
    put_under(node, TILT, STRETCH)
    own = geometry_of_node(node).ras_from_ijk([3, 2, 1])
    expected = STRETCH @ TILT @ [*own, 1.0]
    np.testing.assert_allclose(volume_of_source(node).volume.geometry.ras_from_ijk([3, 2, 1]), expected[:3], atol=1e-9)


def test_the_note_names_the_transform_and_says_that_a_hardened_copy_is_used(node, put_under):
    put_under(node, TILT)
    note = volume_of_source(node).note
    assert note is not None
    assert "MRHead lies under the transform 'tilt'" in note
    assert "hardened copy" in note


def test_a_synthetic_source_gets_a_note(scene, node, known, put_under):
    from MedTranslateLib.core.result import TranslationResult
    from MedTranslateLib.mrml.scene import add_result

    volume = volume_from_node(node)
    mask = np.ones(volume.geometry.shape_kji, np.uint8)
    result = TranslationResult(volume, Correspondence.identity(volume.geometry), mask, None, {}, "CT", "CT")
    output = add_result(scene, node, "MRHead", result).output
    assert "is a synthetic image itself" in volume_of_source(output).note
    assert volume_of_source(output).volume.synthetic
    assert not volume_of_source(node).volume.synthetic
    put_under(output, TILT)
    assert "hardened copy" in volume_of_source(output).note
    assert "is a synthetic image itself" in volume_of_source(output).note


def test_the_node_is_never_changed(node, put_under):
    transform = put_under(node, TILT)
    before = node.GetMTime(), node.GetImageData().GetMTime(), array_from_matrix(matrix_of(node)).tolist()
    volume = volume_of_source(node).volume
    check_source(node)
    after = node.GetMTime(), node.GetImageData().GetMTime(), array_from_matrix(matrix_of(node)).tolist()
    assert after == before
    assert node.GetParentTransformNode() is transform
    node.GetImageData().SetScalarComponentFromDouble(0, 0, 0, 0, -99.0)
    assert volume.array_kji[0, 0, 0] == 0.0


def matrix_of(node):
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return matrix


# Modality


def test_the_modality_of_the_series_is_read_from_the_data_tree(scene, node):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "study")
    item = hierarchy.CreateItem(study, node)
    assert modality_of_node(node) is None
    hierarchy.SetItemAttribute(study, "DICOM.Modality", "CT")
    assert modality_of_node(node) == "CT"
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "MR")
    assert volume_of_source(node).volume.modality == "MR"


def test_a_modality_stated_by_the_node_itself_is_read(node):
    node.SetAttribute("DICOM.Modality", "MR")
    assert volume_of_source(node).volume.modality == "MR"


def test_a_tilted_volume_keeps_its_name_and_modality(node, put_under):
    node.SetAttribute("DICOM.Modality", "MR")
    put_under(node, TILT)
    volume = volume_of_source(node).volume
    assert (volume.name, volume.modality) == ("MRHead", "MR")
    assert isinstance(volume.geometry, Geometry)
