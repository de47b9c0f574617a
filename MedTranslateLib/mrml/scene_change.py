"""A scene in, the same scene out with everything that was added, or with nothing of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import slicer
import vtk


@contextmanager
def all_or_nothing(scene: slicer.vtkMRMLScene) -> Iterator[None]:
    """Takes nodes and data tree items that are added inside away again if an error leaves the block.

    Views and trees are brought up to date once, at the end: Slicer's batch state. Nothing but the scene is restored,
    so the block may add but must not change what was there.

    Args:
        scene: Scene that is added to.
    """
    nodes, items = set(_node_ids(scene)), set(_items(scene))
    scene.StartState(slicer.vtkMRMLScene.BatchProcessState)
    try:
        yield
    except BaseException:
        _remove_others(scene, nodes, items)
        raise
    finally:
        scene.EndState(slicer.vtkMRMLScene.BatchProcessState)


def _remove_others(scene: slicer.vtkMRMLScene, nodes: set[str], items: set[int]) -> None:
    hierarchy = scene.GetSubjectHierarchyNode()
    for item in reversed([item for item in _items(scene) if item not in items]):
        hierarchy.RemoveItem(item, False, False)  # noqa: FBT003  # neither its node nor what lies below
    for name in reversed([name for name in _node_ids(scene) if name not in nodes]):
        node = scene.GetNodeByID(name)
        if node is not None:  # a display node goes with what it displays
            scene.RemoveNode(node)


def _node_ids(scene: slicer.vtkMRMLScene) -> list[str]:
    return [node.GetID() for node in scene.GetNodes()]


def _items(scene: slicer.vtkMRMLScene) -> list[int]:
    hierarchy = scene.GetSubjectHierarchyNode()
    if hierarchy is None:
        return []
    found = vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), found, True)  # noqa: FBT003  # of all levels
    return [found.GetId(n) for n in range(found.GetNumberOfIds())]
