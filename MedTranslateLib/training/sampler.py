"""Training cases in, random batches of augmented slices out; a given seed and iteration give the same batch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.methods.contract import TrainingBatch
from MedTranslateLib.training.cases import Slices, TrainingCase
from MedTranslateLib.training.config import TrainingOptions


@dataclass(frozen=True)
class SlicePools:
    """All slices of the training set: row n of the paired pools is the same anatomy, the others are shuffled."""

    paired_source: Slices
    paired_target: Slices
    unpaired_source: Slices
    unpaired_target: Slices


def build_pools(cases: list[TrainingCase], options: TrainingOptions, *, target_alone: bool = False) -> SlicePools:
    """Sorts the slices by whether their pairing may be used; `target_alone` leaves all source slices out.

    Raises:
        ConfigError: If a modality that is needed has no images at all.
    """
    if target_alone:
        return _target_pool(cases)
    paired = [case for case in cases if case.paired]
    order = np.random.default_rng(options.seed).permutation(len(paired))
    kept = {int(n) for n in order[: math.ceil(options.paired_ratio * len(paired))]} if options.paired_ratio else set()
    together = [case for number, case in enumerate(paired) if number in kept]
    apart = [case for number, case in enumerate(paired) if number not in kept]
    apart += [case for case in cases if not case.paired]
    pools = SlicePools(
        _stack([case.source for case in together for _ in range(case.repeat)]),
        _stack([case.target for case in together for _ in range(case.repeat)]),
        _stack([case.source for case in apart for _ in range(case.repeat)]),
        _stack([case.target for case in apart for _ in range(case.repeat)]),
    )
    if not len(pools.paired_source) and not (len(pools.unpaired_source) and len(pools.unpaired_target)):
        msg = "The training data have no pairs, and not both modalities; nothing can be learnt from them."
        raise ConfigError(msg)
    return pools


def _target_pool(cases: list[TrainingCase]) -> SlicePools:
    targets = _stack([case.target for case in cases for _ in range(case.repeat)])
    if not len(targets):
        msg = "The training data have no target images; this method learns from them alone."
        raise ConfigError(msg)
    return SlicePools(targets[:0], targets[:0], targets[:0], targets)


class SliceSampler:
    """Draws the batch of an iteration: all paired, half paired, all unpaired, or of the target alone, as pools allow.

    Half paired is Bi-DPM Section 3.2.2: "each batch consists of an equal proportion of paired data and unpaired data".
    """

    def __init__(self, pools: SlicePools, options: TrainingOptions) -> None:
        self._pools = pools
        self._options = options
        has_unpaired = len(pools.unpaired_source) > 0 and len(pools.unpaired_target) > 0
        has_paired = len(pools.paired_source) > 0
        self._paired_share = 1.0 if not has_unpaired else 0.5 if has_paired else 0.0

    def batch(self, iteration: int) -> TrainingBatch:
        """The batch of that iteration; depends on the seed and the iteration only, so a resumed run sees the same."""
        options = self._options.at(iteration)
        rng = np.random.default_rng([options.seed, iteration])
        if not len(self._pools.paired_source) and not len(self._pools.unpaired_source):
            return self._target_batch(options, rng)
        pools, count = self._pools, int(options.batch_size * self._paired_share)
        apart = options.batch_size - count
        rows = rng.integers(len(pools.paired_source), size=count) if count else np.zeros(0, int)
        sources, targets = [pools.paired_source[rows]] if count else [], [pools.paired_target[rows]] if count else []
        if apart:
            sources.append(pools.unpaired_source[rng.integers(len(pools.unpaired_source), size=apart)])
            targets.append(pools.unpaired_target[rng.integers(len(pools.unpaired_target), size=apart)])
        both = torch.from_numpy(np.stack([np.concatenate(sources), np.concatenate(targets)], axis=1))
        moved = augment(both, options, rng)
        return TrainingBatch(moved[:, :1], moved[:, 1:], torch.arange(count + apart) < count)

    def _target_batch(self, options: TrainingOptions, rng: np.random.Generator) -> TrainingBatch:
        pool = self._pools.unpaired_target
        drawn = torch.from_numpy(pool[rng.integers(len(pool), size=options.batch_size)])[:, None]
        moved = augment(drawn, options, rng)
        return TrainingBatch(moved[:0], moved, torch.zeros(len(moved), dtype=torch.bool))


def augment(slices: Tensor, options: TrainingOptions, rng: np.random.Generator) -> Tensor:
    """The same random flip, rotation, zoom, shift and crop for all channels of a slice.

    Args:
        slices: (B, C, H, W) in [-1, 1].
        options: Their half widths.
        rng: Source of chance.

    Returns:
        (B, C, crop, crop), or (B, C, H, W) without a crop. What comes from outside is -1, the background.
    """
    height, width = slices.shape[-2:]
    out = (options.crop, options.crop) if options.crop else (height, width)
    thetas = torch.from_numpy(np.stack([_theta(options, (height, width), out, rng) for _ in slices])).float()
    grid = functional.affine_grid(thetas, [len(slices), 1, *out], align_corners=False)
    # bicubic keeps the detail that a second linear interpolation would lose; shifted so that padding is background
    moved = functional.grid_sample(slices + 1, grid, mode="bicubic", padding_mode="zeros", align_corners=False) - 1
    return moved.clamp(-1, 1)


def _theta(
    options: TrainingOptions, size: tuple[int, int], out: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """2x3 matrix from output to input places, in the units of `affine_grid`: x to the right, y down, -1 to 1."""
    angle = math.radians(options.rotation_deg) * rng.uniform(-1, 1)
    zoom = 1 + options.zoom * rng.uniform(-1, 1)
    mirror = -1.0 if options.flip and rng.random() < 0.5 else 1.0
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    half = np.diag([size[1] / 2, size[0] / 2])
    linear = np.linalg.inv(half) @ turn @ np.diag([zoom * mirror, zoom]) @ np.diag([out[1] / 2, out[0] / 2])
    room = np.array([1 - out[1] / size[1], 1 - out[0] / size[0]]) + 2 * options.shift
    return np.concatenate([linear, (room * rng.uniform(-1, 1, 2))[:, None]], axis=1)


def _stack(parts: list[Slices | None]) -> Slices:
    present = [part for part in parts if part is not None]
    return np.concatenate(present) if present else np.zeros((0, 1, 1), np.float32)
