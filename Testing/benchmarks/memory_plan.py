"""Some sizes in, a table of estimated and measured peak memory out: is the estimate an upper bound, and a close one?

    .venv/bin/python Testing/benchmarks/memory_plan.py            about five minutes on two cores; the last line is JSON

Each run is a process of its own, on Linux; measured is VmHWM, the largest resident size that the process ever had.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from MedTranslateLib.bundles.store import default_store
from MedTranslateLib.checks.memory_estimate import workload
from MedTranslateLib.checks.memory_free import Room
from MedTranslateLib.checks.memory_plan import plan_memory
from MedTranslateLib.checks.memory_settings import Settings
from MedTranslateLib.core.request import TranslationRequest
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.job_folder import Job, write_job
from MedTranslateLib.imaging.phantom import head_phantom
from MedTranslateLib.inference.runner import WORKING_FOLDER

MEASURED = """
import re, sys
from pathlib import Path
from MedTranslateLib.inference import worker
code = worker.main([sys.argv[1]])
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
print(peak, file=sys.stderr)
sys.exit(code)
"""
FACTOR = 2.0
CASES = [
    ("bidpm-brain-t1-flair", (64, 64, 12), Settings("cpu", 4), 1, False),
    ("bidpm-brain-t1-flair", (256, 256, 48), Settings("cpu", 4), 1, False),
    ("bidpm-brain-t1-flair", (512, 512, 60), Settings("cpu", 4), 1, False),
    ("bidpm-brain-t1-flair", (512, 512, 60), Settings("cpu", 1, 8), 1, False),
    ("plasticine-brain-mr-ct", (256, 256, 48), Settings("cpu", 4), 2, False),
    ("plasticine-brain-mr-ct", (256, 256, 48), Settings("cpu", 1, 8), 2, False),
    ("bidpm-brain-t1-flair", (256, 256, 48), Settings("cpu", 4), 1, True),
]
"""Bundle, size of the source, settings, samples, trust maps."""
HEAD_MM = (170.0, 190.0, 150.0)
"""Extent of each source."""


def main() -> int:
    """Prints a row a case; 1 where an estimate was too small, or more than twice too large."""
    rows = [row_of(*case) for case in CASES]
    ok = all(row["measured_mb"] <= row["estimated_mb"] <= FACTOR * row["measured_mb"] for row in rows)
    sys.stdout.write(json.dumps({"rows": rows, "upper_bound_within_a_factor_of_2": ok}) + "\n")
    return 0 if ok else 1


def row_of(bundle: str, size: tuple[int, int, int], settings: Settings, samples: int, trust: bool) -> dict[str, object]:
    """Estimates and runs one case."""
    source, entry = head(size), default_store().find(bundle)
    request = TranslationRequest(
        bundle,
        device="cpu",
        samples=samples,
        steps=1,
        trust=trust,
        accept_doubtful=True,
        batch_size=settings.batch,
        slab=settings.slab or 0,
    )
    work = workload(source.geometry, entry.folder, entry.manifest, request)
    plan = plan_memory(work, "cpu", Room(None), asked=settings)
    measured = measure(Job(request, source))
    row = {
        "bundle": bundle,
        "size_ijk": list(size),
        "batch": settings.batch,
        "slab": settings.slab,
        "samples": samples,
        "trust": trust,
        "estimated_mb": round(plan.needed / 1e6),
        "measured_mb": round(measured / 1e6),
        "factor": round(plan.needed / measured, 2),
    }
    sys.stdout.write(f"{row}\n")
    sys.stdout.flush()
    return row


def head(size: tuple[int, int, int]) -> Volume:
    """A phantom of a head; large ones are drawn coarsely and repeated."""
    repeat = 2 if size[0] >= 256 else 1
    coarse_size = tuple(n // repeat for n in size)
    spacing = [extent / n for extent, n in zip(HEAD_MM, coarse_size, strict=True)]
    coarse = np.diag([*spacing, 1.0])
    coarse[:3, 3] = [-extent / 2 for extent in HEAD_MM]
    drawn = head_phantom(Geometry(coarse_size, coarse))
    fine = coarse.copy()
    fine[:3, :3] /= repeat
    array = drawn.array_kji
    for axis in range(3):
        array = array.repeat(repeat, axis)
    return Volume(array, Geometry(size, fine), "head", "MR")


def measure(job: Job) -> int:
    """Peak of the resident memory of a worker that runs the job, in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        write_job(Path(folder) / "job", job)
        command = [sys.executable, "-c", MEASURED, str(Path(folder) / "job")]
        done = subprocess.run(command, cwd=WORKING_FOLDER, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.stderr.write(done.stdout + done.stderr)
            sys.exit(1)
        return int(done.stderr.split()[-1])


if __name__ == "__main__":
    sys.exit(main())
