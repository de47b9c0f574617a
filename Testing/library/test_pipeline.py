"""The whole path with methods whose answer is known: geometry, units, field, provenance."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from MedTranslateLib.bundles.manifest import Scale, Side, read_manifest
from MedTranslateLib.checks.gate import GateReport, Verdict, inspect, pass_gate
from MedTranslateLib.core.correspondence import Origin
from MedTranslateLib.core.errors import (
    BundleInvalidError,
    BundleTamperedError,
    DeviceError,
    InputGateError,
    RequestError,
)
from MedTranslateLib.core.request import TranslationRequest
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.fields import map_points
from MedTranslateLib.imaging.phantom import head_phantom
from MedTranslateLib.imaging.scale import IntensityScale, ScaleKind, measure
from MedTranslateLib.inference.devices import choose_device
from MedTranslateLib.inference.pipeline import translate
from MedTranslateLib.inference.weights import BundleCache, LoadedBundle, load_bundle
from MedTranslateLib.methods.fields import integrate, warp
from MedTranslateLib.methods.identity import Identity

CPU = torch.device("cpu")
FITS = GateReport(Verdict.FITS)


def ignore(_stage: str, _done: int, _total: int) -> None:
    pass


def run(source: Volume, bundle: LoadedBundle, **options: object):
    return translate(TranslationRequest(bundle.manifest.name, **options), source, bundle, FITS, ignore)


class ShiftingMethod(Identity):
    """Moves every pixel by a constant velocity of 2 rows and -3 columns, and says so."""

    def predicted_velocity(self, source, direction=None):
        return torch.tensor([2.0, -3.0]).view(1, 2, 1, 1).expand(len(source), 2, *source.shape[2:])

    def translate(self, source, direction, steps, noise, on_step):
        return torch.roll(source.images, (-2, 3), (2, 3))


class NoisyMethod(Identity):
    """Is noise of a known standard deviation, drawn from what it is given."""

    stochastic = True

    def translate(self, source, direction, steps, noise, on_step):
        return 0.1 * noise.draw(source.images)


def test_the_output_of_an_oblique_anisotropic_volume_lies_on_exactly_its_grid(oblique_head, make_bundle):
    result = run(oblique_head, load_bundle(make_bundle("identity"), CPU))
    assert result.translated.geometry.size_ijk == oblique_head.geometry.size_ijk
    assert np.abs(result.translated.geometry.ijk_to_ras - oblique_head.geometry.ijk_to_ras).max() <= 1e-6


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_the_identity_method_brings_the_phantom_back_at_40_db(oblique_head, make_bundle, plane):
    bundle = load_bundle(make_bundle("identity", plane=plane, size_hw=(192, 192)), CPU)
    result = run(oblique_head, bundle)
    seen = result.validity_kji.astype(bool)
    low, high = result.provenance["intensity"]["source_low"], result.provenance["intensity"]["source_high"]
    wanted = np.clip((oblique_head.array_kji - low) / (high - low), 0, 1)
    psnr = -10 * np.log10(np.mean((result.translated.array_kji[seen] - wanted[seen]) ** 2))
    assert psnr >= 40


def test_an_identity_correspondence_covers_the_source_and_moves_nothing(oblique_head, make_bundle):
    result = run(oblique_head, load_bundle(make_bundle("identity"), CPU))
    assert result.correspondence.origin is Origin.IDENTITY
    corners = oblique_head.geometry.ras_from_ijk([[0, 0, 0], [149, 129, 29], [10.5, 3, 7]])
    np.testing.assert_array_equal(map_points(result.correspondence.forward, corners), corners)


def test_hounsfield_units_come_from_the_bundle_and_not_from_the_source(oblique_head, make_bundle):
    target = Side("CT", "CT", Scale("hounsfield", -1000, 2000))
    bundle = load_bundle(make_bundle("to-ct", target=target, size_hw=(150, 192), spacing_mm=1.0), CPU)
    result = run(oblique_head, bundle)
    assert result.output_scale == "hounsfield"
    source_scale = IntensityScale(ScaleKind.RELATIVE, 0.5, 99.8)
    assert measure(oblique_head.array_kji, source_scale, 300.0).high < 1000  # nothing of the source reaches 2000
    assert result.translated.array_kji.max() == pytest.approx(2000, abs=40)
    # beyond the model's field of view there is air, and the mask says that nothing was seen there
    assert (result.translated.array_kji[result.validity_kji == 0] == -1000).mean() > 0.97


def test_a_velocity_becomes_fields_that_point_to_where_the_pixel_came_from(oblique_head, make_bundle):
    bundle = load_bundle(make_bundle("identity"), CPU)
    shifting = LoadedBundle(bundle.manifest, ShiftingMethod(), CPU)
    result = run(oblique_head, shifting)
    assert result.correspondence.origin is Origin.MODEL
    network = Geometry(
        tuple(result.provenance["network_grid"]["size_ijk"]), np.array(result.provenance["network_grid"]["ijk_to_ras"])
    )
    inner = np.array([[80.0, 96.0, 15.0], [60.0, 70.0, 8.0]])
    output = network.ras_from_ijk(inner)
    # the output at (row, column) is the source at (row + 2, column - 3): index order is i = column, j = row
    source = network.ras_from_ijk(inner + np.array([-3.0, 2.0, 0.0]))
    np.testing.assert_allclose(map_points(result.correspondence.forward, output), source, atol=1e-3)
    np.testing.assert_allclose(map_points(result.correspondence.inverse, source), output, atol=1e-3)
    shifted = run(oblique_head, bundle).translated
    at = np.rint(oblique_head.geometry.ijk_from_ras(source)).astype(int)
    to = np.rint(oblique_head.geometry.ijk_from_ras(output)).astype(int)
    for (i, j, k), (a, b, c) in zip(to, at, strict=True):  # smooth phantom: the nearest voxel is near enough
        assert result.translated.array_kji[k, j, i] == pytest.approx(shifted.array_kji[c, b, a], abs=0.05)


def test_the_uncertainty_is_the_standard_deviation_of_the_samples(oblique_head, make_bundle):
    bundle = load_bundle(make_bundle("identity"), CPU)
    noisy = LoadedBundle(bundle.manifest, NoisyMethod(), CPU)
    result = run(oblique_head, noisy, samples=20, seed=4)
    assert result.uncertainty is not None
    # noise of 0.1 in [-1, 1] is 0.05 in 0..1; interpolation between pixels lowers it a little
    typical = float(np.median(result.uncertainty.array_kji[result.validity_kji == 1]))
    assert 0.03 < typical < 0.055


def test_the_first_samples_do_not_depend_on_how_many_are_drawn(oblique_head, make_bundle):
    bundle = load_bundle(make_bundle("identity"), CPU)
    noisy = LoadedBundle(bundle.manifest, NoisyMethod(), CPU)
    one = run(oblique_head, noisy, samples=1, seed=7).translated.array_kji
    again = run(oblique_head, noisy, samples=1, seed=7).translated.array_kji
    other = run(oblique_head, noisy, samples=1, seed=8).translated.array_kji
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.01
    two = run(oblique_head, noisy, samples=2, seed=7).translated.array_kji
    np.testing.assert_allclose(two, (one + other) / 2, atol=0.02)  # sample n has seed + n; clipped at the ends


def test_a_method_without_chance_refuses_samples_instead_of_showing_no_uncertainty(oblique_head, make_bundle):
    with pytest.raises(RequestError, match=r"always gives the same output, so samples = 3"):
        run(oblique_head, load_bundle(make_bundle("identity"), CPU), samples=3)


def test_steps_the_bundle_was_not_trained_for_are_refused(oblique_head, make_bundle):
    with pytest.raises(RequestError, match=r"trained for 1 step\(s\), got steps = 2"):
        run(oblique_head, load_bundle(make_bundle("identity"), CPU), steps=2)


def test_a_one_way_bundle_refuses_the_way_back(oblique_head, make_bundle):
    with pytest.raises(RequestError, match=r"one way only \(T1 -> FLAIR\)"):
        run(oblique_head, load_bundle(make_bundle("one-way", reversible=False), CPU), reverse=True)


def test_the_source_is_never_changed(oblique_head, make_bundle):
    before = oblique_head.array_kji.copy()
    run(oblique_head, load_bundle(make_bundle("identity"), CPU))
    np.testing.assert_array_equal(before, oblique_head.array_kji)


def test_changed_weights_are_refused_with_both_hashes(make_bundle):
    folder = make_bundle("bidpm", "bidpm", {"channels": [16, 16]})
    weights = folder / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(BundleTamperedError, match=read_manifest(folder).files["weights.safetensors"]):
        load_bundle(folder, CPU)


def test_weights_of_another_network_are_refused(make_bundle):
    folder = make_bundle("bidpm", "bidpm", {"channels": [16, 16]})
    card = json.loads((folder / "bundle.json").read_text())
    card["method_options"] = {"channels": [16, 32]}
    (folder / "bundle.json").write_text(json.dumps(card))
    with pytest.raises(BundleInvalidError, match="does not hold the weights of bidpm"):
        load_bundle(folder, CPU)


def test_a_warm_worker_keeps_its_network_until_the_bundle_changes(make_bundle):
    cache, folder = BundleCache(), make_bundle("identity")
    first = cache.load(folder, CPU)
    assert cache.load(folder, CPU) is first
    assert cache.load(make_bundle("other"), CPU) is not first


@pytest.mark.parametrize(
    ("spacing", "size", "words"),
    [
        ((0.1, 0.1, 1.0), (200, 200, 20), "content is"),  # 20 mm wide: no head
        ((5.0, 5.0, 5.0), (100, 100, 20), "content is"),  # 500 mm wide
    ],
)
def test_content_far_from_the_trained_field_of_view_is_refused(make_bundle, spacing, size, words):
    rng = np.random.default_rng(0)
    array = np.zeros((size[2], size[1], size[0]))
    array[2:-2, 5:-5, 5:-5] = rng.uniform(50, 100, (size[2] - 4, size[1] - 10, size[0] - 10))
    volume = Volume(array, Geometry(size, np.diag([*spacing, 1.0])))
    report = inspect(volume, read_manifest(make_bundle("identity")), reverse=False)
    assert report.verdict is Verdict.REFUSED
    with pytest.raises(InputGateError, match=words):
        pass_gate(report, accept_doubtful=True)


def test_a_header_of_another_modality_is_doubtful_until_it_is_accepted(oblique_head, make_bundle):
    as_ct = Volume(oblique_head.array_kji, oblique_head.geometry, "scan", "CT")
    report = inspect(as_ct, read_manifest(make_bundle("identity")), reverse=False)
    with pytest.raises(InputGateError, match="header says modality CT, the bundle translates from MR"):
        pass_gate(report, accept_doubtful=False)
    pass_gate(report, accept_doubtful=True)


def test_a_bundle_for_any_contrast_doubts_only_what_it_would_make(oblique_head, make_bundle):
    scale = Scale("relative", 0.5, 99.8)
    sides = {"source": Side("ANY", "any contrast", scale), "reversible": False}
    to_ct = read_manifest(make_bundle("to-ct", target=Side("CT", "CT", scale), **sides))
    to_flair = read_manifest(make_bundle("to-flair", target=Side("MR", "FLAIR", scale), **sides))
    for manifest, stated, verdict in (
        (to_ct, "MR", Verdict.FITS),
        (to_ct, "PT", Verdict.FITS),
        (to_ct, None, Verdict.FITS),
        (to_ct, "CT", Verdict.DOUBTFUL),
        (to_flair, "MR", Verdict.FITS),  # another MR contrast, or the same: the name does not tell
        (to_flair, "CT", Verdict.FITS),
    ):
        volume = Volume(oblique_head.array_kji, oblique_head.geometry, "scan", stated)
        assert inspect(volume, manifest, reverse=False).verdict is verdict


def test_slices_further_apart_than_the_bundle_allows_are_doubtful(make_bundle):
    thick = head_phantom(Geometry((150, 150, 9), np.diag([1.2, 1.2, 15.0, 1.0])))
    report = inspect(thick, read_manifest(make_bundle("identity")), reverse=False)
    assert report.verdict is Verdict.DOUBTFUL
    assert "15.00 mm apart" in report.reasons[0]


def test_an_unknown_device_and_an_absent_one_are_told_apart():
    with pytest.raises(DeviceError, match="Unknown device 'gpu7'"):
        choose_device("gpu7")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="'cuda:0' was asked for but is not available"):
            choose_device("cuda:0")


class FollowingMethod(Identity):
    """Wants to move every other slice the other way, and shows what lies along the velocity that it is given."""

    def predicted_velocity(self, source, direction=None):
        rows, columns = torch.meshgrid(torch.arange(192.0), torch.arange(160.0), indexing="ij")
        bump = torch.exp(-((rows - 90) ** 2 + (columns - 85) ** 2) / (2 * 30**2))
        sign = torch.where(torch.arange(len(source)) % 2 == 0, 1.0, -0.2).view(-1, 1, 1, 1)
        return sign * torch.stack([6 * bump, -4 * bump])[None]

    def translate(self, source, direction, steps, noise, on_step):
        return warp(source.images, integrate(source.velocity))


def test_the_picture_shows_at_a_point_what_the_source_shows_at_its_partner_in_the_stored_field(
    oblique_head, make_bundle
):
    bundle = load_bundle(make_bundle("identity"), CPU)
    result = run(oblique_head, LoadedBundle(bundle.manifest, FollowingMethod(), CPU))
    low, high = result.provenance["intensity"]["source_low"], result.provenance["intensity"]["source_high"]
    geometry = oblique_head.geometry
    ijk = np.stack(np.meshgrid(np.arange(30, 120), np.arange(30, 100), [14, 15], indexing="ij"), axis=-1).reshape(-1, 3)
    points = geometry.ras_from_ijk(ijk)
    partners = geometry.ijk_from_ras(map_points(result.correspondence.forward, points))
    made = result.translated.array_kji[ijk[:, 2], ijk[:, 1], ijk[:, 0]]

    def source_at(places: np.ndarray) -> np.ndarray:
        values = map_coordinates(oblique_head.array_kji, places[:, ::-1].T, order=1)
        return np.clip((values - low) / (high - low), 0, 1)

    error = np.abs(made - source_at(partners)).mean()
    assert np.linalg.norm(partners - ijk, axis=1).max() > 2.0
    assert error < 0.004
    assert error < np.abs(made - source_at(ijk)).mean() / 5
