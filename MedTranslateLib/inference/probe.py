"""A question to this Python, `python -m MedTranslateLib.inference.probe`; one JSON line out: what it has and lacks.

{"python": "3.12.1", "missing": ["torch"], "broken": {}, "versions": {"numpy": "2.4.0", ...},
 "devices": [{"name": "cpu", "label": "CPU (8 cores)", "free_bytes": 5100273664, "total_bytes": null}]}

`missing` are packages as pip knows them; `broken` says of a package why it cannot be loaded although it is there. It
works where nothing but the standard library is there, and its exit code is 0 whenever it has printed its line.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from MedTranslateLib.checks.memory_free import free_bytes

if TYPE_CHECKING:
    from types import ModuleType

PACKAGES = {
    "torch": "torch",
    "monai": "monai",
    "einops": "einops",
    "skimage": "scikit-image",
    "safetensors": "safetensors",
    "numpy": "numpy",
    "scipy": "scipy",
    "SimpleITK": "SimpleITK",
}
"""What a translation imports: the name to import, and that of its distribution. A test compares it with the worker."""
LOADING_ERRORS = (
    ImportError,
    OSError,
    RuntimeError,
    AttributeError,
    NameError,
    TypeError,
    ValueError,
    LookupError,
    SyntaxError,
)
"""What half an installation, a library for another system or an old driver were seen to raise."""
BYTES_A_GB = 1 << 30


@dataclass(frozen=True)
class Device:
    """Where a translation can run.

    Args:
        name: As a request states it: `cpu`, `cuda:0` or `mps`.
        label: What a user reads.
        free_bytes: Memory that is free there now; None where nobody says.
        total_bytes: The card's whole memory; None on the processor.
    """

    name: str
    label: str
    free_bytes: int | None = None
    total_bytes: int | None = None


def main() -> int:
    """Prints the line."""
    sys.stdout.write(json.dumps(probe()) + "\n")
    sys.stdout.flush()
    return 0


def probe() -> dict[str, object]:
    """The table that is printed."""
    missing = [distribution for name, distribution in PACKAGES.items() if not is_there(name)]
    broken: dict[str, str] = {}
    devices = [cpu()]
    if "torch" not in missing:
        try:
            devices = [*accelerators(load_torch()), *devices]
        except LOADING_ERRORS as error:
            broken["torch"] = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return {
        "python": platform.python_version(),
        "missing": missing,
        "broken": broken,
        "versions": versions(),
        "devices": [asdict(device) for device in devices],
    }


def is_there(name: str) -> bool:
    """Whether a package can be found; the empty folder that a removed one leaves behind does not count."""
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return False
    return found is not None and found.origin is not None


def versions() -> dict[str, str]:
    """Version of each distribution that is installed."""
    found = {}
    for distribution in PACKAGES.values():
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[distribution] = importlib.metadata.version(distribution)
    return found


def load_torch() -> ModuleType:
    """Imports torch, whatever it prints going to standard error."""
    with contextlib.redirect_stdout(sys.stderr):
        import torch  # noqa: PLC0415  # takes seconds, and may be missing or broken

        torch.zeros(1)  # an installation that broke off may import and fail here
    return torch


def accelerators(torch: ModuleType) -> list[Device]:
    """The GPUs that torch can use; none where its driver does not answer."""
    try:
        if torch.cuda.is_available():
            return [_gpu(torch, number) for number in range(torch.cuda.device_count())]
        return [Device("mps", "Apple GPU")] if torch.backends.mps.is_available() else []
    except (RuntimeError, OSError):
        return []


def cpu() -> Device:
    """The processor, with the cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return Device("cpu", f"CPU ({cores} core{'' if cores == 1 else 's'})", free_bytes())


def _gpu(torch: ModuleType, number: int) -> Device:
    found = torch.cuda.get_device_properties(number)
    label = f"{found.name} ({found.total_memory / BYTES_A_GB:.0f} GB)"
    return Device(f"cuda:{number}", label, _free_on(torch, number), found.total_memory)


def _free_on(torch: ModuleType, number: int) -> int | None:
    """Bytes; None where the driver does not answer."""
    try:
        return int(torch.cuda.mem_get_info(number)[0])
    except (AttributeError, RuntimeError, OSError):
        return None


if __name__ == "__main__":
    sys.exit(main())
