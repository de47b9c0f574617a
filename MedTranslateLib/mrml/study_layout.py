"""Numbers of images and sources of a study's case in, slice views of their own for them out: the user's stay as is."""

from __future__ import annotations

from enum import Enum

import slicer

STUDY_LAYOUT_ID = 5420
"""The first of four; beside the compare layout's."""
ORIENTATION = "Axial"
GREY = "#606060"


class Place(str, Enum):
    """Where a case's image is shown; the value is the name of the view."""

    FIRST = "StudyFirst"
    SECOND = "StudySecond"
    FIRST_SOURCE = "StudyFirstSource"
    SECOND_SOURCE = "StudySecondSource"

    @property
    def is_source(self) -> bool:
        """Whether a source is shown here."""
        return self in (Place.FIRST_SOURCE, Place.SECOND_SOURCE)

    @property
    def is_second(self) -> bool:
        """Whether it belongs to the second image of a pair."""
        return self in (Place.SECOND, Place.SECOND_SOURCE)

    @property
    def neutral_name(self) -> str:
        """What the image is called in the scene, whatever it is."""
        return f"{'Source' if self.is_source else 'Image'} {2 if self.is_second else 1}"


ROWS: dict[tuple[int, int], tuple[tuple[Place, ...], ...]] = {
    (1, 0): ((Place.FIRST,),),
    (2, 0): ((Place.FIRST, Place.SECOND),),
    (1, 1): ((Place.FIRST_SOURCE, Place.FIRST),),
    (2, 2): ((Place.FIRST, Place.SECOND), (Place.FIRST_SOURCE, Place.SECOND_SOURCE)),
}
"""Rows of views, by the number of images and of sources."""


def places_of(images: int, sources: int) -> tuple[Place, ...]:
    """Places of a case's images, then of its sources.

    Args:
        images: 1 or 2.
        sources: 0, or as many as images.
    """
    first, second = (Place.FIRST, Place.SECOND), (Place.FIRST_SOURCE, Place.SECOND_SOURCE)
    return (*first[:images], *second[:sources])


def study_layout_id(images: int, sources: int) -> int:
    """Number of the layout of such a case.

    Args:
        images: 1 or 2.
        sources: 0, or as many as images.
    """
    return STUDY_LAYOUT_ID + list(ROWS).index((images, sources))


def show_study_layout(layout: slicer.vtkMRMLLayoutNode, images: int, sources: int) -> bool:
    """Switches to the views of such a case.

    Args:
        layout: The layout node.
        images: 1 or 2.
        sources: 0, or as many as images.

    Returns:
        Whether another layout was shown before.
    """
    number = study_layout_id(images, sources)
    description = _xml(ROWS[images, sources])
    if not layout.IsLayoutDescription(number):
        layout.AddLayoutDescription(number, description)
    if layout.GetViewArrangement() == number:
        return False
    layout.SetViewArrangement(number)
    return True


def view_at(scene: slicer.vtkMRMLScene, place: Place) -> slicer.vtkMRMLSliceNode:
    """The slice view of a place; made where there is no application that has made it. It is never saved.

    Args:
        scene: The scene.
        place: The place.
    """
    node = scene.GetSingletonNode(place.value, "vtkMRMLSliceNode")
    if node is None:
        made = scene.CreateNodeByClass("vtkMRMLSliceNode")  # unlike a bare one, it knows the scene's orientations
        made.UnRegister(None)
        made.SetSingletonTag(place.value)
        made.SetLayoutName(place.value)
        node = scene.AddNode(made)
    node.SaveWithSceneOff()
    return node


def _xml(rows: tuple[tuple[Place, ...], ...]) -> str:
    inside = "".join(f'<item><layout type="horizontal">{_row(row)}</layout></item>' for row in rows)
    return f'<layout type="vertical">{inside}</layout>'


def _row(row: tuple[Place, ...]) -> str:
    return "".join(
        f'<item><view class="vtkMRMLSliceNode" singletontag="{place.value}">'
        f'<property name="orientation" action="default">{ORIENTATION}</property>'
        f'<property name="viewlabel" action="default">{place.neutral_name}</property>'
        f'<property name="viewcolor" action="default">{GREY}</property>'
        "</view></item>"
        for place in row
    )
