"""A job folder in, a complete result in the folder out; importing this takes seconds, because of torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from MedTranslateLib.bundles.entries import Bundle
from MedTranslateLib.bundles.store import default_store
from MedTranslateLib.checks.gate import GateReport, inspect, pass_gate
from MedTranslateLib.checks.memory_cost import Cost, known_cost, remember
from MedTranslateLib.checks.memory_estimate import Workload, workload
from MedTranslateLib.checks.memory_free import Room, free_bytes, held_bytes
from MedTranslateLib.checks.memory_plan import MemoryPlan, plan_memory
from MedTranslateLib.checks.memory_settings import Settings, full, smallest
from MedTranslateLib.core.messages import Log, Message
from MedTranslateLib.core.request import TranslationRequest
from MedTranslateLib.core.volume import Volume
from MedTranslateLib.imaging.job_folder import RESULT, read_request, read_source, write_result
from MedTranslateLib.inference.devices import choose_device, free_on
from MedTranslateLib.inference.pipeline import translate
from MedTranslateLib.inference.progress import ProgressTeller, share_of_check
from MedTranslateLib.inference.provenance import MemoryUse, with_memory, with_times
from MedTranslateLib.inference.repeatable import make_repeatable
from MedTranslateLib.inference.stages import Stages
from MedTranslateLib.inference.step_down import Attempts, StepDown
from MedTranslateLib.inference.weights import BundleCache, with_options


class JobTranslator:
    """Runs jobs one after the other and keeps the last network loaded."""

    def __init__(self) -> None:
        self._bundles = BundleCache()
        self._threads = torch.get_num_threads()

    def run(self, folder: Path, say: Callable[[Message], None], *, least: bool = False) -> Path:
        """Runs one job; where the memory ends, again with less of it at once.

        Args:
            folder: Job folder with request and source.
            say: Told progress, and what belongs into a log: never the source's name, which may be a patient's.
            least: Whether to start with the least memory that a run can do with: the system has killed one already.

        Returns:
            The path of `result.json`.

        Raises:
            MedTranslateError: If the request, the source or the bundle cannot be used, or the result not be written.
            MemoryError: If even the smallest plan needs too much.
        """
        room = Room(free_bytes(), held_bytes())
        teller = ProgressTeller(folder.name, say)
        stages = Stages(teller)
        request, source = read_request(folder), read_source(folder)
        make_repeatable(request.threads or self._threads)
        device = choose_device(request.device)
        entry = default_store().find(request.bundle)
        gate = inspect(source, entry.manifest, reverse=request.reverse)
        pass_gate(gate, accept_doubtful=request.accept_doubtful)
        work = workload(source.geometry, entry.folder, entry.manifest, request)
        teller.expect(share_of_check(request, entry.manifest, work.steps))
        plan = _plan(work, request, device, replace(room, device_free=free_on(device)), least=least)
        say(Log(folder.name, f"{entry.manifest.name} {entry.manifest.version} on {plan.settings.device}"))
        say(Log(folder.name, plan.sentence()))
        case = _Case(folder, request, source, entry, gate, stages, self._bundles, plan, least)
        Attempts(case.attempt, lambda: stages.last, lambda told: say(Log(folder.name, told))).run(plan.settings)
        return folder / RESULT


@dataclass(frozen=True)
class _Case:
    """All that the attempts of one job have in common."""

    folder: Path
    request: TranslationRequest
    source: Volume
    entry: Bundle
    gate: GateReport
    stages: Stages
    bundles: BundleCache
    plan: MemoryPlan
    least: bool

    def attempt(self, settings: Settings, failed: tuple[StepDown, ...]) -> None:
        """Translates and writes the result."""
        self.stages.note("load")
        loaded = self.bundles.load(self.entry.folder, choose_device(settings.device))
        bundle = with_options(loaded, self.request.method_options)
        fitted = replace(self.request, batch_size=settings.batch, slab=settings.slab or 0)
        result = translate(fitted, self.source, bundle, self.gate, self.stages)
        self.stages("write", 0, 1)
        use = MemoryUse(self.plan, settings, failed, after_kill=self.least)
        record = with_times(with_memory(result.provenance, self.request, use), self.stages.seconds)
        write_result(self.folder, replace(result, provenance=record))
        self.stages("write", 1, 1)
        if not failed:
            work = workload(self.source.geometry, self.entry.folder, self.entry.manifest, self.request)
            remember(work, settings.device, Cost.of(work, self.stages.total, record["times_s"]["network"]))


def _plan(work: Workload, request: TranslationRequest, device: torch.device, room: Room, *, least: bool) -> MemoryPlan:
    """By what is free, unless the request insists, or a run has failed already."""
    where = str(device)
    asked = None
    if least:
        asked = smallest(where)
    elif request.batch_size is not None or request.slab is not None:
        asked = Settings(where, request.batch_size or full(where).batch, request.slab or None)
    return plan_memory(work, where, room, known_cost(work, where), asked)
