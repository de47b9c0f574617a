"""Structure maps keep outlines, agree with Chan-Vese where that is defined, and are carried without new phases."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.segmentation import chan_vese

from MedTranslateLib.core.errors import ConfigError
from MedTranslateLib.methods.structure import StructureOptions, structure_map, warp_structure


def rings(shades: list[float], noise: float, seed: int = 0) -> tuple[torch.Tensor, np.ndarray]:
    """Elliptic rings around an off-centre point, the innermost last: noisy image (1, 1, 48, 64) and phase numbers."""
    rows, columns = np.mgrid[:48, :64]
    radius = np.hypot((rows - 21) / 20, (columns - 35) / 26)
    phases = sum((radius < 1 - n / (len(shades) - 1 + 0.2)).astype(int) for n in range(len(shades) - 1))
    image = np.array(shades)[phases] + np.random.default_rng(seed).normal(0, noise, phases.shape)
    return torch.from_numpy(image)[None, None].float(), phases


def phases_of(structure: torch.Tensor, levels: int) -> np.ndarray:
    return np.rint((structure[0, 0].numpy() + 1) / 2 * (levels - 1)).astype(int)


@pytest.mark.parametrize("levels", [2, 3, 4])
def test_noisy_rings_come_back_as_their_phases(levels):
    shades = np.linspace(-0.8, 0.8, levels).tolist()
    image, expected = rings(shades, noise=0.3 / (levels - 1))
    found = phases_of(structure_map(image, StructureOptions(levels=levels)), levels)
    assert (found == expected).mean() > 0.985
    thresholded = np.digitize(image[0, 0].numpy(), (np.array(shades[1:]) + shades[:-1]) / 2)
    assert (found == expected).mean() > (thresholded == expected).mean()  # noise alone does not decide on a pixel


def test_two_phases_agree_with_chan_vese_of_scikit_image():
    rng = np.random.default_rng(3)
    image = np.tanh(4 * gaussian_filter(rng.normal(size=(60, 52)), 5) / 0.06) * 0.6 + rng.normal(0, 0.15, (60, 52))
    found = phases_of(structure_map(torch.from_numpy(image)[None, None], StructureOptions(levels=2)), 2)
    reference = chan_vese(image, mu=0.05, max_num_iter=300, init_level_set=np.where(image > 0, 1.0, -1.0))
    agreement = (found.astype(bool) == reference).mean()
    assert max(agreement, 1 - agreement) > 0.98  # which of its phases is which is not defined


def test_a_higher_price_of_boundary_leaves_less_of_it():
    image, _ = rings([-0.5, 0.5], noise=0.5)
    edges = []
    for weight in (0.0, 0.5, 1.5):
        found = phases_of(structure_map(image, StructureOptions(boundary_weight=weight)), 2)
        edges.append(int((np.diff(found, axis=0) != 0).sum() + (np.diff(found, axis=1) != 0).sum()))
    assert edges[0] > edges[1] > edges[2] > 0


def test_shading_does_not_split_a_phase():
    image, expected = rings([-0.9, 0.2], noise=0.02)
    shade = torch.linspace(0.25, 1.0, 64).view(1, 1, 1, 64)
    shaded = (image + 1) * shade - 1
    with_shading = phases_of(structure_map(shaded, StructureOptions(levels=3)), 3)
    corrected = phases_of(structure_map(shaded, StructureOptions(levels=2, shading_px=12)), 2)
    assert (corrected == expected).mean() > 0.93
    inside = expected == 1
    assert len(np.unique(with_shading[inside])) > 1  # what the correction is for


def test_each_slice_has_its_own_partition_and_an_empty_one_has_none():
    bright, expected = rings([-0.2, 0.9], noise=0.02)
    dark = bright * 0.2 - 0.7
    together = structure_map(torch.cat([bright, dark, torch.full_like(dark, -1.0)]), StructureOptions())
    for row in (0, 1):
        assert (phases_of(together[row : row + 1], 2) == expected).mean() > 0.99
    assert (together[2] == -1).all()


def test_a_carried_map_moves_by_the_displacement_and_has_no_new_phases():
    structure = torch.full((1, 1, 12, 16), -1.0)
    structure[..., 4:8, 5:11] = 1.0
    displacement = torch.zeros(1, 2, 12, 16)
    displacement[:, 0], displacement[:, 1] = 2.0, -3.0  # output (r, c) shows source (r + 2, c - 3)
    moved = warp_structure(structure, displacement, 4)
    assert (moved[..., 2:6, 8:14] == 1).all()
    assert int((moved == 1).sum()) == 24
    half = warp_structure(structure, displacement * 0.5 + 0.25, 4)
    assert set(half.unique().tolist()) <= {-1.0, 1.0}


@pytest.mark.parametrize("wrong", [{"levels": 1}, {"levels": 7}, {"boundary_weight": -1.0}, {"iterations": 0}])
def test_options_that_give_no_partition_are_refused(wrong):
    with pytest.raises(ConfigError):
        StructureOptions(**wrong)
