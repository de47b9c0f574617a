"""Mouse moves over a case's views in, the same place in its other views and the cursor's way out, where allowed."""

from __future__ import annotations

import time
from collections.abc import Sequence

import slicer

from MedTranslateLib.mrml.cursor import crosshair_of

Trace = tuple[tuple[float, float, float, float], ...]
EVERY_S = 0.1
"""Between two points of a trace, at least."""


class StudyCursor:
    """Follows the mouse. All images of a study lie on one grid, so the same place is the same point.

    Args:
        scene: The scene.
        linked: Whether the place is shown in the case's other views.
        traced: Whether the cursor's way is kept.
    """

    def __init__(self, scene: slicer.vtkMRMLScene, *, linked: bool, traced: bool) -> None:
        self._crosshair = crosshair_of(scene)
        self._linked, self._traced = linked, traced
        self._mode_before = self._crosshair.GetCrosshairMode()
        self._tag: int | None = None
        self._names: frozenset[str] = frozenset()
        self._trace: list[tuple[float, float, float, float]] = []
        self._began = time.monotonic()
        self._moving = False

    @property
    def trace(self) -> Trace:
        """Seconds since the case was shown, and R, A, S in mm."""
        return tuple(self._trace)

    def follow(self, views: Sequence[slicer.vtkMRMLSliceNode]) -> None:
        """Begins anew, for a case that has just been shown.

        Args:
            views: Its views.
        """
        self._names = frozenset(view.GetLayoutName() for view in views)
        self._trace, self._began = [], time.monotonic()
        self.resume()

    def resume(self) -> None:
        """Goes on after `stop`."""
        if self._tag is None and (self._linked or self._traced):
            event = slicer.vtkMRMLCrosshairNode.CursorPositionModifiedEvent
            self._tag = self._crosshair.AddObserver(event, self._moved)
        shown = slicer.vtkMRMLCrosshairNode.ShowSmallBasic if self._linked else slicer.vtkMRMLCrosshairNode.NoCrosshair
        self._crosshair.SetCrosshairMode(shown)

    def stop(self) -> None:
        """Does not follow any more."""
        if self._tag is not None:
            self._crosshair.RemoveObserver(self._tag)
            self._tag = None
        self._crosshair.SetCrosshairMode(slicer.vtkMRMLCrosshairNode.NoCrosshair)

    def close(self) -> None:
        """Gives the crosshair back as it was."""
        self.stop()
        self._crosshair.SetCrosshairMode(self._mode_before)

    def _moved(self, *_: object) -> None:
        view = self._crosshair.GetCursorPositionXYZ([0.0] * 3)
        if self._moving or view is None or view.GetLayoutName() not in self._names:
            return
        point = [0.0] * 3
        self._crosshair.GetCursorPositionRAS(point)
        self._moving = True
        try:
            if self._linked:
                self._crosshair.SetCrosshairRAS(point)
        finally:
            self._moving = False
        if self._traced:
            self._note(point)

    def _note(self, point: Sequence[float]) -> None:
        seconds = time.monotonic() - self._began
        if not self._trace or seconds - self._trace[-1][0] >= EVERY_S:
            r, a, s = (round(value, 2) for value in point)
            self._trace.append((round(seconds, 3), r, a, s))
