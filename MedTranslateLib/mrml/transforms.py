"""A displacement field in, a grid transform node out that maps points as the field does."""

from __future__ import annotations

import numpy as np
import slicer

from MedTranslateLib.core.correspondence import DisplacementField
from MedTranslateLib.mrml.volumes import image_from_array, matrix_from_array


def transform_node_from_field(
    scene: slicer.vtkMRMLScene, field: DisplacementField, name: str
) -> slicer.vtkMRMLGridTransformNode:
    """Adds a transform node whose transform *from parent* maps a point p to p + vector(p), both RAS mm.

    A field is a resampling field, so it is set from parent: `node.GetTransformFromParent().TransformPoint(p)` is the
    mapped point. Slicer interpolates cubically between grid points; at grid points the vectors are exact.

    Args:
        scene: Scene to add the node to.
        field: Displacements in RAS mm, on a grid in any orientation.
        name: Name of the node.

    Returns:
        The new node; it has no display node.
    """
    node = scene.AddNewNodeByClass("vtkMRMLGridTransformNode", name)
    node.SetAndObserveTransformFromParent(grid_transform(field))
    return node


def grid_transform(field: DisplacementField) -> slicer.vtkOrientedGridTransform:
    """A VTK transform with the vectors as float32; reading a file into a node would make them double.

    Vectors in memory from `vtk_memory` become the transform's own, others are copied.
    """
    geometry = field.geometry
    image = image_from_array(field.vectors_kji_ras, components=3)
    image.SetSpacing(geometry.spacing_mm.tolist())
    image.SetOrigin(geometry.origin_ras.tolist())
    direction = np.eye(4)
    direction[:3, :3] = geometry.direction_ras
    transform = slicer.vtkOrientedGridTransform()
    transform.SetGridDirectionMatrix(matrix_from_array(direction))
    transform.SetDisplacementGridData(image)
    transform.SetInterpolationModeToCubic()
    return transform
