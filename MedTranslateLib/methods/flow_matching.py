"""Flow matching: a batch of slices in, the same slices in the other modality out, by integrating a learned velocity.

The flows that Bi-DPM is compared with (its Table 1). One network u(x, t) is the velocity of a flow from the source
modality (t = 0) to the target modality (t = 1). It is regressed on the velocity of a path that is chosen beforehand
between a source slice and a target slice; what differs between the four is the path and which slices it joins.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.nn import functional

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.methods.contract import (
    Direction,
    Distance,
    Method,
    OnStep,
    SliceBatch,
    TrainingBatch,
    TrainingLoss,
)
from MedTranslateLib.methods.networks.patch_unet import PatchUNet, check_network
from MedTranslateLib.methods.options import options_from
from MedTranslateLib.methods.slice_noise import SliceNoise

MOST_STEPS = 1000


class FlowPath(str, Enum):
    """The path between a source slice x0 and a target slice x1, and how both are chosen.

    `rectified-flow`: (1 - t) x0 + t x1 (Liu et al. 2022, Eq. 1, without reflow). `i-cfm`: the same with noise of
    standard deviation `noise` around it (Tong et al. 2023, independent coupling). `ot-cfm`: as `i-cfm`, between the
    slices that the exact optimal transport plan of the batch joins, whatever was paired (the same, minibatch optimal
    transport). `vp-cfm`: cos(pi t / 2) x0 + sin(pi t / 2) x1 (Albergo & Vanden-Eijnden 2023), with the same noise.
    """

    RECTIFIED_FLOW = "rectified-flow"
    I_CFM = "i-cfm"
    OT_CFM = "ot-cfm"
    VP_CFM = "vp-cfm"


@dataclass(frozen=True)
class FlowMatchingOptions:
    """What a bundle stores of the method.

    Args:
        path: See `FlowPath`.
        steps: Euler steps where nobody asks for a number; a trained flow can take any.
        noise: Standard deviation around the path, in [-1, 1]; rectified flow has none.
        pairs_only: Whether slices without a partner are left out of training. Otherwise they are joined at random
            within the batch, the independent coupling that these methods are defined with.
        channels, residual_blocks, patch: The network; see `PatchUNet`.
    """

    path: str = FlowPath.RECTIFIED_FLOW.value
    steps: int = 10
    noise: float = 0.1
    pairs_only: bool = False
    channels: tuple[int, ...] = (32, 64, 128, 192)
    residual_blocks: int = 1
    patch: int = 2

    def __post_init__(self) -> None:
        """Refuses values outside what the methods are defined for."""
        if self.path not in {path.value for path in FlowPath}:
            msg = f"path = {self.path!r} is unknown; choose {', '.join(path.value for path in FlowPath)}."
            raise ConfigError(msg)
        if not 1 <= self.steps <= MOST_STEPS or self.noise < 0:
            msg = f"steps must be 1 to {MOST_STEPS} and noise 0 or more, got {self.steps} and {self.noise}."
            raise ConfigError(msg)
        check_network(self.channels, self.residual_blocks, self.patch)


class PathPoint(NamedTuple):
    """Where a path is at a time, and its velocity there; (B, 1, H, W) each."""

    place: Tensor
    velocity: Tensor


class FlowMatching(Method):
    """Rectified flow and the conditional flow matchings, both ways."""

    options_of_use = frozenset({"steps"})

    def __init__(self, options: FlowMatchingOptions) -> None:
        super().__init__()
        self.options = options
        self.path = FlowPath(options.path)
        self.velocity: nn.Module = PatchUNet(options.channels, options.residual_blocks, options.patch)

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> FlowMatching:
        """Builds an untrained flow; see `FlowMatchingOptions` for the keys."""
        return cls(options_from(FlowMatchingOptions, options))

    @property
    def supported_steps(self) -> range:
        """The velocity is defined at all times, so any number of Euler steps can be taken."""
        return range(1, MOST_STEPS + 1)

    @property
    def default_steps(self) -> int:
        """The number of the options."""
        return self.options.steps

    @property
    def facts(self) -> Mapping[str, Any]:
        """Which of the flows it is."""
        return {"path": self.options.path}

    @property
    def loss_terms(self) -> Mapping[str, float]:
        """The regression of the velocity."""
        return {"velocity mse": 1.0}

    @torch.inference_mode()
    def translate(
        self, source: SliceBatch, direction: Direction, steps: int, noise: SliceNoise, on_step: OnStep
    ) -> Tensor:
        """Euler's method from t = 0 to 1, or back. The flow is deterministic: `noise` is not used."""
        times = [n / steps for n in range(steps + 1)]
        if direction is Direction.REVERSE:
            times.reverse()
        image = source.images
        for number, (now, then) in enumerate(pairwise(times)):
            time = torch.full((len(image),), now, device=image.device)
            image = image + self.velocity(image, time) * (then - now)
            on_step(number + 1, steps)
        return image

    def training_loss(self, batch: TrainingBatch, distance: Distance, generator: torch.Generator) -> TrainingLoss:
        """Squared error of the velocity at a random time of each path; `distance` is not used."""
        source, target = self._joined(batch)
        time = torch.rand(len(source), generator=generator).to(source.device)
        noise = torch.randn(source.shape, generator=generator).to(source)
        place, wanted = path_point(self.path, source, target, time)
        if self.path is not FlowPath.RECTIFIED_FLOW:
            place = place + self.options.noise * noise
        loss = functional.mse_loss(self.velocity(place, time).float(), wanted)
        return TrainingLoss(loss, {"velocity": float(loss.detach())})

    def _joined(self, batch: TrainingBatch) -> tuple[Tensor, Tensor]:
        """The slices that paths join: row by row, so at random where a row is no pair, or by the transport plan."""
        source, target = batch.source, batch.target
        if self.options.pairs_only:
            if not batch.paired.any():
                msg = "pairs_only = true, but the training data have no pairs; add some or leave pairs_only out."
                raise ConfigError(msg)
            source, target = source[batch.paired], target[batch.paired]
        if self.path is FlowPath.OT_CFM:
            target = target[transport_plan(source, target)]
        return source, target


def path_point(path: FlowPath, source: Tensor, target: Tensor, time: Tensor) -> PathPoint:
    """The mean of a path and its velocity; see `FlowPath`.

    Args:
        path: Which one.
        source: (B, 1, H, W), where it starts.
        target: (B, 1, H, W), where it ends.
        time: (B,) in 0..1.
    """
    t = time.view(-1, 1, 1, 1)
    if path is FlowPath.VP_CFM:
        angle = math.pi / 2 * t
        place = angle.cos() * source + angle.sin() * target
        return PathPoint(place, math.pi / 2 * (angle.cos() * target - angle.sin() * source))
    return PathPoint((1 - t) * source + t * target, target - source)


def transport_plan(source: Tensor, target: Tensor) -> Tensor:
    """Row of `target` for each row of `source`, so that the sum of squared distances is least (exact, Hungarian)."""
    cost = torch.cdist(source.flatten(1).double(), target.flatten(1).double()).square()
    _, columns = linear_sum_assignment(cost.cpu().numpy())
    return torch.from_numpy(columns).to(source.device)
