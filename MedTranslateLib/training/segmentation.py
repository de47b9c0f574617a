"""Labelled slices of one domain in, a network that finds the structure in such slices out (Plasticine, Section IV-A).

It stands for the software a hospital already has: trained on the target domain alone, and never changed afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from skimage.measure import label
from torch import nn

from MedTranslateLib.training.cases import Slices
from MedTranslateLib.training.config import TrainingOptions
from MedTranslateLib.training.labelled import LabelledCase
from MedTranslateLib.training.loop import learning_rate
from MedTranslateLib.training.sampler import augment

CHANNELS = (16, 32, 64, 128)
BATCH = 32
"""Slices that are segmented at once."""


@dataclass(frozen=True)
class Segmenter:
    """A trained segmentation network on its device; it finds one piece a slice."""

    network: nn.Module
    device: torch.device

    @torch.inference_mode()
    def __call__(self, slices: Slices) -> npt.NDArray[np.bool_]:
        """Masks (N, H, W) of slices (N, H, W) in [-1, 1]."""
        parts = []
        for first in range(0, len(slices), BATCH):
            images = torch.from_numpy(np.ascontiguousarray(slices[first : first + BATCH]))[:, None]
            parts.append(self.network(images.to(self.device)).argmax(dim=1).bool().cpu().numpy())
        return np.stack([largest_piece(mask) for mask in np.concatenate(parts)])


def largest_piece(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The largest connected piece of a mask (H, W): the structure is one."""
    pieces = label(mask, connectivity=1)
    sizes = np.bincount(pieces.ravel())[1:]
    return np.asarray(pieces == 1 + sizes.argmax()) if len(sizes) else mask


def train_segmenter(
    cases: Sequence[LabelledCase],
    options: TrainingOptions,
    device: torch.device,
    on_iteration: Callable[[int, int], None],
) -> Segmenter:
    """Fits a U-Net (MONAI) with Dice and cross-entropy; the weights depend on the options' seed.

    Args:
        cases: Labelled slices of the target domain.
        options: Iterations, batch size, step size, and widths of the spatial augmentation. Intensities are not
            augmented: the network knows its own domain only.
        device: Where it is fitted.
        on_iteration: Called as `on_iteration(done, total)`.
    """
    torch.manual_seed(options.seed)  # only the initial weights depend on it
    network = UNet(2, 1, 2, channels=CHANNELS, strides=(2,) * (len(CHANNELS) - 1), num_res_units=2).to(device)
    loss = DiceCELoss(to_onehot_y=True, softmax=True)
    optimiser = torch.optim.Adam(network.parameters(), lr=options.learning_rate)
    images = np.concatenate([case.images for case in cases])
    masks = np.concatenate([case.masks for case in cases])
    for iteration in range(options.iterations):
        rng = np.random.default_rng([options.seed, iteration])
        rows = rng.integers(len(images), size=options.batch_size)
        both = torch.from_numpy(np.stack([images[rows], masks[rows] * 2.0 - 1.0], axis=1).astype(np.float32))
        moved = augment(both, options, rng).to(device)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(options, iteration)
        value = loss(network(moved[:, :1]), (moved[:, 1:] > 0).float())
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        optimiser.step()
        on_iteration(iteration + 1, options.iterations)
    return Segmenter(network.eval(), device)
