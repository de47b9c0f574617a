"""Joined pixels lie where the mean of their pixels lies, and moved images are read where they came from."""

from __future__ import annotations

import numpy as np
from ledger_phantom import OBLIQUE, images_of

from MedTranslateLib.core.correspondence import Correspondence, DisplacementField, Origin
from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.trust.ledger_grid import coarse_images, joined_geometry, joined_means


def ramp(geometry: Geometry, direction: tuple[float, float, float]) -> np.ndarray:
    k, j, i = np.indices(geometry.shape_kji)
    return (geometry.ras_from_ijk(np.stack([i, j, k], axis=-1)) @ np.array(direction)).astype(np.float32)


def test_four_pixels_of_about_a_millimetre_become_one_at_their_middle():
    joined = joined_geometry(OBLIQUE)
    assert joined.size_ijk == (45, 36, 7)
    np.testing.assert_allclose(joined.spacing_mm, [2.2, 2.6, 4.0])
    four = OBLIQUE.ras_from_ijk([(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0)]).mean(axis=0)
    np.testing.assert_allclose(joined.origin_ras, four)


def test_a_ramp_through_the_patient_is_the_same_ramp_on_the_joined_grid():
    direction = (0.01, -0.02, 0.005)
    means = joined_means(ramp(OBLIQUE, direction), OBLIQUE)
    np.testing.assert_allclose(means, ramp(joined_geometry(OBLIQUE), direction), atol=1e-5)


def test_the_source_is_read_at_the_place_the_output_came_from():
    shift = np.array([3.0, -2.0, 0.0], dtype=np.float32)
    vectors = np.broadcast_to(shift, (*OBLIQUE.shape_kji, 3))
    there, back = (DisplacementField(sign * vectors, OBLIQUE) for sign in (1, -1))
    source = ramp(OBLIQUE, (0.01, -0.02, 0.005))
    images = images_of(source, source, correspondence=Correspondence(there, back, Origin.MODEL))
    coarse = coarse_images(images)
    inner = np.s_[:, 4:-4, 4:-4]
    expected = 0.01 * 3.0 + 0.02 * 2.0  # along the ramp
    np.testing.assert_allclose((coarse.source - coarse.output)[inner], expected, atol=1e-5)


def test_rows_and_columns_that_do_not_fill_a_joined_pixel_are_kept():
    odd = Geometry((5, 3, 1), np.diag([1.2, 1.2, 5.0, 1.0]))
    image = np.arange(15, dtype=np.float32).reshape(1, 3, 5)
    assert joined_geometry(odd).size_ijk == (3, 2, 1)
    np.testing.assert_allclose(joined_means(image, odd), [[[3.0, 5.0, 6.5], [10.5, 12.5, 14.0]]])
