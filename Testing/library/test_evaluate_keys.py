"""What a result is stored under changes with all that its figures depend on, and with nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import MedTranslateLib
from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.evaluation import hashes
from MedTranslateLib.evaluation.cohort import Unit
from MedTranslateLib.evaluation.compare_config import MethodEntry
from MedTranslateLib.evaluation.competitors import line_up
from MedTranslateLib.evaluation.config import EvaluationPlan, read_plan
from MedTranslateLib.evaluation.units import Place, compare_units, do_unit


def test_a_hash_follows_the_contents_and_the_order_of_files_and_not_their_names(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"abc")
    other.write_bytes(b"abd")
    before = hashes.hash_of_files([one, other])
    assert hashes.hash_of_files([other, one]) != before
    other.rename(tmp_path / "renamed")
    assert hashes.hash_of_files([one, tmp_path / "renamed"]) == before
    one.write_bytes(b"abx")
    assert hashes.hash_of_files([one, tmp_path / "renamed"]) != before


def test_a_file_that_cannot_be_read_has_a_hash_that_changes_when_it_can(tmp_path):
    missing = hashes.hash_of_files([tmp_path / "late"])
    (tmp_path / "late").write_bytes(b"")
    assert hashes.hash_of_files([tmp_path / "late"]) != missing


def test_the_hash_of_the_code_follows_what_figures_are_made_by_and_not_what_they_are_told_by(tmp_path, monkeypatch):
    for name in ("__init__", "metrics/a", "evaluation/units", "evaluation/report/html", "cli/main", "mrml/a"):
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n", encoding="utf-8")
    monkeypatch.setattr(MedTranslateLib, "__file__", str(tmp_path / "__init__.py"))

    def hash_after(name: str) -> str:
        (tmp_path / name).write_text("x = 2\n", encoding="utf-8")
        return hashes.hash_of_code.__wrapped__()

    told_by = {hashes.hash_of_code.__wrapped__()}
    told_by |= {hash_after(f"{name}.py") for name in ("evaluation/report/html", "cli/main", "mrml/a")}
    assert len(told_by) == 1
    made_by = {hash_after(f"{name}.py") for name in ("metrics/a", "evaluation/units", "metrics/new")}
    assert len(made_by | told_by) == 4


PLAN = """
[[compare]]
bundles = ["one"]
baselines = false
[[compare.methods]]
bundle = "two"
title = "twice"
samples = 2
[[compare.cases]]
kind = "npz"
folder = "data"
source = "a"
target = "b"
"""


@pytest.fixture
def place(tmp_path, make_bundle) -> Place:
    """An evaluation of two bundles on two cases, which are listed and never read."""
    for name in ("one", "two"):
        make_bundle(name)
    (tmp_path / "bundles/plan.toml").write_text(PLAN, encoding="utf-8")
    (tmp_path / "data").mkdir()
    for name in ("p1", "p2"):
        (tmp_path / "data" / f"{name}.npz").write_bytes(name.encode())
    return Place(tmp_path / "bundles/plan.toml", tmp_path, tmp_path / "out", "cpu")


def units_of(place: Place, plan: EvaluationPlan | None = None) -> list[Unit]:
    plan = plan or read_plan(place.plan_path)
    lineup = line_up(plan.compare[0], place.plan_path.parent, {})
    return list(compare_units(0, plan, lineup, place))


def keys(place: Place, plan: EvaluationPlan | None = None) -> dict[str, str]:
    return {unit.label: unit.key for unit in units_of(place, plan)}


def changed(place: Place, before: dict[str, str]) -> set[str]:
    return {label.removeprefix("data: ") for label, key in keys(place).items() if before[label] != key}


ALL = {"p1, one", "p1, twice", "p2, one", "p2, twice"}


def test_a_unit_is_a_case_and_a_method_with_a_key_that_the_place_of_the_results_does_not_change(place):
    before = keys(place)
    assert {label.removeprefix("data: ") for label in before} == ALL
    assert len(set(before.values())) == 4
    assert keys(replace(place, out=Path("elsewhere"))) == before


def test_a_changed_image_changes_the_units_of_its_case(place):
    before = keys(place)
    (place.data_root / "data/p2.npz").write_bytes(b"p3")
    assert changed(place, before) == {"p2, one", "p2, twice"}


@pytest.mark.parametrize(("name", "units"), [("two", {"p1, twice", "p2, twice"}), ("one", ALL)])
def test_a_changed_bundle_changes_the_units_of_its_method_and_all_where_it_gives_the_grid(place, name, units):
    before = keys(place)
    manifest, weights = (place.plan_path.parent / name / file for file in ("bundle.json", "weights.safetensors"))
    old = hashes.sha256_of(weights)
    weights.write_bytes(weights.read_bytes() + b" ")
    manifest.write_text(manifest.read_text().replace(old, hashes.sha256_of(weights)), encoding="utf-8")
    assert changed(place, before) == units


@pytest.mark.parametrize(
    ("change", "units"),
    [
        (("samples = 2", "samples = 3"), {"p1, twice", "p2, twice"}),
        (("samples = 2", "samples = 2\nsteps = [1]"), None),
        (("baselines = false", "baselines = false\nevery = 2"), ALL),
        (('target = "b"', 'target = "b"\npixel_mm = 1.0'), ALL),
        (("baselines = false", 'baselines = false\nanatomy = "brain"'), set()),
        (("baselines = false", "baselines = false\npictures = 1"), {"p2, one", "p2, twice"}),
    ],
)
def test_a_changed_setting_changes_the_units_whose_figures_or_pictures_depend_on_it(place, change, units):
    before = keys(place)
    place.plan_path.write_text(PLAN.replace(*change), encoding="utf-8")
    if units is None:
        assert set(keys(place)) - set(before) == {f"data: {case}, twice @ 1 step" for case in ("p1", "p2")}
    else:
        assert changed(place, before) == units


def test_an_option_of_a_method_changes_its_units(place):
    plan = read_plan(place.plan_path)
    entry = MethodEntry("two", "twice", samples=5)
    other = replace(plan, compare=(replace(plan.compare[0], methods=(entry,)),))
    assert keys(place, other)["data: p1, twice"] != keys(place)["data: p1, twice"]


def test_a_file_that_is_changed_while_it_is_worked_on_gives_no_result_under_its_old_keys(place):
    unit = units_of(place)[0]
    place.plan_path.write_text(PLAN.replace("samples = 2", "samples = 3"), encoding="utf-8")
    with pytest.raises(ConfigError, match="was changed while it was worked on"):
        do_unit(unit.work)
    assert not list(place.store.glob("*.json"))
