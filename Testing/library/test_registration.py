"""A drift that is put into a picture is found, none is found where there is none, and the field can be trusted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from MedTranslateLib.methods.fields import fade_at_border, integrate, jacobian_determinant, warp
from MedTranslateLib.methods.registration import _between, register


@pytest.fixture(scope="module")
def head() -> torch.Tensor:
    """Three slices (3, 1, 64, 72) of a textured head, each a little different."""
    rng = np.random.default_rng(4)
    rows, columns = np.mgrid[:64, :72]
    far = np.hypot((rows - 30) / 25, (columns - 37) / 24)
    texture = gaussian_filter(rng.normal(size=(3, 64, 72)), (0.5, 2.0, 2.0))
    image = np.clip((1 - far) * 8, 0, 1) * (0.6 + 0.25 * texture / texture.std())
    return torch.from_numpy(np.clip(image, 0, 1) * 2 - 1)[:, None].float()


@pytest.fixture(scope="module")
def drift() -> torch.Tensor:
    """A smooth displacement of up to 4 px, the same in every slice."""
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(72.0), indexing="ij")
    bump = torch.exp(-((rows - 28) ** 2 + (columns - 33) ** 2) / (2 * 14**2))
    velocity = fade_at_border(torch.stack([4 * bump, -2 * bump])[None].expand(3, -1, -1, -1), 12)
    return integrate(velocity)


def other_contrast(image: torch.Tensor) -> torch.Tensor:
    """Shades turned upside down and bent: only mutual information sees the likeness."""
    return -image.sign() * image.abs() ** 1.5


def ignore(_done: int, _total: int) -> None:
    pass


def test_a_drift_is_found_across_contrasts(head, drift):
    found = integrate(register(head, other_contrast(warp(head, drift)), ignore))
    body = warp(head, drift)[:, 0] > -0.9
    error, known = (found - drift).norm(dim=1)[body].mean(), drift.norm(dim=1)[body].mean()
    assert known > 1.5
    assert error < known / 3
    middle = found[:, :, 28, 33].mean(dim=0)
    torch.testing.assert_close(middle, drift[0, :, 28, 33], atol=0.8, rtol=0)


def test_where_nothing_drifted_hardly_anything_is_found(head):
    found = integrate(register(head, other_contrast(head), ignore))
    assert float(found.norm(dim=1)[head[:, 0] > -0.9].mean()) < 0.3


def test_the_field_does_not_fold_and_progress_is_told(head):
    told = []
    wild = torch.rand(head.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1  # nothing to find
    velocity = register(head, wild, lambda *a: told.append(a))
    assert velocity.shape == (3, 2, 64, 72)
    assert (jacobian_determinant(integrate(velocity)) > 0).all()
    assert told[-1] == (100, 100)


def test_slices_between_those_that_are_searched_get_a_velocity_between(head, drift):
    many = head[:1].expand(70, -1, -1, -1)
    growing = drift[:1] * torch.linspace(0, 1, 70).view(-1, 1, 1, 1)
    velocity = register(many, other_contrast(warp(many, growing)), ignore)
    assert velocity.shape == (70, 2, 64, 72)
    middle = velocity[:, 0, 26:31, 31:36].mean(dim=(1, 2))  # where the drift is greatest, up to 4 px along the rows
    assert float(middle[-1]) > 2.0
    assert abs(float(middle[0])) < 0.8
    share = (middle[12:58] - middle[12]) / (middle[57] - middle[12])
    torch.testing.assert_close(share, torch.linspace(0, 1, 46), atol=0.15, rtol=0)


def test_velocities_lie_on_their_slices_and_the_others_between():
    rows = torch.tensor([0, 3, 9])
    velocity = torch.tensor([1.0, 4.0, -2.0]).view(3, 1, 1, 1).expand(3, 2, 2, 2)
    every = _between(velocity, rows, 10)[:, 0, 0, 0]
    torch.testing.assert_close(every, torch.tensor([1.0, 2.0, 3.0, 4.0, 3.0, 2.0, 1.0, 0.0, -1.0, -2.0]))
    alone = _between(velocity[:1], rows[:1], 1)
    torch.testing.assert_close(alone, velocity[:1])
