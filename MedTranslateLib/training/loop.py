"""A training configuration in, a fitted method out; with checkpoints, so a killed run goes on where it stopped."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.inference.devices import mixed_precision, supports_bfloat16
from MedTranslateLib.methods.catalogue import METHODS, build_method
from MedTranslateLib.methods.contract import Direction, Method, SliceBatch, TrainingBatch
from MedTranslateLib.methods.distances import build_distance
from MedTranslateLib.methods.slice_noise import SliceNoise
from MedTranslateLib.metrics.intensity import score_slice
from MedTranslateLib.training.cases import Slices, TrainingCase
from MedTranslateLib.training.config import TrainingConfig, TrainingOptions
from MedTranslateLib.training.sampler import SliceSampler, build_pools

CHECKPOINT = "checkpoint.pt"
LOG = "training_log.jsonl"

OnIteration = Callable[[int, int, float], None]
"""Called as `on_iteration(done, total, loss)`."""


@dataclass(frozen=True)
class TrainingRun:
    """What one training needs besides its configuration.

    Args:
        config: The training file.
        folder: Where checkpoint and log are written.
        data_root: What folders in the configuration are relative to.
        device: Where the network is fitted.
        resume: Whether to go on from the checkpoint in `folder`.
    """

    config: TrainingConfig
    folder: Path
    data_root: Path
    device: torch.device
    resume: bool = False


def fit(
    run: TrainingRun, cases: list[TrainingCase], validation: list[TrainingCase], on_iteration: OnIteration
) -> Method:
    """Fits the method and returns it with the averaged weights.

    Raises:
        ConfigError: If the folder holds a checkpoint and `resume` is not set, or the checkpoint is of another setup.
    """
    trainer = Trainer(run, cases)
    trainer.restore()
    options = run.config.training
    while trainer.iteration < options.iterations:
        loss = trainer.step()
        on_iteration(trainer.iteration, options.iterations, loss)
        last = trainer.iteration == options.iterations
        if trainer.iteration % options.validate_every == 0 or last:
            trainer.log({**trainer.mean_parts(), **validate(trainer.averaged, validation, run.device)})
        if trainer.iteration % options.save_every == 0 or last:
            trainer.save()
    return trainer.averaged


class Trainer:
    """The state of a run: weights, their average, optimiser and iteration."""

    def __init__(self, run: TrainingRun, cases: list[TrainingCase]) -> None:
        options = run.config.training
        torch.manual_seed(options.seed)  # only the initial weights depend on it
        if options.threads:
            torch.set_num_threads(options.threads)
        self._run = run
        self._options = options
        alone = METHODS[run.config.method].learns_from_target_alone
        self._sampler = SliceSampler(build_pools(cases, options, target_alone=alone), options)
        self._generator = torch.Generator().manual_seed(options.seed)
        self._bfloat16 = _use_bfloat16(options, run.device)
        self.method = build_method(run.config.method, run.config.method_options).to(run.device)
        self.method.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        self.method.measure(_all_slices(case.source for case in cases), _all_slices(case.target for case in cases))
        self.averaged = copy.deepcopy(self.method).eval()
        self._distance = build_distance(run.config.distance, run.data_root).to(run.device)
        self._optimiser = torch.optim.Adam(
            self.method.parameters(), lr=options.learning_rate, betas=self.method.adam_betas
        )
        self._parts: list[Mapping[str, float]] = []
        self.iteration = 0

    def step(self) -> float:
        """One optimiser step; returns the loss.

        Raises:
            ConfigError: If the loss is not finite.
        """
        batch = self._batch()
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate(self._options, self.iteration)
        with mixed_precision(self._run.device, enabled=self._bfloat16):
            loss = self.method.training_loss(batch, self._distance, self._generator)
        value = float(loss.total.detach())
        self._parts.append(loss.parts)
        if not math.isfinite(value):
            msg = f"The loss became {value} at iteration {self.iteration}; lower training.learning_rate."
            raise ConfigError(msg)
        self._optimiser.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]  # torch
        nn.utils.clip_grad_norm_(self.method.parameters(), 1.0)
        self._optimiser.step()
        self.iteration += 1
        update_average(self.averaged, self.method, min(self._options.ema, (1 + self.iteration) / (10 + self.iteration)))
        return value

    def save(self) -> None:
        """Writes the checkpoint beside the old one and then renames it, so a kill never leaves a torn file."""
        state = {
            "iteration": self.iteration,
            "setup": json.dumps(_setup(self._run.config), sort_keys=True),
            "method": self.method.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "generator": self._generator.get_state(),
        }
        self._run.folder.mkdir(parents=True, exist_ok=True)
        temporary = self._run.folder / f"{CHECKPOINT}.part"
        torch.save(state, temporary)
        temporary.replace(self._run.folder / CHECKPOINT)

    def restore(self) -> None:
        """Goes on from the checkpoint when the run asks for it; see `fit` for the errors."""
        path = self._run.folder / CHECKPOINT
        if not path.is_file():
            return
        if not self._run.resume:
            msg = f"{path} exists: give --resume to go on with that training, or choose another folder."
            raise ConfigError(msg)
        state = torch.load(path, map_location=self._run.device, weights_only=True)
        if state["setup"] != json.dumps(_setup(self._run.config), sort_keys=True):
            msg = f"{path} was written with another method, grid or data; it cannot be resumed with this file."
            raise ConfigError(msg)
        self.method.load_state_dict(state["method"])
        self.averaged.load_state_dict(state["averaged"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._generator.set_state(state["generator"].cpu())
        self.iteration = int(state["iteration"])

    def mean_parts(self) -> dict[str, float]:
        """Mean of each part of the loss since the last call."""
        parts, self._parts = self._parts, []
        names = parts[-1] if parts else {}
        return {f"loss_{name}": round(float(np.mean([part[name] for part in parts])), 5) for name in names}

    def log(self, entry: dict[str, float]) -> None:
        """Appends a line with the iteration and the time to the log file."""
        self._run.folder.mkdir(parents=True, exist_ok=True)
        line = {"iteration": self.iteration, "time": round(time.time(), 1), **entry}
        with (self._run.folder / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _batch(self) -> TrainingBatch:
        batch = self._sampler.batch(self.iteration)
        device = self._run.device
        return TrainingBatch(batch.source.to(device), batch.target.to(device), batch.paired.to(device))


def _all_slices(stacks: Iterable[Slices | None]) -> torch.Tensor:
    present = [torch.from_numpy(stack)[:, None] for stack in stacks if stack is not None]
    return torch.cat(present) if present else torch.zeros(0, 1, 1, 1)


def learning_rate(options: TrainingOptions, iteration: int) -> float:
    """Linear warm-up, then constant or half a cosine down to zero at the last iteration."""
    warm = min(1.0, (iteration + 1) / options.warmup) if options.warmup else 1.0
    decay = 0.5 * (1 + math.cos(math.pi * iteration / options.iterations)) if options.schedule == "cosine" else 1.0
    return options.learning_rate * warm * decay


@torch.no_grad()
def update_average(averaged: nn.Module, method: nn.Module, decay: float) -> None:
    """Exponential moving average of the weights: `averaged` keeps the share `decay` of itself."""
    torch._foreach_lerp_(list(averaged.parameters()), list(method.parameters()), 1 - decay)  # torch's own EMA uses it


def validate(method: Method, cases: list[TrainingCase], device: torch.device) -> dict[str, float]:
    """Mean SSIM and PSNR over all slices of the paired cases, each direction, without a body mask."""
    scores: dict[str, list[float]] = {}
    for case in cases:
        if case.source is None or case.target is None or not case.paired:
            continue
        ways = ((Direction.FORWARD, case.source, case.target), (Direction.REVERSE, case.target, case.source))
        for direction, start, goal in ways if method.reversible else ways[:1]:
            output = _translated(method, torch.from_numpy(start[:, None]).to(device), direction)
            for made, wanted in zip(output.clamp(-1, 1).cpu().numpy()[:, 0], goal, strict=True):
                score = score_slice((made + 1) / 2, (wanted + 1) / 2, np.ones(made.shape, bool))
                scores.setdefault(f"ssim_{direction.value}", []).append(score.ssim)
                scores.setdefault(f"psnr_{direction.value}", []).append(score.psnr_db)
    return {name: float(np.mean(values)) for name, values in scores.items()}


def _translated(method: Method, source: torch.Tensor, direction: Direction) -> torch.Tensor:
    noise = SliceNoise.alike(torch.Generator().manual_seed(0), len(source))
    batch = SliceBatch(source, method.predicted_velocity(source, direction))
    return method.translate(batch, direction, method.default_steps, noise, lambda _done, _total: None)


def _use_bfloat16(options: TrainingOptions, device: torch.device) -> bool:
    return supports_bfloat16(device) if options.precision == "auto" else options.precision == "bfloat16"


def _setup(config: TrainingConfig) -> dict[str, object]:
    """What must be equal for a checkpoint to be resumed: everything but its length, its use and its card."""
    raw = {key: value for key, value in config.raw.items() if key not in ("card", "validation")}
    flexible = ("iterations", "save_every", "validate_every", "threads", "precision")
    of_use = METHODS[config.method].options_of_use
    raw["method"] = {key: value for key, value in config.raw["method"].items() if key not in of_use}
    raw["training"] = {key: value for key, value in config.raw["training"].items() if key not in flexible}
    return raw
