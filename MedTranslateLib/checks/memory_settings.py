"""How much of a run is worked on at once, from all of it to the least: the steps that a run goes down for memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

BATCH_ON_CPU, BATCH_ON_GPU = 4, 32
"""Slices a batch where memory allows: on a CPU larger ones only leave the caches; on a GPU they fill it."""
SLABS = (32, 8)
"""Slices a slab, in the order they are tried; multiples of the batches, so that a slab cuts none."""
CPU = "cpu"


@dataclass(frozen=True)
class Settings:
    """Where a run works, and on how much at once.

    Args:
        device: As torch names it, such as `cpu`, `cuda:0` or `mps`.
        batch: Slices that go through the network at once.
        slab: Slices that are prepared, joined and put back at once; None for all.
    """

    device: str
    batch: int
    slab: int | None = None

    @property
    def on_cpu(self) -> bool:
        """Whether the network runs on the processor."""
        return self.device == CPU

    @property
    def text(self) -> str:
        """A few words, such as "batches of 2 slices, slabs of 32, on cpu"."""
        slab = "" if self.slab is None else f", slabs of {self.slab}"
        return f"batches of {self.batch} slice{'' if self.batch == 1 else 's'}{slab}, on {self.device}"


def full(device: str) -> Settings:
    """Everything at once, as far as that is of use."""
    return Settings(device, BATCH_ON_CPU if device == CPU else BATCH_ON_GPU)


def smallest(device: str) -> Settings:
    """The least at once that a run can do with."""
    return Settings(device, 1, SLABS[-1])


def smaller(settings: Settings, *, in_network: bool) -> Settings | None:
    """The next step down after the memory was not enough; None after the last.

    Args:
        settings: What was tried.
        in_network: Whether the network itself had too little: smaller batches help it, slabs help all the rest.
    """
    half = replace(settings, batch=settings.batch // 2) if settings.batch > 1 else None
    slab = next((size for size in SLABS if settings.slab is None or size < settings.slab), None)
    slabs = replace(settings, slab=slab) if slab is not None else None
    cpu = None if settings.on_cpu else replace(full(CPU), slab=settings.slab)
    on_cards = (half, cpu, slabs) if in_network else (slabs, half, cpu)
    steps = on_cards if not settings.on_cpu else (half, slabs) if in_network else (slabs, half)
    return next((step for step in steps if step is not None), None)
