# ruff: noqa: E402  # without Slicer's core the file is skipped before it imports what needs it
"""A case of a blinded study in the scene: the right voxels, nothing that tells what they are, no trace afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

import SimpleITK as sitk

from MedTranslateLib.core.errors import StudyChangedError
from MedTranslateLib.mrml.layout import composite_of, layout_node, show_in_views
from MedTranslateLib.mrml.study_images import ReadAhead, read_levels
from MedTranslateLib.mrml.study_layout import Place, view_at
from MedTranslateLib.mrml.study_views import StudyViews
from MedTranslateLib.mrml.volumes import geometry_of_node, node_from_volume
from MedTranslateLib.studies.session import Session
from MedTranslateLib.studies.study import ShowOptions, WindowMode
from Testing.library.study_samples import TINY_GRID, pair_study, phantom, prepared, singles, small_study

Reading = tuple[Session, StudyViews]


@pytest.fixture
def reading(scene: Any, tmp_path: Path) -> Iterator[Callable[..., Reading]]:
    """`reading(study)` opens a session of a study, with views for it."""
    opened: list[Reading] = []

    def begin(study: Any = None) -> Reading:
        session = Session.open(prepared(tmp_path, study).folder, "ann")
        opened.append((session, StudyViews(scene, session.plan)))
        return opened[-1]

    yield begin
    for session, views in opened:
        views.close()
        session.close()


def shown_at(scene: Any, place: Place) -> Any:
    shown = composite_of(view_at(scene, place)).GetBackgroundVolumeID()
    return scene.GetNodeByID(shown) if shown else None


def answered(session: Session) -> None:
    """Answers all of a case, to see the next."""
    done = session.progress.done
    while session.progress.done == done:
        case = session.current()
        assert case is not None
        assert case.asked is not None
        session.answer(case.asked.id, float(case.asked.low))


def everything_about(node: Any) -> str:
    """All that any panel, file or probe could say of a node; the voxels are not among it."""
    attributes = [f"{name}={node.GetAttribute(name)}" for name in node.GetAttributeNames()]
    said = [node.GetName(), node.GetID(), node.GetDescription(), *attributes, node.GetDisplayNode().GetName()]
    storage = node.GetStorageNode()
    low_high = node.GetDisplayNode().GetWindowLevelMin(), node.GetDisplayNode().GetWindowLevelMax()
    geometry = [node.GetSpacing(), node.GetOrigin(), node.GetImageData().GetDimensions()]
    return repr((said, storage, low_high, geometry, node.GetImageData().GetScalarTypeAsString()))


def test_the_voxels_are_those_of_the_file_at_the_place_that_the_file_says(scene: Any, reading: Callable) -> None:
    session, views = reading()
    case = session.current()
    views.show(case)
    node = shown_at(scene, Place.FIRST)
    image = sitk.ReadImage(str(case.images[0]))
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(node), sitk.GetArrayFromImage(image))
    for ijk in ((0, 0, 0), (19, 21, 8), (3, 7, 2)):
        left, posterior, superior = image.TransformIndexToPhysicalPoint(ijk)
        expected = (-left, -posterior, superior)
        np.testing.assert_allclose(geometry_of_node(node).ras_from_ijk(ijk), expected, atol=1e-6)


def test_no_two_cases_differ_in_anything_but_their_voxels(scene: Any, reading: Callable) -> None:
    session, views = reading()
    seen, voxels = [], []
    while (case := session.current()) is not None:
        views.show(case)
        node = shown_at(scene, Place.FIRST)
        seen.append(everything_about(node))
        voxels.append(slicer.util.arrayFromVolume(node).copy())
        answered(session)
    assert len(seen) == 6
    assert len(set(seen)) == 1
    assert not np.array_equal(voxels[0], voxels[1])
    for word in ("real", "bundle", "case", "synthetic", str(session.plan.items[0].item), "/", ".nrrd"):
        assert word not in seen[0].lower().replace("<", "")


def test_nothing_of_a_study_is_listed_saved_or_labelled(scene: Any, reading: Callable, tmp_path: Path) -> None:
    session, views = reading(small_study(show=ShowOptions(source=True), cases=singles(6, source="s.nrrd")))
    views.show(session.current())
    nodes = [shown_at(scene, place) for place in (Place.FIRST, Place.FIRST_SOURCE)]
    assert [node.GetName() for node in nodes] == ["Image 1", "Source 1"]
    assert all(node.GetHideFromEditors() and not node.GetSaveWithScene() for node in nodes)
    assert all(not node.GetAttributeNames() and node.GetStorageNode() is None for node in nodes)
    assert scene.Commit(str(tmp_path / "saved.mrml"))
    saved = (tmp_path / "saved.mrml").read_text()
    assert "Image 1" not in saved
    assert "StudyFirst" not in saved


def test_the_window_is_the_studys_for_every_case_and_cannot_be_changed_where_it_is_fixed(
    scene: Any, reading: Callable
) -> None:
    session, views = reading()
    views.show(session.current())
    display = shown_at(scene, Place.FIRST).GetDisplayNode()
    display.SetWindowLevelMinMax(20, 80)
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0, 255)
    assert views.viewing().window == (0, 255)


def test_a_free_window_is_noted_and_begins_anew_with_each_case(scene: Any, reading: Callable) -> None:
    session, views = reading(small_study(show=ShowOptions(window=WindowMode.FREE)))
    views.show(session.current())
    shown_at(scene, Place.FIRST).GetDisplayNode().SetWindowLevelMinMax(20, 80)
    assert views.viewing().window == (20, 80)
    answered(session)
    views.show(session.current())
    assert views.viewing().window == (0, 255)


def test_both_images_of_a_pair_are_compared_in_one_window(scene: Any, reading: Callable) -> None:
    sources = singles(8, source="s.nrrd")
    show = ShowOptions(window=WindowMode.FREE, source=True)
    session, views = reading(pair_study(show=show, cases=sources))
    views.show(session.current())
    shown_at(scene, Place.SECOND).GetDisplayNode().SetWindowLevelMinMax(20, 80)
    windows = {place: shown_at(scene, place).GetDisplayNode().GetWindowLevelMax() for place in Place}
    expected = {Place.FIRST: 80, Place.SECOND: 80, Place.FIRST_SOURCE: 255, Place.SECOND_SOURCE: 255}
    assert windows == expected


def test_another_image_cannot_be_put_into_a_view(scene: Any, reading: Callable) -> None:
    mine = node_from_volume(scene, phantom(), "mine")
    session, views = reading()
    views.show(session.current())
    composite = composite_of(view_at(scene, Place.FIRST))
    composite.SetBackgroundVolumeID(mine.GetID())
    composite.SetForegroundVolumeID(mine.GetID())
    assert shown_at(scene, Place.FIRST).GetName() == "Image 1"
    assert not composite.GetForegroundVolumeID()


def test_slices_that_came_into_view_are_noted_in_their_order(scene: Any, reading: Callable) -> None:
    session, views = reading()
    views.show(session.current())
    for step in (1, 1, -3):
        views.slices.step(step)
    assert views.viewing().slices_visited == (4, 5, 6, 3)
    views.slices.step(-100)
    views.hide()
    views.slices.step(5)
    views.unhide()
    assert views.viewing().slices_visited == (4, 5, 6, 3, 0)
    answered(session)
    views.show(session.current())
    assert views.viewing().slices_visited == (4,)


@pytest.mark.parametrize(("linked", "expected"), [(True, 6), (False, 4)])
def test_the_images_of_a_pair_go_through_the_slices_together_only_where_they_are_linked(
    scene: Any, reading: Callable, linked: bool, expected: int
) -> None:
    session, views = reading(pair_study(show=ShowOptions(linked_cursor=linked)))
    views.show(session.current())
    views.slices.step(2)
    heights = [view_at(scene, place).GetSliceToRAS().GetElement(2, 3) for place in (Place.FIRST, Place.SECOND)]
    spacing = TINY_GRID.spacing_mm[2]
    np.testing.assert_allclose(heights, [(6 - 4) * spacing, (expected - 4) * spacing], atol=1e-6)


def test_an_image_and_its_source_always_show_the_same_slice(scene: Any, reading: Callable) -> None:
    session, views = reading(small_study(show=ShowOptions(source=True), cases=singles(6, source="s.nrrd")))
    views.show(session.current())
    view_at(scene, Place.FIRST_SOURCE).JumpSliceByOffsetting(0, 0, -2 * TINY_GRID.spacing_mm[2])
    assert views.slices.current == 2


def test_hidden_images_are_in_no_view_and_come_back_as_they_were(scene: Any, reading: Callable) -> None:
    session, views = reading()
    views.show(session.current())
    node = shown_at(scene, Place.FIRST)
    views.slices.step(2)
    views.hide()
    assert shown_at(scene, Place.FIRST) is None
    views.unhide()
    assert shown_at(scene, Place.FIRST) is node
    assert views.slices.current == 6


def test_a_reading_leaves_no_volume_and_the_users_own_as_they_were(scene: Any, reading: Callable) -> None:
    mine = node_from_volume(scene, phantom(), "mine")
    show_in_views(scene, mine, mine)
    before, layout = scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode"), layout_node(scene).GetViewArrangement()
    displays = scene.GetNumberOfNodesByClass("vtkMRMLDisplayNode")
    session, views = reading(pair_study())
    views.show(session.current())
    views.close()
    assert scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == before
    assert scene.GetNumberOfNodesByClass("vtkMRMLDisplayNode") == displays
    assert layout_node(scene).GetViewArrangement() == layout
    red = scene.GetSingletonNode("Red", "vtkMRMLSliceNode")
    assert composite_of(red).GetBackgroundVolumeID() == mine.GetID()


def test_an_image_that_vanished_is_said_and_nothing_is_shown(scene: Any, reading: Callable) -> None:
    session, views = reading()
    case = session.current()
    views.show(case)
    answered(session)
    following = session.current()
    following.images[0].unlink()
    with pytest.raises(StudyChangedError, match="cannot be read"):
        views.show(following)
    assert shown_at(scene, Place.FIRST) is None


# Read ahead


def test_what_was_read_ahead_is_taken_without_the_file(reading: Callable) -> None:
    session, views = reading()
    session.current()
    (path,) = session.next_paths()
    expected = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    views.next_case([path])
    assert not views.read_ahead.read_one()
    path.unlink()
    np.testing.assert_array_equal(views.read_ahead.take(path), expected)
    assert views.read_ahead.ready == frozenset()


def test_only_the_next_case_is_kept_and_nothing_of_it_is_in_the_scene(scene: Any, reading: Callable) -> None:
    session, views = reading()
    views.show(session.current())
    count = scene.GetNumberOfNodes()
    paths = [session.plan.items[number].images[0] for number in range(3)]
    files = [session.next_paths()[0].parents[1] / path for path in paths]
    views.next_case(files[:2])
    while views.read_ahead.read_one():
        pass
    assert views.read_ahead.ready == set(files[:2])
    views.next_case(files[1:])
    assert views.read_ahead.ready == {files[1]}
    assert scene.GetNumberOfNodes() == count


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"x", lambda data: b"JPEG" + data[4:]])
def test_a_file_that_is_no_image_of_the_study_is_refused(tmp_path: Path, reading: Callable, change: Callable) -> None:
    session, _views = reading()
    path = session.current().images[0]
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(StudyChangedError, match="holds no image of"):
        read_levels(path, TINY_GRID.size_ijk[::-1])


def test_a_file_that_cannot_be_read_ahead_is_said_when_it_is_wanted(tmp_path: Path) -> None:
    ahead = ReadAhead((2, 3, 4))
    ahead.want([tmp_path / "gone.nrrd", tmp_path / "too.nrrd"])
    assert not ahead.read_one()
    with pytest.raises(StudyChangedError, match=r"gone\.nrrd cannot be read"):
        ahead.take(tmp_path / "gone.nrrd")
