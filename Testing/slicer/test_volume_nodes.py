# ruff: noqa: E402  # without Slicer's core the file is skipped before it imports what needs it
from __future__ import annotations

from xml.etree import ElementTree as ET

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
vtk = pytest.importorskip("vtk")

from MedTranslateLib.core.correspondence import DisplacementField
from MedTranslateLib.core.errors import InvalidVolumeError
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.fields import map_points
from MedTranslateLib.mrml.layout import (
    COMPARE_LAYOUT_ID,
    STOCK_LAYOUT_ID,
    add_compare_views,
    compare_layout_xml,
    register_compare_layout,
    show_compare_layout,
    show_in_views,
)
from MedTranslateLib.mrml.transforms import transform_node_from_field
from MedTranslateLib.mrml.volumes import label_node_from_mask, node_from_volume, volume_from_node

TYPES = {
    np.int8: vtk.VTK_SIGNED_CHAR,
    np.uint8: vtk.VTK_UNSIGNED_CHAR,
    np.int16: vtk.VTK_SHORT,
    np.uint16: vtk.VTK_UNSIGNED_SHORT,
    np.int32: vtk.VTK_INT,
    np.uint32: vtk.VTK_UNSIGNED_INT,
    np.float32: vtk.VTK_FLOAT,
    np.float64: vtk.VTK_DOUBLE,
}


def oblique(handedness: float, size_ijk: tuple[int, int, int] = (6, 5, 4)) -> Geometry:
    """Rotated by 30 degrees about S and then 20 about R; anisotropic; off the origin."""
    a, b = np.radians(30), np.radians(20)
    about_s = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_r = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    matrix = np.eye(4)
    matrix[:3, :3] = about_r @ about_s @ np.diag([0.9 * handedness, 1.3, 4.1])
    matrix[:3, 3] = [11.5, -72.25, 33.125]
    return Geometry(size_ijk, matrix)


def numbered(geometry: Geometry) -> Volume:
    """A different value in each voxel."""
    return Volume(np.arange(np.prod(geometry.shape_kji)).reshape(geometry.shape_kji) - 17.5, geometry, "numbered")


def matrix_of(node: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def node_with_voxels(scene: slicer.vtkMRMLScene, vtk_type: int, components: int = 1) -> slicer.vtkMRMLVolumeNode:
    """Voxel (i, j, k) holds i + 3 j + 6 k; filled by VTK alone."""
    image = vtk.vtkImageData()
    image.SetDimensions(3, 2, 4)
    image.AllocateScalars(vtk_type, components)
    for k in range(4):
        for j in range(2):
            for i in range(3):
                image.SetScalarComponentFromDouble(i, j, k, 0, i + 3 * j + 6 * k)
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "from elsewhere")
    node.SetAndObserveImageData(image)
    node.SetSpacing(1.0, 2.0, 3.0)
    node.SetOrigin(4.0, 5.0, 6.0)
    return node


@pytest.fixture
def scene() -> slicer.vtkMRMLScene:
    return slicer.vtkMRMLScene()


@pytest.mark.parametrize("vtk_type", TYPES.values(), ids=[kind.__name__ for kind in TYPES])
def test_voxels_of_any_type_are_read_in_the_order_slices_rows_columns(
    scene: slicer.vtkMRMLScene, vtk_type: int
) -> None:
    volume = volume_from_node(node_with_voxels(scene, vtk_type))
    assert volume.array_kji.dtype == np.float32
    assert volume.array_kji.tolist() == np.arange(24).reshape(4, 2, 3).tolist()
    assert volume.name == "from elsewhere"
    expected = [[1, 0, 0, 4], [0, 2, 0, 5], [0, 0, 3, 6], [0, 0, 0, 1]]
    assert volume.geometry.ijk_to_ras.tolist() == expected


def test_reading_a_node_does_not_change_it_and_later_changes_do_not_reach_the_volume(
    scene: slicer.vtkMRMLScene,
) -> None:
    node = node_with_voxels(scene, vtk.VTK_FLOAT)
    before = node.GetMTime(), node.GetImageData().GetMTime()
    volume = volume_from_node(node)
    assert (node.GetMTime(), node.GetImageData().GetMTime()) == before
    node.GetImageData().SetScalarComponentFromDouble(2, 1, 3, 0, -99.0)
    assert volume.array_kji[3, 1, 2] == 23.0


@pytest.mark.parametrize("handedness", [1.0, -1.0])
def test_a_node_has_the_matrix_and_the_voxels_of_its_volume(scene: slicer.vtkMRMLScene, handedness: float) -> None:
    volume = numbered(oblique(handedness))
    node = node_from_volume(scene, volume, "made here")
    np.testing.assert_allclose(matrix_of(node), volume.geometry.ijk_to_ras, atol=1e-9)
    assert node.GetName() == "made here"
    assert node.GetImageData().GetScalarTypeAsString() == "float"
    assert node.GetImageData().GetScalarComponentAsDouble(5, 1, 3, 0) == volume.array_kji[3, 1, 5]
    back = volume_from_node(node)
    assert back.geometry.same_grid(volume.geometry)
    np.testing.assert_array_equal(back.array_kji, volume.array_kji)


def test_a_single_slice_becomes_a_node_and_back(scene: slicer.vtkMRMLScene) -> None:
    volume = numbered(oblique(1.0, (7, 5, 1)))
    assert volume_from_node(node_from_volume(scene, volume, "one slice")).geometry.same_grid(volume.geometry)


def test_a_label_map_keeps_its_type(scene: slicer.vtkMRMLScene) -> None:
    geometry = oblique(-1.0)
    mask = np.zeros(geometry.shape_kji, np.uint8)
    mask[1, 2, 3] = 1
    node = label_node_from_mask(scene, mask, geometry, "mask")
    assert node.IsA("vtkMRMLLabelMapVolumeNode")
    assert node.GetImageData().GetScalarTypeAsString() == "unsigned char"
    assert node.GetImageData().GetScalarComponentAsDouble(3, 2, 1, 0) == 1
    assert node.GetImageData().GetScalarRange() == (0.0, 1.0)


def test_a_node_without_an_image_is_refused(scene: slicer.vtkMRMLScene) -> None:
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty one")
    with pytest.raises(InvalidVolumeError, match="empty one: the volume node has no image"):
        volume_from_node(node)


def test_a_colour_image_is_refused(scene: slicer.vtkMRMLScene) -> None:
    with pytest.raises(InvalidVolumeError, match="has 3 components a voxel"):
        volume_from_node(node_with_voxels(scene, vtk.VTK_UNSIGNED_CHAR, components=3))


def test_a_voxel_that_is_not_finite_is_refused(scene: slicer.vtkMRMLScene) -> None:
    node = node_with_voxels(scene, vtk.VTK_DOUBLE)
    node.GetImageData().SetScalarComponentFromDouble(0, 0, 0, 0, float("nan"))
    with pytest.raises(InvalidVolumeError, match="1 voxels are NaN or infinite"):
        volume_from_node(node)


@pytest.mark.parametrize("handedness", [1.0, -1.0])
def test_a_transform_maps_grid_points_from_parent_as_the_field_says(
    scene: slicer.vtkMRMLScene, handedness: float
) -> None:
    geometry = oblique(handedness)
    vectors = np.random.default_rng(5).normal(0, 3, (*geometry.shape_kji, 3)).astype(np.float32)
    node = transform_node_from_field(scene, DisplacementField(vectors, geometry), "field")
    for i, j, k in [(0, 0, 0), (5, 0, 3), (1, 4, 2), (3, 2, 1), (5, 4, 3)]:
        point = geometry.ras_from_ijk([i, j, k])
        mapped = node.GetTransformFromParent().TransformPoint(point)
        np.testing.assert_allclose(mapped, point + vectors[k, j, i], atol=1e-4)


def test_a_transform_keeps_the_vectors_as_float32(scene: slicer.vtkMRMLScene) -> None:
    geometry = oblique(1.0)
    vectors = np.zeros((*geometry.shape_kji, 3), np.float32)
    node = transform_node_from_field(scene, DisplacementField(vectors, geometry), "field")
    assert node.GetTransformFromParent().GetDisplacementGrid().GetScalarTypeAsString() == "float"


def test_between_grid_points_a_transform_follows_a_linear_field_and_the_library(scene: slicer.vtkMRMLScene) -> None:
    geometry = oblique(-1.0, (9, 8, 7))
    k, j, i = np.indices(geometry.shape_kji)
    points = geometry.ras_from_ijk(np.stack([i, j, k], axis=-1))
    slope = np.array([[0.02, -0.01, 0.03], [0.0, 0.04, 0.01], [-0.02, 0.01, 0.0]])
    field = DisplacementField((points @ slope.T).astype(np.float32), geometry)
    transform = transform_node_from_field(scene, field, "linear").GetTransformFromParent()
    inner = geometry.ras_from_ijk(np.random.default_rng(1).uniform(2, 4, (50, 3)))
    mapped = np.array([transform.TransformPoint(point) for point in inner])
    np.testing.assert_allclose(mapped, inner + inner @ slope.T, atol=1e-4)
    np.testing.assert_allclose(mapped, map_points(field, inner), atol=1e-4)


def test_an_identity_costs_eight_grid_points_and_moves_nothing(scene: slicer.vtkMRMLScene) -> None:
    geometry = oblique(1.0)
    transform = transform_node_from_field(scene, DisplacementField.zero(geometry), "identity").GetTransformFromParent()
    assert transform.GetDisplacementGrid().GetNumberOfPoints() == 8
    point = geometry.ras_from_ijk([1.3, 2.7, 0.4])
    np.testing.assert_allclose(transform.TransformPoint(point), point, atol=1e-12)


def test_the_compare_layout_has_two_columns_of_three_planes_in_two_groups() -> None:
    root = ET.fromstring(compare_layout_xml())
    assert root.attrib["type"] == "horizontal"
    columns = [item.find("layout") for item in root.findall("item")]
    assert [column.attrib["type"] for column in columns] == ["vertical", "vertical"]
    found = [
        [
            [prop.text for prop in view.findall("property") if prop.attrib["name"] == name]
            for view in column.iter("view")
        ]
        for column in columns
        for name in ("orientation", "viewgroup")
    ]
    planes = [["Axial"], ["Sagittal"], ["Coronal"]]
    assert found == [planes, [["0"]] * 3, planes, [["1"]] * 3]


def test_the_compare_layout_is_registered_once_and_shown(scene: slicer.vtkMRMLScene) -> None:
    logic = slicer.vtkMRMLLayoutLogic()
    logic.SetMRMLScene(scene)
    layout = logic.GetLayoutNode()
    for _ in range(2):
        register_compare_layout(layout)
    assert layout.GetLayoutDescription(COMPARE_LAYOUT_ID) == compare_layout_xml()
    show_compare_layout(layout)
    assert layout.GetViewArrangement() == COMPARE_LAYOUT_ID
    assert scene.GetSingletonNode("Yellow+", "vtkMRMLSliceNode").GetViewGroup() == 1


def test_the_stock_layout_shows_the_same_six_views(scene: slicer.vtkMRMLScene) -> None:
    logic = slicer.vtkMRMLLayoutLogic()
    logic.SetMRMLScene(scene)
    stock = ET.fromstring(logic.GetLayoutNode().GetLayoutDescription(STOCK_LAYOUT_ID))
    ours = ET.fromstring(compare_layout_xml())
    tags = [{view.attrib["singletontag"] for view in root.iter("view")} for root in (stock, ours)]
    assert tags[0] == tags[1]


def test_views_are_turned_to_an_oblique_volume_and_show_all_of_it(scene: slicer.vtkMRMLScene) -> None:
    add_compare_views(scene)
    volume = numbered(oblique(1.0, (60, 50, 12)))
    source, output = (node_from_volume(scene, volume, name) for name in ("source", "output"))
    show_in_views(scene, source, output)
    red = scene.GetSingletonNode("Red", "vtkMRMLSliceNode")
    normal = [red.GetSliceToRAS().GetElement(row, 2) for row in range(3)]
    assert abs(np.dot(normal, volume.geometry.direction_ras[:, 2])) == pytest.approx(1.0)
    assert red.GetFieldOfView()[0] >= 60 * 0.9 - 1e-6
    assert red.GetFieldOfView()[1] >= 50 * 1.3 - 1e-6
    composites = [scene.GetSingletonNode(tag, "vtkMRMLSliceCompositeNode") for tag in ("Green", "Green+")]
    assert [node.GetBackgroundVolumeID() for node in composites] == [source.GetID(), output.GetID()]
