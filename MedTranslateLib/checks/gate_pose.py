"""Slices of an image in, how much they look like the same slices upside down or turned out.

A picture is folded over its axes so that only what changes under one of these operations is left. Mirrored left and
right, a head looks the same: nothing here can tell that.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from MedTranslateLib.bundles.input_statistics import PoseFilter
from MedTranslateLib.checks.gate_features import Outline
from MedTranslateLib.checks.gate_slices import Pictures

Patch = npt.NDArray[np.float64]
SIDE = 16
CHANNELS = ("brightness", "edges", "outline")
WITHOUT_CONTRAST = slice(1, 3)
"""The channels that are alike in every contrast."""


def patches_of(pictures: Pictures, outlines: Sequence[Outline]) -> Patch:
    """Small square pictures of an image: the mean over its slices, of zero mean and unit norm in each channel.

    Args:
        pictures: Slices of one image.
        outlines: The body in each.

    Returns:
        Shape (3, 16, 16), channels as in `CHANNELS`.
    """
    pairs = zip(pictures.slices, outlines, strict=True)
    return np.mean([_channels(picture, outline) for picture, outline in pairs], axis=0)


def fold_front_back(patches: Patch) -> Patch:
    """What changes its sign when rows are turned upside down: (channels, 64) of (channels, 16, 16)."""
    folded = _fold_columns(patches, sign=1)
    return _fold_rows(folded, sign=-1).reshape(len(patches), -1)


def fold_turned(patches: Patch) -> Patch:
    """What changes its sign when rows and columns are exchanged: (channels, 64) of (channels, 16, 16)."""
    folded = _fold_rows(_fold_columns(patches, sign=1), sign=1)
    return (folded - folded.swapaxes(1, 2)).reshape(len(patches), -1)


def score(pose: PoseFilter, folded: Patch) -> float:
    """The filter's answer: positive as in training."""
    weights = np.asarray(pose.weights)
    return float((weights * folded[-len(weights) :]).sum())


def _channels(picture: npt.NDArray[np.float32], outline: Outline) -> Patch:
    mask = outline.mask.astype(np.float32)
    rows, columns = np.gradient(ndimage.gaussian_filter(picture, 1.0))
    strength = np.hypot(rows, columns)
    typical = float(np.percentile(strength[mask > 0], 90)) + 1e-6
    edges = np.clip(np.sqrt(strength / typical), 0, 1.5) * mask
    return np.array([_patch(image) for image in (np.sqrt(np.maximum(picture, 0)) * mask, edges, mask)])


def _patch(image: npt.NDArray[np.float32]) -> Patch:
    """Block means of the picture padded to a square, less their mean, over their norm."""
    side = -(-max(image.shape) // SIDE) * SIDE
    padded = np.zeros((side, side))
    top, left = ((side - size) // 2 for size in image.shape)
    padded[top : top + image.shape[0], left : left + image.shape[1]] = image
    blocks = padded.reshape(SIDE, side // SIDE, SIDE, side // SIDE).mean(axis=(1, 3))
    blocks -= blocks.mean()
    return np.asarray(blocks / (np.linalg.norm(blocks) + 1e-9))


def _fold_columns(patches: Patch, *, sign: int) -> Patch:
    """The left half plus (or less) the mirrored right half."""
    half = SIDE // 2
    return patches[:, :, :half] + sign * patches[:, :, : half - 1 : -1]


def _fold_rows(patches: Patch, *, sign: int) -> Patch:
    half = SIDE // 2
    return patches[:, :half] + sign * patches[:, : half - 1 : -1]
