"""The memory plan before a run: what is free, what is needed, what is done where that is not enough, and the time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from MedTranslateLib.checks.memory_cost import FILE_VARIABLE, Cost, costs_file, known_cost, remember
from MedTranslateLib.checks.memory_estimate import DEFAULT_STEPS, LIBRARIES, Workload, device_bytes, stage_bytes
from MedTranslateLib.checks.memory_free import Room, free_bytes, held_bytes, linux_free_bytes, macos_free_bytes
from MedTranslateLib.checks.memory_plan import Mode, plan_memory
from MedTranslateLib.checks.memory_settings import Settings, full, smaller, smallest
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.inference.runner import WORKING_FOLDER

GB = 10**9
KIB = 1024


@pytest.fixture
def work(make_manifest) -> Workload:
    """A large sagittal CT, as acquired: 150 slices along i of the patient, 512 x 400 in plane."""
    matrix = np.array([[0, 0, 2.0, -150], [-0.5, 0, 0, 100], [0, -0.5, 0, 120], [0, 0, 0, 1.0]])
    manifest = make_manifest(method="plasticine", plane="sagittal", size_hw=(192, 160))
    return Workload(Geometry((512, 400, 150), matrix), manifest, samples=2)


def proc(folder: Path, *, available_kib: int = 8_000_000, groups: str = "", limits: str = "") -> Path:
    """What Linux tells in /proc, with the widths of its own columns."""
    (folder / "self").mkdir(parents=True)
    (folder / "meminfo").write_text(
        f"MemTotal:       16000000 kB\nMemAvailable:   {available_kib} kB\nHugePages_Total: 0\n"
    )
    (folder / "self" / "cgroup").write_text(groups)
    (folder / "self" / "status").write_text("Name:\tpython\nVmSize:\t 3000 kB\nVmRSS:\t 1500 kB\nVmData:\t 2000 kB\n")
    rows = "Limit                     Soft Limit           Hard Limit           Units     \n"
    (folder / "self" / "limits").write_text(rows + limits)
    return folder


def test_without_limits_what_the_system_has_available_is_free(tmp_path):
    assert linux_free_bytes(proc(tmp_path), tmp_path / "none") == 8_000_000 * KIB


@pytest.mark.parametrize(
    ("row", "free"),
    [
        ("Max data size             10240000             unlimited            bytes     \n", 10240000 - 2000 * KIB),
        ("Max address space         10240000             unlimited            bytes     \n", 10240000 - 3000 * KIB),
        ("Max address space         unlimited            unlimited            bytes     \n", 8_000_000 * KIB),
        ("Max data size             1024                 unlimited            bytes     \n", 0),
    ],
)
def test_a_limit_of_the_process_leaves_what_it_has_not_used_yet(tmp_path, row, free):
    assert linux_free_bytes(proc(tmp_path, limits=row), tmp_path / "none") == free


def test_the_tightest_control_group_counts_but_files_that_it_could_let_go_are_free(tmp_path):
    root = tmp_path / "cgroup"
    for name, limit, used, files in (
        ("", "max", "0", 0),
        ("pod", "6000000", "3000000", 500_000),
        ("pod/job", "max", "9", 0),
    ):
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name / "memory.max").write_text(f"{limit}\n")
        (root / name / "memory.current").write_text(f"{used}\n")
        (root / name / "memory.stat").write_text(f"anon 5\ninactive_file {files}\n")
    told = proc(tmp_path / "proc", groups="0::/pod/job\n")
    assert linux_free_bytes(told, root) == 6_000_000 - 3_000_000 + 500_000
    seen_from_inside = proc(tmp_path / "inner", groups="0::/elsewhere\n")
    assert linux_free_bytes(seen_from_inside, root / "pod") == 3_500_000


def test_control_groups_of_the_first_version_are_read_and_their_endless_limit_is_none(tmp_path):
    folder = tmp_path / "cgroup" / "memory" / "job"
    folder.mkdir(parents=True)
    (folder / "memory.usage_in_bytes").write_text("1000000")
    (folder / "memory.stat").write_text("total_inactive_file 2000\n")
    told = proc(tmp_path / "proc", groups="9:name=systemd:/\n4:cpu,memory:/job\n")
    (folder / "memory.limit_in_bytes").write_text("9223372036854771712")
    assert linux_free_bytes(told, tmp_path / "cgroup") == 8_000_000 * KIB
    (folder / "memory.limit_in_bytes").write_text("3000000")
    assert linux_free_bytes(told, tmp_path / "cgroup") == 2_002_000


def test_macos_counts_pages_that_are_free_or_could_be():
    told = (
        "Mach Virtual Memory Statistics: (page size of 16384 bytes)\nPages free:                               1000.\n"
        "Pages active:                            99999.\nPages inactive:                            200.\n"
        "Pages speculative:                          30.\n"
    )
    assert macos_free_bytes(told) == 16384 * 1230
    assert macos_free_bytes("vm_stat: command failed") is None


@pytest.mark.skipif(sys.platform != "linux", reason="compares with /proc")
def test_this_machine_has_free_memory_and_this_process_holds_some():
    total = int(Path("/proc/meminfo").read_text().split()[1]) * KIB
    assert 0 < free_bytes() <= total
    before = held_bytes()
    block = np.ones(64_000_000)  # far more than the process may have kept for later
    assert 480_000_000 < held_bytes() - before < 540_000_000
    assert block[-1] == 1


def test_a_run_steps_down_by_batches_then_slabs_and_leaves_the_card_last():
    steps, step = [], full("cpu")
    while step is not None:
        steps.append((step.batch, step.slab))
        step = smaller(step, in_network=True)
    assert steps == [(4, None), (2, None), (1, None), (1, 32), (1, 8)]
    assert smaller(Settings("cpu", 4), in_network=False) == Settings("cpu", 4, 32)  # the network is not what is large
    assert smaller(Settings("cuda:0", 1), in_network=True) == Settings("cpu", 4)
    assert smaller(Settings("cuda:0", 32, 8), in_network=False) == Settings("cuda:0", 16, 8)
    assert smaller(smallest("cpu"), in_network=True) is None


def test_the_arrays_that_must_exist_together_are_counted_by_hand(work):
    voxels, pixels = 512 * 400 * 150, 150 * 192 * 160
    needed = stage_bytes(work, smallest("cpu"))
    # source, output and spread on the source's grid (float32), mask (uint8), two fields of three components
    assert needed["write"] >= 3 * 4 * voxels + voxels + 2 * 12 * pixels
    assert needed["prepare"] >= 4 * voxels + 4 * pixels
    assert work.slices == 150
    many = Workload(work.source, work.manifest, samples=64)
    assert stage_bytes(many, smallest("cpu")) == needed  # nothing grows with the number of samples


def test_less_at_once_never_needs_more(work):
    peaks, step = [], full("cpu")
    while step is not None:
        peaks.append(max(stage_bytes(work, step).values()))
        step = smaller(step, in_network=True)
    assert peaks == sorted(peaks, reverse=True)
    assert peaks[-1] < 0.8 * peaks[0]


def test_the_plan_takes_the_largest_settings_that_fit_and_says_so(work):
    peaks = {slab: LIBRARIES + max(stage_bytes(work, Settings("cpu", 1, slab)).values()) for slab in (None, 8)}
    ample = plan_memory(work, "cpu", Room(64 * GB))
    assert (ample.mode, ample.settings) == (Mode.FULL, Settings("cpu", 4))
    assert ample.sentence() == (
        f"Fits: needs about {ample.needed / 1e9:.1f} of 64.0 GB free; how long it takes is known after the first run."
    )
    tight = plan_memory(work, "cpu", Room(round(0.97 * peaks[None] / 0.9)))
    assert tight.mode is Mode.SLABS
    assert tight.needed <= 0.9 * tight.room.free
    assert f"slabs of {tight.settings.slab}" in tight.sentence()
    none = plan_memory(work, "cpu", Room(round(0.8 * peaks[8])))
    assert (none.mode, none.settings) == (Mode.WILL_NOT_FIT, Settings("cpu", 1, 8))
    assert not none.fits
    assert "May not fit" in none.sentence()
    assert "crop" in none.sentence()
    assert plan_memory(work, "cpu", Room(None)).mode is Mode.FULL  # where nobody knows, nothing is forbidden


def test_a_process_that_holds_memory_already_counts_it_as_its_own(work):
    fresh = plan_memory(work, "cpu", Room(5 * GB))
    warm = plan_memory(work, "cpu", Room(4 * GB, held=1 * GB))
    assert warm.room.total == fresh.room.total
    assert warm.needed == fresh.needed + 1 * GB - LIBRARIES


def test_a_small_card_gets_smaller_batches_and_one_that_is_full_leaves_the_run_to_the_processor(work):
    needs = {batch: device_bytes(work, Settings("cuda:0", batch)) for batch in (32, 4, 1)}
    card = plan_memory(work, "cuda:0", Room(64 * GB, device_free=80 * GB))
    assert (card.mode, card.settings) == (Mode.FULL, Settings("cuda:0", 32))
    small = plan_memory(work, "cuda:0", Room(64 * GB, device_free=round(needs[4] / 0.9) + 1))
    assert (small.mode, small.settings) == (Mode.SMALLER_BATCHES, Settings("cuda:0", 4))
    taken = plan_memory(work, "cuda:0", Room(64 * GB, device_free=needs[1] // 2))
    assert (taken.mode, taken.settings) == (Mode.CPU, Settings("cpu", 4))
    assert "on the processor, because the graphics card has too little" in taken.sentence()


def test_what_a_user_insists_on_is_planned_even_where_it_may_not_fit(work):
    asked = Settings("cpu", 4)
    plan = plan_memory(work, "cpu", Room(1 * GB), asked=asked)
    assert (plan.mode, plan.settings) == (Mode.WILL_NOT_FIT, asked)


def test_the_time_is_that_of_earlier_runs_and_otherwise_unknown(work, tmp_path, monkeypatch):
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "state" / "times.json"))
    assert known_cost(work, "cpu") is None
    assert plan_memory(work, "cpu", Room(64 * GB), known_cost(work, "cpu")).seconds is None
    # 150 slices x 2 samples x 50 steps in 300 s: 20 ms each; 30 s for the rest
    remember(work, "cpu", Cost.of(work, 330.0, 300.0))
    assert known_cost(work, "cuda:0") is None
    half = Workload(work.source, work.manifest, samples=1, asked_steps=25)
    plan = plan_memory(half, "cpu", Room(64 * GB), known_cost(half, "cpu"))
    assert plan.seconds == pytest.approx(150 * 25 * 0.02 + 30)
    assert "takes about 2 min, as earlier runs here did" in plan.sentence()
    stored = (tmp_path / "state" / "times.json").read_text()
    assert set(json.loads(stored)) == {"tiny 1.0.0 on cpu"}


@pytest.mark.parametrize("content", ["", "[]", '{"tiny 1.0.0 on cpu": {"slice_s": "x"}}', '{"tiny 1.0.0 on cpu": 3}'])
def test_a_damaged_file_of_run_times_is_no_knowledge_and_no_error(work, tmp_path, monkeypatch, content):
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "times.json"))
    (tmp_path / "times.json").write_text(content)
    assert known_cost(work, "cpu") is None
    remember(work, "cpu", Cost(1.0, 2.0))
    assert known_cost(work, "cpu") == Cost(1.0, 2.0)


def test_run_times_that_cannot_be_written_are_forgotten(work, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "file" / "times.json"))
    remember(work, "cpu", Cost(1.0, 2.0))
    assert known_cost(work, "cpu") is None


def test_run_times_lie_beside_the_users_bundles_wherever_those_of_a_project_are():
    environment = {"XDG_DATA_HOME": "/home/a/data", "MEDTRANSLATE_BUNDLES": "/project/bundles"}
    assert costs_file(environment, "linux") == Path("/home/a/data/MedTranslate/run_times.json")


def test_the_steps_that_a_card_does_not_state_are_those_of_the_method():
    from MedTranslateLib.methods.catalogue import METHODS, build_method

    assert {name: build_method(name, {}).default_steps for name in METHODS} == {
        name: DEFAULT_STEPS.get(name, 1) for name in METHODS
    }


def test_the_plan_needs_nothing_that_slicer_does_not_ship():
    code = (
        "import sys; sys.modules.update({name: None for name in ('torch', 'monai', 'safetensors', 'skimage')}); "
        "import MedTranslateLib.checks.memory_plan"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=WORKING_FOLDER, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
