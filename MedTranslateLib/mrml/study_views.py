"""A case of a blinded study in, its images in views of their own under names that say nothing, and how it was read out.

The user's own nodes and views are not touched: a reading adds its nodes, and `close` takes them away.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import slicer

from MedTranslateLib.core.errors import StudyChangedError
from MedTranslateLib.imaging.display import DisplayRange
from MedTranslateLib.mrml.layout import composite_of, fit_view, layout_node
from MedTranslateLib.mrml.study_cursor import StudyCursor
from MedTranslateLib.mrml.study_images import Levels, ReadAhead
from MedTranslateLib.mrml.study_layout import ORIENTATION, Place, places_of, show_study_layout, view_at
from MedTranslateLib.mrml.study_slices import StudySlices
from MedTranslateLib.mrml.volumes import image_from_array, matrix_from_array, set_window
from MedTranslateLib.studies.answers import Viewing
from MedTranslateLib.studies.prepare_images import item_geometry
from MedTranslateLib.studies.prepare_plan import ReadingPlan
from MedTranslateLib.studies.session_view import Presentation
from MedTranslateLib.studies.study import WindowMode

FIRST_GROUP, SECOND_GROUP = 21, 22


class StudyViews:
    """Shows one case after the other.

    Args:
        scene: Scene of an application, or any other.
        plan: The study.
    """

    def __init__(self, scene: slicer.vtkMRMLScene, plan: ReadingPlan) -> None:
        self._scene, self._plan = scene, plan
        self._geometry = item_geometry(plan.grid)
        self._shown = DisplayRange(*plan.window, "grey levels")
        self._volumes: dict[Place, slicer.vtkMRMLScalarVolumeNode] = {}
        self._places: tuple[Place, ...] = ()
        self._guards: list[tuple[slicer.vtkMRMLNode, int]] = []
        self._hidden = self._guarding = False
        self.read_ahead = ReadAhead(self._geometry.shape_kji)
        self.slices = StudySlices(scene, self._geometry)
        self.cursor = StudyCursor(scene, linked=plan.show.linked_cursor, traced=plan.show.cursor_trace)
        self._layout_before = layout_node(scene).GetViewArrangement()

    @property
    def places(self) -> tuple[Place, ...]:
        """Where the case's images are: first the images, then the sources."""
        return self._places

    @property
    def hidden(self) -> bool:
        """Whether the images are hidden."""
        return self._hidden

    def show(self, case: Presentation) -> bool:
        """Shows a case at its middle slice, in the study's window; what was shown before is gone.

        Args:
            case: The case.

        Returns:
            Whether the views are new: then call `fit` once they have been drawn.

        Raises:
            StudyChangedError: If an image cannot be read; then nothing is shown.
        """
        levels = self._take(case)
        self._unguard()
        self.slices.stop()
        self.cursor.stop()
        places = places_of(len(case.images), len(case.sources))
        if places != self._places:
            self._let_go(places)
        for place, array in zip(places, levels, strict=True):
            self._fill(place, array)
        is_new = show_study_layout(layout_node(self._scene), len(case.images), len(case.sources))
        for place in places:
            self._connect(place)
        self._hidden = False
        self.fit()
        self._guard()
        return is_new

    def fit(self) -> None:
        """Fits the images into their views, through the middle slice; from here on it counts what is looked at."""
        for place in self._places:
            fit_view(view_at(self._scene, place), self._volumes[place])
        self.slices.follow([view_at(self._scene, place) for place in self._places])
        self.cursor.follow([view_at(self._scene, place) for place in self._places])

    def hide(self) -> None:
        """Takes the images out of the views; nothing that is looked at counts."""
        self._hidden = True
        self.slices.stop()
        self.cursor.stop()
        for place in self._places:
            composite_of(view_at(self._scene, place)).SetBackgroundVolumeID(None)

    def unhide(self) -> None:
        """Puts the images of the case back into the views, at the slice where they were."""
        self._hidden = False
        for place in self._places:
            self._connect(place)
        self.slices.resume()
        self.cursor.resume()

    def viewing(self) -> Viewing:
        """How the case has been looked at since it was shown."""
        display = self._volumes[self._places[0]].GetDisplayNode() if self._places else None
        window = None if display is None else (display.GetWindowLevelMin(), display.GetWindowLevelMax())
        return Viewing(window, self.slices.visited, self.cursor.trace)

    def next_case(self, paths: Sequence[Path]) -> None:
        """Says which images come next; `read_ahead.read_one` reads them.

        Args:
            paths: See `Session.next_paths`.
        """
        self.read_ahead.want(paths)

    def close(self) -> None:
        """Takes everything of the study out of the scene and shows the layout from before; again is harmless."""
        self._unguard()
        self.slices.close()
        self.cursor.close()
        self.read_ahead.want(())
        for place in self._places:
            view = self._scene.GetSingletonNode(place.value, "vtkMRMLSliceNode")
            if view is not None:
                composite_of(view).SetBackgroundVolumeID(None)
        for volume in self._volumes.values():
            self._remove(volume)
        self._volumes, self._places = {}, ()
        layout_node(self._scene).SetViewArrangement(self._layout_before)

    def _take(self, case: Presentation) -> list[Levels]:
        try:
            return [self.read_ahead.take(path) for path in case.paths]
        except StudyChangedError:
            self.hide()
            raise

    def _let_go(self, places: tuple[Place, ...]) -> None:
        """Another number of images: what the new case has no place for goes out of the scene."""
        self.hide()
        for place in [place for place in self._volumes if place not in places]:
            self._remove(self._volumes.pop(place))
        self._places = places

    def _fill(self, place: Place, levels: Levels) -> None:
        """The same node for every case: nothing but its voxels changes."""
        volume = self._volumes.get(place) or self._add_volume(place)
        set_window(volume, self._shown)
        volume.SetAndObserveImageData(image_from_array(levels))

    def _add_volume(self, place: Place) -> slicer.vtkMRMLScalarVolumeNode:
        volume = slicer.vtkMRMLScalarVolumeNode()
        volume.SetName(place.neutral_name)
        volume.HideFromEditorsOn()
        volume.SaveWithSceneOff()
        volume = self._scene.AddNode(volume)
        volume.CreateDefaultDisplayNodes()
        volume.GetDisplayNode().SaveWithSceneOff()
        volume.SetIJKToRASMatrix(matrix_from_array(self._geometry.ijk_to_ras))
        self._volumes[place] = volume
        return volume

    def _connect(self, place: Place) -> None:
        view = view_at(self._scene, place)
        composite = composite_of(view)
        composite.SaveWithSceneOff()
        modified = composite.StartModify()
        composite.LinkedControlOn()
        composite.SetBackgroundVolumeID(self._volumes[place].GetID())
        composite.SetForegroundVolumeID(None)
        composite.SetLabelVolumeID(None)
        composite.EndModify(modified)
        view.SetOrientation(ORIENTATION)
        is_other = place.is_second and not self._plan.show.linked_cursor
        view.SetViewGroup(SECOND_GROUP if is_other else FIRST_GROUP)

    def _guard(self) -> None:
        """What is shown stays what it is: keys of Slicer's views change images, and its tools the window."""
        for place in self._places:
            composite = composite_of(view_at(self._scene, place))
            self._guards.append((composite, composite.AddObserver("ModifiedEvent", self._keep)))
            display = self._volumes[place].GetDisplayNode()
            follow = self._keep if self._plan.show.window is WindowMode.FIXED else self._share_window
            self._guards.append((display, display.AddObserver("ModifiedEvent", follow)))

    def _unguard(self) -> None:
        while self._guards:
            node, tag = self._guards.pop()
            node.RemoveObserver(tag)

    def _keep(self, *_: object) -> None:
        if self._guarding or self._hidden:
            return
        self._guarding = True
        try:
            for place in self._places:
                composite = composite_of(view_at(self._scene, place))
                composite.SetBackgroundVolumeID(self._volumes[place].GetID())
                composite.SetForegroundVolumeID(None)
                composite.SetLabelVolumeID(None)
                if self._plan.show.window is WindowMode.FIXED:
                    set_window(self._volumes[place], self._shown)
        finally:
            self._guarding = False

    def _share_window(self, display: slicer.vtkMRMLScalarVolumeDisplayNode, _event: object) -> None:
        """Both images of a pair are compared in one window, and so are both sources."""
        window = DisplayRange(display.GetWindowLevelMin(), display.GetWindowLevelMax(), "grey levels")
        mine = [place for place in self._places if self._volumes[place].GetDisplayNode() is display]
        for place in self._places:
            if mine and place is not mine[0] and place.is_source is mine[0].is_source:
                set_window(self._volumes[place], window)

    def _remove(self, volume: slicer.vtkMRMLScalarVolumeNode) -> None:
        if self._scene.IsNodePresent(volume):
            display = volume.GetDisplayNode()
            self._scene.RemoveNode(volume)
            if display is not None:
                self._scene.RemoveNode(display)
