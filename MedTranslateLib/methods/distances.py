"""Distances a method is trained with: perceptual, structural, absolute, and MMD between unpaired sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from monai.losses import PerceptualLoss
from monai.losses.ssim_loss import SSIMLoss
from monai.metrics.regression import compute_ssim_and_cs
from torch import Tensor, nn
from torch.nn import functional

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.methods.networks.squeezenet import SqueezeNetFeatures

MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales, Wang et al. 2003, Section 3.2."""
DISTANCES = ("lpips", "squeezenet", "ms-ssim")


@dataclass(frozen=True)
class DistanceOptions:
    """The paired distance `d` of Bi-DPM Eq. 6 and what is added to it.

    Args:
        distance: `lpips` (VGG or AlexNet form, downloads its weights), `squeezenet` (needs `perceptual_weights`)
            or `ms-ssim` (needs nothing).
        distance_weight: Factor of that distance.
        l1_weight: Factor of the mean absolute difference beside it.
        ssim_weight: Factor of 1 - SSIM (Gaussian window, sigma 1.5) beside it.
        perceptual_weights: File with SqueezeNet 1.0, relative to the data root.
    """

    distance: str = "ms-ssim"
    distance_weight: float = 1.0
    l1_weight: float = 0.0
    ssim_weight: float = 0.0
    perceptual_weights: str | None = None

    def __post_init__(self) -> None:
        """Refuses an unknown distance and negative weights."""
        if self.distance not in DISTANCES:
            msg = f"distance = {self.distance!r} is unknown; choose one of {', '.join(DISTANCES)}."
            raise ConfigError(msg)
        if min(self.distance_weight, self.l1_weight, self.ssim_weight) < 0:
            msg = "The weights of a distance must not be negative."
            raise ConfigError(msg)


class PairedDistance(nn.Module):
    """The weighted sum that a `DistanceOptions` describes; called with two batches of slices it gives a scalar."""

    def __init__(self, options: DistanceOptions, main: nn.Module) -> None:
        super().__init__()
        self._options = options
        self.main = main
        self.ssim = SSIMLoss(spatial_dims=2, data_range=2.0, win_size=11, kernel_sigma=1.5)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Distance of paired slices, each (B, 1, H, W) in [-1, 1]."""
        options = self._options
        total = options.distance_weight * self.main(first, second)
        if options.l1_weight:
            total = total + options.l1_weight * functional.l1_loss(first, second)
        if options.ssim_weight:
            total = total + options.ssim_weight * self.ssim(first, second)
        return torch.as_tensor(total)


def build_distance(options: DistanceOptions, data_root: Path) -> PairedDistance:
    """The paired distance of a training file.

    Raises:
        ConfigError: If `squeezenet` is asked for without usable weights.
    """
    if options.distance == "ms-ssim":
        return PairedDistance(options, MultiScaleDistance())
    if options.distance == "lpips":
        return PairedDistance(options, PerceptualLoss(spatial_dims=2, network_type="vgg"))
    if options.perceptual_weights is None:
        msg = "distance = 'squeezenet' needs perceptual_weights, a file with SqueezeNet 1.0; or choose 'ms-ssim'."
        raise ConfigError(msg)
    features = SqueezeNetFeatures.from_file(data_root / options.perceptual_weights)
    return PairedDistance(options, FeatureDistance(features))


class FeatureDistance(nn.Module):
    """LPIPS-type distance on the features of a frozen network."""

    def __init__(self, features: nn.Module) -> None:
        super().__init__()
        self.features = features

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """See `feature_distance`."""
        return feature_distance(self.features(first), self.features(second))


class MultiScaleDistance(nn.Module):
    """1 - MS-SSIM as a module."""

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """See `ms_ssim_distance`."""
        return ms_ssim_distance(first, second)


def feature_distance(first: list[Tensor], second: list[Tensor]) -> Tensor:
    """LPIPS-type distance: squared difference of unit-length features, averaged over layers and places.

    Zhang et al. 2018, Eq. 1 (the inner term of Bi-DPM Eq. 7) with all channel weights one.
    """
    differences = [
        (functional.normalize(a, dim=1) - functional.normalize(b, dim=1)).square().sum(1).mean()
        for a, b in zip(first, second, strict=True)
    ]
    return torch.stack(differences).mean()


def ms_ssim_distance(first: Tensor, second: Tensor) -> Tensor:
    """1 - multi-scale SSIM of slices in [-1, 1] (Wang et al. 2003, Eq. 7), over as many scales as the size allows."""
    scales = max(1, min(5, int(torch.tensor(min(first.shape[-2:]) / 11).log2().floor()) + 1))
    weights = torch.tensor(MS_SSIM_WEIGHTS[:scales], device=first.device)
    result = torch.ones((), device=first.device)
    for number, weight in enumerate(weights / weights.sum()):
        ssim, contrast = compute_ssim_and_cs(
            first, second, spatial_dims=2, data_range=2.0, kernel_size=(11, 11), kernel_sigma=(1.5, 1.5)
        )
        term = ssim if number == scales - 1 else contrast
        # An anticorrelated pair has a negative term, whose power has no gradient.
        result = result * term.flatten(1).mean(1).clamp_min(1e-3).pow(weight)
        first, second = functional.avg_pool2d(first, 2), functional.avg_pool2d(second, 2)
    return 1 - result.mean()


def maximum_mean_discrepancy(first: Tensor, second: Tensor) -> Tensor:
    """Squared MMD of two sets of slices, Bi-DPM Eq. 8, with a mixture of Gaussian kernels.

    Args:
        first: (M, ...) samples.
        second: (N, ...) samples.

    Returns:
        Scalar, zero where both sets are equal. The kernel widths are 1/4, 1/2, 1, 2 and 4 times the median squared
        distance between all samples (median heuristic).
    """
    both = torch.cat([first.flatten(1), second.flatten(1)])
    squared = torch.cdist(both, both).square()
    off_diagonal = ~torch.eye(len(both), dtype=torch.bool, device=both.device)
    median = squared.detach()[off_diagonal].median().clamp_min(1e-12)
    kernel = torch.stack([torch.exp(-squared / (factor * median)) for factor in (0.25, 0.5, 1.0, 2.0, 4.0)]).mean(0)
    m = len(first)
    return kernel[:m, :m].mean() + kernel[m:, m:].mean() - 2 * kernel[:m, m:].mean()
