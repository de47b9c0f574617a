"""Reader studies on the screen: whole ones by mouse and keys, at the speed of a reader, and what is left afterwards."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import slicer

from study_hands import (
    FIRST_READER,
    SECOND_READER,
    answer_as,
    key,
    opened,
    page_text,
    read_on,
    started,
    stored,
    study_folder,
)

LIMIT_S = 600
NEXT_CASE_LIMIT_MS = 150


def check_a_reader_answers_a_whole_study_by_mouse(side) -> None:
    side.needs_real_mouse()
    with study_folder() as folder:
        reading = started(side, folder, FIRST_READER)
        side.picture("study-1-monitor")
        side.mouse.click(slicer.util.findChild(reading.page.widget, "pageGoOn"))
        side.wait(300)
        side.picture("study-2-practice")
        seen, pressed = set(), []
        while reading.session.progress.done < reading.session.progress.total:
            asked = reading.bar.question.id
            if asked not in seen and not reading.case.practice:
                seen.add(asked)
                side.wait(300)
                side.picture(f"study-3-{asked}")
            answer_as(side, reading, pressed, by_mouse=True)
        side.wait(200)
        side.picture("study-4-thanks")
        assert page_text(reading).startswith("Thank you")
        assert len(pressed) == 14 * 4 + 6 * 2
        assert stored(folder, FIRST_READER) == pressed
        key(side, "Escape")
        side.wait(300)
        assert side.child("studySection").isVisible()
        side.picture("study-5-after")


def check_a_reader_whose_slicer_is_killed_goes_on_by_keys_to_the_end(side) -> None:
    side.needs_real_mouse()
    with study_folder() as folder:
        killed = kill_a_slicer_that_reads(folder, SECOND_READER, answers=9)
        assert killed == stored(folder, SECOND_READER)
        reading = started(side, folder, SECOND_READER)
        key(side, "space")
        side.wait(300)
        assert reading.case.position == 3  # four questions about each of two cases, one about the third
        pressed = list(killed)
        read_on(side, reading, pressed, by_mouse=False)
        assert stored(folder, SECOND_READER) == pressed
        assert len({(item, question) for item, question, *_ in pressed}) == 14 * 4 + 6 * 2
        key(side, "Escape")


def kill_a_slicer_that_reads(folder: Path, reader: str, answers: int) -> list[tuple]:
    """Starts it as `medtranslate study run` does; gives what it said it had answered before it was killed."""
    from MedTranslateWidgets.StudyPanel import READER_VARIABLE, STUDY_VARIABLE

    note = folder.parent / "pressed.json"
    environment = {
        **os.environ,
        STUDY_VARIABLE: str(folder),
        READER_VARIABLE: reader,
        "MEDTRANSLATE_STUDY_NOTE": str(note),
        "MEDTRANSLATE_STUDY_ANSWERS": str(answers),
    }
    options = ["--no-splash", "--ignore-slicerrc", "--testing", "--additional-module-paths"]
    module = str(Path(slicer.modules.medtranslate.path).parent)
    script = Path(__file__).resolve().parents[1] / "killed_in_a_study.py"
    program = os.environ.get("SLICER") or slicer.app.launcherExecutableFilePath
    command = [program, *options, module, "--python-script", str(script)]
    done = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=200)
    assert note.is_file(), done.stdout[-3000:] + done.stderr[-3000:]
    said = json.loads(note.read_text())
    return [(item, question, () if value == [] else value, practice) for item, question, value, practice in said]


def check_a_second_session_of_a_reader_is_refused(side) -> None:
    from MedTranslateLib.studies.session import Session

    with study_folder(singles=4, pairs=0) as folder, Session.open(folder, FIRST_READER):
        panels = opened(side, folder, FIRST_READER)
        side.mouse.click(side.child("startStudyButton"))
        side.wait(100)
        assert panels.study.reading is None
        assert "Another session of reader 'reader-1' is open" in panels.messages.text
        side.picture("study-8-refused")


def check_the_next_case_is_there_at_once(side) -> None:
    changes = {"size": (256, 256, 100), "spacing": (1.0, 1.0, 1.5), "singles": 7, "pairs": 0}
    with study_folder(**changes) as folder:
        reading = started(side, folder, FIRST_READER)
        key(side, "space")
        side.wait(500)
        pressed = []
        while reading.session.progress.done < reading.session.progress.total:
            side.wait(250)  # nobody answers faster
            answer_as(side, reading, pressed, by_mouse=False)
        took = sorted(reading.shownInMs)
        assert len(took) == 7
        said = f"256 x 256 x 100: median {took[3]:.0f} ms, longest {took[-1]:.0f} ms, all {reading.shownInMs}"
        (side.pictures / "study-times.txt").write_text(f"Key press to next case, {said}")
        assert took[3] <= NEXT_CASE_LIMIT_MS  # the longest tells more of what else the machine did
        key(side, "Escape")


def check_what_the_user_had_is_back_afterwards(side) -> None:
    import SampleData

    mine = SampleData.downloadSample("Colin27 T1")
    side.wait(200)
    before = everything_in_the_scene()
    shown = view_volumes()
    with study_folder(singles=4, pairs=3) as folder:
        panels = opened(side, folder, FIRST_READER)
        window = slicer.util.mainWindow()
        visible = [bar.visible for bar in window.findChildren("QToolBar")]
        started(side, folder, FIRST_READER)
        key(side, "space")
        side.wait(300)
        assert not any(bar.visible for bar in window.findChildren("QToolBar"))
        assert not window.menuBar().visible
        key(side, "1")
        key(side, "Escape")
        key(side, "Escape")
        side.wait(300)
        assert panels.study.reading is None
        assert [bar.visible for bar in window.findChildren("QToolBar")] == visible
        assert window.menuBar().visible
    assert slicer.mrmlScene.IsNodePresent(mine)
    assert view_volumes() == shown
    left = everything_in_the_scene() - before
    assert not [name for name in left if "View" not in name and "Slice" not in name], left


def everything_in_the_scene() -> set[str]:
    return {f"{node.GetClassName()} {node.GetName()}" for node in slicer.mrmlScene.GetNodes()}


def view_volumes() -> list[str]:
    manager = slicer.app.layoutManager()
    return [manager.sliceWidget(name).mrmlSliceCompositeNode().GetBackgroundVolumeID() for name in ("Red", "Yellow")]
