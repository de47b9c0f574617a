"""A shape in, a numpy array whose memory VTK owns out; and back to the VTK array, without a copy.

A node keeps such memory for as long as it lives and frees it when it goes. Memory of numpy's own would have to be kept
alive from Python, which no VTK object that shares it later on knows of.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import vtk
from vtk.util.numpy_support import get_vtk_array_type, numpy_to_vtk, vtk_to_numpy


def vtk_memory(shape: tuple[int, ...], dtype: np.dtype[Any], /) -> npt.NDArray[Any]:
    """An array for `read_result` and its like to fill, whose memory a node can take over.

    Args:
        shape: Its shape; the values are not set.
        dtype: Type of its values.
    """
    array = vtk.vtkDataArray.CreateDataArray(get_vtk_array_type(dtype))
    array.SetNumberOfValues(math.prod(shape))
    return vtk_to_numpy(array).reshape(shape)


def vtk_array_from(array: npt.NDArray[Any], components: int = 1) -> vtk.vtkDataArray:
    """A VTK array with the values of a numpy array.

    Args:
        array: Numbers of any shape, the components of a voxel together.
        components: Values a voxel.

    Returns:
        The array that owns the memory, where that is all of it and no VTK object uses it yet; otherwise a copy.
    """
    owner = _owner(array)
    if owner is None:
        return numpy_to_vtk(np.ascontiguousarray(array).reshape(-1, components), deep=True)
    owner.SetNumberOfComponents(components)
    return owner


def _owner(array: npt.NDArray[Any]) -> vtk.vtkDataArray | None:
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    owner = base.obj if isinstance(base, memoryview) else None
    if not isinstance(owner, vtk.vtkDataArray) or not array.flags.c_contiguous:
        return None
    whole = vtk_to_numpy(owner)
    same = (whole.dtype, whole.size, whole.ctypes.data) == (array.dtype, array.size, array.ctypes.data)
    users = owner.GetReferenceCount() - 1  # one is Python's
    return owner if same and users == 0 else None
