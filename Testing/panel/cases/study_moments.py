"""What happens to a reader: pauses, a limit, a full disk, a changed file, a closed scene; no answer is lost."""

from __future__ import annotations

from unittest import mock

import slicer

from study_hands import FIRST_READER, answer_as, key, page_text, started, stored, study_folder

LIMIT_S = 300


def check_pause_undo_and_leaving(side) -> None:
    side.needs_real_mouse()
    with study_folder(singles=4, pairs=0) as folder:
        reading = started(side, folder, FIRST_READER)
        key(side, "1")
        assert reading.session.progress.done == 0  # a page takes no answers
        key(side, "space")
        side.wait(200)
        first = reading.case.item
        key(side, "2")
        assert reading.bar.question.id == "grade"
        key(side, "u")
        assert reading.bar.question.id == "turing"
        key(side, "1")
        key(side, "p")
        view = slicer.app.layoutManager().sliceWidget("StudyFirst")
        assert not view.isVisible()
        assert not view.mrmlSliceCompositeNode().GetBackgroundVolumeID()
        side.picture("study-6-pause")
        key(side, "3")
        key(side, "space")
        assert view.isVisible()
        assert reading.bar.question.id == "grade"
        key(side, "4")
        key(side, "Escape")
        side.picture("study-7-leave")
        key(side, "Escape")
        side.wait(200)
        answers = stored(folder, FIRST_READER)
        assert [(item, question, value) for item, question, value, _ in answers] == [
            (first, "turing", 0.0),
            (first, "grade", 4.0),
        ]
        reading = started(side, folder, FIRST_READER)
        key(side, "space")
        side.wait(200)
        assert (reading.case.item, reading.bar.question.id) == (first, "lesion")
        key(side, "Escape")
        key(side, "Escape")


def check_a_closed_scene_ends_the_reading_and_loses_nothing(side) -> None:
    with study_folder(singles=4, pairs=0) as folder:
        reading = started(side, folder, FIRST_READER)
        key(side, "space")
        side.wait(200)
        key(side, "2")
        slicer.mrmlScene.Clear(0)
        side.wait(300)
        panels = side.open_module().panels
        assert panels.study.reading is None
        assert "The scene was closed" in panels.messages.text
        assert len(stored(folder, FIRST_READER)) == 1
        assert reading.session.progress.done == 0
        assert slicer.util.mainWindow().menuBar().visible


def check_a_changed_image_stops_the_study(side) -> None:
    side.needs_real_mouse()
    with study_folder(singles=4, pairs=0) as folder:
        reading = started(side, folder, FIRST_READER)
        key(side, "space")
        side.wait(300)
        for path in reading.session.next_paths():
            path.write_bytes(path.read_bytes()[:-1] + b"x")
        pressed = []
        while not reading.onPage:
            answer_as(side, reading, pressed, by_mouse=False)
        side.picture("study-9-stopped")
        assert page_text(reading) == "The study cannot go on"
        assert not slicer.app.layoutManager().sliceWidget("StudyFirst").isVisible()
        key(side, "space")
        assert page_text(reading) == "The study cannot go on"
        assert stored(folder, FIRST_READER) == pressed
        key(side, "Escape")
        assert slicer.util.mainWindow().menuBar().visible


def check_after_the_time_limit_images_are_hidden_and_answers_still_taken(side) -> None:
    with study_folder(singles=4, pairs=0, time_limit_s=2.0) as folder:
        reading = started(side, folder, FIRST_READER)
        key(side, "space")
        side.wait(200)
        view = slicer.app.layoutManager().sliceWidget("StudyFirst")
        assert view.isVisible()
        side.wait_until(lambda: not view.isVisible(), 4, "the time limit")
        side.picture("study-10-time-is-over")
        pressed = []
        first = reading.case.item
        key(side, "p")
        key(side, "space")
        assert not view.isVisible()  # a pause gives no time back
        key(side, "Escape")
        key(side, "Escape")
        reading = started(side, folder, FIRST_READER)
        key(side, "space")
        assert reading.case.item == first
        assert page_text(reading) == "The time for looking is over"  # and neither does another session
        view = slicer.app.layoutManager().sliceWidget("StudyFirst")
        assert not view.isVisible()
        while reading.case.item == first:
            number = len(pressed)
            if reading.bar.question.id == "marks":
                key(side, "space")
                pressed.append("marks")
            else:
                answer_as(side, reading, pressed, by_mouse=False)
            assert len(pressed) == number + 1
        assert view.isVisible()
        assert len(stored(folder, FIRST_READER)) == 4
        key(side, "Escape")
        key(side, "Escape")


def check_sources_a_free_window_and_confirming(side) -> None:
    from MedTranslateLib.studies.study import ShowOptions, WindowMode

    side.needs_real_mouse()
    show = ShowOptions(source=True, linked_cursor=True, window=WindowMode.FREE, cursor_trace=True, confirm=True)
    with study_folder(singles=2, pairs=2, show=show) as folder:
        reading = started(side, folder, FIRST_READER)
        key(side, "space")
        side.wait(300)
        pictures, pressed = set(), []
        while reading.session.progress.done < 4:
            images = len(reading.case.images)
            view = slicer.app.layoutManager().sliceWidget("StudyFirst").sliceView()
            middle = (view.width // 2, view.height // 2)
            if reading.bar.question is None:
                side.wait(100)
                if images == 1:
                    side.picture("study-11-confirm")
                key(side, "space")
                continue
            if images not in pictures:
                pictures.add(images)
                side.mouse.drag(view, middle, (middle[0] + 60, middle[1] + 20))
                side.mouse.wheel(view, 3)
                side.wait(300)
                side.picture(f"study-12-sources-{images}")
                assert reading.views.viewing().window != (0.0, 255.0)
                assert len(reading.views.viewing().slices_visited) == 4
                assert reading.views.viewing().trace
            answer_as(side, reading, pressed, by_mouse=False)
        assert stored(folder, FIRST_READER) == pressed
        key(side, "Escape")
        key(side, "Escape")


def check_an_answer_that_cannot_be_stored_is_asked_again(side) -> None:
    from MedTranslateLib.core.errors import AnswerNotSavedError

    with study_folder(singles=4, pairs=0) as folder:
        reading = started(side, folder, FIRST_READER)
        key(side, "space")
        side.wait(200)
        full = AnswerNotSavedError("The answer is not stored: the disk is full. Make room and answer again.")
        with mock.patch.object(reading.session, "answer", side_effect=full):
            key(side, "2")
        side.picture("study-13-not-stored")
        assert "the disk is full" in reading.bar.text
        assert reading.bar.question.id == "turing"
        assert stored(folder, FIRST_READER) == []
        key(side, "2")
        assert reading.bar.text == ""
        assert [value for _item, _question, value, _practice in stored(folder, FIRST_READER)] == [1.0]
        key(side, "Escape")
        key(side, "Escape")
