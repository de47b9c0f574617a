"""`medtranslate evaluate` names everything that it could not measure, and measures the rest, once, always the same."""

from __future__ import annotations

import contextlib
import csv
import html
import io
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from MedTranslateLib.cli.main import main
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.phantom import head_phantom
from MedTranslateLib.imaging.writing import write_volume

ROOT = Path(__file__).resolve().parents[2]
ODD_NAME = "a<b|c&d_e\"f'g\nh"
PRINTED = "a<b|c&d_e\"f'g\\nh"
HALF_A_LETTER = "h\udcff"  # a file name that is no text

INPUTS = "Inputs (SHA-256 over the files of a case)"
GRID = {"size_hw": (48, 40), "spacing_mm": 4.0}


def head(size: tuple[int, int, int] = (40, 48, 3), spacing: tuple[float, float] = (4.0, 8.0)) -> Volume:
    """A head phantom on an upright grid of 160 x 192 x 24 mm, whatever its voxels are."""
    matrix = np.diag([-spacing[0], -spacing[0], spacing[1], 1.0])
    matrix[:3, 3] = -(matrix[:3, :3] @ (np.array(size) - 1)) / 2
    return head_phantom(Geometry(size, matrix))


def inverted(volume: Volume) -> Volume:
    """Another contrast of the same head, as smooth as it: 0 where it is 0, and where it is 1000."""
    return Volume(volume.array_kji * (1000 - volume.array_kji) / 250, volume.geometry, "inverted")


def write_case(folder: Path, source: Volume | None, target: Volume | None) -> Path:
    folder.mkdir(parents=True)
    for name, volume in (("t1", source), ("t2", target)):
        if volume is not None:
            write_volume(folder / f"{name}.nii.gz", volume)
    return folder


def entry(folder: str, **more: object) -> str:
    values = {"kind": "volumes", "folder": folder, "source": "t1.nii.gz", "target": "t2.nii.gz", **more}
    return "".join(["[[compare.cases]]\n", *(f"{name} = {json.dumps(value)}\n" for name, value in values.items())])


@dataclass(frozen=True)
class Told:
    """What a run left behind and said."""

    code: int
    said: str
    out: Path
    rows: list[dict[str, str]]
    problems: list[dict[str, str]]

    def value(self, case: str, method: str, metric: str, direction: str = "forward") -> str:
        labels = (case, method, metric, direction)
        names = ("case", "method", "metric", "direction")
        (row,) = [row for row in self.rows if tuple(row[name] for name in names) == labels]
        return row["value"]


def run(plan: Path, out: Path, *more: str) -> Told:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = main(["evaluate", str(plan), "--out", str(out), "--device", "cpu", *more])
    with (out / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return Told(code, said.getvalue(), out, rows, json.loads((out / "summary.json").read_text("utf-8"))["problems"])


# ---- one run in which almost everything is wrong

TROUBLED = f"""
title = "A bad day"
[features]
squeezenet = "none.npz"

[[compare]]
title = "heads & tails"
anatomy = "brain"
bundles = ["ident", "tampered", "nowhere", "heart", "finer"]
pictures = 1
{entry("heads")}
[[compare]]
title = "resampled"
resample = true
baselines = false
pictures = 0
bundles = ["ident", "finer"]
{entry("apart", resample=True)}
[[compare]]
title = "stacks"
baselines = false
pictures = 0
bundles = ["ident"]
{entry("stacks", kind="npz", source="t1", target="t2", stored_range=[0, 255])}
[[compare]]
title = "twins"
resample = true
methods = [{{ bundle = "ident" }}, {{ bundle = "finer", title = "ident" }}]
{entry("apart", resample=True)}
[[compare]]
title = "no data"
bundles = ["ident"]
{entry("not there")}
[[fields]]
bundle = "ident"
[[fields.cases]]
kind = "npz"
folder = "not there either"
source = "t1"
"""


def make_troubled(folder: Path, make_bundle) -> Path:
    for name, changes in (("ident", {}), ("tampered", {}), ("heart", {"anatomy": "heart"})):
        make_bundle(name, **GRID, **changes)
    bundles = make_bundle("finer", size_hw=(96, 80), spacing_mm=2.0).parent
    weights = bundles / "tampered/weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    heads, fine = folder / "heads", head((80, 96, 3), (2.0, 8.0))
    write_case(heads / "p1", head(), inverted(head()))
    write_case(heads / ODD_NAME, head(), inverted(head()))
    write_case(heads / "alone", head(), None)
    write_case(heads / "apart", head(), inverted(fine))
    write_case(heads / "blank", head(), Volume(np.zeros((3, 48, 40), np.float32), head().geometry, "blank"))
    write_case(heads / "text", head(), None).joinpath("t2.nii.gz").write_text("no image", encoding="utf-8")
    write_case(folder / "apart/aligned", head(), inverted(head()))
    write_case(folder / "apart/moved", head(), inverted(fine))
    write_stacks(folder / "stacks")
    (bundles / "plan.toml").write_text(TROUBLED, encoding="utf-8")
    return bundles / "plan.toml"


def write_stacks(folder: Path) -> None:
    """One has no body: its source is saturated everywhere, its target all but blank. Others have NaN or are torn."""
    folder.mkdir()
    near_blank = np.zeros((1, 48, 40), np.uint8)
    near_blank[0, 5, 6] = 1
    np.savez(folder / "bodiless.npz", t1=np.full((1, 48, 40), 255, np.uint8), t2=near_blank)
    for name in ("whole", HALF_A_LETTER):
        np.savez(folder / f"{name}.npz", t1=disc(200), t2=disc(90))
    np.savez(folder / "nan.npz", t1=disc(200), t2=np.where(disc(90) > 0, np.nan, 0.0))
    (folder / "torn.npz").write_bytes((folder / "whole.npz").read_bytes()[:200])


def disc(*shades: int) -> np.ndarray:
    rows, columns = np.indices((48, 40))
    inside = np.hypot(rows - 24, columns - 20) < 15
    return np.stack([shade * inside for shade in shades]).astype(np.uint8)


@pytest.fixture(scope="module")
def made() -> dict[str, object]:
    return {}


@pytest.fixture
def troubled_plan(made, tmp_path, make_bundle) -> Path:
    """Written once for all tests of this file."""
    if "plan" not in made:
        made["plan"] = make_troubled(tmp_path, make_bundle)
    return made["plan"]


@pytest.fixture
def troubled(made, troubled_plan) -> Told:
    """That run, by one process, done once."""
    if "told" not in made:
        root = troubled_plan.parents[1]
        made["told"] = run(troubled_plan, root / "out", "--data", str(root), "--workers", "1")
    return made["told"]


PROBLEMS = [
    ("heads & tails", "alone", "", "has no target"),
    ("heads & tails", "apart", "", "not on the same grid"),
    ("heads & tails", "blank", "", "constant"),
    ("heads & tails", "text", "", "cannot be read"),
    ("heads & tails", "", "tampered", "weights.safetensors is not the published file"),
    ("heads & tails", "", "nowhere", "nowhere"),
    ("heads & tails", "", "heart", "was trained on the heart, the images show the brain"),
    ("heads & tails", "", "finer", "`resample = true`"),
    ("stacks", "nan", "ident", "finite"),
    ("stacks", "torn", "ident", "not a zip file"),
    ("stacks", "bodiless", "ident", "reverse target are blank"),
    ("twins", "", "", "Two methods are called 'ident'"),
    ("no data", "", "", "not there does not exist"),
    ("[[fields]] 1", "", "", "not there either does not exist"),
]


@pytest.mark.parametrize(("table", "case", "method", "words"), PROBLEMS)
def test_what_could_not_be_measured_is_named_wherever_results_are_read(troubled, table, case, method, words):
    assert troubled.code == 1
    found = [one for one in troubled.problems if (one["table"], one["case"], one["method"]) == (table, case, method)]
    (message,) = [one["message"] for one in found if words in one["message"]]
    where = ", ".join(part for part in (table, case, method) if part)
    assert f"failed: {where}: {message}\n" in troubled.said
    page = (troubled.out / "report.html").read_text(encoding="utf-8")
    cells = "".join(f"<td>{html.escape(cell, quote=False)}</td>" for cell in (table, case or "all", method or "all"))
    assert f"{cells}<td>{html.escape(message, quote=False)}</td>" in page


def test_nothing_else_failed_and_a_missing_network_is_only_noted(troubled):
    assert len([one for one in troubled.problems if one["severity"] == "failed"]) == len(PROBLEMS)
    noted = [one["message"] for one in troubled.problems if one["severity"] == "noted"]
    (network,) = [message for message in noted if "localiser" not in message]  # that is said of phantoms of 3 slices
    assert "SqueezeNet (none.npz)" in network


def test_the_other_cases_of_a_table_with_problems_have_their_figures(troubled):
    measured = defaultdict(set)
    for row in troubled.rows:
        measured[row["table"], row["direction"]].add((row["case"], row["method"]))
    methods = ("source as it is", "histogram matching", "ident")
    everyone = {(case, method) for case in ("p1", PRINTED, "") for method in methods}
    assert measured["heads & tails", "forward"] == everyone == measured["heads & tails", "reverse"]
    assert {case for case, _ in measured["stacks", "forward"]} == {"whole", "bodiless", "h\\udcff", ""}
    assert {case for case, _ in measured["stacks", "reverse"]} == {"whole", "h\\udcff", ""}
    assert set(measured) == {(t, d) for t in ("heads & tails", "resampled", "stacks") for d in ("forward", "reverse")}


def test_figures_inside_a_body_that_is_not_there_are_empty(troubled):
    for metric in ("ssim_body", "psnr_body_db", "mae_body"):
        assert troubled.value("bodiless", "ident", metric) == ""
        assert float(troubled.value("whole", "ident", metric)) > 0
    assert float(troubled.value("bodiless", "ident", "mae")) == pytest.approx(1, abs=1e-4)


def test_source_and_target_on_different_grids_give_the_figures_of_aligned_ones(troubled):
    for metric, tolerance in (("ssim", 0.02), ("mae", 0.005), ("psnr_db", 0.3)):
        for direction in ("forward", "reverse"):
            aligned, moved = (float(troubled.value(case, "ident", metric, direction)) for case in ("aligned", "moved"))
            assert moved == pytest.approx(aligned, abs=tolerance)
            assert moved != aligned


def test_a_bundle_on_a_finer_grid_that_changes_nothing_differs_by_interpolation_only(troubled):
    for metric, tolerance in (("ssim_source", 0.03), ("mae", 0.01), ("psnr_db", 0.3)):
        own, finer = (float(troubled.value("aligned", method, metric)) for method in ("ident", "finer"))
        assert finer == pytest.approx(own, abs=tolerance)
        assert finer != own


def test_a_patient_of_any_name_is_told_in_every_file(troubled):
    written = {path.name: path.read_text(encoding="utf-8") for path in troubled.out.iterdir() if path.is_file()}
    assert set(written) == {"metrics.csv", "slices.csv", "summary.json", "tables.md", "tables.tex", "report.html"}
    assert {row["case"] for row in troubled.rows if row["table"] == "heads & tails"} == {"p1", PRINTED, ""}
    assert html.escape(PRINTED, quote=False) in written["report.html"]
    assert f"heads & tails, {PRINTED}" in json.loads(written["summary.json"])["made_of"][INPUTS]


def test_two_processes_find_to_the_last_byte_what_one_finds(troubled, troubled_plan):
    root = troubled_plan.parents[1]
    again = run(troubled_plan, root / "out-of-two", "--data", str(root), "--workers", "2")
    assert again.said == troubled.said.replace(str(troubled.out), str(again.out))
    for path in troubled.out.iterdir():
        if path.is_file():
            assert (again.out / path.name).read_bytes() == path.read_bytes()


# ---- what is wrong with the question itself


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[compare]\n", "not valid TOML"),
        ("title = 'x'\n", "nothing is asked for"),
        (f"[[compare]]\nbundles = ['ident']\nbundels = ['x']\n{entry('data')}", "'bundels'"),
        (f"[[compare]]\nbundles = ['ident']\n{entry('data', folders='x')}", "'folders'"),
        (f"[[compare]]\nbundles = ['ident']\n{entry('data')}" * 2, "Two [[compare]] tables are called 'data'"),
    ],
)
def test_a_wrong_evaluation_file_is_answered_with_one_line(tmp_path, text, words, capsys):
    (tmp_path / "plan.toml").write_text(text, encoding="utf-8")
    assert main(["evaluate", str(tmp_path / "plan.toml"), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    (line,) = [line for line in said.err.splitlines() if line.startswith("medtranslate")]
    assert words in line
    assert not said.out
