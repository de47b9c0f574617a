"""What a user chose for a translation in, the run that comes of it out, with how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from MedTranslateLib.core.messages import Progress

if TYPE_CHECKING:
    from MedTranslateLib.mrml.scene import ResultNodes  # a panel that only chooses has no need to load it


@dataclass(frozen=True)
class TranslationChoice:
    """What a user chose; what is possible is checked by `choice_check`.

    Args:
        bundle: Name of an installed bundle.
        reverse: From the bundle's target modality to its source modality.
        steps: Steps of the method; None takes the bundle's own number.
        samples: Translations to draw; more than one gives an uncertainty map.
        seed: Seed of everything random.
        device: `auto`, `cpu`, `cuda:0` or `mps`.
        output_name: The user's name for the output; None for one that tells source and bundle.
        estimate_drift: Store fields estimated from both pictures in place of the method's own.
        accept_doubtful: Translate although the volume may not fit the bundle.
        trust: Whether trust maps and the ledger are made.
        method_options: Options of the method in place of the bundle's, as a repeated run has them.
        batch_size, slab, threads: How a repeated run was cut; None leaves it to the worker.
    """

    bundle: str
    reverse: bool = False
    steps: int | None = None
    samples: int = 1
    seed: int = 0
    device: str = "auto"
    output_name: str | None = None
    estimate_drift: bool = False
    accept_doubtful: bool = False
    trust: bool = True
    method_options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    batch_size: int | None = None
    slab: int | None = None
    threads: int | None = None


class RunState(str, Enum):
    """Where a run is."""

    WAITING = "waiting"
    RUNNING = "running"
    LOADING = "loading"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens to the run."""
        return self in (RunState.DONE, RunState.FAILED, RunState.CANCELLED)


@dataclass(eq=False)
class Run:
    """One translation that was asked for. The logic changes it; everybody else only reads it.

    Args:
        number: 1 for the first run of the session.
        title: What is made of what, in a few words.
        choice: What the user chose.
        source_id: Identifier of the source node.
        folder: Its job folder, which is gone once the run has ended.
        note: What the user should know of the copy that was made of the source; may be empty.
        state: Where it is.
        progress: The last that was heard of it.
        message: Why it failed or was cancelled.
        doubtful: Whether it failed only because the volume may not fit the bundle, which the user can accept.
        log: What the worker said for the log.
        nodes: What was made, as long as all of it is in the scene.
    """

    number: int
    title: str
    choice: TranslationChoice
    source_id: str
    folder: Path
    note: str = ""
    state: RunState = RunState.WAITING
    progress: Progress | None = None
    message: str = ""
    doubtful: bool = False
    log: list[str] = field(default_factory=list)
    nodes: ResultNodes | None = None
