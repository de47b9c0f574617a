"""Which device and which precision a run uses; nothing is chosen silently, the provenance states both."""

from __future__ import annotations

import platform
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import torch

from MedTranslateLib.core.errors import DeviceError


def choose_device(name: str) -> torch.device:
    """`auto` takes the first CUDA device, then Apple's MPS, then the CPU; anything else must exist.

    Raises:
        DeviceError: If the name is not understood or the device is not there.
    """
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "mps" if _has_mps() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        msg = f"Unknown device {name!r}; expected auto, cpu, cuda:0 (or another number) or mps."
        raise DeviceError(msg) from error
    _check_available(device)
    return device


def supports_bfloat16(device: torch.device) -> bool:
    """Tells whether bfloat16 is faster than float32: on a GPU of compute capability 8, or a CPU with AVX-512.

    CPUs without AVX-512 emulate it, ten times slower than float32.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and "AVX512" in torch.backends.cpu.get_cpu_capability()


def free_on(device: torch.device) -> int | None:
    """Bytes that are free on a graphics card; None on the processor, whose memory is the machine's, or if unknown."""
    if device.type != "cuda":
        return None
    free, _total = torch.cuda.mem_get_info(device)
    # torch keeps what it once took: that is free for us, if not for others
    return int(free) + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def name_of(device: torch.device) -> str:
    """What the device is, such as "AMD EPYC 9354 32-Core Processor, AVX512" or "NVIDIA H200"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        return f"{_processor()}, {torch.backends.cpu.get_cpu_capability()}"
    return platform.processor() or device.type


def _processor() -> str:
    """The processor by its name, where the system tells; its architecture elsewhere."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def mixed_precision(device: torch.device, *, enabled: bool) -> AbstractContextManager[None]:
    """Autocast to bfloat16 where `enabled`, else float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


def _has_mps() -> bool:
    return bool(torch.backends.mps.is_available())


def _check_available(device: torch.device) -> None:
    if device.type == "cpu":
        return
    if device.type == "mps" and _has_mps():
        return
    if device.type == "cuda" and torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count():
        return
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    msg = (
        f"Device {str(device)!r} was asked for but is not available: this machine has {count} CUDA device(s) that "
        "torch can use. Choose 'auto' or 'cpu'."
    )
    raise DeviceError(msg)
