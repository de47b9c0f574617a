"""Displacements in index units agree with scipy, MONAI, matrix exponentials and closed forms, and invert each other."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from monai.networks.blocks import DVF2DDF
from scipy.linalg import expm
from scipy.ndimage import gaussian_filter, map_coordinates

from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.imaging import fields as fields_in_mm
from MedTranslateLib.methods.fields import (
    compose,
    fade_at_border,
    integrate,
    invert,
    jacobian_determinant,
    limit_slope,
    warp,
)

SHAPES = [(9, 14), (5, 9, 7), (1, 9, 7)]
LINEAR = {2: [[0.10, -0.15], [0.20, -0.05]], 3: [[0.05, -0.15, 0.02], [0.12, -0.05, 0.1], [-0.04, 0.03, 0.08]]}


def indices(shape: tuple[int, ...]) -> torch.Tensor:
    """Grid points, (1, D, *shape), float64."""
    return torch.stack(torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in shape), indexing="ij"))[None]


def linear_field(matrix: np.ndarray, shape: tuple[int, ...]) -> torch.Tensor:
    """p -> matrix (p - centre) at every grid point."""
    centre = (torch.tensor(shape, dtype=torch.float64) - 1) / 2
    from_centre = indices(shape).movedim(1, -1) - centre
    return (from_centre @ torch.as_tensor(matrix, dtype=torch.float64).T).movedim(-1, 1)


def smooth_velocity(seed: int, shape: tuple[int, ...], sigma: float, peak_px: float) -> torch.Tensor:
    """A random velocity at rest at the border whose greatest length is `peak_px`."""
    generator = np.random.default_rng(seed)
    noise = np.stack([gaussian_filter(generator.normal(size=shape), sigma, mode="nearest") for _ in shape])
    velocity = fade_at_border(torch.as_tensor(noise, dtype=torch.float32)[None], 16)
    return velocity * (peak_px / velocity.norm(dim=1).max())


def interior(values: torch.Tensor, margin: int) -> torch.Tensor:
    return values[(..., *(slice(margin, -margin) for _ in range(values.dim() - 2)))]


@pytest.mark.parametrize("shape", SHAPES)
def test_warping_reads_the_image_where_scipy_reads_it_also_beyond_the_border(shape):
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(2, 3, *shape, generator=generator, dtype=torch.float64)
    displacement = 3 * torch.randn(2, len(shape), *shape, generator=generator, dtype=torch.float64)
    places = (indices(shape) + displacement).numpy()
    read = partial(map_coordinates, order=1, mode="nearest")
    expected = [[read(channel, at) for channel in channels] for channels, at in zip(image.numpy(), places, strict=True)]
    np.testing.assert_allclose(warp(image, displacement).numpy(), expected, atol=1e-12)


def test_the_inner_displacement_of_a_composition_moves_first():
    outer = linear_field(np.array([[0.0, 0.1], [-0.2, 0.0]]), (31, 41))
    inner = torch.tensor([2.0, -1.0], dtype=torch.float64).reshape(1, 2, 1, 1).expand(1, 2, 31, 41)
    # At the centre: inner moves to centre + (2, -1), where outer adds (0.1 * -1, -0.2 * 2).
    torch.testing.assert_close(compose(outer, inner)[0, :, 15, 20], torch.tensor([1.9, -1.4], dtype=torch.float64))
    torch.testing.assert_close(compose(inner, outer)[0, :, 15, 20], torch.tensor([2.0, -1.0], dtype=torch.float64))


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_linear_velocity_integrates_to_the_matrix_exponential(dimensions):
    matrix, shape = np.array(LINEAR[dimensions]), (41, 33, 37)[:dimensions]
    expected = interior(linear_field(expm(matrix) - np.eye(dimensions), shape), 10)
    seven = interior(integrate(linear_field(matrix, shape)), 10)
    assert expected.abs().max() > 2
    assert (seven - expected).abs().max() < 0.005
    fourteen = interior(integrate(linear_field(matrix, shape), squarings=14), 10)
    assert (fourteen - expected).abs().max() < 0.005 / 100  # the error halves with each squaring


def test_a_constant_velocity_integrates_to_itself_up_to_the_border():
    velocity = torch.tensor([3.0, -1.5]).reshape(1, 2, 1, 1).expand(1, 2, 8, 5)
    torch.testing.assert_close(integrate(velocity), velocity.clone())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.filterwarnings("ignore:monai.networks.blocks.Warp")
def test_integration_agrees_with_monai_where_that_clamps_at_the_border(shape):
    velocity = 2 * torch.randn(2, len(shape), *shape, generator=torch.Generator().manual_seed(2))
    expected = DVF2DDF(num_steps=7, padding_mode="border")(velocity)
    torch.testing.assert_close(integrate(velocity), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize(("shape", "sigma", "seed"), [((192, 160), 8, 0), ((160, 192), 20, 1), ((40, 44, 36), 8, 2)])
def test_both_directions_of_a_smooth_velocity_of_eight_pixels_invert_each_other(shape, sigma, seed):
    velocity = smooth_velocity(seed, shape, sigma, 8.0 if len(shape) == 2 else 4.0)
    forward, inverse = integrate(velocity), integrate(-velocity)
    assert forward.norm(dim=1).max() > 0.7 * velocity.norm(dim=1).max()
    for one, other in ((forward, inverse), (inverse, forward)):
        error = compose(other, one).norm(dim=1).flatten()
        assert error.mean() <= 0.05, f"mean {error.mean():.4f} px"
        assert error.quantile(0.999) <= 0.5, f"99.9th percentile {error.quantile(0.999):.4f} px"
        assert jacobian_determinant(one).min() > 0


def test_the_fixed_point_inverse_of_a_scaling_is_the_reciprocal_scaling():
    displacement = linear_field(np.diag([0.25, -0.2]), (41, 51))
    expected = interior(linear_field(np.diag([1 / 1.25 - 1, 1 / 0.8 - 1]), (41, 51)), 10)
    torch.testing.assert_close(interior(invert(displacement, 40), 10), expected, atol=1e-9, rtol=0)


def test_polishing_shortens_the_round_trip_at_every_grid_point_even_where_the_plain_iteration_diverges():
    velocity = smooth_velocity(3, (96, 80), 10, 8.0)
    displacement, rough = integrate(velocity), integrate(-velocity, squarings=3)
    plain = rough
    for _ in range(20):
        plain = -warp(displacement, plain)
    polished = invert(displacement, 20, start=rough)
    before, after, diverged = (compose(displacement, w).norm(dim=1) for w in (rough, polished, plain))
    assert diverged.max() > 1
    assert (after <= before).all()
    assert after.mean() < before.mean() / 20


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_determinant_of_a_linear_map_is_that_of_its_matrix_up_to_the_border(dimensions):
    matrix = np.array(LINEAR[dimensions])
    determinants = jacobian_determinant(linear_field(matrix, (9, 7, 8)[:dimensions]))
    expected = np.linalg.det(matrix + np.eye(dimensions))
    np.testing.assert_allclose(determinants.numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("shape", [(5, 9, 7), (1, 9, 7)])
def test_the_determinant_in_index_units_is_that_in_millimetres_on_any_grid(oblique_geometry, shape):
    displacement = torch.randn(1, 3, *shape, generator=torch.Generator().manual_seed(4))
    geometry = Geometry(shape[::-1], oblique_geometry.ijk_to_ras)
    field = fields_in_mm.field_from_index_displacement(displacement[0].movedim(0, -1).numpy(), geometry)
    ours = jacobian_determinant(displacement)[0].numpy()
    np.testing.assert_allclose(fields_in_mm.jacobian_determinant(field), ours, atol=1e-4)


def test_a_displacement_in_millimetres_maps_points_as_in_pixels(oblique_geometry):
    geometry = Geometry((14, 9, 6), oblique_geometry.ijk_to_ras)
    displacement = torch.randn(6, 2, 9, 14, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    field = fields_in_mm.field_from_index_displacement(displacement.movedim(1, -1).numpy(), geometry)
    row, column = displacement[4, :, 3, 7].tolist()
    expected = geometry.ras_from_ijk([7 + column, 3 + row, 4])
    mapped = fields_in_mm.map_points(field, geometry.ras_from_ijk([7, 3, 4]))
    np.testing.assert_allclose(mapped, expected, atol=1e-5)


def test_gradients_of_integration_and_determinant_are_those_of_finite_differences():
    velocity = torch.randn(1, 2, 4, 5, generator=torch.Generator().manual_seed(6), dtype=torch.float64) * 0.3
    velocity.requires_grad_()
    assert torch.autograd.gradcheck(lambda v: integrate(v, 3), velocity)
    assert torch.autograd.gradcheck(jacobian_determinant, velocity)


def test_a_half_precision_velocity_is_integrated_in_single_precision():
    velocity = smooth_velocity(7, (64, 48), 8, 6.0).to(torch.bfloat16)
    displacement = integrate(velocity)
    assert displacement.dtype is torch.float32
    torch.testing.assert_close(displacement, integrate(velocity.float()))


def test_a_faded_velocity_rests_at_the_border_and_is_whole_further_in():
    faded = fade_at_border(torch.ones(1, 2, 21, 31), 4)
    assert faded[:, :, 4:-4, 4:-4].eq(1).all()
    for edge in (faded[:, :, 0], faded[:, :, -1], faded[:, :, :, 0], faded[:, :, :, -1]):
        assert edge.abs().max() < 1e-6
    assert faded[0, 0, 2, 15].item() == pytest.approx(0.5)  # sin^2(45 degrees), half-way


def test_the_flow_of_a_faded_velocity_keeps_every_point_on_the_grid():
    velocity = torch.tensor([9.0, -7.0]).reshape(1, 2, 1, 1).expand(1, 2, 64, 80)
    corner = torch.tensor([63.0, 79.0]).reshape(2, 1, 1)
    there = (indices((64, 80)) + integrate(velocity))[0]
    assert ((there < 0) | (there > corner)).any()
    kept = (indices((64, 80)) + integrate(fade_at_border(velocity, 16)))[0]
    assert ((kept > -1e-3) & (kept < corner + 1e-3)).all()


def test_a_single_slice_is_not_faded_across_slices():
    faded = fade_at_border(torch.ones(1, 3, 1, 9, 9), 2)
    assert faded[0, :, 0, 4, 4].eq(1).all()


@pytest.mark.parametrize("shape", [(20, 30), (6, 20, 30), (1, 20, 30)])
def test_a_velocity_is_weakened_as_a_whole_to_the_steepest_slope_and_only_then(shape):
    steep = smooth_velocity(4, shape, sigma=1.5, peak_px=9.0)
    gentle = steep * 0.01
    limited = limit_slope(torch.cat([steep, gentle]), 0.6)
    slopes = [np.abs(np.diff(steep[0].numpy(), axis=1 + axis)).max() for axis, n in enumerate(shape) if n > 1]
    torch.testing.assert_close(limited[0], steep[0] * (0.6 / max(slopes)))
    torch.testing.assert_close(limited[1], gentle[0])
