"""The key is sealed by a hash that cannot be guessed, opened once all have finished, and never exchanged unnoticed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest
from study_samples import HandClock, load_phantom, prepared, small_study

from MedTranslateLib.core.errors import ClockSetBackError, ReaderBusyError, StudyChangedError, StudyError
from MedTranslateLib.studies.key import KEY, checked_key, opened_key, write_key
from MedTranslateLib.studies.prepare import prepare_study
from MedTranslateLib.studies.prepare_plan import SEAL
from MedTranslateLib.studies.session import Session
from MedTranslateLib.studies.session_opening import open_key, opened_study
from MedTranslateLib.studies.session_status import read_record


@pytest.fixture
def study(tmp_path):
    return prepared(tmp_path, small_study(2, readers=("ann",)))


def read_all(folder, reader="ann", clock=None):
    with Session.open(folder, reader, clock) as session:
        while (case := session.current()) is not None:
            session.answer(case.asked.id, 1)


def test_what_is_published_is_the_hash_of_the_key_and_the_key_holds_256_random_bits(study):
    published = json.loads((study.folder / SEAL).read_text())["key_sha256"]
    assert published == study.key_sha256 == hashlib.sha256(study.key_file.read_bytes()).hexdigest()
    assert len(bytes.fromhex(checked_key(study.folder, study.key_file).nonce)) == 32
    assert study.key_file.stat().st_mode & 0o077 == 0


def test_a_key_that_was_changed_is_not_opened(study):
    read_all(study.folder)
    key = checked_key(study.folder, study.key_file)
    turned = tuple(replace(entry, treatment="real") for entry in key.entries)
    study.key_file.unlink()
    write_key(study.key_file, replace(key, entries=turned))
    with pytest.raises(StudyChangedError, match="not the key that was sealed"):
        open_key(study.folder, study.key_file)
    assert not (study.folder / KEY).exists()


def test_the_key_of_another_study_is_not_opened(study, tmp_path):
    other = prepare_study(small_study(2), tmp_path / "o", tmp_path / "o.json", load_phantom)
    with pytest.raises(StudyChangedError, match="not the key that was sealed"):
        checked_key(study.folder, other.key_file)
    with pytest.raises(StudyError, match="cannot be read"):
        checked_key(study.folder, tmp_path / "nowhere.json")


def test_the_key_stays_sealed_while_somebody_reads(study):
    with pytest.raises(StudyError, match=r"ann \(0 of 2\)"):
        open_key(study.folder, study.key_file)
    with pytest.raises(StudyError, match="has not been opened"):
        opened_study(study.folder)
    with Session.open(study.folder, "ann"), pytest.raises(ReaderBusyError):
        open_key(study.folder, study.key_file, anyway=True)
    assert not (study.folder / KEY).exists()


def test_an_opened_key_lets_an_analysis_begin_and_takes_no_more_answers(study):
    read_all(study.folder)
    opened = open_key(study.folder, study.key_file)
    assert opened.unfinished == ()
    assert opened.key == opened_key(study.folder) == opened_study(study.folder).key
    assert len(opened.record.answers) == 4
    assert open_key(study.folder, study.key_file) == opened  # again changes nothing
    with pytest.raises(StudyError, match="not be blind any more"):
        Session.open(study.folder, "ann")


def test_opening_it_anyway_is_noted_for_ever(study):
    opened = open_key(study.folder, study.key_file, anyway=True)
    assert opened.unfinished == ("ann",)
    event = read_record(study.folder).events[-1]
    assert (event.kind, event.detail) == ("key_opened", {"unfinished": ["ann"], "anyway": True})
    (study.folder / KEY).unlink()
    with pytest.raises(StudyError, match="not be blind any more"):
        Session.open(study.folder, "ann")


def test_a_key_that_was_merely_copied_into_the_folder_is_not_opened(study):
    (study.folder / KEY).write_bytes(study.key_file.read_bytes())
    with pytest.raises(StudyError, match="nobody opened it"):
        opened_study(study.folder)


def test_a_changed_image_or_answer_keeps_the_key_closed(study):
    read_all(study.folder)
    item = next((study.folder / "items").iterdir())
    content = item.read_bytes()
    item.write_bytes(content[:-1] + b"\x01")
    with pytest.raises(StudyChangedError, match=item.name):
        open_key(study.folder, study.key_file)
    item.write_bytes(content)
    assert open_key(study.folder, study.key_file).unfinished == ()


def test_a_clock_that_was_set_back_does_not_date_the_opening(study):
    clock = HandClock()
    read_all(study.folder, clock=clock)
    clock.set_by(-3600)
    with pytest.raises(ClockSetBackError):
        open_key(study.folder, study.key_file, clock=clock)
