"""`medtranslate study` from the study file to the opened key, without Slicer and without pictures."""

from __future__ import annotations

import csv
import io
import json
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from study_samples import LESION, phantom, prepared, singles, small_study

from MedTranslateLib.cli.main import main
from MedTranslateLib.cli.study_images import CaseLoader, generated_head
from MedTranslateLib.cli.study_run import find_slicer, slicer_command
from MedTranslateLib.core.errors import DependencyMissingError, StudyError
from MedTranslateLib.imaging.writing import write_volume
from MedTranslateLib.studies.design import read_design
from MedTranslateLib.studies.prepare_plan import read_plan
from MedTranslateLib.studies.session_status import read_record

ROOT = Path(__file__).parents[2]
DESIGN = """
title = "Made by a command"
seed = 1
readers = ["ann", "bo"]
repeats = 1

[grid]
size_ijk = [20, 22, 9]
spacing_mm = [8, 8.5, 16]

[[questions]]
id = "lesion"
kind = "confidence"
text = "Is there a lesion?"

[[cases]]
id = "scanned"
image = "head.nrrd"
truth = 1

[[cases]]
id = "generated"
image = "phantom:7"
treatment = "phantom"
truth = 0

[[cases]]
id = "translated"
source = "head.nrrd"
translate = ["tiny"]
subject = "scanned"
truth = 1
"""


@pytest.fixture
def design(tmp_path, make_bundle, monkeypatch):
    monkeypatch.setenv("MEDTRANSLATE_BUNDLES", str(make_bundle("tiny", size_hw=(64, 64), spacing_mm=3.0).parent))
    write_volume(tmp_path / "head.nrrd", phantom((40, 44, 24), (4.5, 4.5, 6.0)))
    path = tmp_path / "study.toml"
    path.write_text(DESIGN, encoding="utf-8")
    return path


def answer_file(folder, path, reader, value=60):
    """A script with an answer to everything."""
    plan = read_plan(folder)
    lines = [
        {"item": turn.item, "repeat": turn.repeat, "question": question.id, "value": value}
        for turn in plan.orders[reader]
        for question in plan.questions_of(plan.item(turn.item))
    ]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


def test_a_study_goes_from_its_file_to_the_opened_key(design, tmp_path, capsys):
    folder = tmp_path / "out" / "study"
    assert main(["study", "new", str(design), "--out", str(folder), "--accept-doubtful"]) == 0
    told = capsys.readouterr().out
    assert "3 items, 4 to read for each of ann, bo" in told
    published = json.loads((folder / "seal.json").read_text())["key_sha256"]
    assert published in told
    script = answer_file(folder, tmp_path / "answers.jsonl", "ann")
    assert main(["study", "run", str(folder), "--reader", "ann", "--script", str(script)]) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["number"] for one in said] == [1, 2, 3, 4]
    assert main(["study", "status", str(folder)]) == 0
    table = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert any(line.startswith("ann 4 4 4 0") and line.endswith("finished") for line in table)
    assert "bo 0 4 0 0 - not begun" in table
    assert main(["study", "open-key", str(folder)]) == 2
    assert "bo (0 of 4)" in capsys.readouterr().err
    assert main(["study", "open-key", str(folder), "--anyway"]) == 0
    assert "bo had not finished" in capsys.readouterr().out
    assert main(["study", "run", str(folder), "--reader", "bo", "--script", str(script)]) == 2
    assert "not be blind any more" in capsys.readouterr().err


def test_answers_are_exported_blinded_before_and_joined_after_the_key_is_opened(tmp_path, capsys):
    folder = prepared(tmp_path, small_study(4, questions=(LESION,), cases=singles(4, truth=1))).folder
    script = answer_file(folder, tmp_path / "answers.jsonl", "ann")
    main(["study", "run", str(folder), "--reader", "ann", "--script", str(script)])
    capsys.readouterr()
    assert main(["study", "export", str(folder)]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["value"] for row in rows] == ["60"] * 4
    assert main(["study", "export", str(folder), "--form", "imrmc"]) == 2
    assert "has not been opened" in capsys.readouterr().err
    main(["study", "open-key", str(folder), "--anyway"])
    out = tmp_path / "imrmc.csv"
    assert main(["study", "export", str(folder), "--form", "imrmc", "--out", str(out)]) == 0
    assert out.read_text().startswith("readerID,caseID,modalityID,score\n")
    assert main(["study", "export", str(folder), "--form", "mrmcaov", "--question", "other"]) == 2
    assert "the study has lesion" in capsys.readouterr().err


def test_status_as_json_tells_the_same(tmp_path, capsys):
    folder = prepared(tmp_path).folder
    assert main(["study", "status", str(folder), "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert [reader["reader"] for reader in table["readers"]] == ["ann", "bo"]
    assert (table["key_opened"], table["readers"][0]["total"]) == (False, 6)


def test_looking_at_a_study_changes_nothing_in_it(tmp_path, capsys):
    folder = prepared(tmp_path).folder
    before = sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*"))
    main(["study", "status", str(folder)])
    main(["study", "export", str(folder)])
    assert sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*")) == before


def test_a_script_that_was_interrupted_goes_on_and_one_that_lacks_an_answer_says_which(tmp_path, capsys):
    folder = prepared(tmp_path).folder
    whole = answer_file(folder, tmp_path / "whole.jsonl", "ann", value=1)
    part = tmp_path / "part.jsonl"
    part.write_text("\n".join(whole.read_text().splitlines()[:5]))
    arguments = ["study", "run", str(folder), "--reader", "ann", "--script"]
    assert main([*arguments, str(part)]) == 2
    item = read_plan(folder).orders["ann"][2].item
    assert f"no answer to 'realism' of item {item}, repeat 0" in capsys.readouterr().err
    assert main([*arguments, str(whole)]) == 0
    assert [json.loads(line)["number"] for line in capsys.readouterr().out.splitlines()] == list(range(6, 13))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 1: expected an object"),
        ('{"item": "a"}', "line 1: expected an object"),
        ('{"item": "a", "question": "q", "vlaue": 1}', "unknown key 'vlaue'"),
        ("[1]", "expected an object"),
        ('{"item": "a", "question": "q", "marks": [[1, 2]]}', "expected an object"),
    ],
)
def test_a_wrong_script_is_refused_before_the_session_begins(tmp_path, capsys, line, said):
    folder = prepared(tmp_path).folder
    script = tmp_path / "script.jsonl"
    script.write_text(line)
    assert main(["study", "run", str(folder), "--reader", "ann", "--script", str(script)]) == 2
    assert said in capsys.readouterr().err
    assert not (folder / "answers.sqlite").exists()


def test_a_reader_can_answer_in_the_terminal_take_back_and_go_on_later(tmp_path, capsys, monkeypatch):
    folder = prepared(tmp_path, small_study(2)).folder
    monkeypatch.setattr(sys, "stdin", io.StringIO("1\nseven\nu\n0\n5\n2\nq\n"))
    assert main(["study", "run", str(folder), "--reader", "ann", "--text"]) == 0
    told = capsys.readouterr().out
    assert "From a scanner, or made? [a whole number from 0 to 1: scanner, made]" in told
    assert told.count("Not understood") == 2
    assert "1 of 2 read; the next run goes on here." in told
    assert [(answer.question, answer.value) for answer in read_record(folder).answers] == [
        ("turing", 1.0),
        ("turing", 0.0),
        ("realism", 2.0),
    ]
    monkeypatch.setattr(sys, "stdin", io.StringIO("1\n1\n"))
    main(["study", "run", str(folder), "--reader", "ann", "--text"])
    assert "All cases are read" in capsys.readouterr().out


def test_slicer_is_started_with_the_module_study_and_reader(tmp_path, monkeypatch, capfd):
    folder = prepared(tmp_path).folder
    program = tmp_path / "Slicer"
    program.write_text(
        f"#!{sys.executable}\nimport os, sys\n"
        "print(os.environ['MEDTRANSLATE_STUDY'], os.environ['MEDTRANSLATE_READER'], *sys.argv[1:])\nsys.exit(7)\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    arguments = ["study", "run", str(folder), "--reader", "bo"]
    assert main([*arguments, "--slicer", str(program)]) == 7
    told = capfd.readouterr().out
    assert told.startswith(f"{folder} bo --no-splash --additional-module-paths {ROOT / 'MedTranslate'} --python-code")
    monkeypatch.setenv("MEDTRANSLATE_SLICER", str(program))
    assert find_slicer(None) == program
    assert main(["study", "run", str(folder), "--reader", "eve", "--slicer", str(program)]) == 2
    next((folder / "items").iterdir()).unlink()
    assert main(arguments) == 2
    assert "is missing from the study" in capfd.readouterr().err


def test_without_slicer_the_message_says_what_else_there_is(monkeypatch, tmp_path):
    monkeypatch.delenv("MEDTRANSLATE_SLICER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DependencyMissingError, match="--text"):
        find_slicer(None)
    with pytest.raises(DependencyMissingError, match="does not exist"):
        find_slicer(tmp_path / "none")
    assert slicer_command(Path("S"))[0] == "S"


def test_a_grid_finer_than_a_bundle_is_refused_because_it_would_show_real_images_sharper(design, capsys):
    design.write_text(DESIGN.replace("[8, 8.5, 16]", "[2.5, 8.5, 16]"))
    assert main(["study", "new", str(design), "--out", str(design.parent / "study")]) == 2
    assert "'tiny' works on 3 mm: real images would be sharper" in capsys.readouterr().err
    assert not (design.parent / "study").exists()


def test_a_missing_image_leaves_nothing_behind(design, capsys):
    (design.parent / "head.nrrd").unlink()
    before = sorted(design.parent.iterdir())
    assert main(["study", "new", str(design), "--out", str(design.parent / "study")]) == 2
    assert "head.nrrd does not exist" in capsys.readouterr().err
    assert sorted(design.parent.iterdir()) == before


def test_every_seed_generates_another_head_and_the_same_seed_the_same():
    first, again, other = (generated_head(f"phantom:{seed}") for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.array_kji, again.array_kji)
    assert not np.array_equal(first.array_kji, other.array_kji)
    with pytest.raises(StudyError, match="phantom:NUMBER"):
        generated_head("phantom:x")


def test_the_sample_study_is_a_design_whose_images_and_bundles_come_along():
    path = ROOT / "Resources" / "Studies" / "sample.toml"
    study = read_design(path)
    with CaseLoader(study, path.parent, "cpu", accept_doubtful=False):
        pass  # its bundles are there, and its grid fits them
    files = {name for case in study.cases for name in (case.image, case.source) if name and ":" not in name}
    assert all((path.parent / name).is_file() for name in files)
    made_by = [case.made_by for case in study.cases if not case.practice]
    assert made_by.count("real") == made_by.count("bidpm-brain-t1-flair") == 8


def test_a_session_needs_no_package_that_slicer_lacks():
    code = (
        "import sys\n"
        "for name in ('torch', 'monai', 'skimage', 'matplotlib', 'pydicom', 'tqdm'): sys.modules[name] = None\n"
        "from MedTranslateLib.studies import session, session_status, session_opening, prepare, design\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
