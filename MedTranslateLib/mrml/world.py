"""A node in, the matrix from its own coordinates to those of the patient out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import slicer
import vtk

from MedTranslateLib.core.errors import RequestError
from MedTranslateLib.mrml.volumes import array_from_matrix


def matrix_to_world(node: slicer.vtkMRMLTransformableNode) -> npt.NDArray[np.float64]:
    """The node's parent transforms as one 4x4 matrix.

    Args:
        node: Anything that can be put under a transform.

    Returns:
        float64, RAS mm to RAS mm; the identity without a parent.

    Raises:
        RequestError: If one of them is not linear.
    """
    matrix = vtk.vtkMatrix4x4()
    parent = node.GetParentTransformNode()
    if not slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(parent, None, matrix):
        msg = (
            f"{node.GetName()}: is bent by the transform {parent.GetName()!r}; expected none or a linear one. Take it "
            "out of that transform, or harden it first (Data module, right click on the transform)."
        )
        raise RequestError(msg)
    return array_from_matrix(matrix)
