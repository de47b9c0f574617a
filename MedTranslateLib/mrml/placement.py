"""A result in, whether its two images still lie where they lay when it was made out: a moved one cannot be traced."""

from __future__ import annotations

import json

import slicer
import vtk

TOLERANCE_MM = 0.01
"""More than what a scene file rounds, far less than a voxel."""


def remember_placement(output: slicer.vtkMRMLVolumeNode, source: slicer.vtkMRMLVolumeNode) -> None:
    """Notes on the output where both images lie in the world now."""
    for role, node in (("source", source), ("output", output)):
        output.SetAttribute(_attribute(role), json.dumps(_ijk_to_world(node)))


def has_moved(output: slicer.vtkMRMLVolumeNode, source: slicer.vtkMRMLVolumeNode) -> bool:
    """Tells whether either image lies elsewhere now; a scene that does not say where they lay is believed."""
    images = (("source", source), ("output", output))
    return any(_is_elsewhere(node, output.GetAttribute(_attribute(role))) for role, node in images)


def _is_elsewhere(node: slicer.vtkMRMLVolumeNode, noted: str | None) -> bool:
    if not noted:
        return False
    then, now = json.loads(noted), _ijk_to_world(node)
    image = node.GetImageData()
    if not then or not now or image is None:
        return bool(then) != bool(now)
    size_ijk = image.GetDimensions()
    return min(_distance_mm(now, place, size_ijk) for place in (then, _turned_back(then, size_ijk[2]))) > TOLERANCE_MM


def _distance_mm(one: list[float], other: list[float], size_ijk: tuple[int, int, int]) -> float:
    """No voxel lies further from its place than this."""
    sizes = (*size_ijk, 1)
    return max(sum(abs(one[4 * row + n] - other[4 * row + n]) * sizes[n] for n in range(4)) for row in range(3))


def _turned_back(place: list[float], slices: int) -> list[float]:
    """The same grid with its slices counted backwards: so Slicer reads a left-handed image, with its voxels."""
    turned = list(place)
    for row in (0, 4, 8):
        turned[row + 2] = -place[row + 2]
        turned[row + 3] = place[row + 3] + (slices - 1) * place[row + 2]
    return turned


def _ijk_to_world(node: slicer.vtkMRMLVolumeNode) -> list[float]:
    """The 16 elements row by row; none where the node is bent by a transform that is not linear."""
    own, to_world, both = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(own)
    parent = node.GetParentTransformNode()
    if not slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(parent, None, to_world):
        return []
    vtk.vtkMatrix4x4.Multiply4x4(to_world, own, both)
    return [both.GetElement(n // 4, n % 4) for n in range(16)]


def _attribute(role: str) -> str:
    return f"MedTranslate.placed_{role}"
