"""An attempt that may need too much memory in, its result out: after each failure once more, with less at once."""

from __future__ import annotations

import errno
import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch

from MedTranslateLib.checks.memory_settings import Settings, smaller

IN_NETWORK = ("translate", "check")
"""Stages in which the network is at work."""
PHRASES = (
    "can't allocate memory",  # torch on a CPU
    "cannot allocate memory",
    "not enough memory",  # torch on a CPU of Windows
    "out of memory",  # CUDA, MPS
    "bad_alloc",  # C++ anywhere
    "failed to allocate memory",  # ITK
    "could not create a memory",  # oneDNN
    "could not create a primitive",
)
"""How libraries say it that have no class of error for it."""

Made = TypeVar("Made")


@dataclass(frozen=True)
class StepDown:
    """One attempt that failed.

    Args:
        settings: What was tried.
        stage: Where it failed.
        reason: What the library said, in one line.
    """

    settings: Settings
    stage: str
    reason: str

    def to_json(self) -> dict[str, Any]:
        """As the record of a run holds it."""
        where = {"device": self.settings.device, "batch_size": self.settings.batch, "slab": self.settings.slab}
        return {**where, "stage": self.stage, "reason": self.reason}


class Attempts(Generic[Made]):
    """Tries until it fits.

    Args:
        attempt: Given settings and what failed before, makes the result.
        stage: Says at which stage the attempt is.
        tell: Told in a sentence each time that less is tried.
    """

    def __init__(
        self,
        attempt: Callable[[Settings, tuple[StepDown, ...]], Made],
        stage: Callable[[], str],
        tell: Callable[[str], None],
    ) -> None:
        self._attempt, self._stage, self._tell = attempt, stage, tell

    def run(self, settings: Settings) -> Made:
        """The result of the first attempt that fits, from `settings` downwards.

        Raises:
            MemoryError: If even the smallest settings need too much.
        """
        failed: tuple[StepDown, ...] = ()
        while True:
            reason = ""
            try:
                return self._attempt(settings, failed)
            except (MemoryError, RuntimeError, OSError) as error:
                if not is_out_of_memory(error):
                    raise
                reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            # only here, when the error is gone, are the arrays free that it held
            failed = (*failed, StepDown(settings, self._stage(), reason))
            less = smaller(settings, in_network=self._stage() in IN_NETWORK)
            free_caches()
            if less is None:
                msg = f"Not enough memory even for {settings.text}: {reason}"
                raise MemoryError(msg)
            self._tell(f"The memory was not enough for {settings.text}; again in {less.text}.")
            settings = less


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or the one it came from, says that memory ran out."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    if isinstance(error, (RuntimeError, OSError)) and any(phrase in str(error).lower() for phrase in PHRASES):
        return True
    return error.__cause__ is not None and is_out_of_memory(error.__cause__)


def free_caches() -> None:
    """Gives back what Python and torch keep for later."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
