"""A run that goes on does what is missing or has changed, and no more; killed at any moment, it ends like any other."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_evaluate import GRID, Told, disc, entry, head, inverted, run, write_case

from MedTranslateLib.bundles.verify import sha256_of
from MedTranslateLib.cli.main import main
from MedTranslateLib.core.errors import DeviceError
from MedTranslateLib.evaluation import compare_unit, evaluate
from MedTranslateLib.evaluation.cohort import Outcome

ROOT = Path(__file__).resolve().parents[2]

# ---- what is done again, and what is not


@pytest.fixture
def by_hand(monkeypatch) -> list[str]:
    """Units are done one after the other in this process; their labels are kept."""
    labels = []

    def run_cohort(units, do, _options, on_unit):
        outcomes = []
        for unit in units:
            labels.append(unit.label.removeprefix("data: "))
            do(unit.work)
            outcomes.append(Outcome(unit.key, unit.label))
            on_unit(outcomes[-1], len(outcomes), len(units))
        return outcomes

    monkeypatch.setattr(evaluate, "run_cohort", run_cohort)
    return labels


STACKS = entry("data", kind="npz", source="t1", target="t2", stored_range=[0, 255])
SMALL = f"""
[features]
squeezenet = 'none.npz'
[[compare]]
bundles = ['one', 'two']
baselines = false
pictures = 0
{STACKS}"""
ALL = ["p1, one", "p1, two", "p2, one", "p2, two"]


@pytest.fixture
def small_plan(tmp_path, make_bundle) -> Path:
    """Two bundles on two cases."""
    bundles = make_bundle("one", **GRID, reversible=False).parent
    make_bundle("two", **GRID, reversible=False)
    (tmp_path / "data").mkdir()
    for number, name in enumerate(("p1", "p2")):
        np.savez(tmp_path / "data" / f"{name}.npz", t1=disc(200, 100 + number), t2=disc(50, 80))
    (bundles / "plan.toml").write_text(SMALL, encoding="utf-8")
    return bundles / "plan.toml"


def run_small(plan: Path) -> Told:
    return run(plan, plan.parents[1] / "out", "--data", str(plan.parents[1]))


def files_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir() if path.is_file()}


def test_a_second_run_does_no_work_and_says_the_same(small_plan, by_hand):
    first = run_small(small_plan)
    units, told = files_of(first.out / "units"), files_of(first.out)
    assert by_hand == ALL
    assert (first.code, [one["severity"] for one in first.problems]) == (0, ["noted"])  # the missing network
    second = run_small(small_plan)
    assert by_hand == ALL
    assert second == first
    assert files_of(first.out / "units") == units
    assert {name: content for name, (_, content) in files_of(first.out).items()} == {
        name: content for name, (_, content) in told.items()
    }
    assert float(first.value("p1", "one", "mae")) == pytest.approx(
        (abs(200 - 50) + abs(100 - 80)) / 2 / 255 * np.mean(disc(1)), rel=1e-4
    )


def test_only_what_a_change_concerns_is_done_again(small_plan, by_hand):
    before = run_small(small_plan)
    by_hand.clear()
    np.savez(small_plan.parents[1] / "data/p2.npz", t1=disc(90, 60), t2=disc(50, 80))
    after = run_small(small_plan)
    assert by_hand == ["p2, one", "p2, two"]
    assert after.value("p1", "one", "mae") == before.value("p1", "one", "mae")
    assert after.value("p2", "two", "mae") != before.value("p2", "two", "mae")

    by_hand.clear()
    change_bundle(small_plan.parent / "two")
    assert run_small(small_plan).rows == after.rows
    assert by_hand == ["p1, two", "p2, two"]


def change_bundle(folder: Path) -> None:
    """A summary in the card is no weight; spaces behind the header of the weights are."""
    weights, card = folder / "weights.safetensors", folder / "bundle.json"
    content, old = weights.read_bytes(), sha256_of(weights)
    length = int.from_bytes(content[:8], "little")
    weights.write_bytes((length + 8).to_bytes(8, "little") + content[8 : 8 + length] + b" " * 8 + content[8 + length :])
    card.write_text(card.read_text(encoding="utf-8").replace(old, sha256_of(weights)), encoding="utf-8")


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-5])])
@pytest.mark.parametrize("ending", ["json", "npz"])
def test_a_result_that_is_gone_or_torn_is_made_again_alone(small_plan, by_hand, damage, ending):
    before = run_small(small_plan)
    by_hand.clear()
    damage(sorted((before.out / "units").glob(f"*.{ending}"))[1])
    assert run_small(small_plan).rows == before.rows
    assert len(by_hand) == 1


def test_a_case_that_failed_is_measured_once_its_file_is_whole(small_plan, by_hand):
    path = small_plan.parents[1] / "data/p2.npz"
    content = path.read_bytes()
    np.savez(path, t1=disc(200, 100))
    broken = run_small(small_plan)
    assert broken.code == 1
    assert {row["case"] for row in broken.rows} == {"p1", ""}
    by_hand.clear()
    path.write_bytes(content)
    assert run_small(small_plan).code == 0
    assert by_hand == ["p2, one", "p2, two"]


def test_a_device_that_is_missing_where_the_work_is_done_is_no_finding_about_a_case(
    tmp_path, small_plan, by_hand, monkeypatch
):
    def no_device(*_):
        msg = "Device 'cuda:0' was asked for but is not available."
        raise DeviceError(msg)

    monkeypatch.setattr(compare_unit, "open_network", no_device)
    assert main(["evaluate", str(small_plan), "--out", str(tmp_path / "out"), "--data", str(tmp_path)]) == 2
    assert by_hand == ["p1, one"]
    assert not list((tmp_path / "out/units").glob("*.json"))


def test_a_device_that_is_not_here_is_answered_at_once(small_plan, capsys):
    assert main(["evaluate", str(small_plan), "--out", str(small_plan.parent / "o"), "--device", "cuda:77"]) == 2
    assert "Device 'cuda:77' was asked for" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_to_is_answered_with_one_line(small_plan, capsys):
    assert main(["evaluate", str(small_plan), "--out", str(small_plan), "--device", "cpu"]) == 2
    assert "plan.toml" in capsys.readouterr().err.splitlines()[-1]


def test_a_doubt_of_two_bundles_of_three_names_both(tmp_path, make_bundle, by_hand):
    for name, highest_mm in (("a", 4.0), ("b", 4.0), ("c", 9.0)):
        bundles = make_bundle(name, **GRID, reversible=False, slice_spacing_mm=(0.5, highest_mm)).parent
    write_case(tmp_path / "data/p1", head(), inverted(head()))
    plan = f"[[compare]]\nbundles = ['a', 'b', 'c']\nbaselines = false\npictures = 0\n{entry('data')}"
    (bundles / "plan.toml").write_text(plan, encoding="utf-8")
    told = run_small(bundles / "plan.toml")
    assert (told.code, by_hand) == (0, ["p1, a", "p1, b", "p1, c"])
    (doubt,) = [one for one in told.problems if "localiser" not in one["message"]]  # three slices are few, too
    assert (doubt["severity"], doubt["case"], doubt["method"]) == ("noted", "p1", "a, b")
    assert "8.00 mm apart" in doubt["message"]
    assert f"noted: data, p1, a, b: {doubt['message']}\n" in told.said


# ---- killed

KILLS, CASES, LIMIT_S = 20, 100, 300


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="ends a whole process group at once")
def test_a_run_that_is_killed_twenty_times_ends_like_one_that_was_not(tmp_path, small_plan):
    generator = np.random.default_rng(4)
    for number in range(CASES):
        shades = generator.integers(20, 255, (2, 6))
        np.savez(tmp_path / "data" / f"q{number:03d}.npz", t1=disc(*shades[0]), t2=disc(*shades[1]))
    small_plan.write_text(SMALL.replace(", 'two'", ""), encoding="utf-8")
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert started(small_plan, undisturbed).wait(LIMIT_S) == 0
    chance = random.Random(6)
    ends = [kill_some_time(started(small_plan, killed), killed / "units", chance) for _ in range(KILLS)]
    assert ends.count(-signal.SIGKILL) > KILLS // 2
    assert started(small_plan, killed).wait(LIMIT_S) == 0
    for name in ("metrics.csv", "slices.csv", "tables.md", "report.html"):
        assert (killed / name).read_bytes() == (undisturbed / name).read_bytes()
    assert not list((killed / "units").glob(".part-*"))


def started(plan: Path, out: Path) -> subprocess.Popen:
    """In a process group of its own."""
    arguments = ["evaluate", str(plan), "--out", str(out), "--data", str(plan.parents[1]), "--workers", "2"]
    command = [sys.executable, "-m", "MedTranslateLib", *arguments, "--device", "cpu"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, cwd=ROOT, start_new_session=True, **quiet)


def kill_some_time(process: subprocess.Popen, units: Path, chance: random.Random) -> int:
    """Kills all of a run at a random moment: a third while it starts, the others after it has done something."""
    before, delay = len(list(units.glob("*.json"))), chance.uniform(0, 0.3)
    if chance.random() < 1 / 3:
        delay *= 10
    else:
        while process.poll() is None and len(list(units.glob("*.json"))) == before:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.02)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(delay)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait(LIMIT_S)
