"""Slice views of a case in, the slices that came into view out; views of one group go through the slices together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer

from MedTranslateLib.core.volume import Geometry


class StudySlices:
    """Follows the slice views of one case after the other.

    Args:
        scene: The scene.
        geometry: The grid of every image.
    """

    def __init__(self, scene: slicer.vtkMRMLScene, geometry: Geometry) -> None:
        self._scene, self._geometry = scene, geometry
        self._views: list[slicer.vtkMRMLSliceNode] = []
        self._tags: list[tuple[slicer.vtkMRMLSliceNode, int]] = []
        self._visited: list[int] = []
        self._at: dict[str, int] = {}
        self._moving = False

    @property
    def visited(self) -> tuple[int, ...]:
        """Slices (k) of this case in the order in which they came into view; one that came again stands there again."""
        return tuple(self._visited)

    @property
    def count(self) -> int:
        """Number of slices."""
        return self._geometry.size_ijk[2]

    @property
    def current(self) -> int | None:
        """The slice (k) in the first view; None where there is none."""
        return self._slice_of(self._views[0]) if self._views else None

    def follow(self, views: Sequence[slicer.vtkMRMLSliceNode]) -> None:
        """Begins anew, for a case that has just been shown.

        Args:
            views: Its views.
        """
        self.stop()
        self._views, self._visited, self._at = list(views), [], {}
        self.resume()

    def resume(self) -> None:
        """Goes on after `stop`."""
        self.stop()
        self._tags = [(view, view.AddObserver("ModifiedEvent", self._moved)) for view in self._views]
        for view in self._views:
            self._note(view)

    def stop(self) -> None:
        """Does not look any more."""
        while self._tags:
            view, tag = self._tags.pop()
            view.RemoveObserver(tag)

    def step(self, slices: int) -> None:
        """Moves all views; stops at the first and at the last slice.

        Args:
            slices: How many, towards the head for positive numbers.
        """
        if self._views and self._tags:
            self._go(self._views[0], (self.current or 0) + slices)

    def close(self) -> None:
        """Lets go of the views."""
        self.stop()
        self._views = []

    def _moved(self, view: slicer.vtkMRMLSliceNode, _event: object) -> None:
        if self._moving:
            return
        self._moving = True
        try:
            self._take_along(view)
        finally:
            self._moving = False

    def _take_along(self, view: slicer.vtkMRMLSliceNode) -> None:
        place = self._slice_of(view)
        if place == self._at.get(view.GetID()):
            return
        for other in self._views:
            if other is not view and other.GetViewGroup() == view.GetViewGroup() and self._slice_of(other) != place:
                self._go(other, place)
                self._at[other.GetID()] = place
        self._note(view)

    def _note(self, view: slicer.vtkMRMLSliceNode) -> None:
        place = self._slice_of(view)
        self._at[view.GetID()] = place
        if 0 <= place < self.count and (not self._visited or self._visited[-1] != place):
            self._visited.append(place)

    def slice_at(self, point_ras: Sequence[float]) -> int:
        """The slice (k) that a point lies in.

        Args:
            point_ras: In RAS mm.
        """
        return int(np.floor(self._geometry.ijk_from_ras(point_ras)[2] + 0.5))

    def _slice_of(self, view: slicer.vtkMRMLSliceNode) -> int:
        to_ras = view.GetSliceToRAS()
        return self.slice_at([to_ras.GetElement(row, 3) for row in range(3)])

    def _go(self, view: slicer.vtkMRMLSliceNode, place: int) -> None:
        place = min(max(place, 0), self.count - 1)
        middle = (np.array(self._geometry.size_ijk) - 1) / 2
        view.JumpSliceByOffsetting(*self._geometry.ras_from_ijk([middle[0], middle[1], place]))
