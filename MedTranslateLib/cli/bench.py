"""`medtranslate bench`: how fast this machine runs the path; the last line printed is JSON."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from MedTranslateLib.bundles.manifest import Manifest
from MedTranslateLib.bundles.store import default_store
from MedTranslateLib.cli.bench_lmi import run_lmi
from MedTranslateLib.cli.job import request_for
from MedTranslateLib.core.errors import DependencyMissingError
from MedTranslateLib.core.messages import Message
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.imaging.job_folder import Job, read_result, write_job
from MedTranslateLib.imaging.phantom import head_phantom
from MedTranslateLib.inference.runner import WORKING_FOLDER, WarmWorker

SLICES = 100
NOISE = 10.0
"""Standard deviation; the phantom is about 900 bright."""
CURSOR_BENCH = "MedTranslateLib.mrml.cursor_bench"
NO_SLICER = 3
"""The exit code of that child process without slicer-core."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    parser.add_argument(
        "what",
        choices=("pipeline", "lmi", "cursor"),
        help="pipeline: 100 slices in a warm worker; lmi: the layer of local mutual information against a histogram; "
        "cursor: the linked cursor on a 256x256x100 field (slicer-core)",
    )
    parser.add_argument("--bundle", default="bidpm-brain-t1-flair", help="default: bidpm-brain-t1-flair")
    parser.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda:0 or mps (default auto)")
    parser.add_argument("--slices", type=int, default=SLICES, metavar="N", help=f"default {SLICES}")


@dataclass(frozen=True)
class Timing:
    """One job in a warm worker, seconds from its submission."""

    until_first_message: float
    until_done: float
    network: float
    device: str


def run(arguments: argparse.Namespace) -> int:
    """Prints the figures of what was asked for."""
    if arguments.what == "lmi":
        return run_lmi()
    return _run_cursor() if arguments.what == "cursor" else _run_pipeline(arguments)


def _run_cursor() -> int:
    """Times the linked cursor in a child process, because only that may load Slicer's core, and passes on its answer.

    Raises:
        DependencyMissingError: If slicer-core is not installed.
    """
    command = [sys.executable, "-m", CURSOR_BENCH]
    done = subprocess.run(command, cwd=WORKING_FOLDER, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode == NO_SLICER:
        raise DependencyMissingError(done.stderr.strip())
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    return done.returncode


def _run_pipeline(arguments: argparse.Namespace) -> int:
    """Runs a small job to warm the worker, then the measured one."""
    manifest = default_store().find(arguments.bundle).manifest
    with tempfile.TemporaryDirectory() as folder, WarmWorker() as worker:
        _time_job(worker, Path(folder) / "warm", manifest, 4, arguments.device)
        timing = _time_job(worker, Path(folder) / "measured", manifest, arguments.slices, arguments.device)
    rest = timing.until_done - timing.network
    height, width = manifest.size_hw
    sys.stdout.write(
        f"{arguments.slices} slices of {height}x{width}, one volume, {manifest.name} on {timing.device}\n"
        f"network {timing.network:.2f} s, everything else {rest:.2f} s ({rest / timing.network:.0%}), "
        f"together {timing.until_done:.2f} s a volume; "
        f"the warm worker answered after {timing.until_first_message:.3f} s\n"
    )
    figures = {
        "network_s": round(timing.network, 3),
        "overhead_ratio": round(rest / timing.network, 4),
        "volume_s": round(timing.until_done, 3),
        "warm_start_s": round(timing.until_first_message, 4),
        "device": timing.device,
    }
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0


def _time_job(worker: WarmWorker, folder: Path, manifest: Manifest, slices: int, device: str) -> Timing:
    height, width = manifest.size_hw
    matrix = np.diag([manifest.spacing_mm, manifest.spacing_mm, 1.5, 1.0])
    smooth = head_phantom(Geometry((width, height, slices), matrix))
    # noise as a scanner's: a smooth image would be written faster than any real one
    noise = np.random.default_rng(0).normal(0, NOISE, smooth.array_kji.shape)
    source = smooth.with_array(smooth.array_kji + noise)
    write_job(folder, Job(request_for(source, manifest.name, device=device), source))
    first: list[float] = []
    started = time.perf_counter()

    def note(_message: Message) -> None:
        if not first:
            first.append(time.perf_counter() - started)

    worker.run(folder, note)
    done = time.perf_counter() - started
    provenance = read_result(folder).provenance
    return Timing(first[0], done, provenance["times_s"]["network"], provenance["run"]["device"])
