"""How long runs took on this machine in, how long one will take out; a small file of the user's remembers it.

Nothing of an image is stored: bundle, device and seconds. Where a bundle was never run here, nobody knows, and says so.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from MedTranslateLib.bundles.places import FOLDER_VARIABLE, user_folder
from MedTranslateLib.checks.memory_estimate import Workload
from MedTranslateLib.imaging.files import make_folder, write_json

FILE_VARIABLE = "MEDTRANSLATE_RUN_TIMES"
FILE = "run_times.json"
MOST = 200
"""Bundles and devices that are remembered."""


@dataclass(frozen=True)
class Cost:
    """What a bundle costs on a device.

    Args:
        slice_s: Seconds of the network for a slice, a step and a sample.
        voxel_s: Seconds of all the rest for a voxel of the source.
    """

    slice_s: float
    voxel_s: float

    def seconds(self, work: Workload) -> float:
        """About how long a run takes."""
        return self.slice_s * passes(work) + self.voxel_s * work.voxels

    @classmethod
    def of(cls, work: Workload, total_s: float, network_s: float) -> Cost:
        """What a run that took so long in all, and so long in its network, tells about others."""
        return cls(network_s / passes(work), max(0.0, total_s - network_s) / work.voxels)


def passes(work: Workload) -> int:
    """Slices times samples times steps."""
    return work.slices * work.samples * work.steps


def costs_file(environment: Mapping[str, str], platform: str) -> Path:
    """What MEDTRANSLATE_RUN_TIMES says, else beside the user's own bundles.

    Args:
        environment: Environment variables.
        platform: As `sys.platform` has it.
    """
    if environment.get(FILE_VARIABLE):
        return Path(environment[FILE_VARIABLE]).expanduser()
    usual = {name: value for name, value in environment.items() if name != FOLDER_VARIABLE}
    return user_folder(usual, platform).parent / FILE


def known_cost(work: Workload, device: str) -> Cost | None:
    """What the last run of the bundle on that device cost; None where there was none, or its file is no such file."""
    found = _read(costs_file(os.environ, sys.platform)).get(_key(work, device))
    try:
        return Cost(float(found["slice_s"]), float(found["voxel_s"])) if isinstance(found, dict) else None
    except (KeyError, TypeError, ValueError):
        return None


def remember(work: Workload, device: str, cost: Cost) -> None:
    """Keeps what a run cost; where the file cannot be written, nothing is kept.

    Args:
        work: What was run.
        device: Where.
        cost: What it cost.
    """
    path = costs_file(os.environ, sys.platform)
    costs = _read(path)
    costs.pop(_key(work, device), None)
    costs = dict([*costs.items(), (_key(work, device), asdict(cost))][-MOST:])
    with suppress(OSError):
        make_folder(path.parent)
        write_json(path, costs)


def _key(work: Workload, device: str) -> str:
    trust = " with trust maps" if work.trust else ""
    return f"{work.manifest.name} {work.manifest.version} on {device}{trust}"


def _read(path: Path) -> dict[str, object]:
    with suppress(OSError, ValueError):
        table = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(table, dict):
            return table
    return {}
