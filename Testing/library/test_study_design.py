"""A study file is read or refused with a sentence, and orders are random, balanced and keep repeats apart."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from study_samples import CHOICE, MARKS, REALISM, TURING, pair_study, singles, small_study

from MedTranslateLib.bundles.typed_table import from_table, to_table
from MedTranslateLib.core.errors import StudyError
from MedTranslateLib.studies.design import read_design
from MedTranslateLib.studies.design_grid import Intensity, Scaling, StudyGrid
from MedTranslateLib.studies.design_order import OrderItem, Turn, draw_orders
from MedTranslateLib.studies.study import (
    Extent,
    Question,
    QuestionKind,
    Region,
    ShowOptions,
    Study,
    StudyCase,
    StudyPair,
    WindowMode,
)

WHOLE = """
title = "Two heads"
seed = 7
readers = ["ann", "bo"]
repeats = 1
washout_days = 14
time_limit_s = 45.5

[show]
source = true
window = "free"
extent = "slice"

[grid]
size_ijk = [160, 180, 1]
spacing_mm = [1.25, 1.5, 5]

[intensity]
scaling = "values"
low = -160
high = 240

[[questions]]
id = "lesion"
kind = "confidence"
text = "Is there a lesion?"

[[cases]]
id = "p1"
image = "p1/ct.nrrd"
source = "p1/mr.nrrd"
truth = 1
centre_ras = [1, -2.5, 30]
regions = [{ centre_ras = [10, 20, 30], radius_mm = 6, name = "tumour" }]

[[cases]]
id = "p2"
subject = "p1"
source = "p1/mr.nrrd"
translate = ["bidpm-brain-mr-ct"]
truth = 0
"""


def write(tmp_path, text):
    path = tmp_path / "study.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_key_of_a_study_file_is_where_it_belongs(tmp_path):
    study = read_design(write(tmp_path, WHOLE))
    lesion = Question("lesion", QuestionKind.CONFIDENCE, "Is there a lesion?", 0, 100)
    tumour = Region((10.0, 20.0, 30.0), 6.0, "tumour")
    first = StudyCase(
        "p1", image="p1/ct.nrrd", source="p1/mr.nrrd", truth=1, regions=(tumour,), centre_ras=(1.0, -2.5, 30.0)
    )
    second = StudyCase("p2", translate=("bidpm-brain-mr-ct",), source="p1/mr.nrrd", truth=0, subject="p1")
    assert study == Study(
        title="Two heads",
        seed=7,
        readers=("ann", "bo"),
        questions=(lesion,),
        cases=(first, second),
        repeats=1,
        washout_days=14.0,
        time_limit_s=45.5,
        show=ShowOptions(source=True, window=WindowMode.FREE, extent=Extent.SLICE),
        grid=StudyGrid((160, 180, 1), (1.25, 1.5, 5.0)),
        intensity=Intensity(Scaling.VALUES, -160.0, 240.0),
    )
    assert [case.made_by for case in study.cases] == ["real", "bidpm-brain-mr-ct"]
    assert [case.of_subject for case in study.cases] == ["p1", "p1"]


def test_a_design_is_the_same_after_it_was_frozen_and_read_again():
    for study in (small_study(), pair_study(time_limit_s=3.0)):
        assert from_table(Study, to_table(study)) == study


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("seed = 7", "seed = 7\nsede = 8", "unknown key 'sede'"),
        ("[show]", "[show]\nsources = true", "unknown key 'show.sources'"),
        ('id = "p1"', 'id = "p1"\nbundel = "x"', "bundel"),
        ("seed = 7", "", "'seed' is missing"),
        ("seed = 7", 'seed = "7"', "a whole number"),
        ("seed = 7", "seed = -7", "must not be negative"),
        ('window = "free"', 'window = "wide"', "'fixed' or 'free'"),
        ('kind = "confidence"', 'kind = "grade"', "grades run from low to high"),
        ('kind = "confidence"', 'kind = "confidence"\nlabels = ["no"]', "expected 2 labels"),
        ('kind = "confidence"', 'kind = "preference"', "questions about"),
        ('id = "p2"', 'id = "p1"', "'p1' stands there twice"),
        ('"bo"]', '"Ann"]', "'ann' stands there twice"),
        ('"bo"]', '"b/o"]', "expected 1 to 40 letters"),
        ('readers = ["ann", "bo"]', "readers = []", "needs readers"),
        ('translate = ["bidpm-brain-mr-ct"]', "", "either `image`, or"),
        ('translate = ["bidpm-brain-mr-ct"]', 'image = "x.nrrd"\ntranslate = ["b"]', "either `image`, or"),
        ('translate = ["bidpm-brain-mr-ct"]', 'translate = ["b"]\ntreatment = "real"', "cannot be 'real'"),
        ("truth = 0", "truth = 2", "truth must be 0 or 1"),
        ("truth = 0", "practice = true", None),
        ("repeats = 1", "repeats = 3", "repeats must be 0 to 2"),
        ('source = "p1/mr.nrrd"\ntruth = 1', "truth = 1", "case 'p1' has no source"),
        ("[160, 180, 1]", "[160, 180, 8]", "the grid has 8 slices"),
        ("[160, 180, 1]", "[160, 0, 1]", "sizes of 1 or more"),
        ("high = 240", "high = -200", "low < high"),
        ('scaling = "values"', "", "percentiles in 0..100"),
        ("washout_days = 14", "washout_days = nan", "finite number"),
        ("title =", "title = =", "not valid TOML"),
    ],
)
def test_a_wrong_study_file_is_refused_with_a_sentence(tmp_path, old, new, said):
    assert WHOLE.count(old) >= 1
    path = write(tmp_path, WHOLE.replace(old, new, 1))
    if said is None:
        assert sum(case.practice for case in read_design(path).cases) == 1
        return
    with pytest.raises(StudyError) as refusal:
        read_design(path)
    assert said in str(refusal.value)
    assert str(path) in str(refusal.value)


def test_a_missing_study_file_is_named(tmp_path):
    with pytest.raises(StudyError, match="does not exist"):
        read_design(tmp_path / "none.toml")


def choice_study(cases, *pairs):
    return small_study(questions=(CHOICE,), cases=cases, pairs=tuple(StudyPair("p", pair) for pair in pairs))


def test_pairs_and_questions_about_pairs_go_together():
    with pytest.raises(StudyError, match="one real and one synthetic"):
        choice_study(singles(3)[::2], ("case-0", "case-2"))
    with pytest.raises(StudyError, match="twice"):
        choice_study(singles(2), ("case-0", "case-0"))
    with pytest.raises(StudyError, match="no case 'x'"):
        choice_study(singles(2), ("case-0", "x"))
    with pytest.raises(StudyError, match="All cases are practice"):
        small_study(cases=singles(2, practice=True))
    with pytest.raises(StudyError, match="2 single images and 0 questions"):
        choice_study(singles(2))


@pytest.mark.parametrize(
    ("question", "value", "marks", "fits"),
    [
        (TURING, 1, (), True),
        (TURING, 0.5, (), False),
        (TURING, None, (), False),
        (TURING, 2, (), False),
        (REALISM, 2, (), True),
        (REALISM, 3, (), False),
        (REALISM, float("nan"), (), False),
        (Question("c", QuestionKind.CONFIDENCE, "?"), 33.5, (), True),
        (Question("c", QuestionKind.CONFIDENCE, "?"), 100.5, (), False),
        (Question("b", QuestionKind.PREFERENCE, "?"), 0.5, (), True),
        (Question("b", QuestionKind.PREFERENCE, "?"), 0.25, (), False),
        (MARKS, None, ((1.0, 2.0, 3.0),), True),
        (MARKS, None, (), True),
        (MARKS, 1, (), False),
        (MARKS, None, ((1.0, float("inf"), 3.0),), False),
        (REALISM, 1, ((1.0, 2.0, 3.0),), False),
    ],
)
def test_a_question_takes_what_it_asks_for_and_nothing_else(question, value, marks, fits):
    if fits:
        question.check(value, marks)
    else:
        with pytest.raises(StudyError, match="expected"):
            question.check(value, marks)


def order_items(real=9, made=8, practice=2):
    counted = [OrderItem(f"r{n}", "real", frozenset({f"s{n}"})) for n in range(real)]
    counted += [OrderItem(f"m{n}", "made", frozenset({f"s{n}"})) for n in range(made)]
    return counted + [OrderItem(f"p{n}", "real", frozenset({"x"}), practice=True) for n in range(practice)]


@pytest.mark.parametrize("seed", range(12))
def test_an_order_holds_practice_first_then_everything_once_then_the_repeats_far_apart(seed):
    for turns in draw_orders(order_items(), ["a", "b", "c"], (seed,), 6).values():
        assert {turn.item for turn in turns[:2]} == {"p0", "p1"}
        assert all(turn.practice for turn in turns[:2])
        first = [turn.item for turn in turns[2:19]]
        assert sorted(first) == sorted([f"r{n}" for n in range(9)] + [f"m{n}" for n in range(8)])
        again = [turn.item for turn in turns[19:]]
        assert len(again) == len(set(again)) == 6
        assert all(turn == Turn(turn.item, repeat=1) for turn in turns[19:])
        assert min(17 + place - first.index(item) for place, item in enumerate(again)) >= 17 // 2
        assert Counter(item[0] for item in again) == {"r": 3, "m": 3}


@pytest.mark.parametrize("seed", range(12))
def test_both_halves_hold_as_many_of_each_treatment_and_the_next_reader_has_them_swapped(seed):
    orders = draw_orders(order_items(practice=0), ["a", "b"], (seed,), 0)
    a, b = ([turn.item for turn in orders[reader]] for reader in "ab")
    cuts = [cut for cut in (8, 9) if set(a[:cut]) == set(b[17 - cut :])]
    assert any(is_balanced(a[:cut]) and is_balanced(a[cut:]) for cut in cuts)


def is_balanced(names):
    count = Counter(name[0] for name in names)
    return abs(count["r"] - count["m"]) <= 1


def test_orders_follow_from_the_seed_and_differ_between_readers_and_seeds():
    items = order_items()
    orders = draw_orders(items, ["a", "b", "c"], (5,), 3)
    assert draw_orders(items, ["a", "b", "c"], (5,), 3) == orders
    assert len({orders["a"], orders["b"], orders["c"], draw_orders(items, ["a"], (6,), 3)["a"]}) == 4


def test_each_item_stands_at_each_place_about_equally_often():
    items = order_items(real=4, made=4, practice=0)
    places = np.zeros((8, 8))
    names = [item.item for item in items]
    for seed in range(400):
        for place, turn in enumerate(draw_orders(items, ["a"], (seed,), 0)["a"]):
            places[names.index(turn.item), place] += 1
    assert places.min() > 20  # 50 expected; 20 is more than four standard deviations below
    assert places.max() < 85


def test_two_items_of_one_patient_do_not_follow_each_other():
    for seed in range(30):
        (turns,) = draw_orders(order_items(practice=0), ["a"], (seed,), 0).values()
        assert all(one.item[1:] != other.item[1:] for one, other in pairwise(turns))
