"""A scene in, a call whenever it is about to be closed or has lost a node out."""

from __future__ import annotations

from collections.abc import Callable

import slicer


class SceneWatch:
    """Tells of what a scene loses, until it is closed.

    Args:
        scene: Scene to watch.
        on_closing: Called before a scene is closed or replaced by another one.
        on_removed: Called after a node was removed, while the scene goes on.
    """

    def __init__(
        self, scene: slicer.vtkMRMLScene, on_closing: Callable[[], None], on_removed: Callable[[], None]
    ) -> None:
        self._scene = scene
        self._on_closing, self._on_removed = on_closing, on_removed
        self._observers = [
            scene.AddObserver(slicer.vtkMRMLScene.StartCloseEvent, lambda *_: self._on_closing()),
            scene.AddObserver(slicer.vtkMRMLScene.NodeRemovedEvent, lambda *_: self._removed()),
        ]

    def close(self) -> None:
        """Stops watching."""
        while self._observers:
            self._scene.RemoveObserver(self._observers.pop())

    def _removed(self) -> None:
        if not self._scene.IsClosing():
            self._on_removed()
