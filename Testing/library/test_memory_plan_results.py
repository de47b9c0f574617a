"""The memory plan changes how a run is done and not what comes out of it: batches, slabs, samples one by one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from MedTranslateLib.checks.gate import GateReport, Verdict
from MedTranslateLib.core.request import TranslationRequest
from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.core.volume import Geometry, Volume
from MedTranslateLib.imaging.phantom import head_phantom
from MedTranslateLib.inference.pipeline import translate
from MedTranslateLib.inference.repeatable import network_at_work
from MedTranslateLib.inference.slicewise import SliceRun, translate_slices
from MedTranslateLib.inference.weights import LoadedBundle, load_bundle
from MedTranslateLib.methods.contract import Direction
from MedTranslateLib.methods.identity import Identity

CPU = torch.device("cpu")
FITS = GateReport(Verdict.FITS)
SHARE_OF_RANGE = 1e-5
NETWORKS = [
    ("bidpm", {"channels": [16, 16]}),
    ("plasticine", {"channels": [16, 16], "velocity_channels": 8, "levels": 2, "steps": 1}),
    ("midiffusion", {"channels": [16, 16], "steps": 2}),
]


@pytest.fixture
def head() -> Volume:
    """Oblique, anisotropic, all sizes different, with more slices than the largest slab of these tests."""
    turned = np.array([[-0.9, 0.3, 0.1], [0.3, 0.95, -0.05], [-0.1, 0.0, 1.0]]) @ np.diag([3.1, 3.5, 5.0])
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turned, [70.0, -75.0, -40.0]
    return head_phantom(Geometry((58, 50, 13), matrix), "head")


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def run(source: Volume, bundle: LoadedBundle, **options: object) -> TranslationResult:
    request = TranslationRequest(bundle.manifest.name, seed=3, trust=False, **options)
    return translate(request, source, bundle, FITS, lambda _stage, _done, _total: None)


def arrays_of(result: TranslationResult) -> dict[str, np.ndarray]:
    arrays = {
        "translated": result.translated.array_kji,
        "validity": result.validity_kji,
        "forward": result.correspondence.forward.vectors_kji_ras,
        "inverse": result.correspondence.inverse.vectors_kji_ras,
    }
    if result.uncertainty is not None:
        arrays["uncertainty"] = result.uncertainty.array_kji
    return arrays


@pytest.mark.parametrize(("method", "options"), NETWORKS)
def test_batch_and_slab_change_no_voxel_by_more_than_a_hundred_thousandth_of_the_range(
    head, make_bundle, method, options
):
    grid = {"size_hw": (32, 40), "spacing_mm": 6.0, "reversible": method == "bidpm"}
    bundle = load_bundle(make_bundle(method, method, options, **grid), CPU)
    samples = 2 if bundle.method.stochastic else 1
    whole = arrays_of(run(head, bundle, samples=samples))
    assert np.ptp(whole["translated"]) > 0.02
    for batch, slab in ((1, 0), (2, 8), (3, 5)):
        parts = arrays_of(run(head, bundle, samples=samples, batch_size=batch, slab=slab))
        for name, array in whole.items():
            scale = max(float(np.ptp(array)), 1.0)
            assert np.abs(parts[name] - array).max() <= SHARE_OF_RANGE * scale, (name, batch, slab)
        again = arrays_of(run(head, bundle, samples=samples, batch_size=batch, slab=slab))
        assert all(np.array_equal(again[name], parts[name]) for name in whole)


def test_with_two_threads_a_slice_is_normalised_alike_whatever_lies_in_its_batch(two_threads):
    norm = torch.nn.GroupNorm(16, 32)
    generator = torch.Generator().manual_seed(0)
    batch = torch.randn(4, 32, 48, 48, generator=generator).to(torch.bfloat16, memory_format=torch.channels_last)
    norm = norm.to(torch.bfloat16)
    alone = [batch[2:3], batch[1:4]]
    with network_at_work(CPU):
        whole, one, three = norm(batch), *map(norm, alone)
    assert torch.equal(whole[2:3], one)
    assert torch.equal(whole[1:4], three)
    exact = torch.nn.functional.group_norm(batch.double(), 16)
    assert float((whole.double() - exact).abs().max()) < 2**-7 * float(exact.abs().max())


class Drawn(Identity):
    """Gives noise whose values a test can draw again."""

    stochastic = True

    def translate(self, source, direction, steps, noise, on_step):
        return 0.3 * noise.draw(source.images)


def test_mean_and_spread_of_samples_one_by_one_are_those_of_all_samples_together(make_bundle):
    bundle = LoadedBundle(load_bundle(make_bundle("identity"), CPU).manifest, Drawn(), CPU)
    slices = np.random.default_rng(1).uniform(-1, 1, (7, 12, 10)).astype(np.float32)
    apart = SliceRun(Direction.FORWARD, 1, 1, 0, 2.0)

    def one(seed: int) -> np.ndarray:
        run = SliceRun(Direction.FORWARD, 1, 1, seed, 2.0)
        return translate_slices(slices, bundle, run, lambda _done, _total: None).mean.astype(np.float64)

    each = np.stack([one(seed) for seed in range(6)])
    for slab in (None, 3):
        together = SliceRun(apart.direction, 1, 6, 0, 2.0, batch=2, slab=slab)
        told: list[int] = []
        made = translate_slices(slices, bundle, together, lambda done, _total, told=told: told.append(done))
        np.testing.assert_allclose(made.mean, each.mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(made.deviation, each.std(axis=0, ddof=1), atol=1e-6)
        assert told == sorted(told)
        assert told[-1] == 7 * 6


def test_samples_beyond_the_first_take_no_more_memory(make_bundle):
    """Counted by numpy's own bookkeeping: sixteen samples at once would be sixteen arrays of the stack."""
    import tracemalloc

    bundle = LoadedBundle(load_bundle(make_bundle("identity"), CPU).manifest, Drawn(), CPU)
    slices = np.zeros((24, 96, 80), dtype=np.float32)
    peaks = []
    for samples in (2, 16):
        tracemalloc.start()
        translate_slices(slices, bundle, SliceRun(Direction.FORWARD, 1, samples, 0, 2.0), lambda _done, _total: None)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.05 * peaks[0]
    assert peaks[0] > 3 * slices.nbytes  # the bookkeeping does see the arrays
