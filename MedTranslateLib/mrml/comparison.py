"""A result and a second image in, their difference, a checkerboard or the traced source on the output's grid out.

The source is looked up through the stored forward field, so that an output voxel meets the tissue it was made from. Any
other image, such as a real acquisition of the target, is taken from the same place of the patient.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt
import slicer

from MedTranslateLib.core.errors import InvalidVolumeError, RequestError
from MedTranslateLib.imaging.display import HOUNSFIELD_UNIT, DisplayRange
from MedTranslateLib.imaging.scale import ScaleKind
from MedTranslateLib.mrml.output_grid import OnOutputGrid, on_output_grid
from MedTranslateLib.mrml.scene import ATTRIBUTE_PREFIX, ResultNodes
from MedTranslateLib.mrml.source import modality_of_node
from MedTranslateLib.mrml.volumes import image_from_array, name_of_node, set_window
from MedTranslateLib.mrml.voxel_memory import vtk_memory

COMPARISON_ROLE, TRACED_ROLE = "comparison", "traced_source"
DIVERGING_COLOURS = "vtkMRMLColorTableNodeFileDivergingBlueRed.txt"
GREY = "vtkMRMLColorTableNodeGrey"
NO_UNIT = "window-scaled intensities, no unit"
HOUNSFIELD_CODE = "[hnsf'U]"
SHOWN_PERCENTILE = 99.0
EVERY_NTH = 7
"""Of the voxels, for the range of a picture."""
Array = npt.NDArray[np.float32]


class Comparison(str, Enum):
    """What is made of the output and another image."""

    NONE = "none"
    DIFFERENCE = "difference"
    CHECKERBOARD = "checkerboard"


def difference_node(
    scene: slicer.vtkMRMLScene, nodes: ResultNodes, other: slicer.vtkMRMLScalarVolumeNode | None = None
) -> slicer.vtkMRMLScalarVolumeNode:
    """Output minus another image, on the output's grid, in blue and red around zero.

    In HU where both are in HU. Otherwise both are first brought to 0..1 by their own display windows: the result has no
    unit, as its name says. It is 0 where there is nothing to compare: beyond either image, beyond the field, and where
    the model did not see the source; the attribute `MedTranslate.compared_share` tells how much is left.

    Args:
        scene: Scene of the result.
        nodes: The result.
        other: What to compare with; None is the source.

    Returns:
        The result's comparison node, filled anew; made at the first call.

    Raises:
        InvalidVolumeError: If an image is missing, has several values a voxel or is itself a comparison.
        RequestError: If the forward field was replaced or is moved by a transform.
    """
    other = nodes.source if other is None else other
    known = _compared(nodes, other)
    in_hu = _in_hounsfield(nodes.output, nodes) and _in_hounsfield(other, nodes)
    values = _memory_like(known.output_kji)
    pair = (known.output_kji, known.other_kji) if in_hu else _windowed(nodes.output, other, known)
    np.subtract(*pair, out=values)
    values[~known.known_kji] = 0
    unit = HOUNSFIELD_UNIT if in_hu else NO_UNIT
    look = _Look(_around_zero(values), DIVERGING_COLOURS)
    name = f"Difference in {unit}" if in_hu else f"Difference of {unit}"
    node = _fill(scene, nodes, COMPARISON_ROLE, values, look)
    _describe(node, f"{name}: {nodes.output.GetName()} minus {other.GetName()}", Comparison.DIFFERENCE.value, unit)
    _state_share(node, known)
    return node


def checkerboard_node(
    scene: slicer.vtkMRMLScene,
    nodes: ResultNodes,
    other: slicer.vtkMRMLScalarVolumeNode | None = None,
    tile_mm: float = 20.0,
) -> slicer.vtkMRMLScalarVolumeNode:
    """Cubes of the output and of another image by turns, each brought to 0..1 by its own display window.

    Args:
        scene: Scene of the result.
        nodes: The result.
        other: What to compare with; None is the source.
        tile_mm: Edge of a cube, along the axes of the output's grid; the first cube, at the first voxel, is the output.

    Returns:
        The result's comparison node, filled anew; the other's cubes are 0 where `difference_node` has nothing to
        compare.

    Raises:
        InvalidVolumeError: If an image is missing, has several values a voxel or is itself a comparison.
        RequestError: If the field was replaced or is moved by a transform, or the tiles have no size.
    """
    if not tile_mm > 0:
        msg = f"The tiles of a checkerboard need an edge above 0 mm, got {tile_mm:g}. Choose a larger one."
        raise RequestError(msg)
    other = nodes.source if other is None else other
    known = _compared(nodes, other)
    output, others = _windowed(nodes.output, other, known)
    others[~known.known_kji] = 0
    values = _memory_like(output)
    np.copyto(values, output)
    np.copyto(values, others, where=_others_tiles(nodes.output, values.shape, tile_mm))
    node = _fill(scene, nodes, COMPARISON_ROLE, values, _Look(DisplayRange(0.0, 1.0, NO_UNIT), GREY))
    name = f"Checkerboard of {NO_UNIT}: {nodes.output.GetName()} and {other.GetName()}"
    _describe(node, name, Comparison.CHECKERBOARD.value, NO_UNIT)
    _state_share(node, known)
    return node


def traced_source_node(scene: slicer.vtkMRMLScene, nodes: ResultNodes) -> slicer.vtkMRMLScalarVolumeNode:
    """The source as it lies under the output, to blend or reveal: at each output voxel the value it was made from.

    Args:
        scene: Scene of the result.
        nodes: The result.

    Returns:
        The source itself where nothing moved and the grids agree; otherwise the result's node for it, filled anew,
        which takes a second or two for a large image. It looks as the source does, and is 0 where that is not known.

    Raises:
        InvalidVolumeError: If an image is missing or has several values a voxel.
        RequestError: If the forward field was replaced or is moved by a transform.
    """
    known = on_output_grid(nodes, nodes.source)
    if known.is_unchanged:
        return nodes.source
    values = np.where(known.known_kji, known.other_kji, np.float32(0))
    display = nodes.source.GetDisplayNode()
    look = _Look(_window_of(nodes.source), (display.GetColorNodeID() if display is not None else None) or GREY)
    node = _fill(scene, nodes, TRACED_ROLE, values, look)
    _describe(node, f"Source as it lies under {nodes.output.GetName()}", TRACED_ROLE, "as the source")
    return node


def remove_comparisons(scene: slicer.vtkMRMLScene, nodes: ResultNodes) -> None:
    """Takes the comparison and the traced source of a result out of the scene, where they are still there."""
    for role in (COMPARISON_ROLE, TRACED_ROLE):
        node = _made_before(nodes.output, role)
        if node is not None and scene.IsNodePresent(node):
            scene.RemoveNode(node)


def set_blend(
    composites: Iterable[slicer.vtkMRMLSliceCompositeNode],
    foreground: slicer.vtkMRMLVolumeNode | None,
    opacity: float,
) -> None:
    """Lays an image over what slice views show.

    Args:
        composites: Those of the views.
        foreground: The image on top; None takes it away.
        opacity: From 0, only what is below, to 1, only the image on top.
    """
    for composite in composites:
        modified = composite.StartModify()
        composite.SetForegroundVolumeID(foreground.GetID() if foreground is not None else None)
        composite.SetForegroundOpacity(min(max(opacity, 0.0), 1.0) if foreground is not None else 0.0)
        composite.EndModify(modified)


@dataclass(frozen=True)
class _Look:
    """Range and colours that a node is shown with."""

    shown: DisplayRange
    colours: str


def _compared(nodes: ResultNodes, other: slicer.vtkMRMLScalarVolumeNode) -> OnOutputGrid:
    if other.GetAttribute(f"{ATTRIBUTE_PREFIX}role") == COMPARISON_ROLE:
        msg = f"{name_of_node(other)} is itself a comparison. Choose an image to compare the output with."
        raise InvalidVolumeError(msg)
    return on_output_grid(nodes, other)


def _in_hounsfield(node: slicer.vtkMRMLScalarVolumeNode, nodes: ResultNodes) -> bool:
    """A translated image states its scale; otherwise a CT is in HU, and what its file says is in HU."""
    scale = node.GetAttribute(f"{ATTRIBUTE_PREFIX}scale")
    if scale:
        return bool(scale == ScaleKind.HOUNSFIELD.value)
    units = node.GetVoxelValueUnits()
    if units is not None and units.GetCodeValue() == HOUNSFIELD_CODE:
        return True
    stated = nodes.output.GetAttribute(f"{ATTRIBUTE_PREFIX}source.modality")
    return "CT" in (modality_of_node(node), stated if node.GetID() == nodes.source.GetID() else None)


def _windowed(
    output: slicer.vtkMRMLScalarVolumeNode, other: slicer.vtkMRMLScalarVolumeNode, known: OnOutputGrid
) -> tuple[Array, Array]:
    return _to_unit_range(known.output_kji, _window_of(output)), _to_unit_range(known.other_kji, _window_of(other))


def _window_of(node: slicer.vtkMRMLScalarVolumeNode) -> DisplayRange:
    """What is shown as black and as white; the whole range while Slicer has not shown the node."""
    display = node.GetDisplayNode()
    if display is None:
        low, high = node.GetImageData().GetScalarRange()
        return DisplayRange(low, high, NO_UNIT)
    return DisplayRange(display.GetWindowLevelMin(), display.GetWindowLevelMax(), NO_UNIT)


def _to_unit_range(values: Array, window: DisplayRange) -> Array:
    width = window.high - window.low
    if width <= 0:
        return (values > window.low).astype(np.float32)
    scaled = (values - np.float32(window.low)) * np.float32(1 / width)
    return np.clip(scaled, 0, 1, out=scaled)


def _around_zero(values: Array) -> DisplayRange:
    """As much below zero as above, wide enough for nearly all differences that there are."""
    size = np.abs(values.ravel()[::EVERY_NTH])
    size = size[size > 0]
    limit = float(np.percentile(size, SHOWN_PERCENTILE)) if size.size else 1.0
    return DisplayRange(-limit, limit, NO_UNIT)


def _others_tiles(
    output: slicer.vtkMRMLScalarVolumeNode, shape_kji: tuple[int, ...], tile_mm: float
) -> npt.NDArray[np.bool_]:
    """True in every other cube, as an array that adds up to the shape without being stored thrice."""
    along = [
        ((np.arange(size) + 0.5) * spacing // tile_mm).astype(np.int64)
        for size, spacing in zip(shape_kji, reversed(output.GetSpacing()), strict=True)
    ]
    number = along[0][:, None, None] + along[1][:, None] + along[2]
    return np.asarray(number % 2 == 1)


def _memory_like(array: Array) -> Array:
    return vtk_memory(array.shape, np.dtype(np.float32))


def _fill(
    scene: slicer.vtkMRMLScene, nodes: ResultNodes, role: str, values: Array, look: _Look
) -> slicer.vtkMRMLScalarVolumeNode:
    """Puts voxels into the result's node of this role; the output's reference finds it again, also after a reload."""
    node = _made_before(nodes.output, role)
    if node is None:
        node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", role)
        node.CreateDefaultDisplayNodes()
        node.SetAttribute(f"{ATTRIBUTE_PREFIX}role", role)
        node.SetAttribute(f"{ATTRIBUTE_PREFIX}synthetic", "true")
        node.SetNodeReferenceID(f"{ATTRIBUTE_PREFIX}output", nodes.output.GetID())
        nodes.output.SetNodeReferenceID(f"{ATTRIBUTE_PREFIX}{role}", node.GetID())
        _put_beside_output(scene, nodes.output, node)
    set_window(node, look.shown)
    node.GetDisplayNode().SetAndObserveColorNodeID(look.colours)
    node.CopyOrientation(nodes.output)
    node.SetAndObserveImageData(image_from_array(values))
    return node


def _made_before(output: slicer.vtkMRMLScalarVolumeNode, role: str) -> slicer.vtkMRMLScalarVolumeNode | None:
    """The output's node of this role; a copy of an output also refers to it, but it is not the copy's."""
    node = output.GetNodeReference(f"{ATTRIBUTE_PREFIX}{role}")
    own = node is not None and node.GetNodeReference(f"{ATTRIBUTE_PREFIX}output") is output
    return node if own else None


def _put_beside_output(
    scene: slicer.vtkMRMLScene, output: slicer.vtkMRMLScalarVolumeNode, node: slicer.vtkMRMLScalarVolumeNode
) -> None:
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = hierarchy.GetItemByDataNode(output)
    if item:
        created = hierarchy.CreateItem(hierarchy.GetItemParent(item), node)
        hierarchy.SetItemOwnerPluginName(created, "Volumes")


def _describe(node: slicer.vtkMRMLScalarVolumeNode, name: str, comparison: str, unit: str) -> None:
    node.SetName(name)
    node.SetAttribute(f"{ATTRIBUTE_PREFIX}comparison", comparison)
    node.SetAttribute(f"{ATTRIBUTE_PREFIX}unit", unit)


def _state_share(node: slicer.vtkMRMLScalarVolumeNode, known: OnOutputGrid) -> None:
    node.SetAttribute(f"{ATTRIBUTE_PREFIX}compared_share", f"{known.known_kji.mean():.3f}")
