"""A source's grid, a bundle's card and the free memory in; how the run fits, or that it will not, out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from MedTranslateLib.checks.memory_cost import Cost
from MedTranslateLib.checks.memory_estimate import LIBRARIES, Workload, device_bytes, stage_bytes
from MedTranslateLib.checks.memory_free import Room
from MedTranslateLib.checks.memory_settings import CPU, SLABS, Settings, full, smallest

USABLE = 0.9
"""Share of the free memory that a run may take: other programs take some as well meanwhile."""


class Mode(str, Enum):
    """How a run fits into the memory."""

    FULL = "full"
    SMALLER_BATCHES = "smaller batches"
    SLABS = "slabs"
    CPU = "cpu instead of gpu"
    WILL_NOT_FIT = "will not fit"


@dataclass(frozen=True)
class MemoryPlan:
    """How a run will fit.

    Args:
        mode: In one word.
        settings: Device, batch and slab.
        needed: Bytes of the process at its worst moment, estimated from above.
        room: What it may have.
        device_needed: The same on the graphics card; 0 on the processor.
        seconds: About how long the run takes; None where nobody knows.
        stage: The stage of that worst moment.
    """

    mode: Mode
    settings: Settings
    needed: int
    room: Room
    device_needed: int = 0
    seconds: float | None = None
    stage: str = ""

    @property
    def fits(self) -> bool:
        """Whether both memories are large enough, as far as they are known."""
        return _fits(self.needed, self.room.total) and _fits(self.device_needed, self.room.device_free)

    def sentence(self) -> str:
        """What a user reads."""
        card = ""
        if self.device_needed:
            card = f", and {_of(self.device_needed, self.room.device_free)} on {self.settings.device}"
        needs = f"needs about {_of(self.needed, self.room.total)}{card}"
        if self.mode is Mode.WILL_NOT_FIT:
            return (
                f"May not fit: {needs} even in {self.settings.text}. It is tried all the same. Close other programs, "
                "crop the image to what matters, or take a machine with more memory."
            )
        return f"Fits{self._how()}: {needs}{self._time()}."

    def to_json(self) -> dict[str, Any]:
        """The plan as a record and `medtranslate plan --json` hold it; sizes in bytes."""
        return {
            "mode": self.mode.value,
            "device": self.settings.device,
            "batch_size": self.settings.batch,
            "slab": self.settings.slab,
            "needed_bytes": self.needed,
            "free_bytes": self.room.total,
            "device_needed_bytes": self.device_needed,
            "device_free_bytes": self.room.device_free,
            "seconds": None if self.seconds is None else round(self.seconds, 1),
        }

    def _how(self) -> str:
        if self.mode is Mode.FULL:
            return ""
        instead = "on the processor, because the graphics card has too little, " if self.mode is Mode.CPU else ""
        return f" {instead}in {self.settings.text}"

    def _time(self) -> str:
        if self.seconds is None:
            return "; how long it takes is known after the first run"
        return f"; takes about {_duration(self.seconds)}, as earlier runs here did"


def plan_memory(
    work: Workload, device: str, room: Room, cost: Cost | None = None, asked: Settings | None = None
) -> MemoryPlan:
    """Finds the largest settings that fit.

    Args:
        work: What is to be run.
        device: Where it shall run, as torch names it.
        room: What the process may have.
        cost: What earlier runs cost; on another device than `device` it is not used.
        asked: Settings that the user insists on; then only these are looked at.

    Returns:
        The plan. Where nothing fits, the smallest settings, which may still do: the estimate is from above.
    """
    choices = [asked] if asked is not None else list(_choices(device))
    plans = (_plan(work, settings, room, device) for settings in choices)
    plan = next((plan for plan in plans if plan.fits), None)
    if plan is None:
        last = asked or smallest(CPU)
        plan = replace(_plan(work, last, room, device), mode=Mode.WILL_NOT_FIT)
    known = cost is not None and plan.settings.device == device
    return replace(plan, seconds=cost.seconds(work)) if known and cost is not None else plan


def _choices(device: str) -> Iterator[Settings]:
    """From all at once to the least: smaller batches, then slabs, then the processor in place of a graphics card."""
    for where in dict.fromkeys((device, CPU)):
        for slab in (None, *SLABS):
            batch = full(where).batch
            while batch >= 1:
                yield Settings(where, batch, slab)
                batch //= 2


def _plan(work: Workload, settings: Settings, room: Room, device: str) -> MemoryPlan:
    stages = stage_bytes(work, settings)
    stage = max(stages, key=lambda name: stages[name])
    needed = max(LIBRARIES, room.held) + stages[stage]
    return MemoryPlan(_mode(settings, device), settings, needed, room, device_bytes(work, settings), None, stage)


def _mode(settings: Settings, device: str) -> Mode:
    if settings.device != device:
        return Mode.CPU
    if settings.slab is not None:
        return Mode.SLABS
    return Mode.FULL if settings.batch >= full(device).batch else Mode.SMALLER_BATCHES


def _fits(needed: int, free: int | None) -> bool:
    return free is None or needed <= USABLE * free


def _of(needed: int, free: int | None) -> str:
    """Such as "0.9 of 5.2 GB free"."""
    known = "" if free is None else f" of {free / 1e9:.1f}"
    return f"{needed / 1e9:.1f}{known} GB{'' if free is None else ' free'}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
