"""How much of two cores `medtranslate evaluate` uses on 20 head phantoms and three bundles.

    python Testing/benchmarks/evaluate_cores.py [BUNDLE BUNDLE BUNDLE]

ends with one JSON line. `used_share` is user and system time of all processes over 2 x wall time, of the whole command;
`used_share_at_work` the same from the first result to the last one, without starting processes and without writing the
report. Bundles are names or folders; without them, three that come with MedTranslate. Needs a system with POSIX's
resource usage.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.phantom import head_phantom
from MedTranslateLib.imaging.writing import write_volume

VOLUMES, CORES = 20, 2
BUNDLES = ("bidpm-brain-t1-flair", "plasticine-brain-mr-ct", "midiffusion-brain-flair")
TABLE = """
[[compare]]
title = "{bundle}"
bundles = ["{bundle}"]
baselines = false
[[compare.cases]]
kind = "volumes"
folder = "heads"
source = "source.nii.gz"
target = "target.nii.gz"
"""
EACH_S = 0.2


@dataclass(frozen=True)
class Moment:
    """When, how many results there are, and the CPU time that all processes of a command have used."""

    wall_s: float
    results: int
    cpu_s: float


def write_heads(folder: Path) -> None:
    """Phantoms of 1 x 1 x 5 mm and 24 slices, which differ by their noise, and another contrast of each."""
    matrix = np.diag([-1.0, -1.0, 5.0, 1.0])
    matrix[:3, 3] = [95.5, 111.5, -57.5]
    head = head_phantom(Geometry((192, 224, 24), matrix))
    for number in range(VOLUMES):
        noise = np.random.default_rng(number).normal(0, 10, head.array_kji.shape)
        source = np.where(head.array_kji > 20, head.array_kji + noise, 0)
        case = folder / f"p{number:02d}"
        case.mkdir(parents=True)
        for name, array in (("source", source), ("target", source * (1000 - source) / 250)):
            write_volume(case / f"{name}.nii.gz", Volume(array.astype(np.float32), head.geometry, name))


def run_evaluate(folder: Path, bundles: Sequence[str]) -> tuple[list[Moment], float]:
    """Moments while it ran, and its wall time."""
    plan, out = folder / "plan.toml", folder / "out"
    plan.write_text("".join(TABLE.format(bundle=bundle) for bundle in bundles), encoding="utf-8")
    options = ["--out", str(out), "--workers", str(CORES), "--device", "cpu"]
    command = [sys.executable, "-m", "MedTranslateLib", "evaluate", str(plan), *options]
    started, moments = time.perf_counter(), []
    with psutil.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            results = len(list((out / "units").glob("*.json")))
            moments.append(Moment(time.perf_counter() - started, results, cpu_s_of(process)))
            try:
                process.wait(EACH_S)
            except psutil.TimeoutExpired:
                continue
    if process.returncode:
        msg = f"evaluate ended with {process.returncode}."
        raise RuntimeError(msg)
    return moments, time.perf_counter() - started


def cpu_s_of(process: psutil.Process) -> float:
    """User and system time of a process and of those below it that run."""
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def measure(folder: Path, bundles: Sequence[str]) -> dict[str, float]:
    """Writes the phantoms into `folder` and evaluates the bundles on them."""
    write_heads(folder / "heads")
    moments, wall_s = run_evaluate(folder, bundles)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    count = VOLUMES * len(bundles)
    first = next(moment for moment in moments if moment.results > 0)
    last = [moment for moment in moments if moment.results < count][-1]
    share_at_work = (last.cpu_s - first.cpu_s) / (CORES * (last.wall_s - first.wall_s))
    return {
        "units": count,
        "wall_s": round(wall_s, 1),
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "used_share": round((used.ru_utime + used.ru_stime) / (CORES * wall_s), 3),
        "at_work_s": round(last.wall_s - first.wall_s, 1),
        "used_share_at_work": round(share_at_work, 3),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(measure(Path(scratch), sys.argv[1:] or BUNDLES)))
