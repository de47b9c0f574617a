"""A node in, a call for each change of it out: its image, its transform, its name."""

from __future__ import annotations

from collections.abc import Callable

import slicer

EVENTS = (
    "ModifiedEvent",
    slicer.vtkMRMLTransformableNode.TransformModifiedEvent,
    slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent,
)


class NodeWatch:
    """Observes one volume node at a time.

    Args:
        onChange: Called after each change.
    """

    def __init__(self, onChange: Callable[[], None]) -> None:
        self._onChange = onChange
        self._node = None
        self._tags: list[int] = []

    def follow(self, node) -> None:
        """Observes a node instead of the one before; None observes nothing."""
        if node is self._node:
            return
        for tag in self._tags:
            self._node.RemoveObserver(tag)
        self._node = node
        self._tags = [node.AddObserver(event, self._changed) for event in EVENTS] if node is not None else []

    def _changed(self, _node, _event) -> None:
        self._onChange()
