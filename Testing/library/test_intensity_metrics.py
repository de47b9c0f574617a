"""Figures of a pair of slices equal other libraries, formulas and hand values, and say what is not defined."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.metrics import MultiScaleSSIMMetric
from scipy.ndimage import gaussian_filter
from skimage.metrics import normalized_mutual_information, peak_signal_noise_ratio, structural_similarity

from MedTranslateLib.core.errors import ConfigError, InvalidVolumeError
from MedTranslateLib.evaluation.aggregate import Arrangement, summarise
from MedTranslateLib.evaluation.card_metrics import CARD_METRICS, THIS_BUNDLE, metric_rows
from MedTranslateLib.evaluation.measurement import Measurement
from MedTranslateLib.evaluation.metric_names import METRICS
from MedTranslateLib.methods.distances import ms_ssim_distance
from MedTranslateLib.metrics.averages import average, spread
from MedTranslateLib.metrics.intensity import (
    mae_hu,
    mutual_information,
    normalised_mutual_information,
    score_slice,
)
from MedTranslateLib.metrics.multiscale import ms_ssim
from MedTranslateLib.metrics.slice_metrics import slice_metrics

SSIM = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}


def pair(rows: int, columns: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A smooth slice that fills 0..1 and a noisy, brighter one."""
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.normal(size=(rows, columns)), 4)
    first = (smooth - smooth.min()) / np.ptp(smooth)
    return first, np.clip(0.9 * first + 0.05 + rng.normal(0, 0.05, first.shape), 0, 1)


def as_batch(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image)[None, None]


@pytest.mark.parametrize(("rows", "columns"), [(11, 15), (43, 61), (45, 88), (176, 181)])
def test_ms_ssim_equals_the_training_distance_at_every_number_of_scales(rows, columns):
    first, second = (2 * image - 1 for image in pair(rows, columns))
    expected = 1 - float(ms_ssim_distance(as_batch(first), as_batch(second)))
    assert ms_ssim(first, second, data_range=2.0) == pytest.approx(expected, abs=1e-5)


def test_ms_ssim_of_five_scales_equals_monai():
    first, second = pair(181, 203)
    metric = MultiScaleSSIMMetric(spatial_dims=2, data_range=1.0, kernel_size=11, kernel_sigma=1.5)
    assert ms_ssim(first, second) == pytest.approx(float(metric(as_batch(first), as_batch(second))), abs=1e-5)
    assert ms_ssim(first, first) == pytest.approx(1.0)


def test_ms_ssim_of_a_negative_is_zero_and_no_complex_number():
    first, _ = pair(60, 50)
    assert ms_ssim(first, 1 - first) == 0.0


def test_the_figures_of_a_slice_are_those_of_scikit_image_and_numpy():
    image, reference = pair(40, 52)
    source = reference[::-1]
    body = np.zeros(image.shape, bool)
    body[8:30, 12:44] = True
    got = slice_metrics(image, reference, source, body)
    mean, full = structural_similarity(image, reference, full=True, **SSIM)
    inside = image[body] - reference[body]
    expected = {
        "ssim": mean,
        "ssim_source": structural_similarity(image, source, **SSIM),
        "psnr_db": peak_signal_noise_ratio(reference, image, data_range=1.0),
        "mse": ((image - reference) ** 2).mean(),
        "mae": np.abs(image - reference).mean(),
        "ssim_body": full[body].mean(),
        "psnr_body_db": 10 * np.log10(1 / (inside**2).mean()),
        "mae_body": np.abs(inside).mean(),
        "ms_ssim": ms_ssim(image, reference),
        "mi_nats": mutual_information(image, reference),
        "nmi": normalised_mutual_information(image, reference),
    }
    assert got == pytest.approx(expected)


def test_every_figure_of_a_slice_has_a_definition():
    image, reference = pair(20, 24)
    assert set(slice_metrics(image, reference, reference, image > 0.5)) <= set(METRICS)


def test_without_a_body_its_columns_are_not_defined_and_the_others_are():
    image, reference = pair(24, 30)
    got = slice_metrics(image, reference, image, np.zeros(image.shape, bool))
    undefined = {name for name, value in got.items() if math.isnan(value)}
    assert undefined == {"ssim_body", "psnr_body_db", "mae_body"}


def test_equal_slices_have_infinite_psnr_and_so_has_an_average_over_them():
    image, reference = pair(24, 30)
    equal = slice_metrics(image, image, reference, image > 0.3)
    assert (equal["psnr_db"], equal["psnr_body_db"]) == (math.inf, math.inf)
    assert (equal["mse"], equal["mae"], equal["ssim"]) == (0.0, 0.0, pytest.approx(1.0))
    assert average([20.0, math.inf]) == math.inf
    with np.errstate(invalid="raise"):
        assert math.isnan(spread([20.0, math.inf]))


def test_an_average_leaves_out_what_is_not_defined():
    assert average([1.0, math.nan, 4.0]) == 2.5
    assert spread([1.0, math.nan, 4.0]) == pytest.approx(math.sqrt(4.5))  # (1.5^2 + 1.5^2) / (2 - 1)
    assert math.isnan(average([math.nan, math.nan]))
    assert math.isnan(spread([math.nan, 3.0]))


def test_a_patient_without_a_body_is_left_out_of_the_body_columns_of_cards():
    figures = {"a": (0.8, 20.0, 0.1, 0.6, 10.0, 0.2), "b": (0.6, 30.0, 0.3, math.nan, math.nan, math.nan)}
    measured = [
        Measurement("", case, "forward", THIS_BUNDLE, name, value)
        for case, values in figures.items()
        for name, value in zip(CARD_METRICS, values, strict=True)
    ]
    (both,) = metric_rows(summarise(measured, Arrangement()), "test")
    assert (both.ssim, both.ssim_body, both.cases) == (pytest.approx(0.7), 0.6, 2)
    (row,) = metric_rows(summarise(measured[6:], Arrangement()), "test")
    assert (row.ssim, row.ssim_body, row.psnr_body_db, row.mae_body) == (0.6, None, None, None)


def test_normalised_mutual_information_is_that_of_scikit_image_where_slices_fill_their_range():
    first, second = pair(70, 90)
    first, second = (np.clip((image - 0.2) / 0.6, 0, 1) for image in (first, second))  # both reach 0 and 1
    expected = normalized_mutual_information(first, second, bins=64)
    assert normalised_mutual_information(first, second) == pytest.approx(expected, rel=1e-9)
    assert 1.05 < expected < 1.95


def test_normalised_mutual_information_by_hand():
    halves, quarters = np.repeat([0.1, 0.9], 8), np.tile([0.1, 0.9], 8)
    assert normalised_mutual_information(halves, 1 - halves) == pytest.approx(2.0)
    assert normalised_mutual_information(halves, quarters) == pytest.approx(1.0)  # independent
    assert math.isnan(normalised_mutual_information(halves * 0, halves * 0 + 1))


def test_an_error_in_hounsfield_units_is_scaled_by_the_range():
    assert mae_hu(0.05, (-1000.0, 2000.0)) == pytest.approx(150.0)
    with pytest.raises(ConfigError, match="must rise, got 100 to 100"):
        mae_hu(0.05, (100.0, 100.0))


def test_slices_that_do_not_belong_together_are_refused():
    image, reference = pair(24, 30)
    body = image > 0.5
    with pytest.raises(InvalidVolumeError, match=r"one shape .* \(24, 30\), \(24, 30\), \(24, 29\), \(24, 30\)"):
        slice_metrics(image, reference, reference[:, 1:], body)
    with pytest.raises(InvalidVolumeError, match="at least 11"):
        slice_metrics(image[:10], reference[:10], reference[:10], body[:10])


def test_a_translation_with_nan_is_refused_rather_than_left_out_of_averages():
    image, reference = pair(24, 30)
    image[3, 4] = np.nan
    with pytest.raises(InvalidVolumeError, match="The translation holds 1 values that are not finite"):
        slice_metrics(image, reference, reference, reference > 0.5)


def test_the_score_of_a_body_looks_at_the_body_alone():
    reference = np.full((30, 30), 0.5)
    image = reference.copy()
    image[:10] = 0.9
    body = np.zeros(image.shape, bool)
    body[25:] = True
    score = score_slice(image, reference, body)
    assert (score.mae_body, score.psnr_body_db, score.ssim_body) == (0.0, math.inf, pytest.approx(1.0))
    assert score.mae == pytest.approx(0.4 / 3)
